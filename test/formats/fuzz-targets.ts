/** The decoders that take bytes from outside, each with valid inputs to start from and a check of what it accepts. */
import assert from "node:assert/strict";

import { crc64 } from "../../src/formats/crc64.ts";
import { FormatError } from "../../src/formats/format-error.ts";
import type { Kernel } from "../../src/formats/kernel/kernel.ts";
import { byteView } from "../../src/formats/kernel/lz4.ts";
import { xxh32 } from "../../src/formats/kernel/xxh32.ts";
import { decodeFrames, LTXDecoder } from "../../src/formats/ltx/decoder.ts";
import { LTX_HEADER_SIZE } from "../../src/formats/ltx/header.ts";
import { decodePageIndex, locatePageIndex, sliceTail } from "../../src/formats/ltx/page-index.ts";
import { LZ4FrameDecoder } from "../../src/formats/lz4-frame.ts";
import { decodeSQLiteHeader, isValidPageSize, lockPgno } from "../../src/formats/sqlite-header.ts";
import { decodeWALHeader, sumWAL, WAL_HEADER_SIZE, WALScanner } from "../../src/formats/wal.ts";
import { compressBlock, concatBytes, craftLTX } from "./craft-ltx.ts";
import type { CraftedFile, CraftedPage } from "./craft-ltx.ts";
import { PAGE_KINDS, randomSource, samplePage } from "./sample-pages.ts";

export interface FuzzTarget {
  readonly name: string;
  /** Valid inputs: the first to be tried, and what the damaged ones are made of. */
  readonly corpus: readonly Uint8Array[];
  /** Decodes; returns a text for what it accepted, throws a FormatError, or anything else when something is wrong. */
  run(input: Uint8Array, kernel: Kernel): string;
}

export function fuzzTargets(): FuzzTarget[] {
  const blocks = blockCorpus();
  const files = [false, true].map((legacy) => ltxCorpus(legacy));
  return [
    { name: "LTX with LZ4 blocks", corpus: files[0] ?? [], run: runLTX },
    { name: "LTX with LZ4 frames", corpus: files[1] ?? [], run: runLTX },
    { name: "page frames", corpus: frameRuns(), run: runFrames },
    { name: "LZ4 block", corpus: blocks, run: runBlock },
    { name: "LZ4 frame", corpus: lz4FrameCorpus(), run: runLZ4Frame },
    { name: "page index", corpus: files.flat(), run: runPageIndex },
    { name: "WAL", corpus: [false, true].map(makeWAL), run: runWAL },
    { name: "SQLite header", corpus: [sqliteHeader(4096), sqliteHeader(1)], run: runSQLiteHeader },
  ];
}

function runLTX(input: Uint8Array): string {
  const decoder = new LTXDecoder({ keepIndex: true });
  const pgnos: number[] = [];
  const hashes: bigint[] = [];
  const half = input.length >> 1;
  for (const chunk of [input.subarray(0, half), input.subarray(half)]) {
    decoder.push(chunk);
    for (let batch = decoder.read(); batch !== null; batch = decoder.read()) {
      pgnos.push(...batch.pgnos.subarray(0, batch.count));
      hashes.push(crc64(batch.pages));
    }
  }
  const { header, pageCount, sizeBytes, fileChecksum } = decoder.end();
  assert.equal(sizeBytes, input.length);
  assert.equal(pageCount, pgnos.length);
  let last = 0;
  for (const pgno of pgnos) {
    assert.ok(pgno > last && pgno <= header.commit && pgno !== lockPgno(header.pageSize));
    last = pgno;
  }
  assert.deepEqual([...decoder.index().pgnos], pgnos);
  return `${header.minTXID}-${header.maxTXID} ${pgnos.join()} ${hashes.join()} ${fileChecksum}`;
}

function runFrames(input: Uint8Array): string {
  let text = "";
  for (const batch of decodeFrames(input, 512)) {
    assert.equal(batch.pages.length, batch.count * 512);
    text += `${batch.pgnos.subarray(0, batch.count).join()} ${crc64(batch.pages)} `;
  }
  return text;
}

/** Capacity of the block under test, and where writes must not be seen any more. */
const CAPACITY = 512;
const GUARD_START: number = CAPACITY + 32;
const GUARD_END = 2048;

function runBlock(input: Uint8Array, kernel: Kernel): string {
  kernel.owner = null;
  kernel.input.fill(0x55, 0, input.length + 64);
  kernel.input.set(input);
  kernel.output.fill(0xaa, 0, GUARD_END);
  const length = kernel.decompress(input.length, CAPACITY);
  assert.ok(length >= -2 && length <= CAPACITY);
  for (let i = GUARD_START; i < GUARD_END; i++)
    assert.equal(kernel.output[i], 0xaa, "written beyond the slack");
  for (let i = 0; i < input.length; i++) assert.equal(kernel.input[i], input[i], "input changed");
  if (length < 0) throw new FormatError(length === -1 ? "bad-lz4" : "page-length", "Refused");
  return `${length} ${crc64(kernel.output.subarray(0, length))}`;
}

function runLZ4Frame(input: Uint8Array): string {
  const decoder = new LZ4FrameDecoder();
  let text = "";
  const third = Math.ceil(input.length / 3);
  for (let at = 0; at < input.length; at += third) {
    for (const bytes of decoder.push(input.subarray(at, at + third)))
      text += `${bytes.length} ${crc64(bytes)} `;
  }
  decoder.end();
  return text;
}

function runPageIndex(input: Uint8Array): string {
  const range = locatePageIndex(input.subarray(input.length >> 1), input.length);
  const bytes = sliceTail(input, input.length, range);
  assert.ok(bytes);
  assert.equal(bytes.length, range.length);
  const bounds = { offset: range.offset, commit: 9, pageSize: 512 };
  const index = decodePageIndex(bytes, bounds);
  let offset = LTX_HEADER_SIZE;
  for (let i = 0; i < index.count; i++) {
    assert.equal(index.offsets[i], offset);
    assert.ok((index.pgnos[i] ?? 0) <= 9);
    offset += index.sizes[i] ?? 0;
  }
  assert.equal(offset + 6, range.offset);
  return [...index.pgnos].join();
}

function runWAL(input: Uint8Array): string {
  const header = decodeWALHeader(input);
  if (!header) return "empty";
  const scanner = new WALScanner(header);
  const given = Math.min(
    Math.floor((input.length - WAL_HEADER_SIZE) / scanner.frameSize),
    scanner.capacityFrames,
  );
  scanner
    .frames()
    .set(input.subarray(WAL_HEADER_SIZE, WAL_HEADER_SIZE + given * scanner.frameSize));
  const valid = scanner.scan(given);
  let sums: readonly [number, number] = [header.checksum1, header.checksum2];
  for (let i = 0; i < valid; i++) {
    const frame = input.subarray(
      WAL_HEADER_SIZE + i * scanner.frameSize,
      WAL_HEADER_SIZE + (i + 1) * scanner.frameSize,
    );
    sums = sumWAL(frame.subarray(0, 8), header.bigEndian, ...sums);
    sums = sumWAL(frame.subarray(24), header.bigEndian, ...sums);
    const view = byteView(frame).view;
    assert.deepEqual([view.getUint32(8), view.getUint32(12)], [header.salt1, header.salt2]);
    assert.deepEqual([view.getUint32(16), view.getUint32(20)], sums);
  }
  assert.deepEqual([scanner.checksum1, scanner.checksum2], sums);
  return `${valid} ${scanner.pgnos.subarray(0, valid).join()} ${scanner.commits.subarray(0, valid).join()}`;
}

function runSQLiteHeader(input: Uint8Array): string {
  const header = decodeSQLiteHeader(input);
  assert.ok(isValidPageSize(header.pageSize));
  return JSON.stringify(header);
}

/** Right files, and files whose only fault is one that a right checksum covers. */
function ltxCorpus(legacy: boolean): Uint8Array[] {
  const pageOf = (pgno: number, data: Uint8Array): CraftedPage =>
    legacy ? { pgno, data, flags: 0, block: lz4Frame(data, 0x64) } : { pgno, data };
  const pages = PAGE_KINDS.map((kind, i) => pageOf(i + 1, samplePage(kind, 512, i + 3)));
  const [first, second, third, fourth] = pages as [
    CraftedPage,
    CraftedPage,
    CraftedPage,
    CraftedPage,
  ];
  const files: CraftedFile[] = [
    { pages },
    { pages: [first, fourth] },
    { minTXID: 1n, maxTXID: 9n, pages },
    { minTXID: 1n, commit: 1, pages: [first] },
    { pages: [] },
    { pages: [second, first] },
    { pages: [first, { ...second, pgno: 9 }] },
    { minTXID: 1n, pages: [first, third] },
    { pages, indexLength: 4n },
    { pages, editIndex: (triples) => triples.splice(0, 2, ...triples.slice(0, 2).toReversed()) },
    { pages: [first, fourth], editIndex: (triples) => triples.pop() },
    { pages, walOffset: 32n, walSize: 1072n, walSalt1: 1 },
  ];
  const random = randomSource(11);
  const mixed = Array.from({ length: 80 }, (): CraftedFile => {
    const picked = pages
      .filter(() => random() % 3 > 0)
      .map(({ pgno, ...page }) => Object.assign(page, { pgno: pgno + (random() % 2) }));
    const commit = random() % 8;
    const minTXID = BigInt(1 + (random() % 3));
    return { pages: picked, commit, minTXID, postApplyChecksum: commit === 0 ? 1n << 63n : 0n };
  });
  return [...files, ...mixed].map(craftLTX);
}

function frameRuns(): Uint8Array[] {
  return [false, true].map((legacy) =>
    concatBytes(
      PAGE_KINDS.flatMap((kind, i) => {
        const data = samplePage(kind, 512, i + 1);
        const block = legacy ? lz4Frame(data, 0x64) : compressBlock(data);
        const head = new Uint8Array(legacy ? 6 : 10);
        const { view } = byteView(head);
        view.setUint32(0, i + 1);
        if (!legacy) view.setUint16(4, 1);
        if (!legacy) view.setUint32(6, block.length);
        return [head, block];
      }),
    ),
  );
}

function blockCorpus(): Uint8Array[] {
  return PAGE_KINDS.flatMap((kind) =>
    [1, 2, 3, 4].map((seed) => compressBlock(samplePage(kind, CAPACITY, seed))),
  );
}

function lz4FrameCorpus(): Uint8Array[] {
  return [0x64, 0x60, 0x44, 0x74, 0x6c, 0x7c].map((flags) =>
    lz4Frame(samplePage("rows", 700, flags), flags),
  );
}

function lz4Frame(data: Uint8Array, flags: number): Uint8Array {
  const block = compressBlock(data);
  const hash = (bytes: Uint8Array): Uint8Array =>
    word(xxh32(byteView(bytes).view, 0, bytes.length));
  const descriptor = concatBytes([
    Uint8Array.of(flags, 0x40),
    ...((flags & 8) === 0 ? [] : [word(data.length), word(0)]),
  ]);
  return concatBytes([
    word(0x184d_2204),
    descriptor,
    hash(descriptor).subarray(1, 2),
    word(block.length),
    block,
    ...((flags & 16) === 0 ? [] : [hash(block)]),
    word(0),
    ...((flags & 4) === 0 ? [] : [hash(data)]),
  ]);
}

/** Little-endian. */
function word(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  byteView(bytes).view.setUint32(0, value, true);
  return bytes;
}

function makeWAL(bigEndian: boolean): Uint8Array {
  const wal = new Uint8Array(WAL_HEADER_SIZE + 5 * (24 + 512));
  const { view } = byteView(wal);
  view.setUint32(0, bigEndian ? 0x377f_0683 : 0x377f_0682);
  view.setUint32(4, 3_007_000);
  view.setUint32(8, 512);
  view.setUint32(16, 0x8000_0001);
  view.setUint32(20, 7);
  let sums = sumWAL(wal.subarray(0, 24), bigEndian);
  view.setUint32(24, sums[0]);
  view.setUint32(28, sums[1]);
  for (let i = 0; i < 5; i++) {
    const at = WAL_HEADER_SIZE + i * (24 + 512);
    view.setUint32(at, i + 1);
    view.setUint32(at + 4, i % 2 === 0 ? 0 : 5);
    view.setUint32(at + 8, 0x8000_0001);
    view.setUint32(at + 12, 7);
    wal.set(samplePage("rows", 512, i + 1), at + 24);
    sums = sumWAL(wal.subarray(at, at + 8), bigEndian, ...sums);
    sums = sumWAL(wal.subarray(at + 24, at + 24 + 512), bigEndian, ...sums);
    view.setUint32(at + 16, sums[0]);
    view.setUint32(at + 20, sums[1]);
  }
  return wal;
}

function sqliteHeader(storedPageSize: number): Uint8Array {
  const bytes = new Uint8Array(100);
  bytes.set(new TextEncoder().encode("SQLite format 3\0"));
  const { view } = byteView(bytes);
  view.setUint16(16, storedPageSize);
  bytes.set([2, 2], 18);
  view.setUint32(28, 12);
  return bytes;
}
