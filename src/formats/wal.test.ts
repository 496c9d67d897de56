import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { FormatError } from "./format-error.ts";
import { kernel } from "./kernel/kernel.ts";
import {
  decodeWALFrameHeader,
  decodeWALHeader,
  sumWAL,
  WAL_HEADER_SIZE,
  walFrameOffset,
  WALScanner,
} from "./wal.ts";
import type { WALHeader } from "./wal.ts";

const wal = new Uint8Array(readFileSync(new URL("../../test/golden/wal512.wal", import.meta.url)));

test("sumWAL() gives the vectors of the specification", () => {
  const bytes = Uint8Array.from({ length: 16 }, (_, i) => i);
  assert.deepEqual(sumWAL(bytes, false), [0x1814_100c, 0x312a_231c]);
  assert.deepEqual(sumWAL(bytes, true), [0x0c10_1418, 0x1c23_2a31]);
  const header = Buffer.from("377f0682002de21800001000000000004875a40ba38de4f5", "hex");
  assert.deepEqual(sumWAL(header, false), [0xe08b_785b, 0x8e57_dda3]);
  const bigEndian = Buffer.from("377f0683002de21800001000000000004875a40ba38de4f5", "hex");
  assert.deepEqual(sumWAL(bigEndian, true), [0x5e7a_8ae2, 0xa8e1_5790]);
  assert.throws(() => sumWAL(bytes.subarray(0, 12), false), RangeError);
});

test("decodeWALHeader() reads wal512.wal", () => {
  assert.deepEqual(decodeWALHeader(wal), {
    bigEndian: false,
    pageSize: 512,
    checkpointSequence: 0,
    salt1: 0x4875_a40b,
    salt2: 0xa38d_e4f5,
    checksum1: 0xe06f_785b,
    checksum2: 0x8e2d_dda3,
  });
});

test("decodeWALHeader() takes a short header or a wrong checksum as an empty WAL", () => {
  for (let length = 0; length < WAL_HEADER_SIZE; length++) {
    assert.equal(decodeWALHeader(wal.subarray(0, length)), null);
  }
  for (let at = 4; at < WAL_HEADER_SIZE; at++) {
    const copy = wal.slice(0, WAL_HEADER_SIZE);
    copy[at] = (copy[at] ?? 0) ^ 1;
    assert.equal(decodeWALHeader(copy), null, `${at}`);
  }
});

test("decodeWALHeader() refuses other magic, versions and page sizes", () => {
  assert.throws(() => decodeWALHeader(changed(0, 0x377f_0684)), hasKind("bad-magic"));
  assert.throws(() => decodeWALHeader(new Uint8Array(32)), hasKind("bad-magic"));
  assert.throws(() => decodeWALHeader(changed(4, 3_007_001)), hasKind("unsupported"));
  assert.throws(() => decodeWALHeader(changed(8, 1000)), hasKind("bad-page-size"));
});

test("decodeWALFrameHeader() reads the frames of wal512.wal", () => {
  const expected = [
    [1, 0, 0x0b2f_349d, 0xf2a6_dd04],
    [2, 2, 0x500d_9409, 0xb45f_dca1],
    [1, 0, 0x08bf_09cc, 0x8ecf_031a],
    [3, 3, 0xe0cc_1800, 0x5e1a_2f6a],
  ];
  expected.forEach(([pgno, commit, checksum1, checksum2], i) => {
    const header = decodeWALFrameHeader(wal.subarray(walFrameOffset(i, 512)));
    assert.deepEqual(header, {
      pgno,
      commit,
      salt1: 0x4875_a40b,
      salt2: 0xa38d_e4f5,
      checksum1,
      checksum2,
    });
  });
  assert.throws(() => decodeWALFrameHeader(wal.subarray(0, 23)), hasKind("truncated"));
});

test("WALScanner goes on from any frame", () => {
  const header = decodeWALHeader(wal) as WALHeader;
  for (let first = 0; first <= 4; first++) {
    const before =
      first === 0 ? header : decodeWALFrameHeader(wal.subarray(walFrameOffset(first - 1, 512)));
    const scanner = new WALScanner({
      ...header,
      checksum1: before.checksum1,
      checksum2: before.checksum2,
    });
    scanner.frames().set(wal.subarray(walFrameOffset(first, 512)));
    assert.equal(scanner.scan(4 - first), 4 - first);
    assert.deepEqual([scanner.checksum1, scanner.checksum2], [0xe0cc_1800, 0x5e1a_2f6a]);
  }
});

test("WALScanner stops at the first frame that breaks the chain and can go on later", () => {
  const header = decodeWALHeader(wal) as WALHeader;
  const scanner = new WALScanner(header);
  const frames = wal.slice(WAL_HEADER_SIZE);
  frames[2 * 536 + 100] = 1;
  scanner.frames().set(frames);
  assert.equal(scanner.scan(4), 2);
  assert.equal(scanner.count, 2);
  assert.deepEqual([...scanner.commits.subarray(0, 2)], [0, 2]);
  scanner.frames().set(wal.subarray(walFrameOffset(2, 512)));
  assert.equal(scanner.scan(2), 2);
  assert.deepEqual([...scanner.pgnos.subarray(0, 2)], [1, 3]);
});

test("WALScanner keeps page numbers when others use the kernel, and tells when its frames are gone", () => {
  const scanner = new WALScanner(decodeWALHeader(wal) as WALHeader);
  scanner.frames().set(wal.subarray(WAL_HEADER_SIZE));
  assert.equal(scanner.scan(4), 4);
  kernel().pgnos.fill(99);
  assert.deepEqual([...scanner.pgnos.subarray(0, 4)], [1, 2, 1, 3]);
  kernel().owner = null;
  assert.throws(() => scanner.scan(4), /Kernel was used by another/);
});

test("WALScanner holds whole frames of every page size", () => {
  for (const pageSize of [512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536]) {
    const scanner = new WALScanner({
      pageSize,
      bigEndian: false,
      salt1: 0,
      salt2: 0,
      checksum1: 0,
      checksum2: 0,
    });
    assert.ok(scanner.capacityFrames >= 16);
    assert.equal(scanner.frames().length, scanner.capacityFrames * (pageSize + 24));
    assert.throws(() => scanner.scan(scanner.capacityFrames + 1), RangeError);
  }
  assert.throws(
    () =>
      new WALScanner({
        pageSize: 1000,
        bigEndian: false,
        salt1: 0,
        salt2: 0,
        checksum1: 0,
        checksum2: 0,
      }),
    RangeError,
  );
});

function hasKind(kind: string): (error: unknown) => boolean {
  return (error) => error instanceof FormatError && error.kind === kind;
}

function changed(offset: number, value: number): Uint8Array {
  const copy = wal.slice(0, WAL_HEADER_SIZE);
  const view = new DataView(copy.buffer);
  view.setUint32(offset, value);
  const [sum1, sum2] = sumWAL(copy.subarray(0, 24), false);
  view.setUint32(24, sum1);
  view.setUint32(28, sum2);
  return copy;
}
