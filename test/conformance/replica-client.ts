/**
 * The promises of src/storage/replica-client.ts as tests. A place proves itself in some fifteen lines:
 *
 *     testReplicaClient("file", {
 *       open: async (replica) => new FileReplicaClient({ type: "file", path: join(folder, replica) }),
 *     });
 *
 * Every test works in a replica of its own, whose name it hands to `open`; opening a name twice gives two clients of
 * one replica.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import { levelFolder } from "../../src/formats/ltx/layout.ts";
import { isStorageError } from "../../src/storage/replica-client.ts";
import type {
  LTXFileInfo,
  LTXFileName,
  ReplicaClient,
  WriteBody,
} from "../../src/storage/replica-client.ts";

export interface PlaceUnderTest {
  /** A client of the replica of this name, ready to use. */
  readonly open: (replica: string) => Promise<ReplicaClient>;
  /** How exactly `withTimestamps` gives createdAt back; null where the place cannot keep it. Default 0. */
  readonly timestampPrecisionMs?: number | null;
  /** Whether the place is expected to create names conditionally. Default true. */
  readonly conditionalWrites?: boolean;
  /** Folder of a level below the replica. Default `ltx/<level>`. */
  readonly folderOfLevel?: (level: number) => string;
  /** Size of a "large" body; more than one part where there are parts. Default 3 MiB. */
  readonly largeBytes?: number;
  /** How many files the listing test writes. Default 250. */
  readonly fileCount?: number;
  /** Skip the whole suite, with the reason. */
  readonly skip?: string | undefined;
}

const day = new Date("2024-02-29T12:34:56.789Z");
let replicaCount = 0;

/** Declares the suite for one place. */
export function testReplicaClient(placeName: string, place: PlaceUnderTest): void {
  const { timestampPrecisionMs = 0, conditionalWrites = true, largeBytes = 3 << 20 } = place;
  const folderOfLevel = place.folderOfLevel ?? levelFolder;

  /** A fresh replica and a client of it. */
  async function fresh(): Promise<{ client: ReplicaClient; replica: string }> {
    replicaCount += 1;
    const replica = `replica-${process.pid}-${replicaCount}-${randomBytes(3).toString("hex")}`;
    const client = await place.open(replica);
    await client.open();
    return { client, replica };
  }

  void suite(
    `${placeName} keeps the contract of a replica client`,
    { skip: place.skip ?? false },
    () => {
      test("list() of a level nobody wrote to is empty", async () => {
        await using client = (await fresh()).client;
        assert.deepEqual(await listed(client, 0), []);
        assert.deepEqual(await listed(client, 9, { withTimestamps: true }), []);
      });

      test("list() sorts by TXID and keeps levels apart", async () => {
        await using client = (await fresh()).client;
        for (const [min, max] of [
          [4n, 8n],
          [1n, 1n],
          [9n, 9n],
          [2n, 3n],
          [0x100n, 0x100n],
        ] as const)
          await put(client, at(2, min, max));
        await put(client, at(3, 1n, 9n));
        assert.deepEqual(await ranges(client, 2), ["1-1", "2-3", "4-8", "9-9", "256-256"]);
        assert.deepEqual(await ranges(client, 3), ["1-9"]);
        assert.deepEqual(await ranges(client, 0), []);
      });

      test("list() from a TXID gives every file that starts there or later", async () => {
        await using client = (await fresh()).client;
        for (const [min, max] of [
          [1n, 4n],
          [5n, 5n],
          [6n, 9n],
          [10n, 0x1fn],
          [0x20n, 0x20n],
        ] as const)
          await put(client, at(1, min, max));
        assert.deepEqual(await ranges(client, 1, 5n), ["5-5", "6-9", "10-31", "32-32"]);
        assert.deepEqual(await ranges(client, 1, 7n), ["10-31", "32-32"]);
        assert.deepEqual(await ranges(client, 1, 33n), []);
      });

      test("list() is complete for many files, with and without timestamps", async () => {
        await using client = (await fresh()).client;
        const count = place.fileCount ?? 250;
        const files = Array.from({ length: count }, (_, index) => at(0, BigInt(index + 1)));
        await inParallel(16, files, async (file) => {
          const createdAt = new Date(day.getTime() + Number(file.minTXID) * 60_000);
          await client.write(file, bytesBody(Uint8Array.of(1, 2, 3)), { createdAt });
        });
        const expected = files.map(({ minTXID }) => minTXID);
        assert.deepEqual(
          (await listed(client, 0)).map(({ minTXID }) => minTXID),
          expected,
        );
        const timed = await listed(client, 0, { withTimestamps: true, from: BigInt(count - 19) });
        assert.equal(timed.length, 20);
        if (timestampPrecisionMs === null) return;
        for (const { minTXID, createdAt } of timed) {
          const offMs = createdAt.getTime() - (day.getTime() + Number(minTXID) * 60_000);
          assert.ok(
            Math.abs(offMs) <= timestampPrecisionMs,
            `createdAt of ${minTXID} is off by ${offMs} ms`,
          );
        }
      });

      test("list() does not see a replica whose name starts alike", async () => {
        const { client, replica } = await fresh();
        await using _closing = client;
        await using neighbour = await place.open(`${replica}-2`);
        await put(client, at(0, 1n));
        await put(neighbour, at(0, 2n));
        assert.deepEqual(await ranges(client, 0), ["1-1"]);
        assert.deepEqual(await ranges(neighbour, 0), ["2-2"]);
      });

      test("write() says what list() says, for every kind of body", async () => {
        await using client = (await fresh()).client;
        const folder = await mkdtemp(join(tmpdir(), "conformance-"));
        const bytes = randomBytes(70_001);
        const path = join(folder, "body");
        await writeFile(path, bytes);
        const bodies: WriteBody[] = [
          { kind: "bytes", bytes },
          { kind: "file", path, sizeBytes: bytes.length },
          { kind: "stream", chunks: chunked(bytes, 4_099) },
        ];
        for (const [index, body] of bodies.entries()) {
          const file = at(0, BigInt(index + 1));
          const written = await client.write(file, body, { createdAt: day });
          assert.deepEqual(written, { ...file, sizeBytes: bytes.length, createdAt: day });
          const [found] = await listed(client, 0, { from: file.minTXID, withTimestamps: true });
          assert.deepEqual({ ...found, createdAt: day }, written);
          assert.deepEqual(await content(client, file), bytes);
        }
        await rm(folder, { recursive: true });
      });

      test("write() takes large bodies of every kind whole", async () => {
        await using client = (await fresh()).client;
        const folder = await mkdtemp(join(tmpdir(), "conformance-"));
        const bytes = randomBytes(largeBytes + 12_345);
        const path = join(folder, "body");
        await writeFile(path, bytes);
        await client.write(
          at(9, 1n, 1n),
          { kind: "file", path, sizeBytes: bytes.length },
          { createdAt: day },
        );
        await client.write(
          at(9, 1n, 2n),
          { kind: "stream", chunks: chunked(bytes, 65_537) },
          { createdAt: day },
        );
        await client.write(at(9, 1n, 3n), bytesBody(bytes), { createdAt: day });
        for (const max of [1n, 2n, 3n])
          assert.ok(bytes.equals(await content(client, at(9, 1n, max))));
        await rm(folder, { recursive: true });
      });

      test("write() without ifAbsent replaces a file", async () => {
        await using client = (await fresh()).client;
        await put(client, at(1, 1n), "first, and longer");
        await put(client, at(1, 1n), "second");
        assert.equal((await content(client, at(1, 1n))).toString(), "second");
        assert.equal((await listed(client, 1))[0]?.sizeBytes, 6);
      });

      test("write() with ifAbsent never replaces a file", async () => {
        await using client = (await fresh()).client;
        assert.equal(await client.conditionalWrites(), conditionalWrites);
        if (!conditionalWrites) return;
        const options = { createdAt: day, ifAbsent: true };
        await client.write(at(0, 1n), bytesBody(Buffer.from("first")), options);
        await assert.rejects(
          client.write(at(0, 1n), bytesBody(Buffer.from("second")), options),
          (error) => isStorageError(error, "exists"),
        );
        assert.equal((await content(client, at(0, 1n))).toString(), "first");
      });

      test("write() with ifAbsent lets one of many writers win", async () => {
        const { client, replica } = await fresh();
        await using _closing = client;
        await using other = await place.open(replica);
        if (!(await client.conditionalWrites()) || !(await other.conditionalWrites())) return;
        const results = await Promise.allSettled(
          Array.from({ length: 12 }, (_, index) =>
            (index % 2 === 0 ? client : other).write(
              at(0, 1n),
              bytesBody(Buffer.from(`writer ${index}`)),
              {
                createdAt: day,
                ifAbsent: true,
              },
            ),
          ),
        );
        const winners = results.flatMap(({ status }, index) =>
          status === "fulfilled" ? [index] : [],
        );
        assert.equal(winners.length, 1, `winners: ${winners.join(", ")}`);
        assert.equal((await content(client, at(0, 1n))).toString(), `writer ${winners[0]}`);
        for (const result of results)
          if (result.status === "rejected")
            assert.ok(isStorageError(result.reason, "exists"), String(result.reason));
      });

      test("write() leaves nothing behind when its source fails", async () => {
        await using client = (await fresh()).client;
        for (const sizeBytes of [100, largeBytes + 1]) {
          const failure = new Error("the source is gone");
          await assert.rejects(
            client.write(
              at(0, 1n),
              { kind: "stream", chunks: failing(sizeBytes, failure) },
              { createdAt: day },
            ),
            (error) => error === failure,
          );
          assert.deepEqual(await listed(client, 0), []);
        }
        await put(client, at(0, 1n));
        assert.deepEqual(await ranges(client, 0), ["1-1"]);
      });

      test("write() gives up when aborted, also while its source hangs", async () => {
        await using client = (await fresh()).client;
        const reason = new Error("enough");
        await assert.rejects(
          client.write(at(0, 1n), bytesBody(Uint8Array.of(1)), {
            createdAt: day,
            signal: AbortSignal.abort(reason),
          }),
          (error) => error === reason,
        );
        for (const sizeBytes of [100, largeBytes + 1]) {
          const controller = new AbortController();
          const chunks = hanging(sizeBytes, () => setImmediate(() => controller.abort(reason)));
          await assert.rejects(
            client.write(
              at(0, 1n),
              { kind: "stream", chunks },
              { createdAt: day, signal: controller.signal },
            ),
            (error) => error === reason,
          );
        }
        assert.deepEqual(await listed(client, 0), []);
      });

      test("read() gives exactly the bytes asked for", async () => {
        await using client = (await fresh()).client;
        const bytes = randomBytes(200_000);
        const file = at(9, 1n, 7n);
        await client.write(file, bytesBody(bytes), { createdAt: day });
        const cases: [number | undefined, number | undefined][] = [
          [undefined, undefined],
          [0, 100],
          [100, undefined],
          [199_999, undefined],
          [65_535, 65_538],
          [10, 0],
          [150_000, 100_000],
          [200_000, undefined],
          [200_000, 1],
          [300_000, 5],
        ];
        for (const [offset, length] of cases) {
          const end = length === undefined ? undefined : (offset ?? 0) + length;
          const options = {
            ...(offset === undefined ? {} : { offset }),
            ...(length === undefined ? {} : { length }),
          };
          const got = await content(client, file, options);
          assert.ok(
            bytes.subarray(offset ?? 0, end).equals(got),
            `offset ${offset} length ${length}: ${got.length} bytes`,
          );
        }
      });

      test("read() of a missing file is not-found before the first chunk", async () => {
        await using client = (await fresh()).client;
        for (const options of [{}, { offset: 10 }, { offset: 5, length: 5 }])
          await assert.rejects(content(client, at(0, 1n), options), (error) =>
            isStorageError(error, "not-found"),
          );
        await put(client, at(0, 2n));
        await assert.rejects(content(client, at(0, 1n)), (error) =>
          isStorageError(error, "not-found"),
        );
      });

      test("read() ends when aborted", async () => {
        await using client = (await fresh()).client;
        await client.write(at(9, 1n, 9n), bytesBody(randomBytes(largeBytes)), { createdAt: day });
        const reason = new Error("enough");
        const controller = new AbortController();
        await assert.rejects(
          async () => {
            for await (const _chunk of client.read(at(9, 1n, 9n), { signal: controller.signal }))
              controller.abort(reason);
          },
          (error) => error === reason,
        );
        await assert.rejects(
          content(client, at(9, 1n, 9n), { signal: AbortSignal.abort(reason) }),
          (error) => error === reason,
        );
        await assert.rejects(
          listed(client, 9, { signal: AbortSignal.abort(reason) }),
          (error) => error === reason,
        );
      });

      test("read() may be left early, many times", async () => {
        await using client = (await fresh()).client;
        await client.write(at(9, 1n, 9n), bytesBody(randomBytes(1 << 20)), { createdAt: day });
        for (let count = 0; count < 80; count += 1) {
          for await (const chunk of client.read(at(9, 1n, 9n))) {
            assert.ok(chunk.length > 0);
            break;
          }
        }
        for await (const _file of client.list(9)) break;
        assert.equal((await content(client, at(9, 1n, 9n), { offset: 5, length: 10 })).length, 10);
      });

      test("read() works for 70 files at once", async () => {
        await using client = (await fresh()).client;
        const bytes = randomBytes(300_000);
        await client.write(at(9, 1n, 9n), bytesBody(bytes), { createdAt: day });
        const readers = Array.from({ length: 70 }, () =>
          client.read(at(9, 1n, 9n))[Symbol.asyncIterator](),
        );
        const firsts = await Promise.all(readers.map((reader) => reader.next()));
        for (const [index, reader] of readers.entries()) {
          const parts = [firsts[index]?.value ?? new Uint8Array()];
          for (let next = await reader.next(); next.done !== true; next = await reader.next())
            parts.push(next.value);
          assert.ok(bytes.equals(Buffer.concat(parts)));
        }
      });

      test("copy() makes a second file with the same bytes and time, where the place can", async (context) => {
        await using client = (await fresh()).client;
        const bytes = randomBytes(70_001);
        const from = await client.write(at(0, 1n), bytesBody(bytes), { createdAt: day });
        const to = at(9, 1n);
        const copied = await client.copy?.(from, to, { ifAbsent: true });
        if (copied === undefined) {
          context.skip("the place does not copy");
          return;
        }
        assert.deepEqual(copied, { ...to, sizeBytes: bytes.length, createdAt: day });
        const [found] = await listed(client, 9, { withTimestamps: true });
        if (timestampPrecisionMs !== null) {
          const offMs = (found?.createdAt.getTime() ?? 0) - day.getTime();
          assert.ok(Math.abs(offMs) <= timestampPrecisionMs, `createdAt is off by ${offMs} ms`);
        }
        await assert.rejects(
          async () => client.copy?.(from, to, { ifAbsent: true }),
          (error) => isStorageError(error, "exists"),
        );
        await assert.rejects(
          async () => client.copy?.({ ...from, minTXID: 7n, maxTXID: 7n }, at(9, 1n, 7n)),
          (error) => isStorageError(error, "not-found"),
        );
        await client.delete([from]);
        assert.ok(bytes.equals(await content(client, to)));
        assert.deepEqual(await ranges(client, 0), []);
        assert.deepEqual(await ranges(client, 9), ["1-1"]);
      });

      test("delete() removes files, and missing ones count as deleted", async () => {
        await using client = (await fresh()).client;
        await client.delete([]);
        for (const txid of [1n, 2n, 3n]) await put(client, at(0, txid));
        await put(client, at(1, 1n));
        await client.delete([at(0, 1n), at(0, 77n), at(0, 3n), at(5, 1n)]);
        assert.deepEqual(await ranges(client, 0), ["2-2"]);
        assert.deepEqual(await ranges(client, 1), ["1-1"]);
        await client.delete([at(0, 1n), at(0, 2n)]);
        assert.deepEqual(await ranges(client, 0), []);
        await assert.rejects(content(client, at(0, 2n)), (error) =>
          isStorageError(error, "not-found"),
        );
      });

      test("names that are not LTX names are ignored", async () => {
        await using client = (await fresh()).client;
        const { beside } = client;
        if (beside === undefined) return;
        await put(client, at(0, 1n));
        const good = "0000000000000005-0000000000000005.ltx";
        for (const name of [
          "notes.txt",
          `${good}.tmp`,
          `x${good}`,
          "000000000000000A-000000000000000A.ltx",
          `sub/${good}`,
          "0000000000000009-0000000000000005.ltx",
        ])
          await beside.write(`${folderOfLevel(0)}/${name}`, Buffer.from("x"));
        assert.deepEqual(await ranges(client, 0), ["1-1"]);
      });

      test("objects beside the levels are kept apart from them", async () => {
        await using client = (await fresh()).client;
        const { beside } = client;
        if (beside === undefined) return;
        await put(client, at(0, 1n));
        const names = [
          "generations/0123456789abcdef/snapshots/00000000.snapshot.lz4",
          "generations/0123456789abcdef/wal/00000000_00000000.wal.lz4",
          "generations/zz",
        ];
        for (const name of names) await beside.write(name, Buffer.from(name));
        await beside.write("generations-2/x", Buffer.from("no"));
        const found: string[] = [];
        for await (const object of beside.list("generations")) {
          assert.equal(object.sizeBytes, object.name.length);
          assert.ok(Math.abs(object.createdAt.getTime() - Date.now()) < 600_000);
          found.push(object.name);
        }
        assert.deepEqual(found, names);
        assert.equal(
          (await joined(beside.read("generations/zz", { offset: 12 }))).toString(),
          "zz",
        );
        await assert.rejects(joined(beside.read("generations/none")), (error) =>
          isStorageError(error, "not-found"),
        );
        if (await client.conditionalWrites()) {
          await assert.rejects(
            beside.write("generations/zz", Buffer.from("y"), { ifAbsent: true }),
            (error) => isStorageError(error, "exists"),
          );
        }
        await beside.delete("generations/zz");
        await beside.delete("generations/zz");
        await assert.rejects(joined(beside.read("generations/zz")), (error) =>
          isStorageError(error, "not-found"),
        );
        assert.deepEqual(await ranges(client, 0), ["1-1"]);
      });
    },
  );
}

function at(level: number, minTXID: bigint, maxTXID: bigint = minTXID): LTXFileName {
  return { level, minTXID, maxTXID };
}

function bytesBody(bytes: Uint8Array): WriteBody {
  return { kind: "bytes", bytes };
}

async function put(client: ReplicaClient, file: LTXFileName, text = "content"): Promise<void> {
  await client.write(file, bytesBody(Buffer.from(text)), { createdAt: day });
}

async function listed(
  client: ReplicaClient,
  level: number,
  options: Parameters<ReplicaClient["list"]>[1] = {},
): Promise<LTXFileInfo[]> {
  const files: LTXFileInfo[] = [];
  for await (const file of client.list(level, options)) files.push(file);
  return files;
}

async function ranges(client: ReplicaClient, level: number, from = 0n): Promise<string[]> {
  return (await listed(client, level, { from })).map(
    ({ minTXID, maxTXID }) => `${minTXID}-${maxTXID}`,
  );
}

async function content(
  client: ReplicaClient,
  file: LTXFileName,
  options: Parameters<ReplicaClient["read"]>[1] = {},
): Promise<Buffer> {
  return joined(client.read(file, options));
}

async function joined(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
}

async function* chunked(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < bytes.length; offset += size)
    yield bytes.subarray(offset, offset + size);
}

async function* failing(sizeBytes: number, failure: Error): AsyncGenerator<Uint8Array> {
  yield* chunked(new Uint8Array(sizeBytes), 65_536);
  throw failure;
}

async function* hanging(sizeBytes: number, onHang: () => void): AsyncGenerator<Uint8Array> {
  yield* chunked(new Uint8Array(sizeBytes), 65_536);
  onHang();
  await new Promise(() => undefined);
}

async function inParallel<T>(
  width: number,
  items: readonly T[],
  act: (item: T) => Promise<void>,
): Promise<void> {
  const queue = [...items];
  const worker = async (): Promise<void> => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await act(item);
  };
  await Promise.all(Array.from({ length: width }, worker));
}
