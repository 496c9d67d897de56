/** Proxies and credentials from the environment. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { suite, test } from "node:test";
import { promisify } from "node:util";
import { FakeS3 } from "../../../test/servers/fake-s3.ts";
import { startConnectMap } from "../../../test/servers/servers.ts";
import { S3ReplicaClient } from "./client.ts";
import type { Environment } from "./settings.ts";

const noWait = { attempts: 1, baseMs: 1, capMs: 1 };

async function put(endpoint: string, environment: Environment): Promise<void> {
  const options = {
    type: "s3",
    bucket: "b",
    path: "",
    endpoint,
    accessKeyID: "a",
    secretAccessKey: "s",
  } as const;
  await using client = new S3ReplicaClient(options, { environment, backoff: noWait });
  await client.write(
    { level: 0, minTXID: 1n, maxTXID: 1n },
    { kind: "bytes", bytes: Buffer.from("x") },
    { createdAt: new Date() },
  );
}

void suite("proxies", () => {
  test("HTTP_PROXY leads http requests", async () => {
    await using store = await FakeS3.start();
    await using proxy = await startConnectMap({
      "^store[.]example:80$": Number(store.endpoint.split(":").at(-1)),
    });
    await put("http://store.example", { HTTP_PROXY: proxy.url });
    await put("http://store.example", { http_proxy: proxy.url.replace("http://", "") });
    assert.deepEqual([...store.objects.keys()], ["/0000/0000000000000001-0000000000000001.ltx"]);
    assert.equal(store.requests.length, 2);
  });

  test("NO_PROXY, loopback and an empty variable mean a direct connection", async () => {
    await using store = await FakeS3.start();
    const nowhere = "http://127.0.0.1:1";
    await put(store.endpoint, { HTTP_PROXY: nowhere });
    await put(store.endpoint.replace("127.0.0.1", "localhost"), { HTTP_PROXY: nowhere });
    await put(store.endpoint, { HTTP_PROXY: "" });
    assert.equal(store.requests.length, 3);
    await assert.rejects(put("http://store.example", { HTTP_PROXY: nowhere }), {
      kind: "unavailable",
      code: "ECONNREFUSED",
    });
    await assert.rejects(
      put("http://store.example", { HTTP_PROXY: nowhere, NO_PROXY: "other.example,.example" }),
      { code: "ENOTFOUND" },
    );
  });

  test("a file of certificates that cannot be read is named", async () => {
    await assert.rejects(put("https://store.example", { AWS_CA_BUNDLE: "/none.pem" }), {
      kind: "misconfigured",
      message: 'Cannot read the certificates in "/none.pem"',
    });
  });
});

void suite("the provider chain", () => {
  test("gives temporary credentials of a container", async () => {
    await using store = await FakeS3.start();
    const credentials = {
      AccessKeyId: "TEMP",
      SecretAccessKey: "s",
      Token: "token",
      Expiration: new Date(Date.now() + 3_600_000).toISOString(),
    };
    const server = createServer((_request, response) => response.end(JSON.stringify(credentials)));
    await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
    const uri = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    try {
      assert.deepEqual(
        await listWith(store.endpoint, { AWS_CONTAINER_CREDENTIALS_FULL_URI: uri }),
        { ok: true },
      );
    } finally {
      server.close();
    }
    assert.match(store.requests[0]?.headers["authorization"] ?? "", /Credential=TEMP\//);
    assert.equal(store.requests[0]?.headers["x-amz-security-token"], "token");
  });

  test("says what to set when nobody has credentials", async () => {
    await using store = await FakeS3.start();
    const { kind, code, hint } = (await listWith(store.endpoint, {})) as Record<string, string>;
    assert.deepEqual([kind, code], ["denied", "CredentialsProviderError"]);
    assert.match(hint ?? "", /LITESTREAM_ACCESS_KEY_ID/);
    assert.equal(store.requests.length, 0);
  });
});

/** Lists a replica in a process that has this environment and no keys. */
async function listWith(endpoint: string, env: NodeJS.ProcessEnv): Promise<unknown> {
  const script = `
    const { openReplicaClient } = await import(${JSON.stringify(join(import.meta.dirname, "../open.ts"))});
    const client = await openReplicaClient({ type: "s3", bucket: "b", path: "p", endpoint: ${JSON.stringify(endpoint)} });
    try {
      for await (const file of client.list(0)) void file;
      console.log(JSON.stringify({ ok: true }));
    } catch (error) {
      console.log(JSON.stringify({ kind: error.kind, code: error.code, hint: error.hint, cause: String(error.cause) }));
    }
  `;
  const environment = {
    PATH: process.env["PATH"],
    AWS_EC2_METADATA_DISABLED: "true",
    HOME: "/nonexistent",
    ...env,
  };
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ["--input-type=module", "-e", script],
    { env: environment },
  );
  return JSON.parse(stdout);
}
