import assert from "node:assert/strict";
import { test } from "node:test";
import { failure, FakeS3 } from "../../../test/servers/fake-s3.ts";
import { S3ReplicaClient } from "./client.ts";
import { parseDebugModes } from "./debug.ts";

test("parseDebugModes() reads a comma list and says what it does not know", () => {
  const { modes, unknown } = parseDebugModes(" Signing, request,nonsense,,all");
  assert.deepEqual([[...modes], unknown], [["signing", "request", "all"], ["nonsense"]]);
  assert.equal(parseDebugModes(undefined).modes.size, 0);
});

test("LITESTREAM_S3_DEBUG shows requests, replies and retries, and no secrets", async () => {
  assert.deepEqual(await show("request,response"), [
    "s3 request PUT",
    "s3 response 503",
    "s3 request PUT",
    "s3 response 200",
  ]);
  assert.deepEqual(await show("retries"), ["s3 retry after:"]);
  assert.deepEqual(await show(""), []);
});

/** The first words of the lines that these modes show of a write that needs two attempts. */
async function show(modes: string): Promise<string[]> {
  await using store = await FakeS3.start();
  const failures = [failure(503, "SlowDown")];
  store.misbehave = () => failures.shift();
  const lines: string[] = [];
  const sseCustomerKey = Buffer.alloc(32, 9).toString("base64");
  const options = {
    type: "s3",
    bucket: "b",
    path: "p",
    endpoint: store.endpoint,
    accessKeyID: "AK",
    secretAccessKey: "SECRET",
    sessionToken: "TOKEN",
    sseCustomerKey,
  } as const;
  const environment = { LITESTREAM_S3_DEBUG: modes };
  await using client = new S3ReplicaClient(options, {
    environment,
    debug: (line) => lines.push(line),
    backoff: { attempts: 2, baseMs: 1, capMs: 1 },
  });
  const name = { level: 0, minTXID: 1n, maxTXID: 1n };
  await client.write(
    name,
    { kind: "bytes", bytes: Buffer.from("DATA") },
    { createdAt: new Date() },
  );
  for (const secret of ["SECRET", "TOKEN", sseCustomerKey, "DATA"])
    assert.ok(!lines.join().includes(secret), secret);
  return lines.map((line) => line.replace(/^(s3 \S+ \S+).*$/s, "$1"));
}
