/** What goes over the wire: the settings that S3-compatible stores need, header by header. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { suite, test } from "node:test";
import { FakeS3, failure } from "../../../test/servers/fake-s3.ts";
import type { FakeRequest } from "../../../test/servers/fake-s3.ts";
import type { S3ReplicaOptions } from "../replica-options.ts";
import { S3ReplicaClient } from "./client.ts";
import type { S3ClientOptions } from "./client.ts";

const createdAt = new Date("2024-02-29T12:34:56.780Z");
const file = { level: 0, minTXID: 1n, maxTXID: 1n };
const key = "db/0000/0000000000000001-0000000000000001.ltx";
const noWait = { attempts: 10, baseMs: 1, capMs: 5 };
const MIB = 1024 * 1024;

function clientOf(
  store: FakeS3,
  options: Partial<S3ReplicaOptions> = {},
  clientOptions: S3ClientOptions = {},
): S3ReplicaClient {
  return new S3ReplicaClient(
    {
      type: "s3",
      bucket: "b",
      path: "db",
      endpoint: store.endpoint,
      accessKeyID: "AK",
      secretAccessKey: "SK",
      ...options,
    },
    { environment: {}, backoff: noWait, ...clientOptions },
  );
}

async function write(client: S3ReplicaClient, bytes: Uint8Array, ifAbsent = false): Promise<void> {
  await client.write(file, { kind: "bytes", bytes }, { createdAt, ifAbsent });
}

function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function signedHeaders({ headers }: FakeRequest): readonly string[] {
  return /SignedHeaders=([^,]+)/.exec(headers["authorization"] ?? "")?.[1]?.split(";") ?? [];
}

void suite("PUT", () => {
  test("sends a buffered, signed body of exact length, and no checksums of the SDK", async () => {
    await using store = await FakeS3.start();
    await using client = clientOf(store);
    const bytes = Buffer.alloc(3 * MIB, "x");
    await write(client, bytes);
    const [put] = store.requests;
    assert.ok(put);
    assert.deepEqual(store.operations, ["PUT"]);
    assert.equal(put.key, key);
    assert.equal(put.headers["x-amz-content-sha256"], sha256(bytes));
    assert.equal(put.headers["content-length"], String(bytes.length));
    assert.equal(put.headers["content-type"], "application/octet-stream");
    assert.equal(put.headers["x-amz-meta-litestream-timestamp"], "2024-02-29T12:34:56.78Z");
    assert.match(put.headers["user-agent"] ?? "", /litestream/);
    for (const absent of [
      "expect",
      "transfer-encoding",
      "content-encoding",
      "x-amz-decoded-content-length",
      "x-amz-trailer",
      "if-none-match",
      "accept-encoding",
      "x-amz-storage-class",
    ])
      assert.equal(put.headers[absent], undefined, absent);
    for (const name of Object.keys(put.headers)) assert.doesNotMatch(name, /checksum/);
  });

  test("replays the whole body after a 500, a 503 and a reset", async () => {
    await using store = await FakeS3.start();
    const failures = [
      failure(500, "InternalError"),
      failure(503, "SlowDown"),
      "reset" as const,
      failure(408, "RequestTimeout"),
      failure(400, "RequestTimeout"),
      failure(409, "ConditionalRequestConflict"),
      { status: 429 },
    ];
    const count = failures.length;
    store.misbehave = () => failures.shift();
    await using client = clientOf(store);
    await write(client, Buffer.from("body"));
    assert.equal(store.requests.length, count + 1);
    for (const { body } of store.requests) assert.equal(body.toString(), "body");
    assert.equal(store.objects.get(key)?.body.toString(), "body");
  });

  test("gives up after ten attempts, with the store's code", async () => {
    await using store = await FakeS3.start();
    store.misbehave = () => failure(503, "SlowDown");
    await using client = clientOf(store);
    await assert.rejects(write(client, Buffer.from("body")), {
      kind: "unavailable",
      code: "SlowDown",
      message: `Cannot write "${key}" at bucket "b" (${store.endpoint}): too many requests (SlowDown), HTTP 503`,
    });
    assert.equal(store.requests.length, 10);
  });

  test("does not repeat what is final", async () => {
    await using store = await FakeS3.start();
    await using client = clientOf(store);
    const rows: [number, string, string][] = [
      [403, "AccessDenied", "denied"],
      [403, "InvalidAccessKeyId", "denied"],
      [404, "NoSuchBucket", "misconfigured"],
      [400, "InvalidArgument", "misconfigured"],
      [403, "QuotaExceeded", "full"],
      [412, "PreconditionFailed", "exists"],
    ];
    for (const [status, code, kind] of rows) {
      store.requests.length = 0;
      store.misbehave = () => failure(status, code);
      await assert.rejects(write(client, Buffer.from("x")), { kind, code });
      assert.equal(store.requests.length, 1, code);
    }
  });

  test("is not believed without an ETag", async () => {
    await using store = await FakeS3.start();
    await using client = clientOf(store);
    for (const body of ["", "<Error><Code>InternalError</Code></Error>"]) {
      store.misbehave = () => ({ status: 200, body });
      await assert.rejects(write(client, Buffer.from("x")), /Cannot write/);
    }
  });

  test("leaves the payload unsigned when told to, and sends storage class and KMS key", async () => {
    await using store = await FakeS3.start();
    await using client = clientOf(store, {
      signPayload: false,
      storageClass: "STANDARD_IA",
      sseKMSKeyID: "kid",
    });
    await write(client, Buffer.from("x"));
    const [put] = store.requests;
    assert.ok(put);
    assert.equal(put.headers["x-amz-content-sha256"], "UNSIGNED-PAYLOAD");
    assert.ok(signedHeaders(put).includes("x-amz-content-sha256"));
    assert.equal(put.headers["x-amz-storage-class"], "STANDARD_IA");
    assert.equal(put.headers["x-amz-server-side-encryption"], "aws:kms");
    assert.equal(put.headers["x-amz-server-side-encryption-aws-kms-key-id"], "kid");
  });

  test("sends the customer's key with PUT, parts, completion, GET and HEAD", async () => {
    await using store = await FakeS3.start();
    const sseCustomerKey = Buffer.alloc(32, 3).toString("base64");
    await using client = clientOf(store, { sseCustomerKey });
    await write(client, Buffer.from("x"));
    await write(client, Buffer.alloc(11 * MIB));
    for await (const _chunk of client.read(file)) break;
    for await (const _file of client.list(0, { withTimestamps: true })) break;
    const withKey = new Set(["PUT", "POST uploads", "PUT part", "POST complete", "GET", "HEAD"]);
    for (const { operation, headers } of store.requests) {
      assert.equal(
        headers["x-amz-server-side-encryption-customer-key"],
        withKey.has(operation) ? sseCustomerKey : undefined,
        operation,
      );
    }
    for (const operation of withKey) assert.ok(store.operations.includes(operation), operation);
  });

  test("signs with the session token, and marks requests to Tigris", async () => {
    await using store = await FakeS3.start();
    await using client = clientOf(store, { sessionToken: "token" });
    await write(client, Buffer.from("x"));
    assert.equal(store.requests[0]?.headers["x-amz-security-token"], "token");
    assert.equal(store.requests[0]?.headers["x-tigris-consistent"], undefined);
  });
});

void suite("keys", () => {
  test("keep upstream's spelling on the wire", async () => {
    for (const [path, prefix] of [
      [".", "./"],
      ["", "/"],
      ["a b/ü+&", "a b/ü+&/"],
    ] as const) {
      await using store = await FakeS3.start();
      await using client = clientOf(store, { path });
      await write(client, Buffer.from("x"));
      assert.equal(store.requests[0]?.key, `${prefix}0000/0000000000000001-0000000000000001.ltx`);
      const listed = [];
      for await (const found of client.list(0)) listed.push(found.sizeBytes);
      assert.deepEqual(listed, [1]);
    }
  });

  test("are found in any of the three spellings when the replica has no path", async () => {
    for (const path of [".", ""]) {
      for (const prefix of ["./", "/", ""]) {
        await using store = await FakeS3.start();
        store.objects.set(`${prefix}0000/0000000000000001-0000000000000001.ltx`, {
          body: Buffer.from("x"),
          headers: {},
        });
        store.objects.set("other/0000/0000000000000009-0000000000000009.ltx", {
          body: Buffer.from("x"),
          headers: {},
        });
        await using client = clientOf(store, { path });
        const listed = [];
        for await (const found of client.list(0)) listed.push(found.minTXID);
        assert.deepEqual(listed, [1n], `${path} ${prefix}`);
        for await (const chunk of client.read(file))
          assert.equal(Buffer.from(chunk).toString(), "x");
      }
    }
  });

  test("are written clean where the store refuses the others", async () => {
    await using store = await FakeS3.start();
    store.misbehave = (request) =>
      /^\.?\//.test(request.key) ? failure(400, "XMinioInvalidObjectName") : undefined;
    await using client = clientOf(store, { path: "." });
    await write(client, Buffer.from("x"));
    assert.deepEqual([...store.objects.keys()], ["0000/0000000000000001-0000000000000001.ltx"]);
  });
});

void suite("multipart upload", () => {
  test("cuts from one part size up and keeps to the parts in flight", async () => {
    await using store = await FakeS3.start();
    await using client = clientOf(store, { concurrency: 2 });
    await write(client, Buffer.alloc(5 * MIB, 1));
    assert.deepEqual(store.operations, ["PUT"]);
    store.requests.length = 0;
    const bytes = Buffer.alloc(21 * MIB, 2);
    await write(client, bytes);
    assert.equal(store.operations[0], "POST uploads");
    assert.equal(store.operations.at(-1), "POST complete");
    const parts = store.requests.filter(({ operation }) => operation === "PUT part");
    assert.deepEqual(
      parts.map(({ body }) => body.length).toSorted((a, b) => b - a),
      [5, 5, 5, 5, 1].map((n) => n * MIB),
    );
    for (const { headers, body } of parts) {
      assert.equal(headers["x-amz-content-sha256"], sha256(body));
      assert.equal(headers["content-length"], String(body.length));
      for (const name of Object.keys(headers)) assert.doesNotMatch(name, /checksum|^expect$/);
    }
    assert.equal(store.partsPeak, 2);
    assert.ok(store.objects.get(key)?.body.equals(bytes));
    assert.equal(
      store.objects.get(key)?.headers["x-amz-meta-litestream-timestamp"],
      "2024-02-29T12:34:56.78Z",
    );
  });

  test("repeats a failed part and nothing else", async () => {
    await using store = await FakeS3.start();
    let failed = 0;
    store.misbehave = ({ query }) =>
      query.get("partNumber") === "2" && (failed += 1) < 3 ? "reset" : undefined;
    await using client = clientOf(store);
    const bytes = Buffer.alloc(16 * MIB, 3);
    await write(client, bytes);
    assert.equal(store.operations.filter((operation) => operation === "PUT part").length, 4 + 2);
    assert.ok(store.objects.get(key)?.body.equals(bytes));
  });

  test("is abandoned when a part fails for good, or the source does", async () => {
    await using store = await FakeS3.start();
    await using client = clientOf(store);
    store.misbehave = ({ query }) =>
      query.get("partNumber") === "3" ? failure(403, "AccessDenied") : undefined;
    await assert.rejects(write(client, Buffer.alloc(50 * MIB)), { kind: "denied" });
    store.misbehave = () => undefined;
    const source = new Error("source");
    async function* chunks(): AsyncGenerator<Uint8Array> {
      yield Buffer.alloc(12 * MIB);
      throw source;
    }
    await assert.rejects(
      client.write(file, { kind: "stream", chunks: chunks() }, { createdAt }),
      (error) => error === source,
    );
    assert.equal(store.uploads.size, 0);
    assert.equal(store.objects.size, 0);
    assert.equal(store.operations.filter((operation) => operation === "DELETE upload").length, 2);
  });

  test("takes a completion whose answer was lost for done", async () => {
    await using store = await FakeS3.start();
    let lost = false;
    store.misbehave = (request) => {
      if (request.operation !== "POST complete" || lost) return undefined;
      lost = true;
      store.answer(request);
      return "reset";
    };
    await using client = clientOf(store);
    await write(client, Buffer.alloc(11 * MIB, 4));
    assert.deepEqual(store.operations.slice(-3), ["POST complete", "POST complete", "HEAD"]);
    assert.equal(store.objects.get(key)?.body.length, 11 * MIB);
  });

  test("fails on a completion that says 200 and an error", async () => {
    await using store = await FakeS3.start();
    store.misbehave = ({ operation }) =>
      operation === "POST complete"
        ? { status: 200, body: "<Error><Code>InternalError</Code><Message>m</Message></Error>" }
        : undefined;
    await using client = clientOf(store);
    await assert.rejects(write(client, Buffer.alloc(11 * MIB, 4)), /InternalError/);
    assert.equal(store.uploads.size, 0);
    assert.equal(store.objects.size, 0);
  });

  test("never replaces a taken name when it must not", async () => {
    await using store = await FakeS3.start();
    await using client = clientOf(store);
    store.objects.set(key, { body: Buffer.from("first"), headers: {} });
    await assert.rejects(write(client, Buffer.alloc(11 * MIB), true), { kind: "exists" });
    assert.equal(store.objects.get(key)?.body.toString(), "first");
    assert.ok(!store.operations.includes("POST uploads"));
  });
});

void suite("regions and names", () => {
  test("follow the region that an error reply names", async () => {
    await using store = await FakeS3.start();
    const scopes: string[] = [];
    store.misbehave = ({ headers }) => {
      const region =
        /Credential=[^/]+\/\d+\/([^/]+)/.exec(headers["authorization"] ?? "")?.[1] ?? "";
      scopes.push(region);
      if (region === "us-east-1")
        return failure(400, "AuthorizationHeaderMalformed", "<Region>eu-west-9</Region>");
      if (region === "eu-west-9")
        return { status: 301, headers: { "x-amz-bucket-region": "ap-south-7" } };
      return undefined;
    };
    await using client = clientOf(store);
    await write(client, Buffer.from("x"));
    await write(client, Buffer.from("y"));
    assert.deepEqual(scopes, ["us-east-1", "eu-west-9", "ap-south-7", "ap-south-7"]);
    assert.equal(client.attributes["region"], "ap-south-7");
  });
});

void suite("time limits", () => {
  test("a store that says nothing is left and asked again", async () => {
    await using store = await FakeS3.start();
    let silent = 2;
    store.misbehave = () => ((silent -= 1) >= 0 ? "hang" : undefined);
    await using client = clientOf(store, {}, { silenceTimeoutMs: 150 });
    await write(client, Buffer.from("x"));
    assert.equal(store.requests.length, 3);
  });

  test("an idle connection is closed before the store would close it", async () => {
    await using store = await FakeS3.start();
    await using client = clientOf(store, {}, { idleTimeoutMs: 100 });
    await write(client, Buffer.from("x"));
    await new Promise((resolve) => setTimeout(resolve, 400));
    const before = store.connections;
    await write(client, Buffer.from("y"));
    await write(client, Buffer.from("z"));
    assert.equal(store.connections, before + 1);
  });

  test("an abort ends a request and a wait between two at once", async () => {
    await using store = await FakeS3.start();
    const reason = new Error("enough");
    store.misbehave = () => "hang";
    await using client = clientOf(
      store,
      {},
      { backoff: { attempts: 10, baseMs: 60_000, capMs: 60_000 } },
    );
    for (const misbehaviour of ["hang", failure(503, "SlowDown")] as const) {
      store.misbehave = () => misbehaviour;
      const controller = new AbortController();
      setTimeout(() => controller.abort(reason), 50);
      const writing = client.write(
        file,
        { kind: "bytes", bytes: Buffer.from("x") },
        { createdAt, signal: controller.signal },
      );
      await assert.rejects(writing, (error) => error === reason);
    }
  });
});
