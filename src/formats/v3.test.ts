import assert from "node:assert/strict";
import { test } from "node:test";

import {
  formatV3Pos,
  formatV3SegmentName,
  formatV3SnapshotName,
  isV3Generation,
  parseV3Path,
  parseV3SegmentName,
  parseV3SnapshotName,
} from "./v3.ts";

test("isV3Generation() takes 16 lower-case hex digits", () => {
  assert.equal(isV3Generation("0123456789abcdef"), true);
  for (const name of ["0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF", ""]) {
    assert.equal(isV3Generation(name), false);
  }
});

test("parseV3SnapshotName() reads what formatV3SnapshotName() writes", () => {
  for (const index of [0, 1, 0x7fff_ffff]) {
    assert.equal(parseV3SnapshotName(formatV3SnapshotName(index)), index);
  }
  for (const name of [
    "80000000.snapshot.lz4",
    "1.snapshot.lz4",
    "00000001.snapshot.lz4.tmp",
    "0000000A.snapshot.lz4",
  ]) {
    assert.equal(parseV3SnapshotName(name), null, name);
  }
});

test("parseV3SegmentName() reads offsets beyond 4 GiB", () => {
  for (const offset of [0, 4152, 0xffff_ffff, 0x1_0000_0000, 2 ** 50]) {
    assert.deepEqual(parseV3SegmentName(formatV3SegmentName({ index: 7, offset })), {
      index: 7,
      offset,
    });
  }
  assert.equal(
    formatV3SegmentName({ index: 10, offset: 0x1_0000_0000 }),
    "0000000a_100000000.wal.lz4",
  );
  for (const name of [
    "80000000_00000000.wal.lz4",
    "00000000_0000000.wal.lz4",
    "00000000_ffffffffffffffff.wal.lz4",
    "00000000.wal.lz4",
  ]) {
    assert.equal(parseV3SegmentName(name), null, name);
  }
});

test("formatV3Pos() pads index and offset", () => {
  assert.equal(
    formatV3Pos("0123456789abcdef", 1, 4152),
    "0123456789abcdef/00000001:0000000000001038",
  );
});

test("parseV3Path() tells snapshots, segments and anything else apart", () => {
  const generation = "0123456789abcdef";
  const folder = `generations/${generation}`;
  assert.deepEqual(parseV3Path(`${folder}/snapshots/0000000a.snapshot.lz4`), {
    kind: "snapshot",
    generation,
    index: 10,
  });
  assert.deepEqual(parseV3Path(`${folder}/wal/0000000a_100000000.wal.lz4`), {
    kind: "segment",
    generation,
    index: 10,
    offset: 0x1_0000_0000,
  });
  for (const path of [
    `${folder}/wal/0000000a.snapshot.lz4`,
    `${folder}/snapshots/0000000a_00000000.wal.lz4`,
    `${folder}/wal/deeper/0000000a_00000000.wal.lz4`,
    `${folder}/wal/0000000a_00000000.wal.lz4.tmp`,
    `${folder}/other/0000000a.snapshot.lz4`,
    "generations/0123/snapshots/0000000a.snapshot.lz4",
    "elsewhere/0123456789abcdef/snapshots/0000000a.snapshot.lz4",
  ]) {
    assert.equal(parseV3Path(path), null, path);
  }
});
