import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { FormatError } from "../formats/format-error.ts";
import { Scratch } from "../../test/harness/scratch.ts";
import { WALWriter } from "../../test/harness/v3-replica.ts";
import { WALApplier, type WALOutcome } from "./v3-wal.ts";

const pageSize = 4096;

/** The pages written, by number. */
class Pages {
  readonly pages = new Map<number, number>();
  write(bytes: Uint8Array, start: number, end: number, position: number): void {
    assert.equal(end - start, pageSize);
    this.pages.set(position / pageSize + 1, bytes[start] ?? -1);
  }
}

function page(value: number): Uint8Array {
  return new Uint8Array(pageSize).fill(value);
}

function apply(
  wal: Uint8Array,
  { chunkBytes = wal.length, path = "/nowhere/spool" } = {},
): { readonly pages: Map<number, number>; readonly outcome: WALOutcome } {
  const sink = new Pages();
  using applier = new WALApplier(sink, { spoolPath: path, pageSize });
  for (let at = 0; at < wal.length; at += chunkBytes)
    applier.push(wal.subarray(at, at + chunkBytes));
  return { pages: sink.pages, outcome: applier.end() };
}

function walOf(
  ...frames: readonly (readonly [pgno: number, value: number, commit: number])[]
): Buffer {
  const writer = new WALWriter(pageSize);
  const parts = frames.map(([pgno, value, commit]) => writer.frame(pgno, page(value), commit));
  return Buffer.concat([writer.header, ...parts]);
}

test("WALApplier writes transactions in order and leaves an unfinished one out", () => {
  const wal = walOf([1, 1, 0], [2, 2, 2], [2, 3, 2], [1, 9, 0]);
  for (const chunkBytes of [wal.length, 1000, 7]) {
    const { pages, outcome } = apply(wal, { chunkBytes });
    assert.deepEqual(
      [...pages],
      [
        [1, 1],
        [2, 3],
      ],
    );
    assert.deepEqual(outcome, { commit: 2, unfinishedBytes: 24 + pageSize, staleBytes: 0 });
  }
});

test("WALApplier leaves a frame that is cut off out", () => {
  const wal = walOf([1, 1, 1], [1, 2, 1]);
  const { pages, outcome } = apply(wal.subarray(0, -1));
  assert.deepEqual([...pages], [[1, 1]]);
  assert.deepEqual(outcome, { commit: 1, unfinishedBytes: 24 + pageSize - 1, staleBytes: 0 });
});

test("WALApplier stops at frames with the salts of an earlier WAL", () => {
  const old = new WALWriter(pageSize, [7, 8]);
  const stale = Buffer.concat([old.frame(1, page(5), 1), old.frame(1, page(6), 1)]);
  const { pages, outcome } = apply(Buffer.concat([walOf([1, 1, 1]), stale]), { chunkBytes: 900 });
  assert.deepEqual([...pages], [[1, 1]]);
  assert.deepEqual(outcome, { commit: 1, unfinishedBytes: 0, staleBytes: stale.length });
});

test("WALApplier refuses what its checksums do not prove", () => {
  const good = walOf([1, 1, 1], [1, 2, 1]);
  const frame = 24 + pageSize;
  const cases: readonly (readonly [string, number, string])[] = [
    ["header", 9, "content-checksum"],
    ["magic", 0, "bad-magic"],
    ["page number", 32 + 3, "content-checksum"],
    ["commit size", 32 + 7, "content-checksum"],
    ["checksum", 32 + 20, "content-checksum"],
    ["page", 32 + frame + 24 + 100, "content-checksum"],
  ];
  for (const [what, offset, kind] of cases) {
    const wal = Buffer.from(good);
    wal[offset] = (wal[offset] ?? 0) ^ 1;
    assert.throws(
      () => apply(wal),
      (error) => error instanceof FormatError && error.kind === kind,
      what,
    );
  }
  assert.throws(() => apply(good.subarray(0, 31)), /has 31 of 32 bytes/);
  assert.throws(() => apply(walOf([0, 1, 1])), /page 0/);
});

test("WALApplier refuses another page size than the database's", () => {
  assert.throws(() => apply(Buffer.from(new WALWriter(512).header)), /pages of 512 bytes.*4096/);
});

test("WALApplier keeps a long transaction in a file, until it is known to be committed", () => {
  using scratch = new Scratch("spool");
  const path = scratch.path("spool");
  const count = 5000;
  const frames = Array.from({ length: count }, (_, i) => [i + 1, i % 251, 0] as const);
  const wal = walOf(...frames, [1, 77, count], ...frames);
  const sink = new Pages();
  {
    using applier = new WALApplier(sink, { spoolPath: path, pageSize });
    const commitAt = 32 + count * (24 + pageSize);
    applier.push(wal.subarray(0, commitAt));
    assert.equal(sink.pages.size, 0);
    assert.ok(existsSync(path));
    applier.push(wal.subarray(commitAt));
    assert.equal(applier.end().commit, count);
    assert.equal(sink.pages.get(1), 77);
    assert.equal(sink.pages.get(count), (count - 1) % 251);
    assert.equal(sink.pages.size, count);
  }
  assert.ok(!existsSync(path), "the file is gone");
});
