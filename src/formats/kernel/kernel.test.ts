/** Both kernels by the same tests, and against each other. */
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";

import * as fc from "fast-check";

import { CRC_START, finishCRC64 } from "../crc64.ts";
import { kernel } from "./kernel.ts";
import type { Kernel } from "./kernel.ts";
import { lz4Bound } from "./lz4.ts";
import {
  DECODE_BAD_CONTENT_CHECKSUM,
  DECODE_BAD_HEADER,
  DECODE_BAD_LENGTH,
  DECODE_BAD_LZ4,
  DECODE_END,
  DECODE_MORE,
  DECODE_TOO_LARGE,
  DECODE_UNSUPPORTED,
  MAX_BATCH_PAGES,
} from "./memory.ts";
import { createReferenceKernel } from "./reference.ts";
import { createWASMKernel } from "./wasm.ts";

const reference = createReferenceKernel();
const wasm = mustExist(createWASMKernel());
const kernels: readonly Kernel[] = [reference, wasm];
const PAGE_SIZES = [512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536];

interface LZ4JS {
  decompressBlock(
    source: Uint8Array,
    target: Uint8Array,
    start: number,
    length: number,
    out: number,
  ): number;
  compressBlock(
    source: Uint8Array,
    target: Uint8Array,
    start: number,
    length: number,
    table: Uint32Array,
  ): number;
  compress(source: Uint8Array): Uint8Array;
}
const lz4js = createRequire(import.meta.url)("lz4js") as LZ4JS;

test("kernel() takes WebAssembly where SIMD is available", () => {
  assert.equal(kernel().name, "wasm");
});

for (const k of kernels) {
  test(`${k.name}: hashScratch() gives the check values of CRC-64/ISO`, () => {
    assert.equal(crcText(k, new Uint8Array(0)), "0000000000000000");
    assert.equal(crcText(k, new Uint8Array(1)), "6f90000000000000");
    assert.equal(crcText(k, new Uint8Array(512)), "7cd9900000000000");
    assert.equal(crcText(k, new TextEncoder().encode("123456789")), "b90956c775a41001");
  });

  test(`${k.name}: hashScratch() equals the table for every length and split`, () => {
    const data = noise(1, 9000);
    for (let length = 0; length < 2600; length += length < 300 ? 1 : 37) {
      k.scratch.set(data.subarray(0, length));
      assert.equal(
        k.hashScratch(CRC_START, length),
        tableCRC(CRC_START, data.subarray(0, length)),
        `${length}`,
      );
    }
    k.scratch.set(data);
    assert.equal(k.hashScratch(0n, 9000), tableCRC(0n, data));
    for (const length of PAGE_SIZES) {
      k.scratch.set(noise(length, length));
      assert.equal(k.hashScratch(5n, length), tableCRC(5n, noise(length, length)));
    }
  });

  test(`${k.name}: hashOutput() is independent of alignment`, () => {
    const data = noise(3, 5000);
    for (let offset = 0; offset < 17; offset++) {
      k.output.set(data, offset);
      assert.equal(k.hashOutput(CRC_START, offset, 5000), tableCRC(CRC_START, data));
    }
  });

  test(`${k.name}: shift() combines the CRC of two pieces`, () => {
    const data = noise(4, 3000);
    for (const split of [0, 1, 7, 64, 1000, 2999, 3000]) {
      const left = tableCRC(CRC_START, data.subarray(0, split));
      const right = tableCRC(0n, data.subarray(split));
      assert.equal(k.shift(left, 3000 - split) ^ right, tableCRC(CRC_START, data));
    }
    assert.equal(k.shift(k.shift(99n, 2 ** 33), 5), k.shift(99n, 2 ** 33 + 5));
  });

  test(`${k.name}: compress() and decompress() round-trip pages of every size and kind`, () => {
    for (const size of [0, 1, 5, 12, 13, 14, 100, ...PAGE_SIZES]) {
      for (const page of samplePages(size)) {
        const block = compressWith(k, page);
        assert.ok(block.length <= lz4Bound(size));
        assert.deepEqual(decompressWith(k, block, size), page);
        const back = new Uint8Array(size);
        assert.equal(lz4js.decompressBlock(block, back, 0, block.length, 0), size);
        assert.deepEqual(back, page);
      }
    }
  });

  test(`${k.name}: decompress() expands what lz4js compressed`, () => {
    for (const size of PAGE_SIZES) {
      for (const page of samplePages(size)) {
        const target = new Uint8Array(lz4Bound(size) + 64);
        const length = lz4js.compressBlock(page, target, 0, size, new Uint32Array(65_536));
        // lz4js answers 0 when data does not shrink.
        if (length === 0) continue;
        assert.deepEqual(decompressWith(k, target.subarray(0, length), size), page);
      }
    }
  });

  test(`${k.name}: decompress() rejects malformed blocks`, () => {
    const cases: [string, number[], number][] = [
      ["empty", [], -1],
      ["literals beyond the end", [0x50, 1, 2], -1],
      ["long literal run beyond the end", [0xf0, 255, 255], -1],
      ["half a distance", [0x10, 65, 1], -1],
      ["distance 0", [0x10, 65, 0, 0, 0x00], -1],
      ["distance before the start", [0x10, 65, 2, 0, 0x00], -1],
      ["ends with a match", [0x10, 65, 1, 0], -1],
      ["length cut off", [0x1f, 65, 1, 0], -1],
      ["too long by literals", [0x40, 65, 65, 65, 65], -2],
      ["too long by a match", [0x10, 65, 1, 0, 0x00], -2],
    ];
    for (const [name, block, expected] of cases) {
      k.input.set(block);
      const capacity = expected === -2 ? 3 : 64;
      assert.equal(k.decompress(block.length, capacity), expected, name);
    }
  });

  test(`${k.name}: encodePages() and decodeFrames() round-trip batches`, () => {
    for (const pageSize of PAGE_SIZES) {
      const pages = samplePages(pageSize);
      const frames = encodeWith(k, pages, pageSize);
      const states = k.states.slice(0, pages.length);
      k.input.set(frames);
      assert.equal(
        k.decodeFrames(0, frames.length, pageSize, MAX_BATCH_PAGES, CRC_START),
        DECODE_MORE,
      );
      assert.equal(k.consumed, frames.length);
      assert.equal(k.count, pages.length);
      assert.equal(k.legacyCount, 0);
      assert.deepEqual(k.states.slice(0, pages.length), states);
      assert.equal(k.state, states.at(-1));
      pages.forEach((page, i) => {
        assert.deepEqual(k.output.slice(i * pageSize, (i + 1) * pageSize), page);
        assert.equal(k.pgnos[i], i + 1);
      });
    }
  });

  test(`${k.name}: decodeFrames() stops before an incomplete frame, at maxPages and at the end marker`, () => {
    const frames = encodeWith(k, samplePages(512).slice(0, 3), 512);
    const first = k.sizes[0] ?? 0;
    const second = k.sizes[1] ?? 0;
    k.input.fill(0, 0, 4000);
    k.input.set(frames);
    for (let cut = 0; cut < first; cut++) {
      assert.equal(k.decodeFrames(0, cut, 512, 10, CRC_START), DECODE_MORE);
      assert.equal(k.consumed, 0);
      assert.equal(k.state, CRC_START);
    }
    assert.equal(k.decodeFrames(0, frames.length, 512, 2, CRC_START), DECODE_MORE);
    assert.equal(k.consumed, first + second);
    assert.equal(k.decodeFrames(first, frames.length + 6, 512, 10, CRC_START), DECODE_END);
    assert.equal(k.consumed, frames.length + 6 - first);
    assert.equal(k.count, 2);
  });

  test(`${k.name}: decodeFrames() names what is wrong with a frame`, () => {
    assert.equal(decodeStatus(k, [0, 0, 0, 0, 0, 1]), DECODE_BAD_HEADER);
    assert.equal(decodeStatus(k, [0, 0, 0, 1, 0, 2]), DECODE_BAD_HEADER);
    assert.equal(decodeStatus(k, [0, 0, 0, 1, 0x40, 1]), DECODE_BAD_HEADER);
    assert.equal(decodeStatus(k, [0, 0, 0, 1, 0, 1, 0, 0, 2, 0x13]), DECODE_TOO_LARGE);
    assert.equal(decodeStatus(k, [0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0x50]), DECODE_BAD_LZ4);
    assert.equal(decodeStatus(k, [0, 0, 0, 1, 0, 1, 0, 0, 0, 2, 0x10, 65]), DECODE_BAD_LENGTH);
  });

  test(`${k.name}: decodeFrames() reads any LZ4 frame as a legacy page`, () => {
    const page = samplePages(1024)[2] ?? new Uint8Array(0);
    const half = compressWith(k, page.subarray(0, 512));
    const rest = compressWith(k, page.subarray(512));
    const whole = compressWith(k, page);
    const forms: [string, Uint8Array][] = [
      ["as Litestream wrote it", lz4Frame({ flags: 0x64, blocks: [whole], content: page })],
      ["no content checksum", lz4Frame({ flags: 0x60, blocks: [whole], content: page })],
      ["stored block", lz4Frame({ flags: 0x64, blocks: [page], stored: true, content: page })],
      ["two blocks", lz4Frame({ flags: 0x64, blocks: [half, rest], content: page })],
      ["linked blocks", lz4Frame({ flags: 0x44, blocks: [half, rest], content: page })],
      ["block checksums", lz4Frame({ flags: 0x74, blocks: [half, rest], content: page })],
      ["content size", lz4Frame({ flags: 0x6c, blocks: [whole], content: page })],
      ["lz4js", lz4js.compress(page)],
    ];
    for (const [name, frame] of forms) {
      const bytes = concat([[0, 0, 0, 7, 0, 0], frame]);
      k.input.set(bytes);
      for (let cut = 0; cut < bytes.length; cut++) {
        assert.equal(k.decodeFrames(0, cut, 1024, 10, CRC_START), DECODE_MORE, `${name} at ${cut}`);
        assert.equal(k.count, 0);
      }
      assert.equal(k.decodeFrames(0, bytes.length, 1024, 10, CRC_START), DECODE_MORE, name);
      assert.equal(k.count, 1, name);
      assert.equal(k.legacyCount, 1);
      assert.equal(k.pgnos[0], 7);
      assert.equal(k.sizes[0], bytes.length);
      assert.deepEqual(k.output.slice(0, 1024), page);
      assert.equal(k.state, tableCRC(tableCRC(CRC_START, bytes.subarray(0, 6)), page));
    }
  });

  test(`${k.name}: decodeFrames() names what is wrong with a legacy frame`, () => {
    const page = samplePages(512)[2] ?? new Uint8Array(0);
    const whole = compressWith(k, page);
    const good = lz4Frame({ flags: 0x64, blocks: [whole], content: page });
    const decode = (frame: Uint8Array): number => {
      k.input.fill(0, 0, 20_000);
      k.input.set([0, 0, 0, 1, 0, 0]);
      k.input.set(frame, 6);
      return k.decodeFrames(0, 6 + frame.length, 512, 10, CRC_START);
    };
    const changed = (at: number, xor: number): Uint8Array => {
      const copy = good.slice();
      copy[at < 0 ? copy.length + at : at] = (copy.at(at) ?? 0) ^ xor;
      return copy;
    };
    assert.equal(decode(good), DECODE_MORE);
    assert.equal(decode(changed(0, 1)), DECODE_BAD_LZ4);
    assert.equal(decode(changed(4, 2)), DECODE_BAD_LZ4);
    assert.equal(decode(changed(6, 1)), DECODE_BAD_LZ4);
    assert.equal(decode(changed(-1, 1)), DECODE_BAD_CONTENT_CHECKSUM);
    assert.equal(
      decode(lz4Frame({ flags: 0x65, blocks: [whole], content: page })),
      DECODE_UNSUPPORTED,
    );
    assert.equal(decode(lz4Frame({ flags: 0x64, blocks: [], content: page })), DECODE_BAD_LENGTH);
    assert.equal(
      decode(lz4Frame({ flags: 0x64, blocks: [page, page], stored: true, content: page })),
      DECODE_BAD_LENGTH,
    );
    const empties = Array.from({ length: 1000 }, () => Uint8Array.of(0));
    assert.equal(
      decode(lz4Frame({ flags: 0x64, blocks: empties, content: page }).subarray(0, 5000)),
      DECODE_TOO_LARGE,
    );
    const blockChecked = lz4Frame({ flags: 0x74, blocks: [whole], content: page });
    blockChecked[11] = (blockChecked[11] ?? 0) ^ 1;
    assert.equal(decode(blockChecked), DECODE_BAD_CONTENT_CHECKSUM);
  });

  test(`${k.name}: scanWAL() follows the chain in both byte orders`, () => {
    for (const bigEndian of [false, true]) {
      for (const pageSize of [512, 4096, 65_536]) {
        const wal = makeWAL(pageSize, 6, bigEndian);
        k.input.set(wal.frames);
        const count = k.scanWAL(6, pageSize, bigEndian, 0x9000_0001, 0xf000_0002, 1, 0xffff_fff0);
        assert.equal(count, 6);
        assert.deepEqual([...k.pgnos.subarray(0, 6)], [1, 2, 3, 4, 5, 6]);
        assert.deepEqual([...k.sizes.subarray(0, 6)], [0, 12, 0, 14, 0, 16]);
        assert.deepEqual([k.checksum1, k.checksum2], wal.sums[5]);
        for (const at of [0, 5, 9, 14, 19, 23, 24, 24 + pageSize - 1]) {
          const position = 3 * (24 + pageSize) + at;
          k.input[position] = (wal.frames[position] ?? 0) ^ 0x10;
          assert.equal(
            k.scanWAL(6, pageSize, bigEndian, 0x9000_0001, 0xf000_0002, 1, 0xffff_fff0),
            3,
            `${at}`,
          );
          assert.deepEqual([k.checksum1, k.checksum2], wal.sums[2]);
          k.input[position] = wal.frames[position] ?? 0;
        }
      }
    }
  });
}

test("both kernels give the same results for random input", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...PAGE_SIZES),
      fc.integer(),
      fc.integer({ min: 0, max: 3 }),
      (pageSize, seed, kind) => {
        const page = samplePages(pageSize, seed)[kind] ?? new Uint8Array(0);
        const block = compressWith(wasm, page);
        assert.deepEqual(decompressWith(reference, block, pageSize), page);
        assert.deepEqual(decompressWith(wasm, compressWith(reference, page), pageSize), page);
      },
    ),
    { numRuns: 60 },
  );
});

test("both kernels accept and refuse the same blocks", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 200 }),
      fc.constantFrom(0, 1, 16, 100, 512),
      (bytes, capacity) => {
        for (const k of kernels) k.input.set(bytes);
        const expected = reference.decompress(bytes.length, capacity);
        assert.equal(wasm.decompress(bytes.length, capacity), expected);
        if (expected > 0)
          assert.deepEqual(wasm.output.slice(0, expected), reference.output.slice(0, expected));
      },
    ),
    { numRuns: 3000 },
  );
});

function compressWith(k: Kernel, page: Uint8Array): Uint8Array {
  k.input.set(page);
  return k.output.slice(0, k.compress(page.length));
}

function decompressWith(k: Kernel, block: Uint8Array, size: number): Uint8Array {
  k.input.set(block);
  assert.equal(k.decompress(block.length, size), size);
  return k.output.slice(0, size);
}

function encodeWith(k: Kernel, pages: readonly Uint8Array[], pageSize: number): Uint8Array {
  pages.forEach((page, i) => {
    k.input.set(page, i * pageSize);
    k.offsets[i] = i * pageSize;
    k.pgnos[i] = i + 1;
  });
  return k.output.slice(0, k.encodePages(pages.length, pageSize, CRC_START));
}

/** One page each: zero, random, row-like, and with short periods. */
function samplePages(size: number, seed = 7): Uint8Array[] {
  const rows = new TextEncoder().encode(
    Array.from(
      { length: Math.ceil(size / 20) + 1 },
      (_, i) => `${i * seed},user${(i * 7) % 91}@host.example;`,
    ).join(""),
  );
  const periods = new Uint8Array(size).map((_, i) => (i % 3) + ((i >> 7) % 5));
  return [new Uint8Array(size), noise(seed, size), rows.slice(0, size), periods];
}

function noise(seed: number, length: number): Uint8Array {
  let state = seed | 1;
  return new Uint8Array(length).map(() => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 11;
  });
}

/** The definition of formats §2.1, a byte at a time. */
function tableCRC(state: bigint, bytes: Uint8Array): bigint {
  for (const byte of bytes) {
    state ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) {
      state = (state & 1n) === 1n ? (state >> 1n) ^ 0xd800_0000_0000_0000n : state >> 1n;
    }
  }
  return state;
}

/** xxHash32 by its definition, in bigint. */
function slowXXH32(bytes: Uint8Array): number {
  const mask = 0xffff_ffffn;
  const [p1, p2, p3, p4, p5] = [
    2_654_435_761n,
    2_246_822_519n,
    3_266_489_917n,
    668_265_263n,
    374_761_393n,
  ];
  const rotl = (v: bigint, n: bigint): bigint => ((v << n) | (v >> (32n - n))) & mask;
  const word = (at: number): bigint =>
    BigInt(new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true));
  let at = 0;
  let h = p5;
  if (bytes.length >= 16) {
    const lanes = [(p1 + p2) & mask, p2, 0n, -p1 & mask];
    for (; at + 16 <= bytes.length; at += 16) {
      for (const lane of [0, 1, 2, 3]) {
        lanes[lane] =
          (rotl(((lanes[lane] ?? 0n) + word(at + lane * 4) * p2) & mask, 13n) * p1) & mask;
      }
    }
    h = [1n, 7n, 12n, 18n].reduce((sum, n, i) => sum + rotl(lanes[i] ?? 0n, n), 0n) & mask;
  }
  h = (h + BigInt(bytes.length)) & mask;
  for (; at + 4 <= bytes.length; at += 4) h = (rotl((h + word(at) * p3) & mask, 17n) * p4) & mask;
  for (; at < bytes.length; at++)
    h = (rotl((h + BigInt(bytes[at] ?? 0) * p5) & mask, 11n) * p1) & mask;
  h = ((h ^ (h >> 15n)) * p2) & mask;
  h = ((h ^ (h >> 13n)) * p3) & mask;
  return Number(h ^ (h >> 16n));
}

function lz4Frame(options: {
  flags: number;
  blocks: readonly Uint8Array[];
  stored?: boolean;
  content: Uint8Array;
}): Uint8Array {
  const descriptor = [options.flags, 0x40];
  if ((options.flags & 8) !== 0)
    descriptor.push(...littleEndian(options.content.length), 0, 0, 0, 0);
  const check = (slowXXH32(Uint8Array.from(descriptor)) >>> 8) & 255;
  const parts: (Uint8Array | number[])[] = [
    [4, 0x22, 0x4d, 0x18],
    [...descriptor, check],
  ];
  for (const block of options.blocks) {
    parts.push(
      littleEndian((options.stored ? block.length | 0x8000_0000 : block.length) >>> 0),
      block,
    );
    if ((options.flags & 16) !== 0) parts.push(littleEndian(slowXXH32(block)));
  }
  parts.push([0, 0, 0, 0]);
  if ((options.flags & 4) !== 0) parts.push(littleEndian(slowXXH32(options.content)));
  return concat(parts);
}

function littleEndian(value: number): number[] {
  return [value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24];
}

function concat(parts: readonly (Uint8Array | number[])[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function makeWAL(
  pageSize: number,
  count: number,
  bigEndian: boolean,
): { frames: Uint8Array; sums: [number, number][] } {
  const frames = new Uint8Array(count * (24 + pageSize));
  const sums: [number, number][] = [];
  let [s0, s1] = [1, 0xffff_fff0];
  for (let i = 0; i < count; i++) {
    const at = i * (24 + pageSize);
    frames.set(noise(i + 1, pageSize), at + 24);
    const view = new DataView(frames.buffer, at, 24 + pageSize);
    view.setUint32(0, i + 1);
    view.setUint32(4, i % 2 === 1 ? 11 + i : 0);
    view.setUint32(8, 0x9000_0001);
    view.setUint32(12, 0xf000_0002);
    for (let p = 0; p < 24 + pageSize; p += 8) {
      if (p >= 8 && p < 24) continue;
      s0 = (s0 + view.getUint32(p, !bigEndian) + s1) >>> 0;
      s1 = (s1 + view.getUint32(p + 4, !bigEndian) + s0) >>> 0;
    }
    view.setUint32(16, s0);
    view.setUint32(20, s1);
    sums.push([s0, s1]);
  }
  return { frames, sums };
}

function mustExist<T>(value: T | null): T {
  assert.ok(value !== null);
  return value;
}

function crcText(k: Kernel, bytes: Uint8Array): string {
  k.scratch.set(bytes);
  return finishCRC64(k.hashScratch(CRC_START, bytes.length)).toString(16).padStart(16, "0");
}

function decodeStatus(k: Kernel, bytes: number[]): number {
  k.input.set(bytes);
  return k.decodeFrames(0, bytes.length, 512, 10, CRC_START);
}

for (const k of kernels) {
  test(`${k.name}: hashPages() gives xxHash64`, () => {
    // Made with libxxhash 0.8.1: 512 zero bytes; the bytes i * 7 + 3 (mod 256) of pages of two sizes.
    assert.equal(hashOf(k, new Uint8Array(512)), "8bbf7f68e8c3b87c");
    assert.equal(hashOf(k, pattern(512)), "6765eddc80089b7b");
    assert.equal(hashOf(k, pattern(4096)), "796398cd432797cc");
  });
}

test("both kernels hash pages alike, and tell pages apart that CRC-64/ISO does not", () => {
  const first = Uint8Array.from({ length: 1024 }, (_, index) => index & 255);
  const second = first.slice();
  // The polynomial itself as a difference, x^64 + x^4 + x^3 + x + 1: three bytes within nine.
  second[0] = (second[0] ?? 0) ^ 0x01;
  second[7] = (second[7] ?? 0) ^ 0xb0;
  second[8] = (second[8] ?? 0) ^ 0x01;
  assert.equal(crcText(wasm, first), crcText(wasm, second));
  for (const k of kernels) {
    assert.notEqual(hashOf(k, first), hashOf(k, second));
  }
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 512, maxLength: 512 }), (page) => {
      assert.equal(hashOf(reference, page), hashOf(wasm, page));
    }),
  );
});

function hashOf(k: Kernel, page: Uint8Array): string {
  // Behind another page, so that offsets count.
  k.input.set(page, page.length);
  k.offsets[0] = 0;
  k.offsets[1] = page.length;
  k.hashPages(2, page.length);
  return (k.states[1] ?? 0n).toString(16).padStart(16, "0");
}

function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => index * 7 + 3);
}
