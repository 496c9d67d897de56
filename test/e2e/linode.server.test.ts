/**
 * The user's own commands and configuration files, word for word, against the software of Linode Object Storage under
 * its real name: Ceph RGW behind a proxy that leads us-east-1.linodeobjects.com to it, over TLS.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import type { TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Application } from "../harness/application.ts";
import { assertIntegrity, assertSamePages, readImage } from "../harness/database-image.ts";
import { programUnderTest, start, succeed } from "../harness/program.ts";
import type { StartOptions } from "../harness/program.ts";
import { restore } from "../harness/restored.ts";
import { Scratch } from "../harness/scratch.ts";
import { until } from "../harness/wait.ts";
import { missingServer, startCephRGW, startConnectMap } from "../servers/servers.ts";

const host = "us-east-1.linodeobjects.com";
const missing = missingServer("ceph");

/** What the commands are tried with. */
interface Stage {
  readonly bucket: string;
  readonly accessKey: string;
  readonly secretKey: string;
  /** The way to the server; nothing of it is said in commands or configuration. */
  readonly way: Readonly<Record<string, string>>;
}

void test(
  "the Linode guide, word for word",
  { skip: missing ?? false, timeout: 300_000 },
  async (t) => {
    await using ceph = await startCephRGW({ RGW_DNS_NAME: host });
    assert.ok(ceph.tlsEndpoint !== undefined && ceph.caFile !== undefined);
    await using proxy = await startConnectMap({
      "linodeobjects[.]com:443": Number(new URL(ceph.tlsEndpoint).port),
    });
    const way = {
      HTTPS_PROXY: proxy.url,
      NODE_EXTRA_CA_CERTS: ceph.caFile,
      SSL_CERT_FILE: ceph.caFile,
    };
    const stage = {
      bucket: ceph.bucket,
      accessKey: ceph.accessKeyID,
      secretKey: ceph.secretAccessKey,
      way,
    };

    await t.test("command line: two environment variables and the host form", () =>
      followTheCommandLine(stage),
    );
    for (const [name, yaml] of Object.entries(configurations(stage))) {
      await t.test(`configuration: ${name}`, () => followTheConfiguration(stage, name, yaml));
    }
    await t.test("SIGTERM in the first second", (context) => stopAtOnce(context, stage));
  },
);

async function followTheCommandLine(stage: Stage): Promise<void> {
  using scratch = new Scratch("linode");
  const database = scratch.path("db");
  const url = `s3://${stage.bucket}.${host}/db`;
  const env = {
    ...stage.way,
    LITESTREAM_ACCESS_KEY_ID: stage.accessKey,
    LITESTREAM_SECRET_ACCESS_KEY: stage.secretKey,
  };
  await using application = await Application.start(database, { journal: scratch.path("journal") });
  await application.transact(20);
  await replicateForAWhile(["replicate", database, url], { env }, application);
  const restored = await restore({
    program: programUnderTest(),
    from: url,
    output: scratch.path("my.db"),
    env,
  });
  assertSamePages(restored, readImage(database, scratch.path("source")), "Restored");
  assertIntegrity(scratch.path("my.db"));
}

async function followTheConfiguration(
  stage: Stage,
  name: string,
  yaml: (database: string) => string,
): Promise<void> {
  using scratch = new Scratch(name);
  const database = scratch.path("db");
  const config = scratch.path("litestream.yml");
  writeFileSync(config, yaml(database));
  // Where the file lies is told by a variable once, by a flag once.
  const env = { ...stage.way, LITESTREAM_CONFIG: config };
  await using application = await Application.start(database, { journal: scratch.path("journal") });
  await application.transact(20);
  await replicateForAWhile(["replicate"], { env }, application);
  const restored = await restore({
    program: programUnderTest(),
    from: database,
    config,
    output: scratch.path("my.db"),
    env: stage.way,
  });
  assertSamePages(restored, readImage(database, scratch.path("source")), "Restored");
  assertIntegrity(scratch.path("my.db"));
}

async function stopAtOnce(t: TestContext, stage: Stage): Promise<void> {
  using scratch = new Scratch("linode-first-second");
  const database = scratch.path("db");
  const url = `s3://${stage.bucket}.${host}/first-second`;
  const env = {
    ...stage.way,
    LITESTREAM_ACCESS_KEY_ID: stage.accessKey,
    LITESTREAM_SECRET_ACCESS_KEY: stage.secretKey,
  };
  await using application = await Application.start(database, { journal: scratch.path("journal") });
  await application.transact(20);
  await using replicator = start(programUnderTest(), ["replicate", database, url], { env });
  await until(() => replicator.output.includes("replicating to"), {
    what: "the start",
    timeoutMs: 20_000,
  });
  const { code, elapsedMs } = await replicator.stop();
  t.diagnostic(`ended after ${Math.round(elapsedMs)} ms`);
  assert.equal(code, 0, replicator.output);
  const restored = await restore({
    program: programUnderTest(),
    from: url,
    output: scratch.path("my.db"),
    env,
  });
  assertSamePages(restored, readImage(database, scratch.path("source")), "Restored");
}

async function replicateForAWhile(
  args: readonly string[],
  options: StartOptions,
  application: Application,
): Promise<void> {
  {
    await using replicator = start(programUnderTest(), args, options);
    await until(() => replicator.output.includes("replicating to") || !replicator.isRunning, {
      what: "the start",
      timeoutMs: 20_000,
    });
    assert.ok(replicator.isRunning, replicator.output);
    await application.transact(10);
    await sleep(1_200);
    await application.transact(10);
    const { code } = await replicator.stop();
    assert.equal(code, 0, replicator.output);
  }
  // The same as a cron job would do it.
  await application.transact(5);
  const [command = "", ...rest] = args;
  await succeed(programUnderTest(), [command, "-once", ...rest], options);
}

/** The forms of the guide, and what became of them in v0.5: each with a path of its own in the bucket. */
function configurations({
  bucket,
  accessKey,
  secretKey,
}: Stage): Record<string, (database: string) => string> {
  const keys = (indent: string): string =>
    `${indent}access-key-id: ${accessKey}\n${indent}secret-access-key: ${secretKey}\n`;
  const fields = (indent: string, path: string, endpoint: string): string =>
    [
      `type: s3`,
      `bucket:   ${bucket}`,
      `path:     ${path}`,
      `endpoint: ${endpoint}`,
      `region:   us-east-1   # set to your region`,
    ]
      .map((line, index) => `${indent}${index === 0 ? "- " : "  "}${line}\n`)
      .join("");
  return {
    "url, keys at the top": (database) =>
      `${keys("")}dbs:\n  - path: ${database}\n    replicas:\n      - url: s3://${bucket}.${host}/form-1\n`,
    "fields, endpoint with https://": (database) =>
      `${keys("")}dbs:\n  - path: ${database}\n    replicas:\n${fields("      ", "form-2", `https://${host}`)}`,
    "fields, endpoint without a scheme": (database) =>
      `${keys("")}dbs:\n  - path: ${database}\n    replicas:\n${fields("      ", "form-3", host)}`,
    "url with keys of its own": (database) =>
      `dbs:\n  - path: ${database}\n    replicas:\n      - url: s3://${bucket}.${host}/form-4\n${keys("        ")}`,
    "replica (v0.5) instead of replicas": (database) =>
      `${keys("")}dbs:\n  - path: ${database}\n    replica:\n      url: s3://${bucket}.${host}/form-5\n`,
    "host form in bucket": (database) =>
      `${keys("")}dbs:\n  - path: ${database}\n    replica:\n      type: s3\n      bucket: ${bucket}.${host}\n      path: form-6\n`,
  };
}
