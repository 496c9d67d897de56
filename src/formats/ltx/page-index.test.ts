import assert from "node:assert/strict";
import { test } from "node:test";

import * as fc from "fast-check";

import { concatBytes, craftLTX, uvarint } from "../../../test/formats/craft-ltx.ts";
import { FormatError } from "../format-error.ts";
import type { FormatErrorKind } from "../format-error.ts";
import { lockPgno } from "../sqlite-header.ts";
import {
  decodePageIndex,
  findPage,
  INDEX_TAIL_SIZE,
  locatePageIndex,
  maxFrameSize,
  sliceTail,
} from "./page-index.ts";
import { PageIndexWriter } from "./page-index-writer.ts";

test("decodePageIndex() reads what PageIndexWriter writes", () => {
  const entries = fc.array(
    fc.tuple(fc.integer({ min: 1, max: 0x0fff_ffff }), fc.integer({ min: 7, max: 66_000 })),
    { maxLength: 200 },
  );
  fc.assert(
    fc.property(entries, (list) => {
      const writer = new PageIndexWriter();
      let pgno = 0;
      let offset = 100;
      const expected = list.map(([step, size]) => {
        pgno = Math.min(pgno + step, 0xffff_ffff - list.length) + 1;
        const entry = [pgno, offset, size];
        writer.add(pgno, offset, size);
        offset += size;
        return entry;
      });
      if (new Set(expected.map(([n]) => n)).size < expected.length) return;
      const bytes = finished(writer);
      const index = decodePageIndex(bytes.triples, { offset: offset + 6 });
      assert.equal(bytes.length, bytes.triples.length);
      assert.deepEqual(
        Array.from({ length: index.count }, (_, i) => [
          index.pgnos[i],
          index.offsets[i],
          index.sizes[i],
        ]),
        expected,
      );
    }),
  );
});

test("PageIndexWriter writes offsets beyond 4 GiB", () => {
  const writer = new PageIndexWriter();
  writer.add(1, 2 ** 40 + 5, 9);
  const { triples } = finished(writer);
  assert.deepEqual(
    triples,
    concatBytes([...[1n, 2n ** 40n + 5n, 9n].map(uvarint), Uint8Array.of(0)]),
  );
});

const good = [1n, 100n, 34n, 2n, 134n, 34n];
const bad: [
  name: string,
  kind: FormatErrorKind,
  numbers: bigint[],
  bounds?: { commit?: number; pageSize?: number },
][] = [
  ["pages out of order", "page-order", [2n, 100n, 34n, 1n, 134n, 34n]],
  ["a page twice", "page-order", [1n, 100n, 34n, 1n, 134n, 34n]],
  ["a page beyond commit", "page-out-of-range", good, { commit: 1 }],
  [
    "the lock page",
    "lock-page",
    [1n, 100n, 34n, BigInt(lockPgno(512)), 134n, 34n],
    { pageSize: 512 },
  ],
  ["a page number above 2^32", "bad-page-index", [1n, 100n, 34n, 2n ** 32n + 2n, 134n, 34n]],
  ["a first frame not at 100", "bad-page-index", [1n, 101n, 34n, 2n, 134n, 34n]],
  ["a gap between frames", "bad-page-index", [1n, 100n, 34n, 2n, 135n, 34n]],
  ["an overlap of frames", "bad-page-index", [1n, 100n, 34n, 2n, 133n, 34n]],
  ["an empty frame", "bad-page-index", [1n, 100n, 6n, 2n, 106n, 62n]],
  [
    "a frame larger than any",
    "bad-page-index",
    [1n, 100n, BigInt(maxFrameSize(512) + 1)],
    { pageSize: 512 },
  ],
  ["frames that end before the index", "bad-page-index", [1n, 100n, 34n, 2n, 134n, 33n]],
  ["a number above 2^53", "bad-varint", [1n, 2n ** 60n, 34n]],
];

for (const [name, kind, numbers, bounds] of bad) {
  test(`decodePageIndex() refuses ${name}`, () => {
    const bytes = concatBytes([...numbers.map(uvarint), Uint8Array.of(0)]);
    assert.throws(() => decodePageIndex(bytes, { offset: 174, ...bounds }), hasKind(kind));
  });
}

test("decodePageIndex() refuses bytes after the terminator and a missing terminator", () => {
  const bytes = concatBytes([...good.map(uvarint), Uint8Array.of(0)]);
  assert.equal(decodePageIndex(bytes, { offset: 174 }).count, 2);
  assert.throws(
    () => decodePageIndex(concatBytes([bytes, Uint8Array.of(0)]), { offset: 174 }),
    hasKind("index-length"),
  );
  for (let length = 0; length < bytes.length; length++) {
    assert.throws(
      () => decodePageIndex(bytes.subarray(0, length), { offset: 174 }),
      hasKind("truncated"),
    );
  }
});

test("locatePageIndex() finds the index in a tail of any length", () => {
  const pages = Array.from({ length: 40 }, (_, i) => ({ pgno: i + 1, data: new Uint8Array(512) }));
  const file = craftLTX({ commit: 40, pages });
  const whole = locatePageIndex(file, file.length);
  for (let length = 24; length <= file.length; length++) {
    const tail = file.subarray(file.length - length);
    const range = locatePageIndex(tail, file.length);
    assert.deepEqual(range, whole);
    const inTail = sliceTail(tail, file.length, range);
    assert.equal(inTail !== null, length >= file.length - range.offset);
    const bytes = inTail ?? file.subarray(range.offset, range.offset + range.length);
    assert.equal(decodePageIndex(bytes, { offset: range.offset }).count, 40);
  }
  assert.ok(INDEX_TAIL_SIZE >= 24);
});

test("locatePageIndex() refuses files and lengths that cannot be", () => {
  const file = craftLTX({ pages: [] });
  assert.equal(locatePageIndex(file, file.length).length, 1);
  assert.throws(() => locatePageIndex(file.subarray(1), file.length - 1), hasKind("truncated"));
  assert.throws(() => locatePageIndex(file.subarray(-23), file.length), hasKind("truncated"));
  for (const indexLength of [0n, 2n, 2n ** 63n, 2n ** 64n - 1n]) {
    const wrong = craftLTX({ pages: [], indexLength });
    assert.throws(() => locatePageIndex(wrong, wrong.length), hasKind("index-length"));
  }
});

test("findPage() finds each page and no other", () => {
  const bytes = concatBytes([
    ...[2n, 100n, 34n, 5n, 134n, 34n, 9n, 168n, 34n].map(uvarint),
    Uint8Array.of(0),
  ]);
  const index = decodePageIndex(bytes, { offset: 208 });
  assert.deepEqual(
    [1, 2, 3, 5, 8, 9, 10].map((pgno) => findPage(index, pgno)),
    [-1, 0, -1, 1, -1, 2, -1],
  );
});

function finished(writer: PageIndexWriter): { triples: Uint8Array; length: number } {
  writer.close();
  const bytes = writer.toBytes();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return { triples: bytes.subarray(0, -8), length: Number(view.getBigUint64(bytes.length - 8)) };
}

function hasKind(kind: FormatErrorKind): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof FormatError, String(error));
    assert.equal(error.kind, kind, error.message);
    return true;
  };
}
