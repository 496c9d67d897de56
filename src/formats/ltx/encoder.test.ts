import assert from "node:assert/strict";
import { test } from "node:test";

import * as fc from "fast-check";

import { concatBytes } from "../../../test/formats/craft-ltx.ts";
import { PAGE_KINDS, PAGE_SIZES, samplePage } from "../../../test/formats/sample-pages.ts";
import type { PageKind } from "../../../test/formats/sample-pages.ts";
import { FormatError } from "../format-error.ts";
import { kernel } from "../kernel/kernel.ts";
import { lockPgno } from "../sqlite-header.ts";
import { WALScanner } from "../wal.ts";
import { LTXDecoder, verifyLTX } from "./decoder.ts";
import { LTXEncoder } from "./encoder.ts";
import { LTXFrameEncoder } from "./frame-encoder.ts";
import { createLTXHeader } from "./header.ts";
import type { LTXHeader } from "./header.ts";

interface Page {
  readonly pgno: number;
  readonly data: Uint8Array;
}

const pageSizes = fc.constantFrom(...PAGE_SIZES);
const pageKinds: fc.Arbitrary<PageKind> = fc.constantFrom(...PAGE_KINDS);

test("LTXEncoder and LTXDecoder round-trip any pages", () => {
  const property = fc.property(
    pageSizes,
    fc.uniqueArray(fc.tuple(fc.integer({ min: 1, max: 5000 }), pageKinds), {
      minLength: 1,
      maxLength: 40,
      selector: ([pgno]) => pgno,
    }),
    fc.integer({ min: 1, max: 7 }),
    fc.integer({ min: 100, max: 100_000 }),
    (pageSize, entries, perBatch, chunkSize) => {
      const pages = entries
        .toSorted(([a], [b]) => a - b)
        .map(([pgno, kind]) => ({ pgno, data: samplePage(kind, pageSize, pgno) }));
      const header = incremental(pageSize, 5000);
      const bytes = encode(header, pages, perBatch);
      const read = decode(bytes, chunkSize);
      assert.deepEqual(read.header, header);
      assert.deepEqual(read.pages, pages);
    },
  );
  fc.assert(property, { numRuns: 60 });
});

test("LTXEncoder hands out what it says: sizes, counts and checksum", () => {
  const header = incremental(1024, 9);
  const encoder = new LTXEncoder(header);
  const parts = [encoder.begin()];
  assert.equal(encoder.bytesWritten, 100);
  encoder.pages().set(samplePage("rows", 1024, 3));
  parts.push(encoder.encode(Uint32Array.of(4), 1).slice());
  assert.equal(encoder.pageCount, 1);
  assert.throws(() => encoder.fileChecksum, /not finished/);
  parts.push(...encoder.finish());
  const bytes = concatBytes(parts);
  assert.equal(parts.length, 3);
  assert.equal(encoder.bytesWritten, bytes.length);
  const summary = verifyLTX([bytes]);
  assert.equal(encoder.fileChecksum, summary.fileChecksum);
  assert.equal(summary.pageCount, 1);
});

test("LTXEncoder gives the same bytes for any batch size", () => {
  const pages = Array.from({ length: 300 }, (_, i) => ({
    pgno: i + 1,
    data: samplePage("rows", 512, i + 1),
  }));
  const header = createLTXHeader({
    pageSize: 512,
    commit: 300,
    minTXID: 1n,
    maxTXID: 9n,
    timestampMs: 5,
  });
  const whole = encode(header, pages, 300);
  for (const perBatch of [1, 7, 299]) assert.deepEqual(encode(header, pages, perBatch), whole);
});

test("LTXEncoder handles full batches of incompressible pages of every size", () => {
  for (const pageSize of PAGE_SIZES) {
    const count = (1 << 20) / pageSize;
    const pages = Array.from({ length: count }, (_, i) => ({
      pgno: i + 1,
      data: samplePage("random", pageSize, i + 1),
    }));
    const bytes = encode(incremental(pageSize, count), pages, count);
    assert.deepEqual(decode(bytes, 1 << 20).pages, pages);
  }
});

test("LTXEncoder writes long indexes in chunks", () => {
  const count = 20_000;
  const encoder = new LTXEncoder(
    createLTXHeader({ pageSize: 512, commit: count, minTXID: 1n, maxTXID: 1n, timestampMs: 5 }),
  );
  const parts = [encoder.begin()];
  for (let first = 1; first <= count; first += encoder.batchPages) {
    const n = Math.min(encoder.batchPages, count - first + 1);
    encoder.pages().fill(7);
    parts.push(
      encoder
        .encode(
          Uint32Array.from({ length: n }, (_, i) => first + i),
          n,
        )
        .slice(),
    );
  }
  parts.push(...encoder.finish());
  const { index, pageCount } = verifyLTX(parts);
  assert.equal(pageCount, count);
  assert.equal(index.count, count);
  assert.equal(index.pgnos[count - 1], count);
});

test("LTXEncoder.encodeWALFrames() equals encode() of the same pages", () => {
  for (const pageSize of PAGE_SIZES) {
    const scanner = new WALScanner({
      pageSize,
      bigEndian: false,
      salt1: 1,
      salt2: 2,
      checksum1: 3,
      checksum2: 4,
    });
    const order = [5, 2, 9, 2].slice(0, scanner.capacityFrames);
    const wal = makeFrames(pageSize, order);
    scanner.frames().set(wal);
    assert.equal(scanner.scan(order.length), order.length);
    const encoder = new LTXEncoder(incremental(pageSize, 9));
    const parts = [encoder.begin()];
    parts.push(encoder.encodeWALFrames(scanner, Uint32Array.of(3), 1).slice());
    parts.push(encoder.encodeWALFrames(scanner, Uint32Array.of(0, 2), 2).slice());
    parts.push(...encoder.finish());
    const pages = [3, 0, 2].map((i) => ({
      pgno: order[i] ?? 0,
      data: samplePage("rows", pageSize, i + 1),
    }));
    assert.deepEqual(concatBytes(parts), encode(incremental(pageSize, 9), pages, 3));
  }
});

test("LTXEncoder.append() takes the batches of LTXFrameEncoder", () => {
  const pageSize = 2048;
  const pages = Array.from({ length: 50 }, (_, i) => ({
    pgno: i + 1,
    data: samplePage("rows", pageSize, i + 1),
  }));
  const header = createLTXHeader({
    pageSize,
    commit: 50,
    minTXID: 1n,
    maxTXID: 3n,
    timestampMs: 5,
  });
  const encoder = new LTXEncoder(header);
  const worker = new LTXFrameEncoder(pageSize);
  const parts = [encoder.begin()];
  for (let first = 0; first < 50; first += 20) {
    const batch = pages.slice(first, first + 20);
    worker.pages().set(concatBytes(batch.map((p) => p.data)));
    const encoded = worker.encode(Uint32Array.from(batch.map((p) => p.pgno)), batch.length);
    parts.push(encoded.bytes.slice());
    encoder.append(encoded);
  }
  parts.push(...encoder.finish());
  assert.deepEqual(concatBytes(parts), encode(header, pages, 50));
});

test("LTXEncoder keeps its state while others encode", () => {
  const pages = Array.from({ length: 10 }, (_, i) => ({
    pgno: i + 1,
    data: samplePage("rows", 512, i + 1),
  }));
  const headers = [incremental(512, 10), incremental(512, 11)];
  const encoders = headers.map((header) => new LTXEncoder(header));
  const parts = encoders.map((encoder) => [encoder.begin()]);
  for (const { pgno, data } of pages) {
    encoders.forEach((encoder, i) => {
      encoder.pages().set(data);
      parts[i]?.push(encoder.encode(Uint32Array.of(pgno), 1).slice());
    });
  }
  encoders.forEach((encoder, i) => {
    parts[i]?.push(...encoder.finish());
    const header = headers[i];
    assert.ok(header);
    assert.deepEqual(concatBytes(parts[i] ?? []), encode(header, pages, 10));
  });
});

test("LTXEncoder refuses pages that break the order of the file", () => {
  assert.throws(encoding(2n, 9, [3, 2]), hasKind("page-order"));
  assert.throws(encoding(2n, 9, [3, 3]), hasKind("page-order"));
  assert.throws(encoding(2n, 9, [0]), hasKind("page-order"));
  assert.throws(encoding(2n, 9, [10]), hasKind("page-out-of-range"));
  assert.throws(encoding(2n, 4_000_000, [lockPgno(512)]), hasKind("lock-page"));
  assert.throws(encoding(1n, 3, [1, 3]), hasKind("missing-page"));
  assert.throws(encoding(1n, 3, [2, 3]), hasKind("missing-page"));
  assert.throws(encoding(1n, 3, [1, 2]), hasKind("missing-page"));
  assert.throws(encoding(1n, 0, []), hasKind("page-out-of-range"));
  encoding(1n, 3, [1, 2, 3])();
  encoding(2n, 9, [3, 9])();
  encoding(2n, 9, [])();
});

test("LTXEncoder refuses calls out of turn", () => {
  const encoder = new LTXEncoder(incremental(512, 9));
  assert.throws(() => encoder.encode(new Uint32Array(1), 1), /begin\(\)/);
  encoder.begin();
  assert.throws(() => encoder.begin(), /begun already/);
  kernel().owner = null;
  assert.throws(() => encoder.encode(Uint32Array.of(1), 1), /Kernel was used by another/);
  encoder.pages();
  assert.throws(() => encoder.encode(new Uint32Array(4000), 4000), RangeError);
  for (const bytes of encoder.finish()) assert.ok(bytes);
  assert.throws(() => encoder.encode(Uint32Array.of(1), 1), /finished/);
  const scanner = new WALScanner({
    pageSize: 512,
    bigEndian: false,
    salt1: 1,
    salt2: 2,
    checksum1: 3,
    checksum2: 4,
  });
  const other = new LTXEncoder(incremental(512, 9));
  other.begin();
  assert.throws(
    () => other.encodeWALFrames(scanner, Uint32Array.of(0), 1),
    /Kernel was used by another/,
  );
  scanner.frames();
  assert.throws(() => other.encodeWALFrames(scanner, Uint32Array.of(0), 1), /was not scanned/);
});

test("LTXEncoder refuses headers with checksum tracking", () => {
  const header: LTXHeader = { ...incremental(512, 9), flags: 0, preApplyChecksum: 1n << 63n };
  assert.throws(() => new LTXEncoder(header), hasKind("unsupported"));
});

function incremental(pageSize: number, commit: number): LTXHeader {
  return createLTXHeader({
    pageSize,
    commit,
    minTXID: 2n,
    maxTXID: 2n,
    timestampMs: 1_700_000_000_000,
    walOffset: 32,
    walSize: 0,
  });
}

function encode(header: LTXHeader, pages: readonly Page[], perBatch: number): Uint8Array {
  const encoder = new LTXEncoder(header);
  const parts = [encoder.begin()];
  const limit = Math.min(perBatch, encoder.batchPages);
  for (let first = 0; first < pages.length; first += limit) {
    const batch = pages.slice(first, first + limit);
    const buffer = encoder.pages();
    batch.forEach(({ data }, i) => buffer.set(data, i * header.pageSize));
    parts.push(
      encoder
        .encode(
          Uint32Array.from(batch, (p) => p.pgno),
          batch.length,
        )
        .slice(),
    );
  }
  parts.push(...encoder.finish());
  return concatBytes(parts);
}

function decode(bytes: Uint8Array, chunkSize: number): { header: LTXHeader; pages: Page[] } {
  const decoder = new LTXDecoder();
  const pages: Page[] = [];
  for (let at = 0; at < bytes.length; at += chunkSize) {
    decoder.push(bytes.subarray(at, at + chunkSize));
    for (let batch = decoder.read(); batch !== null; batch = decoder.read()) {
      const size = batch.pages.length / batch.count;
      for (let i = 0; i < batch.count; i++) {
        pages.push({
          pgno: batch.pgnos[i] ?? 0,
          data: batch.pages.slice(i * size, (i + 1) * size),
        });
      }
    }
  }
  return { header: decoder.end().header, pages };
}

/** WAL frames with salts 1, 2 that continue the checksum 3, 4. */
function makeFrames(pageSize: number, pgnos: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(pgnos.length * (24 + pageSize));
  let [s0, s1] = [3, 4];
  pgnos.forEach((pgno, i) => {
    const at = i * (24 + pageSize);
    bytes.set(samplePage("rows", pageSize, i + 1), at + 24);
    const view = new DataView(bytes.buffer, at, 24 + pageSize);
    view.setUint32(0, pgno);
    view.setUint32(8, 1);
    view.setUint32(12, 2);
    for (let p = 0; p < 24 + pageSize; p += 8) {
      if (p >= 8 && p < 24) continue;
      s0 = (s0 + view.getUint32(p, true) + s1) >>> 0;
      s1 = (s1 + view.getUint32(p + 4, true) + s0) >>> 0;
    }
    view.setUint32(16, s0);
    view.setUint32(20, s1);
  });
  return bytes;
}

function hasKind(kind: string): (error: unknown) => boolean {
  return (error) => error instanceof FormatError && error.kind === kind;
}

/** Encodes a file of these pages when called. */
function encoding(minTXID: bigint, commit: number, list: number[]): () => void {
  return () => {
    const header = { pageSize: 512, commit, minTXID, maxTXID: 9n, timestampMs: 0 };
    const encoder = new LTXEncoder(createLTXHeader(header));
    encoder.begin();
    encoder.pages();
    encoder.encode(Uint32Array.from(list), list.length);
    for (const bytes of encoder.finish()) assert.ok(bytes);
  };
}
