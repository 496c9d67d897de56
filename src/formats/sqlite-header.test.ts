import assert from "node:assert/strict";
import { test } from "node:test";

import { FormatError } from "./format-error.ts";
import {
  dataPageCount,
  decodeSQLiteHeader,
  isSQLiteMagic,
  isValidPageSize,
  lockPgno,
} from "./sqlite-header.ts";

test("lockPgno() knows the lock page of every page size", () => {
  const expected = {
    512: 2_097_153,
    1024: 1_048_577,
    2048: 524_289,
    4096: 262_145,
    8192: 131_073,
    16384: 65_537,
    32768: 32_769,
    65536: 16_385,
  };
  for (const [pageSize, pgno] of Object.entries(expected))
    assert.equal(lockPgno(Number(pageSize)), pgno);
  for (const pageSize of [0, 256, 1000, 131_072, -512])
    assert.throws(() => lockPgno(pageSize), RangeError);
});

test("dataPageCount() leaves out the lock page", () => {
  const lock = lockPgno(65_536);
  assert.equal(dataPageCount(lock - 1, 65_536), lock - 1);
  assert.equal(dataPageCount(lock, 65_536), lock - 1);
  assert.equal(dataPageCount(lock + 1, 65_536), lock);
});

test("isValidPageSize() takes powers of two from 512 to 65536", () => {
  const valid = Array.from({ length: 20 }, (_, i) => 2 ** i).filter(isValidPageSize);
  assert.deepEqual(valid, [512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536]);
  assert.equal(isValidPageSize(4095), false);
});

test("decodeSQLiteHeader() reads the fields that replication uses", () => {
  const bytes = header();
  assert.deepEqual(decodeSQLiteHeader(bytes), {
    pageSize: 4096,
    writeVersion: 2,
    readVersion: 1,
    changeCounter: 0x0102_0304,
    pageCount: 77,
  });
  new DataView(bytes.buffer).setUint16(16, 1);
  assert.equal(decodeSQLiteHeader(bytes).pageSize, 65_536);
});

test("decodeSQLiteHeader() refuses other files", () => {
  assert.throws(() => decodeSQLiteHeader(header().subarray(0, 99)), hasKind("truncated"));
  const encrypted = header().fill(0x5a, 0, 16);
  assert.throws(() => decodeSQLiteHeader(encrypted), hasKind("bad-magic"));
  assert.equal(isSQLiteMagic(encrypted), false);
  assert.equal(isSQLiteMagic(header()), true);
  assert.equal(isSQLiteMagic(header().subarray(0, 15)), false);
  const odd = header();
  new DataView(odd.buffer).setUint16(16, 1000);
  assert.throws(() => decodeSQLiteHeader(odd), hasKind("bad-page-size"));
});

function header(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(100);
  bytes.set(new TextEncoder().encode("SQLite format 3\0"));
  const view = new DataView(bytes.buffer);
  view.setUint16(16, 4096);
  bytes.set([2, 1], 18);
  view.setUint32(24, 0x0102_0304);
  view.setUint32(28, 77);
  return bytes;
}

function hasKind(kind: string): (error: unknown) => boolean {
  return (error) => error instanceof FormatError && error.kind === kind;
}
