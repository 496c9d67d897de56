import assert from "node:assert/strict";
import { test } from "node:test";

import {
  compressBlock,
  concatBytes,
  craftLTX,
  u64,
  uvarint,
} from "../../../test/formats/craft-ltx.ts";
import type { CraftedFile, CraftedPage } from "../../../test/formats/craft-ltx.ts";
import { noise, samplePage } from "../../../test/formats/sample-pages.ts";
import { FormatError } from "../format-error.ts";
import type { FormatErrorKind } from "../format-error.ts";
import { kernel } from "../kernel/kernel.ts";
import { lockPgno } from "../sqlite-header.ts";
import { decodeFrames, LTXDecoder, verifyLTX } from "./decoder.ts";
import { checkLTXName, createLTXHeader, decodeLTXHeader } from "./header.ts";

const A = samplePage("rows", 512, 1);
const B = samplePage("random", 512, 2);

/** A valid file; every case below differs from it in one thing. */
const valid: CraftedFile = { pages: [page(1, A), page(3, B)] };

test("verifyLTX() accepts the file that the bad ones are made from", () => {
  const file = verifyLTX([craftLTX(valid)]);
  assert.equal(file.pageCount, 2);
  assert.deepEqual([...file.index.pgnos], [1, 3]);
});

const cases: [name: string, kind: FormatErrorKind, file: CraftedFile][] = [
  ["bad magic", "bad-magic", { ...valid, magic: 0x4c54_5832 }],
  ["unknown header flag", "bad-flags", { ...valid, flags: 3 }],
  ["page size 0", "bad-page-size", { ...valid, pageSize: 0 }],
  ["page size 256", "bad-page-size", { ...valid, pageSize: 256 }],
  ["page size not a power of two", "bad-page-size", { ...valid, pageSize: 1000 }],
  ["page size 131072", "bad-page-size", { ...valid, pageSize: 131_072 }],
  ["minTXID 0", "bad-txid", { ...valid, minTXID: 0n, maxTXID: 2n }],
  ["maxTXID 0", "bad-txid", { ...valid, minTXID: 0n, maxTXID: 0n }],
  ["minTXID above maxTXID", "bad-txid", { ...valid, minTXID: 3n, maxTXID: 2n }],
  ["negative WAL offset", "bad-wal-position", { ...valid, walOffset: -1n }],
  ["negative WAL size", "bad-wal-position", { ...valid, walOffset: 32n, walSize: -1n }],
  ["WAL offset beyond 2^53", "bad-wal-position", { ...valid, walOffset: 2n ** 60n }],
  ["salt without WAL offset", "bad-wal-position", { ...valid, walSalt1: 7 }],
  ["WAL size without offset", "bad-wal-position", { ...valid, walSize: 7n }],
  ["time beyond any date", "bad-timestamp", { ...valid, timestampMs: 2n ** 62n }],
  [
    "snapshot with a pre-apply checksum",
    "bad-checksum-field",
    { ...valid, flags: 0, minTXID: 1n, preApplyChecksum: 1n << 63n },
  ],
  [
    "untracked with a pre-apply checksum",
    "bad-checksum-field",
    { ...valid, preApplyChecksum: 1n << 63n },
  ],
  ["tracked without a pre-apply checksum", "bad-checksum-field", { ...valid, flags: 0 }],
  [
    "tracked, pre-apply checksum without bit 63",
    "bad-checksum-field",
    { ...valid, flags: 0, preApplyChecksum: 5n },
  ],
  [
    "unknown page flag",
    "bad-page-header",
    { ...valid, pages: [page(1, A), { ...page(3, B), flags: 2 }] },
  ],
  ["high page flag", "bad-page-header", { ...valid, pages: [{ ...page(1, A), flags: 0x8001 }] }],
  ["page 0 with flags", "bad-page-header", { ...valid, pages: [page(0, A)] }],
  [
    "malformed LZ4",
    "bad-lz4",
    { ...valid, pages: [{ ...page(1, A), block: Uint8Array.of(0x50, 1) }] },
  ],
  [
    "empty LZ4 block",
    "bad-lz4",
    { ...valid, pages: [{ ...page(1, A), block: new Uint8Array(0) }] },
  ],
  [
    "block of half a page",
    "page-length",
    { ...valid, pages: [page(1, A), { ...page(3, B), block: compressBlock(B.subarray(0, 256)) }] },
  ],
  [
    "block of one byte less",
    "page-length",
    { ...valid, pages: [{ ...page(1, A), block: compressBlock(A.subarray(1)) }] },
  ],
  [
    "block of two pages",
    "page-length",
    { ...valid, pages: [{ ...page(1, A), block: compressBlock(concatBytes([A, A])) }] },
  ],
  [
    "size word above the bound",
    "frame-too-large",
    { ...valid, pages: [{ ...page(1, A), sizeWord: 512 + 2 + 16 + 1 }] },
  ],
  [
    "size word of 4 GiB",
    "frame-too-large",
    { ...valid, pages: [{ ...page(1, A), sizeWord: 0xffff_ffff }] },
  ],
  ["pages out of order", "page-order", { ...valid, pages: [page(3, A), page(1, B)] }],
  ["page twice", "page-order", { ...valid, pages: [page(1, A), page(1, B)] }],
  ["page beyond commit", "page-out-of-range", { ...valid, pages: [page(1, A), page(5, B)] }],
  ["lock page", "lock-page", { ...valid, commit: 3_000_000, pages: [page(lockPgno(512), A)] }],
  [
    "snapshot without page 1",
    "missing-page",
    { ...valid, minTXID: 1n, commit: 2, pages: [page(2, A)] },
  ],
  [
    "snapshot with a hole",
    "missing-page",
    { ...valid, minTXID: 1n, commit: 3, pages: [page(1, A), page(3, B)] },
  ],
  [
    "snapshot that ends early",
    "missing-page",
    { ...valid, minTXID: 1n, commit: 3, pages: [page(1, A), page(2, B)] },
  ],
  ["snapshot without pages", "missing-page", { ...valid, minTXID: 1n, commit: 3, pages: [] }],
  ["index: wrong offset", "bad-page-index", edited((triples) => setTriple(triples, 1, 1, 101n))],
  ["index: wrong size", "bad-page-index", edited((triples) => setTriple(triples, 0, 2, 9n))],
  ["index: wrong page", "bad-page-index", edited((triples) => setTriple(triples, 1, 0, 2n))],
  [
    "index: page above 2^32",
    "bad-page-index",
    edited((triples) => setTriple(triples, 1, 0, 2n ** 32n + 3n)),
  ],
  ["index: page missing", "bad-page-index", edited((triples) => triples.splice(1, 1))],
  ["index: page too many", "bad-page-index", edited((triples) => triples.push([4n, 9n, 9n]))],
  [
    "index: longer than need be",
    "bad-page-index",
    { ...valid, indexBytes: Uint8Array.of(0x81, 0x00) },
  ],
  ["index length too small", "index-length", { ...valid, indexLength: 3n }],
  ["index length 2^64 − 1", "index-length", { ...valid, indexLength: 2n ** 64n - 1n }],
  [
    "post-apply checksum without tracking",
    "bad-checksum-field",
    { ...valid, postApplyChecksum: 1n << 63n },
  ],
  [
    "tracked without post-apply checksum",
    "bad-checksum-field",
    { ...valid, flags: 0, preApplyChecksum: 1n << 63n },
  ],
  [
    "tracked, post-apply checksum without bit 63",
    "bad-checksum-field",
    { ...valid, flags: 0, preApplyChecksum: 1n << 63n, postApplyChecksum: 1n },
  ],
  ["empty database without its checksum", "bad-checksum-field", { ...valid, commit: 0, pages: [] }],
  [
    "file checksum without bit 63",
    "bad-checksum-field",
    { ...valid, editChecksum: (sum) => sum & ~(1n << 63n) },
  ],
  ["file checksum wrong", "file-checksum", { ...valid, editChecksum: (sum) => sum ^ 1n }],
  [
    "database checksum wrong",
    "database-checksum",
    { flags: 0, minTXID: 1n, commit: 1, pages: [page(1, A)], postApplyChecksum: 1n << 63n },
  ],
];

for (const [name, kind, file] of cases) {
  test(`LTXDecoder refuses: ${name}`, () => {
    const bytes = craftLTX(file);
    assert.throws(() => verifyLTX([bytes]), hasKind(kind));
    // Without the index, whose decoder has some of the same rules.
    assert.throws(() => readToEnd(bytes), hasKind(kind));
    assert.throws(() => verifyLTX([...bytes].map((byte) => Uint8Array.of(byte))), hasKind(kind));
  });
}

test("LTXDecoder refuses a frame that the rest of the file cannot hold", () => {
  const bytes = craftLTX({
    ...valid,
    pages: [{ ...page(1, A), sizeWord: 500, block: new Uint8Array(0) }],
  });
  assert.throws(() => verifyLTX([bytes]), hasKind("truncated"));
});

test("LTXDecoder accepts a snapshot that skips the lock page, for every page size", () => {
  for (const pageSize of [512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536]) {
    const lock = lockPgno(pageSize);
    const data = new Uint8Array(pageSize);
    const around = [page(lock - 1, data), page(lock + 1, data)];
    verifyLTX([craftLTX({ pageSize, commit: lock + 1, pages: around })]);
    const withLock = [page(lock - 1, data), page(lock, data)];
    assert.throws(
      () => verifyLTX([craftLTX({ pageSize, commit: lock + 1, pages: withLock })]),
      hasKind("lock-page"),
    );
  }
});

test("LTXDecoder accepts whole snapshots around the lock page", () => {
  const pageSize = 65_536;
  const lock = lockPgno(pageSize);
  const data = new Uint8Array(pageSize);
  const block = compressBlock(data);
  const pages = Array.from({ length: lock + 1 }, (_, i) => ({ pgno: i + 1, data, block }));
  const snapshot = (commit: number, last: number): Uint8Array => {
    const held = pages.filter(({ pgno }) => pgno <= last && pgno !== lock);
    return craftLTX({ pageSize, minTXID: 1n, commit, pages: held });
  };
  assert.equal(verifyLTX([snapshot(lock - 1, lock - 1)]).pageCount, lock - 1);
  assert.equal(verifyLTX([snapshot(lock, lock)]).pageCount, lock - 1);
  assert.equal(verifyLTX([snapshot(lock + 1, lock + 1)]).pageCount, lock);
  assert.throws(() => verifyLTX([snapshot(lock, lock - 2)]), hasKind("missing-page"));
  assert.throws(() => verifyLTX([snapshot(lock + 1, lock)]), hasKind("missing-page"));
});

test("LTXDecoder hands out pages read straight into kernel memory", () => {
  const pages = Array.from({ length: 3000 }, (_, i) =>
    samplePage(i % 2 === 0 ? "random" : "zero", 4096, i + 1),
  );
  const bytes = craftLTX({
    pageSize: 4096,
    commit: 3000,
    minTXID: 1n,
    pages: pages.map((data, i) => page(i + 1, data)),
  });
  const decoder = new LTXDecoder({ keepIndex: true });
  let seen = 0;
  for (let at = 0; at < bytes.length;) {
    const buffer = decoder.buffer();
    assert.ok(buffer.length >= 1 << 20);
    const part = bytes.subarray(at, at + buffer.length);
    buffer.set(part);
    decoder.filled(part.length);
    at += part.length;
    for (let batch = decoder.read(); batch !== null; batch = decoder.read()) {
      assert.ok(batch.pages.length <= 1 << 20);
      for (let i = 0; i < batch.count; i++) {
        assert.equal(batch.pgnos[i], ++seen);
        assert.deepEqual(batch.pages.slice(i * 4096, (i + 1) * 4096), pages[seen - 1]);
      }
    }
  }
  assert.equal(decoder.end().pageCount, 3000);
  assert.equal(decoder.index().count, 3000);
});

test("LTXDecoder goes on when others use the kernel between its batches", () => {
  const files = [1, 2].map((seed) => {
    const pages = Array.from({ length: 600 }, (_, i) =>
      page(i + 1, samplePage("rows", 4096, i * seed + 1)),
    );
    return {
      bytes: craftLTX({ pageSize: 4096, commit: 600, minTXID: 1n, pages }),
      decoder: new LTXDecoder({ batchBytes: 1 << 16 }),
    };
  });
  for (const { bytes, decoder } of files) decoder.push(bytes);
  let active = true;
  while (active) {
    const batches = files.map(({ decoder }) => decoder.read());
    compressBlock(noise(3, 4096));
    active = batches.some((batch) => batch !== null);
  }
  for (const { decoder } of files) assert.equal(decoder.end().pageCount, 600);
});

test("LTXDecoder tells when kernel memory was used between buffer() and read()", () => {
  const bytes = craftLTX(valid);
  const decoder = new LTXDecoder();
  decoder.buffer().set(bytes);
  compressBlock(A);
  assert.throws(() => decoder.filled(bytes.length), /Kernel was used by another/);
  decoder.buffer().set(bytes);
  decoder.filled(bytes.length);
  kernel().owner = null;
  assert.throws(() => decoder.read(), /Kernel was used by another/);
});

test("LTXDecoder refuses calls out of turn", () => {
  const decoder = new LTXDecoder();
  decoder.push(craftLTX(valid));
  assert.throws(() => decoder.push(new Uint8Array(1)), /bytes left/);
  assert.throws(() => decoder.end(), /bytes left/);
  assert.throws(() => decoder.index(), /not been read to its end/);
});

test("decodeFrames() decodes runs of both encodings and checks each page", () => {
  const blocks = [compressBlock(A), compressBlock(B)];
  const run = concatBytes(
    blocks.flatMap((block, i) => [
      Uint8Array.of(0, 0, 0, i + 4, 0, 1, 0, 0, block.length >> 8, block.length & 255),
      block,
    ]),
  );
  const batches = [...decodeFrames(run, 512)].map((batch) => ({
    pgnos: [...batch.pgnos.subarray(0, batch.count)],
    pages: batch.pages.slice(),
  }));
  assert.deepEqual(batches, [{ pgnos: [4, 5], pages: concatBytes([A, B]) }]);
  for (let length = 1; length < run.length; length++) {
    if (length === 10 + (blocks[0]?.length ?? 0)) continue;
    assert.throws(() => [...decodeFrames(run.subarray(0, length), 512)], hasKind("truncated"));
  }
  assert.throws(() => [...decodeFrames(run, 1024)], hasKind("page-length"));
  assert.throws(
    () => [...decodeFrames(concatBytes([run, new Uint8Array(6)]), 512)],
    hasKind("bad-page-header"),
  );
  assert.throws(() => [...decodeFrames(run, 500)], RangeError);
  assert.deepEqual([...decodeFrames(new Uint8Array(0), 512)], []);
});

test("decodeFrames() decodes runs longer than kernel memory", () => {
  const frames: Uint8Array[] = [];
  for (let pgno = 1; pgno <= 40; pgno++) {
    const block = compressBlock(noise(pgno, 65_536));
    const head = new Uint8Array(10);
    const view = new DataView(head.buffer);
    view.setUint32(0, pgno);
    view.setUint16(4, 1);
    view.setUint32(6, block.length);
    frames.push(head, block);
  }
  let next = 1;
  for (const batch of decodeFrames(concatBytes(frames), 65_536)) {
    for (let i = 0; i < batch.count; i++) {
      assert.equal(batch.pgnos[i], next);
      assert.deepEqual(batch.pages.slice(i * 65_536, (i + 1) * 65_536), noise(next, 65_536));
      next++;
    }
    kernel().owner = null;
  }
  assert.equal(next, 41);
});

test("checkLTXName() compares header and file name", () => {
  const header = createLTXHeader({
    pageSize: 512,
    commit: 1,
    minTXID: 2n,
    maxTXID: 5n,
    timestampMs: 0,
  });
  checkLTXName(header, { minTXID: 2n, maxTXID: 5n });
  assert.throws(() => checkLTXName(header, { minTXID: 2n, maxTXID: 6n }), hasKind("name-mismatch"));
  assert.throws(() => checkLTXName(header, { minTXID: 1n, maxTXID: 5n }), hasKind("name-mismatch"));
});

test("decodeLTXHeader() keeps negative times and the largest TXID", () => {
  const bytes = craftLTX({ ...valid, timestampMs: -1500n, minTXID: 2n, maxTXID: 2n ** 64n - 1n });
  const header = decodeLTXHeader(bytes);
  assert.equal(header.timestampMs, -1500);
  assert.equal(header.maxTXID, 2n ** 64n - 1n);
  assert.throws(() => decodeLTXHeader(bytes.subarray(0, 99)), hasKind("truncated"));
});

test("craftLTX() and uvarint() write what the format says", () => {
  assert.deepEqual(uvarint(300n), Uint8Array.of(0xac, 0x02));
  assert.deepEqual(u64(258n), Uint8Array.of(0, 0, 0, 0, 0, 0, 1, 2));
});

function readToEnd(bytes: Uint8Array): void {
  const decoder = new LTXDecoder();
  decoder.push(bytes);
  let batch = decoder.read();
  while (batch !== null) batch = decoder.read();
  decoder.end();
}

function page(pgno: number, data: Uint8Array): CraftedPage {
  return { pgno, data };
}

function edited(editIndex: (triples: bigint[][]) => void): CraftedFile {
  return { ...valid, editIndex };
}

function setTriple(triples: bigint[][], entry: number, field: number, value: bigint): void {
  const triple = triples[entry];
  if (triple) triple[field] = value;
}

function hasKind(kind: FormatErrorKind): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof FormatError, String(error));
    assert.equal(error.kind, kind, error.message);
    return true;
  };
}
