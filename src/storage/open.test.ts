import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { promisify } from "node:util";
import { testReplicaClient } from "../../test/conformance/replica-client.ts";
import type { StorageOperation } from "./decorators/observe.ts";
import { openReplicaClient } from "./open.ts";
import type { ReplicaOptions } from "./replica-options.ts";

const folder = await mkdtemp(join(tmpdir(), "storage-open-"));
after(() => rm(folder, { recursive: true, force: true }));

testReplicaClient("a file replica with all that is stacked around it", {
  open: (replica) =>
    openReplicaClient(
      { type: "file", path: join(folder, replica) },
      { maxOperations: 2, onOperation: () => undefined },
    ),
});

test("openReplicaClient() gives the same replica for the same name in memory", async () => {
  const operations: StorageOperation[] = [];
  await using one = await openReplicaClient(
    { type: "memory", name: "n" },
    { onOperation: (operation) => operations.push(operation) },
  );
  await using two = await openReplicaClient({ type: "memory", name: "n" });
  await using three = await openReplicaClient({ type: "memory", name: "other" });
  const file = { level: 0, minTXID: 1n, maxTXID: 1n };
  await one.write(file, { kind: "bytes", bytes: Buffer.from("x") }, { createdAt: new Date() });
  for await (const chunk of two.read(file)) assert.equal(Buffer.from(chunk).toString(), "x");
  await assert.rejects(three.read(file)[Symbol.asyncIterator]().next(), { kind: "not-found" });
  assert.deepEqual(
    operations.map(({ operation }) => operation),
    ["PUT"],
  );
});

test("openReplicaClient() passes the warnings of a place on", async () => {
  const warnings: string[] = [];
  await using client = await openReplicaClient(
    { type: "s3", bucket: "b", endpoint: "http://127.0.0.1:1" },
    { environment: {}, warn: (warning) => warnings.push(warning) },
  );
  assert.equal(client.type, "s3");
  assert.match(warnings.join(), /has no path/);
});

test("openReplicaClient() says plainly that a place is not in this version", async () => {
  const types: ReplicaOptions[] = [
    { type: "gs", bucket: "b" },
    { type: "abs", bucket: "b" },
    { type: "nats", bucket: "b" },
  ];
  for (const options of types)
    await assert.rejects(openReplicaClient(options), {
      kind: "misconfigured",
      message: `Cannot open a replica of type "${options.type}": this version has no such place`,
    });
  await assert.rejects(openReplicaClient({ type: "file", path: "" }), {
    message: "file replica path required",
  });
});

test("openReplicaClient() loads the library of S3 for S3 only", async () => {
  const script = `
    import { registerHooks } from "node:module";
    const loaded = [];
    registerHooks({ resolve: (specifier, context, next) => { loaded.push(specifier); return next(specifier, context); } });
    const { openReplicaClient } = await import(${JSON.stringify(join(import.meta.dirname, "open.ts"))});
    const count = () => loaded.filter((specifier) => /@aws-sdk|@smithy/.test(specifier)).length;
    await openReplicaClient({ type: "file", path: "/tmp/none" });
    const before = count();
    await openReplicaClient({ type: "s3", bucket: "b", path: "p", accessKeyID: "a", secretAccessKey: "s" });
    console.log(JSON.stringify({ before, after: count() > 0, credentials: loaded.some((specifier) => specifier === "@aws-sdk/credential-providers") }));
  `;
  const { stdout } = await promisify(execFile)(process.execPath, [
    "--input-type=module",
    "-e",
    script,
  ]);
  assert.deepEqual(JSON.parse(stdout), { before: 0, after: true, credentials: false });
});
