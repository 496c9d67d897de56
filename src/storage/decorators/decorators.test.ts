/** Retry, limit and observe around a place that fails on command. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { suite, test } from "node:test";
import { backoffMs } from "../backoff.ts";
import { MemoryReplicaClient } from "../memory.ts";
import { StorageError } from "../replica-client.ts";
import type {
  LTXFileInfo,
  LTXFileName,
  OpenOptions,
  WriteBody,
  WriteOptions,
} from "../replica-client.ts";
import { LimitedClient } from "./limit.ts";
import { ObservedClient } from "./observe.ts";
import type { StorageOperation } from "./observe.ts";
import { RetryingClient } from "./retry.ts";

const file = { level: 0, minTXID: 1n, maxTXID: 1n };
const createdAt = new Date(0);
const passing = (): StorageError =>
  new StorageError("unavailable", "Cannot do it: down", { code: "SlowDown" });

async function* oneChunk(): AsyncGenerator<Uint8Array> {
  yield Buffer.from("x");
}

/** A memory replica whose next operations fail. */
class FailingClient extends MemoryReplicaClient {
  failures: unknown[] = [];
  calls = 0;
  /** Bytes after which each read breaks. */
  readBreaksAfter = Infinity;

  #fail(): void {
    this.calls += 1;
    const failure = this.failures.shift();
    if (failure !== undefined) throw failure;
  }

  override async write(
    name: LTXFileName,
    body: WriteBody,
    options: WriteOptions,
  ): Promise<LTXFileInfo> {
    this.#fail();
    return super.write(name, body, options);
  }

  override async delete(files: readonly LTXFileName[]): Promise<void> {
    this.#fail();
    await super.delete(files);
  }

  override async *list(
    level: number,
    options?: Parameters<MemoryReplicaClient["list"]>[1],
  ): AsyncIterable<LTXFileInfo> {
    for await (const found of super.list(level, options)) {
      this.#fail();
      yield found;
    }
  }

  override async *read(name: LTXFileName, options?: OpenOptions): AsyncIterable<Uint8Array> {
    this.#fail();
    let left = this.readBreaksAfter;
    for await (const chunk of super.read(name, options)) {
      if (chunk.length > left) {
        if (left > 0) yield chunk.subarray(0, left);
        throw passing();
      }
      left -= chunk.length;
      yield chunk;
    }
  }
}

function retrying(inner: FailingClient, attempts = 4): { client: RetryingClient; waits: number[] } {
  const waits: number[] = [];
  const sleep = async (ms: number, signal: AbortSignal | undefined): Promise<void> => {
    signal?.throwIfAborted();
    waits.push(ms);
  };
  const backoff = { attempts, baseMs: 100, capMs: 300, sleep, random: () => 1 };
  return { client: new RetryingClient(inner, { calls: backoff, reads: backoff }), waits };
}

async function readAll(client: RetryingClient, options: OpenOptions = {}): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of client.read(file, options)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

void suite("RetryingClient", () => {
  const body = { kind: "bytes", bytes: Buffer.from("x") } as const;

  test("repeats whole calls, waiting longer each time", async () => {
    const inner = new FailingClient();
    const { client, waits } = retrying(inner);
    inner.failures = [passing(), passing(), passing()];
    await client.write(file, body, { createdAt });
    assert.deepEqual(waits, [100, 200, 300]);
    inner.failures = [passing()];
    await client.delete([file]);
    assert.equal(inner.objects.size, 0);
  });

  test("gives up with the last error", async () => {
    const inner = new FailingClient();
    const { client } = retrying(inner);
    const last = passing();
    inner.failures = [passing(), passing(), passing(), last];
    await assert.rejects(client.write(file, body, { createdAt }), (error) => error === last);
    assert.equal(inner.calls, 4);
  });

  test("repeats nothing that is final, no stream, and nothing after an abort", async () => {
    const inner = new FailingClient();
    const { client } = retrying(inner);
    for (const kind of [
      "not-found",
      "exists",
      "denied",
      "misconfigured",
      "corrupt",
      "full",
    ] as const) {
      inner.calls = 0;
      inner.failures = [new StorageError(kind, "Cannot")];
      await assert.rejects(client.write(file, body, { createdAt }), { kind });
      assert.equal(inner.calls, 1);
    }
    inner.failures = [passing()];
    await assert.rejects(
      client.write(file, { kind: "stream", chunks: oneChunk() }, { createdAt }),
      {
        kind: "unavailable",
      },
    );
    const controller = new AbortController();
    const reason = new Error("enough");
    inner.failures = [passing()];
    inner.calls = 0;
    const writing = client.write(file, body, { createdAt, signal: controller.signal });
    controller.abort(reason);
    await assert.rejects(writing, (error) => error === reason);
    assert.ok(inner.calls <= 1);
  });

  test("goes on with a read where it broke, counting anew after progress", async () => {
    const inner = new FailingClient();
    const { client, waits } = retrying(inner, 2);
    const bytes = randomBytes(300_000);
    await inner.write(file, { kind: "bytes", bytes }, { createdAt });
    inner.readBreaksAfter = 50_000;
    assert.ok(bytes.equals(await readAll(client)));
    assert.equal(waits.length, 5);
    assert.ok(
      bytes.subarray(10, 120_010).equals(await readAll(client, { offset: 10, length: 120_000 })),
    );
    inner.readBreaksAfter = 0;
    await assert.rejects(readAll(client), { kind: "unavailable" });
  });

  test("goes on with a listing after the last file it gave", async () => {
    const inner = new FailingClient();
    const { client } = retrying(inner);
    for (const [min, max] of [
      [1n, 1n],
      [1n, 2n],
      [2n, 2n],
      [3n, 3n],
    ] as const)
      await inner.write({ level: 0, minTXID: min, maxTXID: max }, body, { createdAt });
    inner.failures = [undefined, undefined, passing(), passing(), undefined];
    const found: string[] = [];
    for await (const { minTXID, maxTXID } of client.list(0)) found.push(`${minTXID}-${maxTXID}`);
    assert.deepEqual(found, ["1-1", "1-2", "2-2", "3-3"]);
  });
});

test("backoffMs() doubles up to the cap, and leaves half to chance", () => {
  const backoff = { attempts: 10, baseMs: 100, capMs: 20_000 };
  const at = (attempt: number, random: number): number =>
    backoffMs(attempt, { ...backoff, random: () => random });
  assert.deepEqual(
    [1, 2, 3, 9, 50].map((attempt) => at(attempt, 1)),
    [100, 200, 400, 20_000, 20_000],
  );
  assert.deepEqual([at(1, 0), at(1, 0.5), at(9, 0)], [50, 75, 10_000]);
});

void suite("LimitedClient", () => {
  test("lets so many operations through at once, in order, and gives places back", async () => {
    let now = 0;
    let peak = 0;
    class SlowClient extends MemoryReplicaClient {
      override async write(
        name: LTXFileName,
        body: WriteBody,
        options: WriteOptions,
      ): Promise<LTXFileInfo> {
        peak = Math.max(peak, (now += 1));
        await new Promise((resolve) => setTimeout(resolve, 2));
        now -= 1;
        if (name.minTXID % 3n === 0n) throw passing();
        return super.write(name, body, options);
      }
    }
    const client = new LimitedClient(new SlowClient(), 3);
    const writes = Array.from({ length: 20 }, (_, index) => {
      const txid = BigInt(index + 1);
      return client.write(
        { level: 0, minTXID: txid, maxTXID: txid },
        { kind: "bytes", bytes: new Uint8Array(1) },
        { createdAt },
      );
    });
    const results = await Promise.allSettled(writes);
    // The places that were given back are as many as before.
    await Promise.allSettled(
      writes.map((_write, index) =>
        client.write(
          { level: 1, minTXID: 1n, maxTXID: BigInt(index + 1) },
          { kind: "bytes", bytes: new Uint8Array(1) },
          { createdAt },
        ),
      ),
    );
    assert.equal(results.filter(({ status }) => status === "rejected").length, 6);
    assert.equal(peak, 3);
    let listed = 0;
    for await (const _file of client.list(0)) listed += 1;
    assert.equal(listed, 14);
  });

  test("does not count open reads between their chunks", async () => {
    const inner = new MemoryReplicaClient();
    await inner.write(file, { kind: "bytes", bytes: randomBytes(200_000) }, { createdAt });
    const client = new LimitedClient(inner, 1);
    const readers = Array.from({ length: 5 }, () => client.read(file)[Symbol.asyncIterator]());
    for (const reader of readers) assert.equal((await reader.next()).done, false);
    await client.write(
      { ...file, level: 1 },
      { kind: "bytes", bytes: new Uint8Array(1) },
      { createdAt },
    );
    for (const reader of readers) await reader.return?.();
  });

  test("leaves the line when aborted", async () => {
    const inner = new MemoryReplicaClient();
    const client = new LimitedClient(inner, 1);
    const { promise, resolve } = Promise.withResolvers<void>();
    async function* chunks(): AsyncGenerator<Uint8Array> {
      await promise;
      yield new Uint8Array(1);
    }
    const first = client.write(file, { kind: "stream", chunks: chunks() }, { createdAt });
    const controller = new AbortController();
    const reason = new Error("enough");
    const second = client.delete([file], { signal: controller.signal });
    controller.abort(reason);
    await assert.rejects(second, (error) => error === reason);
    resolve();
    await first;
    await client.delete([file]);
    assert.equal(inner.objects.size, 0);
  });
});

test("ObservedClient reports each operation once, with its bytes and its failure", async () => {
  const inner = new FailingClient();
  const operations: StorageOperation[] = [];
  const client = new ObservedClient(inner, (operation) => operations.push(operation));
  await client.write(file, { kind: "bytes", bytes: new Uint8Array(100_000) }, { createdAt });
  for await (const _chunk of client.read(file)) break;
  for await (const _chunk of client.read(file, { offset: 90_000 })) continue;
  for await (const _file of client.list(0)) continue;
  await client.delete([file, { ...file, level: 1 }]);
  inner.failures = [passing(), new StorageError("not-found", "Cannot"), new Error("other")];
  await assert.rejects(
    client.write(file, { kind: "bytes", bytes: new Uint8Array(1) }, { createdAt }),
  );
  await assert.rejects(client.read(file)[Symbol.asyncIterator]().next());
  await assert.rejects(client.delete([file]));
  assert.deepEqual(
    operations.map(({ replicaType, operation, bytes, fileCount, errorCode }) => [
      replicaType,
      operation,
      bytes,
      fileCount,
      errorCode,
    ]),
    [
      ["memory", "PUT", 100_000, 1, undefined],
      ["memory", "GET", 65_536, 1, undefined],
      ["memory", "GET", 10_000, 1, undefined],
      ["memory", "LIST", 0, 1, undefined],
      ["memory", "DELETE", 0, 2, undefined],
      ["memory", "PUT", 0, 0, "SlowDown"],
      ["memory", "GET", 0, 1, "not-found"],
      ["memory", "DELETE", 0, 0, "Error"],
    ],
  );
  for (const { durationMs } of operations) assert.ok(durationMs >= 0 && durationMs < 5_000);
});
