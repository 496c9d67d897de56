import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";

import { concatBytes } from "../../test/formats/craft-ltx.ts";
import { noise, samplePage } from "../../test/formats/sample-pages.ts";
import { FormatError } from "./format-error.ts";
import { byteView, compressBlock, lz4Bound } from "./kernel/lz4.ts";
import { XXH32, xxh32 } from "./kernel/xxh32.ts";
import { LZ4FrameDecoder } from "./lz4-frame.ts";

const lz4js = createRequire(import.meta.url)("lz4js") as {
  compress(source: Uint8Array): Uint8Array;
};

test("xxh32() gives the published check values", () => {
  assert.equal(hash(new TextEncoder().encode("")), 0x02cc_5d05);
  assert.equal(hash(new TextEncoder().encode("a")), 0x550d_7456);
  assert.equal(hash(new TextEncoder().encode("abc")), 0x32d1_53ff);
  assert.equal(hash(new TextEncoder().encode("abcdefghijklmnopqrstuvwxyz0123456789")), 0x42ae_804d);
});

test("XXH32 gives the same for pieces of any length", () => {
  const bytes = noise(5, 1000);
  const { view } = byteView(bytes);
  const whole = xxh32(view, 0, 1000);
  for (const size of [1, 3, 15, 16, 17, 100]) {
    const running = new XXH32();
    for (let at = 0; at < 1000; at += size) running.update(view, at, Math.min(size, 1000 - at));
    assert.equal(running.digest(), whole);
  }
});

test("LZ4FrameDecoder decodes what lz4js encoded, in chunks of any size", () => {
  for (const size of [0, 1, 100, 5000, 300_000, 5_000_000]) {
    const content = concatBytes([samplePage("rows", size, 3), noise(4, size === 0 ? 0 : 70)]);
    const frame = lz4js.compress(content);
    for (const chunkSize of [1, 7, 65_536, 10_000_000]) {
      if (chunkSize < 100 && size > 5000) continue;
      assert.deepEqual(decode(frame, chunkSize), content, `${size} in ${chunkSize}`);
    }
  }
});

test("LZ4FrameDecoder decodes linked blocks that refer to earlier ones", () => {
  const page = noise(8, 1000);
  const first = compress(page);
  // A match of 1000 bytes at distance 1000: all of it lies in the block before.
  const second = Uint8Array.of(
    0x0f,
    1000 & 255,
    1000 >> 8,
    255,
    255,
    255,
    1000 - 4 - 15 - 3 * 255,
    0x00,
  );
  const content = concatBytes([page, page]);
  assert.deepEqual(decode(frameOf(0x44, [first, second], content), 50), content);
  assert.throws(() => decode(frameOf(0x64, [first, second], content), 50), hasKind("bad-lz4"));
});

test("LZ4FrameDecoder keeps 64 KiB of history over many linked blocks", () => {
  const unit = noise(9, 40_000);
  const content = concatBytes([unit, unit, unit, unit]);
  assert.deepEqual(
    decode(
      frameOf(0x44, [compress(unit), again(40_000), again(40_000), again(40_000)], content),
      999,
    ),
    content,
  );
});

test("LZ4FrameDecoder refuses damaged frames by name", () => {
  const content = samplePage("rows", 3000, 1);
  const frame = frameOf(0x7c, [compress(content)], content);
  assert.deepEqual(decode(frame, 100), content);
  for (let length = 0; length < frame.length; length++) {
    assert.throws(() => decode(frame.subarray(0, length), 4096), hasKind("truncated"));
  }
  assert.throws(
    () => decode(concatBytes([frame, Uint8Array.of(0)]), 4096),
    hasKind("trailing-data"),
  );
  for (let bit = 0; bit < frame.length * 8; bit++) {
    const copy = frame.slice();
    copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assert.throws(() => decode(copy, 4096), FormatError, `bit ${bit}`);
  }
  assert.throws(
    () => decode(frameOf(0x65, [compress(content)], content), 99),
    hasKind("unsupported"),
  );
  assert.throws(
    () => decode(frameOf(0x64, [compress(content)], content.subarray(1)), 99),
    hasKind("content-checksum"),
  );
  assert.throws(
    () => decode(frameOf(0x6c, [compress(content)], content.subarray(1)), 99),
    hasKind("page-length"),
  );
  const huge = frameOf(0x64, [], content).subarray(0, 7);
  assert.throws(
    () => decode(concatBytes([huge, Uint8Array.of(1, 0, 1, 0)]), 99),
    hasKind("bad-lz4"),
  );
});

function decode(frame: Uint8Array, chunkSize: number): Uint8Array {
  const decoder = new LZ4FrameDecoder();
  const parts: Uint8Array[] = [];
  for (let at = 0; at < frame.length; at += chunkSize) {
    for (const bytes of decoder.push(frame.subarray(at, at + chunkSize))) parts.push(bytes.slice());
  }
  decoder.end();
  return concatBytes(parts);
}

function compress(content: Uint8Array): Uint8Array {
  const target = byteView(new Uint8Array(lz4Bound(content.length) + 8));
  const padded = byteView(concatBytes([content, new Uint8Array(8)]));
  return target.bytes.subarray(0, compressBlock(padded, 0, content.length, target, 0));
}

function frameOf(flags: number, blocks: readonly Uint8Array[], content: Uint8Array): Uint8Array {
  const size = (flags & 8) === 0 ? [] : [word(content.length), word(0)];
  const descriptor = concatBytes([Uint8Array.of(flags, 0x40), ...size]);
  const parts = [word(0x184d_2204), descriptor, Uint8Array.of((hash(descriptor) >>> 8) & 255)];
  for (const block of blocks) {
    parts.push(word(block.length), block);
    if ((flags & 16) !== 0) parts.push(word(hash(block)));
  }
  parts.push(word(0));
  if ((flags & 4) !== 0) parts.push(word(hash(content)));
  return concatBytes(parts);
}

function hasKind(kind: string): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof FormatError, String(error));
    assert.equal(error.kind, kind, error.message);
    return true;
  };
}

/** A block that repeats what lies 40 000 bytes before. */
function again(length: number): Uint8Array {
  const rest = length - 4 - 15;
  return Uint8Array.of(
    0x0f,
    40_000 & 255,
    40_000 >> 8,
    ...Array.from({ length: Math.floor(rest / 255) }, () => 255),
    rest % 255,
    0,
  );
}

/** Little-endian. */
function word(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

function hash(bytes: Uint8Array): number {
  return xxh32(byteView(bytes).view, 0, bytes.length);
}
