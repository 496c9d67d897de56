/** Listings, reads, deletes and conditional writes on stores that misbehave: a right result or a named error. */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { after, suite, test } from "node:test";
import { testReplicaClient } from "../../../test/conformance/replica-client.ts";
import { failure, FakeS3 } from "../../../test/servers/fake-s3.ts";
import type { FakeReply, Misbehaviour } from "../../../test/servers/fake-s3.ts";
import { createLTXHeader, encodeLTXHeader } from "../../formats/ltx/header.ts";
import { levelHexFolder } from "../../formats/ltx/layout.ts";
import { RetryingClient } from "../decorators/retry.ts";
import type { ReplicaClient } from "../replica-client.ts";
import type { S3ReplicaOptions } from "../replica-options.ts";
import { S3ReplicaClient } from "./client.ts";

const noWait = { attempts: 10, baseMs: 1, capMs: 2 };
const createdAt = new Date("2024-02-29T12:34:56.780Z");

function clientOf(store: FakeS3, options: Partial<S3ReplicaOptions> = {}): S3ReplicaClient {
  const all = {
    type: "s3",
    bucket: "b",
    path: "db",
    endpoint: store.endpoint,
    accessKeyID: "AK",
    secretAccessKey: "SK",
    ...options,
  } as const;
  return new S3ReplicaClient(all, { environment: {}, backoff: noWait });
}

function name(txid: number, level = 0): { level: number; minTXID: bigint; maxTXID: bigint } {
  return { level, minTXID: BigInt(txid), maxTXID: BigInt(txid) };
}

function keyOf(txid: number): string {
  const text = txid.toString(16).padStart(16, "0");
  return `db/0000/${text}-${text}.ltx`;
}

function fill(store: FakeS3, count: number, timestamp?: string): void {
  const headers = timestamp === undefined ? {} : { "x-amz-meta-litestream-timestamp": timestamp };
  for (let txid = 1; txid <= count; txid += 1)
    store.objects.set(keyOf(txid), {
      body: Buffer.from("x"),
      headers: { "last-modified": new Date(0).toUTCString(), ...headers },
    });
}

async function listed(
  client: ReplicaClient,
  options: Parameters<ReplicaClient["list"]>[1] = {},
): Promise<number[]> {
  const txids: number[] = [];
  for await (const { minTXID } of client.list(0, options)) txids.push(Number(minTXID));
  return txids;
}

async function times(client: ReplicaClient): Promise<string[]> {
  const found: string[] = [];
  for await (const file of client.list(0, { withTimestamps: true }))
    found.push(file.createdAt.toISOString());
  return found;
}

async function readAll(
  client: ReplicaClient,
  options: Parameters<ReplicaClient["read"]>[1] = {},
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of client.read(name(1), options)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function entry(txid: number): string {
  return `<Contents><Key>${keyOf(txid)}</Key><Size>1</Size><LastModified>2024-01-01T00:00:00Z</LastModified></Contents>`;
}

/** Stores without conditions on PUT: they do not see them, or have never heard of them. */
const ignores: Misbehaviour = (request, self) => self.answer({ ...request, headers: {} });
const refuses: Misbehaviour = ({ headers }) =>
  headers["if-none-match"] === undefined ? undefined : failure(501, "NotImplemented");

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index + 1);
}

const shared = await FakeS3.start();
after(() => shared[Symbol.asyncDispose]());
testReplicaClient("s3 (fake store)", {
  folderOfLevel: levelHexFolder,
  largeBytes: 6 << 20,
  fileCount: 60,
  open: async (replica) => clientOf(shared, { path: replica }),
});

void suite("list()", () => {
  test("asks only for what comes after the TXID wanted, page by page", async () => {
    await using store = await FakeS3.start();
    store.maxKeys = 7;
    fill(store, 30);
    await using client = clientOf(store);
    assert.deepEqual(await listed(client, { from: 12n }), upTo(30).slice(11));
    assert.equal(store.requests[0]?.query.get("start-after"), "db/0000/000000000000000c");
    assert.equal(store.requests[0]?.query.get("prefix"), "db/0000/");
    assert.equal(store.operations.length, 3);
  });

  test("sorts what a store gives unsorted, also across pages, and drops doubles", async () => {
    await using store = await FakeS3.start();
    fill(store, 6);
    store.misbehave = ({ query }) => {
      const isSecond = query.get("continuation-token") === "two";
      const keys = isSecond ? [2, 6, 1] : [5, 3, 4, 2];
      const more = isSecond
        ? ""
        : "<IsTruncated>true</IsTruncated><NextContinuationToken>two</NextContinuationToken>";
      return {
        status: 200,
        body: `<ListBucketResult>${more}${keys.map(entry).join("")}</ListBucketResult>`,
      };
    };
    await using client = clientOf(store);
    assert.deepEqual(await listed(client), upTo(6));
  });

  test("gets every page from stores that know only the first version of the operation", async () => {
    await using store = await FakeS3.start();
    store.maxKeys = 4;
    fill(store, 10);
    store.misbehave = (request, self) => {
      if (request.operation !== "GET list") return undefined;
      request.query.delete("list-type");
      request.query.delete("start-after");
      return self.answer(request);
    };
    await using client = clientOf(store);
    assert.deepEqual(await listed(client), upTo(10));
  });

  test("fails on a listing that is cut off and does not say how to go on", async () => {
    await using store = await FakeS3.start();
    store.misbehave = () => ({
      status: 200,
      body: "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
    });
    await using client = clientOf(store);
    await assert.rejects(listed(client), { kind: "corrupt" });
    store.misbehave = () => ({
      status: 200,
      body: "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>same</NextContinuationToken></ListBucketResult>",
    });
    await assert.rejects(listed(client), { kind: "corrupt" });
  });

  test("fails on an answer that is no listing", async () => {
    await using store = await FakeS3.start();
    await using client = clientOf(store);
    for (const body of ["<html>welcome", "<ListBucketResult><Contents>", '{"a":1}']) {
      store.misbehave = () => ({ status: 200, body });
      await assert.rejects(listed(client), { kind: "corrupt" }, body);
    }
  });

  test("asks for timestamps of the wanted files only, at most 20 at once", async () => {
    await using store = await FakeS3.start();
    fill(store, 60, "2024-02-29T12:34:56.789123456+01:00");
    await using client = clientOf(store);
    let now = 0;
    let peak = 0;
    const answer = store.answer.bind(store);
    store.answer = (request) => {
      if (request.method === "HEAD") peak = Math.max(peak, (now += 1));
      setTimeout(() => (now -= 1), 5);
      return answer(request);
    };
    const found = [];
    for await (const file of client.list(0, { withTimestamps: true, from: 11n }))
      found.push(file.createdAt.toISOString());
    assert.deepEqual(
      found,
      Array.from({ length: 50 }, () => "2024-02-29T11:34:56.789Z"),
    );
    assert.equal(store.operations.filter((operation) => operation === "HEAD").length, 50);
    assert.ok(peak <= 20, `${peak} at once`);
  });

  test("takes the upload time where metadata is missing, and fails where it cannot be read", async () => {
    await using store = await FakeS3.start();
    fill(store, 1);
    await using client = clientOf(store);
    assert.deepEqual(await times(client), ["1970-01-01T00:00:00.000Z"]);
    for (const bad of ["yesterday", "2024-02-30", "2024-13-01T00:00:00Z"]) {
      fill(store, 1, bad);
      await assert.rejects(times(client), { kind: "corrupt" }, bad);
    }
  });

  test("reads the LTX header where HEAD is refused, and fails when that fails too", async () => {
    await using store = await FakeS3.start();
    fill(store, 1, "2020-01-01T00:00:00Z");
    store.misbehave = ({ method }) => (method === "HEAD" ? { status: 403 } : undefined);
    await using client = clientOf(store);
    await assert.rejects(times(client), { kind: "denied" });
    const header = createLTXHeader({
      pageSize: 4096,
      commit: 1,
      minTXID: 1n,
      maxTXID: 1n,
      timestampMs: createdAt.getTime(),
    });
    store.objects.set(keyOf(1), {
      body: Buffer.concat([encodeLTXHeader(header), randomBytes(50)]),
      headers: {},
    });
    assert.deepEqual(await times(client), [createdAt.toISOString()]);
    assert.equal(store.requests.at(-1)?.headers["range"], "bytes=0-99");
  });

  test("leaves out a file that is deleted while it is listed", async () => {
    await using store = await FakeS3.start();
    fill(store, 3, "2020-01-01T00:00:00Z");
    store.misbehave = (request) =>
      request.method === "HEAD" && request.key === keyOf(2) ? { status: 404 } : undefined;
    await using client = clientOf(store);
    assert.equal((await times(client)).length, 2);
  });
});

void suite("read()", () => {
  const bytes = randomBytes(500_000);

  test("resumes a body that breaks, at the byte where it broke", async () => {
    await using store = await FakeS3.start();
    store.objects.set(keyOf(1), { body: bytes, headers: {} });
    store.misbehave = (request, self) => ({ ...self.answer(request), cutAfter: 65_536 });
    await using client = new RetryingClient(clientOf(store), {
      calls: noWait,
      reads: { ...noWait, attempts: 2 },
    });
    assert.ok(bytes.equals(await readAll(client)));
    assert.deepEqual(
      store.requests.slice(0, 3).map(({ headers }) => headers["range"]),
      [undefined, "bytes=65536-", "bytes=131072-"],
    );
    const range = await readAll(client, { offset: 1_000, length: 200_000 });
    assert.ok(bytes.subarray(1_000, 201_000).equals(range));
    assert.equal(store.requests.at(-1)?.headers["range"], "bytes=197608-200999");
  });

  test("fails when a body breaks again and again without progress", async () => {
    await using store = await FakeS3.start();
    store.objects.set(keyOf(1), { body: bytes, headers: {} });
    store.misbehave = (request, self) => ({ ...self.answer(request), cutAfter: 0 });
    await using client = new RetryingClient(clientOf(store), {
      calls: noWait,
      reads: { ...noWait, attempts: 3 },
    });
    await assert.rejects(readAll(client), { kind: "unavailable" });
    assert.equal(store.requests.length, 3);
  });

  test("alone reports a body that ends early, whatever the length says", async () => {
    await using store = await FakeS3.start();
    store.objects.set(keyOf(1), { body: bytes, headers: {} });
    await using client = clientOf(store);
    store.misbehave = (request, self) => ({ ...self.answer(request), cutAfter: 1_000 });
    await assert.rejects(readAll(client), { kind: "unavailable" });
    // A store that answers with a shorter range than it was asked for, and than the file has.
    store.misbehave = () => ({
      status: 206,
      headers: { "content-range": `bytes 0-99/${bytes.length}` },
      body: bytes.subarray(0, 100),
    });
    await assert.rejects(readAll(client, { length: 1_000 }), /100 of 1000 bytes/);
    // A store that answers with another range.
    store.misbehave = () => ({
      status: 206,
      headers: { "content-range": `bytes 5-14/${bytes.length}` },
      body: bytes.subarray(5, 15),
    });
    await assert.rejects(readAll(client, { length: 10 }), { kind: "corrupt" });
  });

  test("cuts out the range from a store that ignores ranges", async () => {
    await using store = await FakeS3.start();
    store.objects.set(keyOf(1), { body: bytes, headers: {} });
    store.misbehave = (): FakeReply => ({ status: 200, body: bytes });
    await using client = clientOf(store);
    assert.ok(
      bytes
        .subarray(70_001, 170_001)
        .equals(await readAll(client, { offset: 70_001, length: 100_000 })),
    );
    assert.ok(bytes.subarray(400_000).equals(await readAll(client, { offset: 400_000 })));
  });

  test("tells a missing object from a refused one and from a missing bucket", async () => {
    await using store = await FakeS3.start();
    await using client = clientOf(store);
    const rows: [FakeReply, string][] = [
      [failure(404, "NoSuchKey"), "not-found"],
      [{ status: 404 }, "not-found"],
      [failure(404, "NoSuchBucket"), "misconfigured"],
      [failure(403, "AccessDenied"), "denied"],
      [{ status: 403 }, "denied"],
      [{ status: 500 }, "unavailable"],
      [failure(403, "RequestTimeTooSkewed"), "unavailable"],
    ];
    for (const [reply, kind] of rows) {
      store.misbehave = () => reply;
      await assert.rejects(readAll(client), { kind }, JSON.stringify(reply));
    }
  });
});

void suite("delete()", () => {
  test("sends 1000 keys at a time, with Content-MD5 instead of other checksums", async () => {
    await using store = await FakeS3.start();
    fill(store, 2_001);
    await using client = clientOf(store);
    await client.delete(upTo(2_001).map((txid) => name(txid)));
    assert.deepEqual(store.operations, ["POST delete", "POST delete", "DELETE"]);
    assert.equal(store.objects.size, 0);
    for (const { headers, body, operation } of store.requests.slice(0, 2)) {
      assert.equal(body.toString().split("<Key>").length - 1, 1_000);
      assert.equal(
        headers["content-md5"],
        createHash("md5").update(body).digest("base64"),
        operation,
      );
      assert.match(headers["authorization"] ?? "", /SignedHeaders=[^,]*content-md5/);
      for (const header of Object.keys(headers)) assert.doesNotMatch(header, /checksum/);
    }
  });

  test("leaves Content-MD5 out when told to", async () => {
    await using store = await FakeS3.start();
    await using client = clientOf(store, { requireContentMD5: false });
    await client.delete([name(1), name(2)]);
    assert.equal(store.requests[0]?.headers["content-md5"], undefined);
  });

  test("deletes one by one where the store has no batches or wants another digest", async () => {
    for (const refusal of [
      failure(501, "NotImplemented"),
      failure(405, "MethodNotAllowed"),
      failure(400, "InvalidDigest"),
      failure(400, "MissingContentMD5"),
      { status: 501 },
    ]) {
      await using store = await FakeS3.start();
      fill(store, 5);
      store.misbehave = ({ operation }) => (operation === "POST delete" ? refusal : undefined);
      await using client = clientOf(store);
      await client.delete(upTo(3).map((txid) => name(txid)));
      await client.delete(upTo(4).map((txid) => name(txid)));
      assert.deepEqual([...store.objects.keys()], [keyOf(5)]);
      assert.equal(store.operations.filter((operation) => operation === "POST delete").length, 1);
    }
  });

  test("names the keys that could not be deleted, after trying all", async () => {
    await using store = await FakeS3.start();
    fill(store, 1_500);
    store.misbehave = (request, self) => {
      if (!request.body.includes(keyOf(7))) return undefined;
      self.answer(request);
      const body = `<DeleteResult>${upTo(1_000)
        .filter((txid) => txid > 2 && txid !== 7)
        .map((txid) => `<Deleted><Key>${keyOf(txid)}</Key></Deleted>`)
        .join(
          "",
        )}<Error><Key>${keyOf(7)}</Key><Code>AccessDenied</Code></Error><Error><Key>${keyOf(2)}</Key><Code>NoSuchKey</Code></Error></DeleteResult>`;
      return { status: 200, body };
    };
    await using client = clientOf(store);
    await assert.rejects(client.delete(upTo(1_500).map((txid) => name(txid))), {
      kind: "denied",
      code: "AccessDenied",
      message: `Cannot delete "${keyOf(7)}" (AccessDenied) at bucket "b" (${store.endpoint})`,
    });
    // The key that the answer did not speak of was asked for again, the second batch sent all the same.
    assert.deepEqual(store.operations, ["POST delete", "DELETE", "POST delete"]);
    assert.equal(store.objects.size, 0);
  });
});

void suite("conditionalWrites()", () => {
  const body = { kind: "bytes", bytes: Buffer.from("x") } as const;

  test("is found out once, and the probe leaves nothing behind", async () => {
    await using store = await FakeS3.start();
    await using client = clientOf(store);
    assert.equal(await client.conditionalWrites(), true);
    assert.equal(await client.conditionalWrites(), true);
    assert.deepEqual(store.operations, ["PUT", "PUT", "DELETE"]);
    assert.equal(store.objects.size, 0);
    await client.write(name(1), body, { createdAt, ifAbsent: true });
    assert.equal(store.requests.at(-1)?.headers["if-none-match"], "*");
    await assert.rejects(client.write(name(1), body, { createdAt, ifAbsent: true }), {
      kind: "exists",
    });
  });

  test("is false for stores that ignore or refuse the condition, and then none is sent", async () => {
    for (const misbehave of [ignores, refuses]) {
      await using store = await FakeS3.start();
      store.misbehave = misbehave;
      await using client = clientOf(store);
      assert.equal(await client.conditionalWrites(), false);
      await client.write(name(1), body, { createdAt, ifAbsent: true });
      assert.equal(store.requests.at(-1)?.headers["if-none-match"], undefined);
    }
  });

  test("stays open when the probe fails", async () => {
    await using store = await FakeS3.start();
    await using client = clientOf(store);
    store.misbehave = () => failure(403, "AccessDenied");
    await assert.rejects(client.conditionalWrites(), { kind: "denied" });
    store.misbehave = () => undefined;
    assert.equal(await client.conditionalWrites(), true);
  });

  test("write() reports a name as taken when its own lost answer has taken it, never as written by someone else", async () => {
    await using store = await FakeS3.start();
    await using client = clientOf(store);
    await client.conditionalWrites();
    let lost = false;
    store.misbehave = (request, self) => {
      if (request.method !== "PUT" || lost) return undefined;
      lost = true;
      self.answer(request);
      return failure(500, "InternalError");
    };
    await assert.rejects(client.write(name(1), body, { createdAt, ifAbsent: true }), {
      kind: "exists",
    });
    assert.equal(store.objects.get(keyOf(1))?.body.toString(), "x");
  });
});
