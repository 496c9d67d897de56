/**
 * Speed of the hot loops, for both kernels, on row-like pages of 4 KiB in memory.
 *
 *   node bench/kernels.ts [--pages 16384] [--seconds 0.5]
 *
 * MB/s = 10^6 raw bytes a second, the best of the runs that fit the time.
 */
import { parseArgs } from "node:util";
import { CRC_START } from "../src/formats/crc64.ts";
import { useKernel } from "../src/formats/kernel/kernel.ts";
import type { Kernel } from "../src/formats/kernel/kernel.ts";
import { BATCH_BYTES } from "../src/formats/kernel/memory.ts";
import { createReferenceKernel } from "../src/formats/kernel/reference.ts";
import { createWASMKernel } from "../src/formats/kernel/wasm.ts";
import { LTXDecoder, verifyLTX } from "../src/formats/ltx/decoder.ts";
import { LTXEncoder } from "../src/formats/ltx/encoder.ts";
import { createLTXHeader } from "../src/formats/ltx/header.ts";
import { mergeLTX } from "../src/formats/ltx/merge.ts";
import { sumWAL, WALScanner } from "../src/formats/wal.ts";
import { concatBytes } from "../test/formats/craft-ltx.ts";
import { samplePage } from "../test/formats/sample-pages.ts";

const PAGE_SIZE = 4096;
const BATCH_PAGES: number = BATCH_BYTES / PAGE_SIZE;

const { values } = parseArgs({
  options: {
    pages: { type: "string", default: "16384" },
    seconds: { type: "string", default: "0.5" },
  },
});
const pageCount = Number(values.pages);
const timeMs = Number(values.seconds) * 1000;
const rawBytes = pageCount * PAGE_SIZE;
const pages = new Uint8Array(rawBytes);
for (let i = 0; i < pageCount; i++) pages.set(samplePage("rows", PAGE_SIZE, i + 1), i * PAGE_SIZE);

const wasm = createWASMKernel();
const kernels: readonly Kernel[] = [...(wasm ? [wasm] : []), createReferenceKernel()];
const table: Record<string, Record<string, number>> = {};
for (const kernel of kernels) {
  useKernel(kernel);
  for (const [name, mbPerSecond] of await measure(kernel)) {
    table[name] = { ...table[name], [kernel.name]: Math.round(mbPerSecond) };
  }
}
console.table(table);

async function measure(kernel: Kernel): Promise<[string, number][]> {
  const snapshot = encodeFile(1n, 1);
  const every3rd = encodeFile(2n, 3);
  const thirdBytes = Math.ceil(pageCount / 3) * PAGE_SIZE;
  console.log(`${kernel.name}: LZ4 ratio ${(snapshot.length / rawBytes).toFixed(3)}`);
  return [
    ["CRC-64, 64 KiB", await crcSpeed(kernel)],
    ["LZ4 compress", await compressSpeed(kernel)],
    ["LZ4 decompress", await decompressSpeed(kernel)],
    ["WAL scan, little-endian", await walSpeed(false)],
    ["WAL scan, big-endian", await walSpeed(true)],
    ["LTX encode", await speed(rawBytes, () => encode(1n, 1, () => undefined))],
    ["LTX decode, pushed chunks", await speed(rawBytes, () => verifyLTX(chunksOf(snapshot)))],
    ["LTX decode, kernel memory", await speed(rawBytes, () => decodeDirect(snapshot))],
    ["LTX merge, one file", await speed(rawBytes, () => merge([snapshot]))],
    [
      "LTX merge, and every third page",
      await speed(rawBytes + thirdBytes, () => merge([snapshot, every3rd])),
    ],
  ];
}

function crcSpeed(kernel: Kernel): Promise<number> {
  kernel.scratch.set(pages.subarray(0, kernel.scratch.length));
  return speed(kernel.scratch.length * 100, () => {
    for (let i = 0; i < 100; i++) kernel.hashScratch(CRC_START, kernel.scratch.length);
  });
}

function compressSpeed(kernel: Kernel): Promise<number> {
  return speed(rawBytes, () => {
    for (let at = 0; at < rawBytes; at += PAGE_SIZE) {
      kernel.input.set(pages.subarray(at, at + PAGE_SIZE));
      kernel.compress(PAGE_SIZE);
    }
  });
}

function decompressSpeed(kernel: Kernel): Promise<number> {
  const blocks = Array.from({ length: 256 }, (_, i) => {
    kernel.input.set(pages.subarray(i * PAGE_SIZE, (i + 1) * PAGE_SIZE));
    return kernel.output.slice(0, kernel.compress(PAGE_SIZE));
  });
  return speed(blocks.length * PAGE_SIZE * 16, () => {
    for (let round = 0; round < 16; round++) {
      for (const block of blocks) {
        kernel.input.set(block);
        kernel.decompress(block.length, PAGE_SIZE);
      }
    }
  });
}

function walSpeed(bigEndian: boolean): Promise<number> {
  const start = { pageSize: PAGE_SIZE, bigEndian, salt1: 1, salt2: 2, checksum1: 3, checksum2: 4 };
  const scanner = new WALScanner(start);
  const frames = walFrames(bigEndian, scanner.capacityFrames);
  return speed(frames.length * 50, () => {
    scanner.frames().set(frames);
    for (let round = 0; round < 50; round++) {
      scanner.checksum1 = start.checksum1;
      scanner.checksum2 = start.checksum2;
      if (scanner.scan(scanner.capacityFrames) !== scanner.capacityFrames)
        throw new Error("Scan failed");
    }
  });
}

/** Calls `write` with each piece of a file of every page, or every third. */
function encode(txid: bigint, every: number, write: (bytes: Uint8Array) => void): void {
  const header = {
    pageSize: PAGE_SIZE,
    commit: pageCount,
    minTXID: txid,
    maxTXID: txid,
    timestampMs: 0,
  };
  const encoder = new LTXEncoder(createLTXHeader(header));
  const pgnos = new Uint32Array(BATCH_PAGES);
  write(encoder.begin());
  for (let first = 0; first < pageCount; first += BATCH_PAGES * every) {
    const buffer = encoder.pages();
    let count = 0;
    for (let page = first; page < pageCount && count < BATCH_PAGES; page += every) {
      buffer.set(pages.subarray(page * PAGE_SIZE, (page + 1) * PAGE_SIZE), count * PAGE_SIZE);
      pgnos[count++] = page + 1;
    }
    write(encoder.encode(pgnos, count));
  }
  for (const bytes of encoder.finish()) write(bytes);
}

function encodeFile(txid: bigint, every: number): Uint8Array {
  const parts: Uint8Array[] = [];
  encode(txid, every, (bytes) => parts.push(bytes.slice()));
  return concatBytes(parts);
}

function decodeDirect(file: Uint8Array): void {
  const decoder = new LTXDecoder();
  for (let at = 0; at < file.length;) {
    const buffer = decoder.buffer();
    const part = file.subarray(at, at + buffer.length);
    buffer.set(part);
    decoder.filled(part.length);
    at += part.length;
    let batch = decoder.read();
    while (batch !== null) batch = decoder.read();
  }
  decoder.end();
}

async function merge(files: readonly Uint8Array[]): Promise<void> {
  const inputs = files.map((file, i) => ({
    minTXID: BigInt(i + 1),
    maxTXID: BigInt(i + 1),
    open: async function* () {
      yield* chunksOf(file);
    },
  }));
  for await (const chunk of mergeLTX(inputs))
    if (chunk.length === 0) throw new Error("Empty chunk");
}

function* chunksOf(file: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < file.length; at += BATCH_BYTES) yield file.subarray(at, at + BATCH_BYTES);
}

function walFrames(bigEndian: boolean, count: number): Uint8Array {
  const frameSize = PAGE_SIZE + 24;
  const bytes = new Uint8Array(count * frameSize);
  let sums: readonly [number, number] = [3, 4];
  for (let i = 0; i < count; i++) {
    const at = i * frameSize;
    const view = new DataView(bytes.buffer, at, frameSize);
    bytes.set(pages.subarray(i * PAGE_SIZE, (i + 1) * PAGE_SIZE), at + 24);
    view.setUint32(0, i + 1);
    view.setUint32(8, 1);
    view.setUint32(12, 2);
    sums = sumWAL(bytes.subarray(at, at + 8), bigEndian, ...sums);
    sums = sumWAL(bytes.subarray(at + 24, at + frameSize), bigEndian, ...sums);
    view.setUint32(16, sums[0]);
    view.setUint32(20, sums[1]);
  }
  return bytes;
}

/** Best MB/s of the runs that fit the time, at least three. */
async function speed(byteCount: number, run: () => unknown): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  const started = performance.now();
  for (let i = 0; i < 3 || performance.now() - started < timeMs; i++) {
    const before = performance.now();
    await run();
    best = Math.min(best, performance.now() - before);
  }
  return byteCount / best / 1000;
}
