/** The files in test/golden, written by the real LTX encoder, field by field (formats §3). */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { FormatError } from "../format-error.ts";
import { decodeWALHeader, WAL_HEADER_SIZE, WALScanner } from "../wal.ts";
import { LTXDecoder, verifyLTX } from "./decoder.ts";
import { LTXEncoder } from "./encoder.ts";
import { createLTXHeader, decodeLTXHeader, encodeLTXHeader } from "./header.ts";
import { mergeLTX } from "./merge.ts";
import type { PageIndex } from "./page-index.ts";

const NAMES = [
  "snap512_nochk.ltx",
  "incr512_nochk.ltx",
  "compacted512.ltx",
  "snap512_chk.ltx",
  "decoder_test_1024.ltx",
  "zerocommit_chk.ltx",
  "legacy512.ltx",
];

test("golden files are those that the specification describes", () => {
  const sums: Record<string, string> = {
    "compacted512.ltx": "6907dbbb521b7d1d3989f2eb3346c284bb58b6b9f0111d2db0552b85dbf09708",
    "decoder_test_1024.ltx": "b0f53a8b5b1d16b107e9355a6ec7c4a31eb367923649bdb065acce29ea517abb",
    "incr512_nochk.ltx": "cc553cb280b8680534f1f6066b4019b0933fe9e8e3d067e92351bceb612b9397",
    "legacy512.ltx": "0ea96182f00b262443df76d79da440fe954b1f025edf36b4ed45a0de1924604e",
    "snap512_chk.ltx": "7896077c4679d2e656459ea3d0b9a48371225217dc9adfbe90a2f4d6e0fc6061",
    "snap512_nochk.ltx": "5eaa39e710ef31e2db3e6a798e5818ac06364eb685ae7f73bd0d5225b97968ff",
    "zerocommit_chk.ltx": "166f7a1ff1eb54f09c51e725a3fb09462b9760eab8a83c3fa4eb8e00445e05ea",
    "wal512.wal": "276bd3a50813a40d82c9e163dd7a74379846466f1c06a5dd78f4cd9b840f6bf2",
  };
  for (const [name, sum] of Object.entries(sums)) {
    assert.equal(createHash("sha256").update(golden(name)).digest("hex"), sum, name);
  }
});

test("verifyLTX() reads snap512_nochk.ltx", () => {
  const file = verifyLTX([golden("snap512_nochk.ltx")]);
  assert.deepEqual(file.header, {
    flags: 2,
    pageSize: 512,
    commit: 2,
    minTXID: 1n,
    maxTXID: 1n,
    timestampMs: 1_700_000_000_000,
    preApplyChecksum: 0n,
    walOffset: 32,
    walSize: 1072,
    walSalt1: 0x4875_a40b,
    walSalt2: 0xa38d_e4f5,
    nodeID: 0n,
  });
  assert.equal(file.pageCount, 2);
  assert.equal(file.sizeBytes, 206);
  assert.equal(file.postApplyChecksum, 0n);
  assert.equal(file.fileChecksum, 0xb230_d56f_6af7_8129n);
  assert.deepEqual([...file.index.pgnos], [1, 2]);
  assert.deepEqual([...file.index.offsets], [100, 134]);
  assert.deepEqual([...file.index.sizes], [34, 34]);
  assert.deepEqual(readPages("snap512_nochk.ltx"), { 1: filled(512, "2"), 2: filled(512, "3") });
});

test("verifyLTX() reads incr512_nochk.ltx", () => {
  const file = verifyLTX([golden("incr512_nochk.ltx")]);
  assert.equal(file.header.commit, 3);
  assert.equal(file.header.minTXID, 2n);
  assert.equal(file.header.maxTXID, 2n);
  assert.equal(file.header.timestampMs, 0x18bcfe56be8);
  assert.equal(file.header.walOffset, 0x450);
  assert.equal(file.header.walSize, 0x430);
  assert.equal(file.fileChecksum, 0x8f08_d160_e65b_42dan);
  assert.deepEqual(readPages("incr512_nochk.ltx"), { 1: filled(512, "3"), 3: filled(512, "2") });
});

test("verifyLTX() reads compacted512.ltx", () => {
  const file = verifyLTX([golden("compacted512.ltx")]);
  assert.equal(file.header.commit, 3);
  assert.equal(file.header.minTXID, 1n);
  assert.equal(file.header.maxTXID, 2n);
  assert.equal(file.header.walOffset, 0);
  assert.equal(file.fileChecksum, 0xebfc_8b09_c02b_7eben);
  assert.deepEqual([...file.index.offsets], [100, 134, 168]);
});

test("verifyLTX() proves the database checksum of tracked snapshots", () => {
  const file = verifyLTX([golden("snap512_chk.ltx")]);
  assert.equal(file.header.flags, 0);
  assert.equal(file.header.timestampMs, 1000);
  assert.equal(file.postApplyChecksum, 0x8b87_423e_eeee_eeeen);
  assert.equal(file.fileChecksum, 0xf0c5_cec1_a621_4b70n);
  const other = verifyLTX([golden("decoder_test_1024.ltx")]);
  assert.equal(other.header.pageSize, 1024);
  assert.equal(other.postApplyChecksum, 0xe189_9b6d_587a_aaaan);
  assert.equal(other.fileChecksum, 0xf86f_cff3_6247_df82n);
  assert.deepEqual([...other.index.sizes], [36, 36]);
});

test("verifyLTX() reads zerocommit_chk.ltx", () => {
  const file = verifyLTX([golden("zerocommit_chk.ltx")]);
  assert.equal(file.header.commit, 0);
  assert.equal(file.header.minTXID, 5n);
  assert.equal(file.header.maxTXID, 6n);
  assert.equal(file.header.preApplyChecksum, 0x8000_0000_0000_0005n);
  assert.equal(file.postApplyChecksum, 0x8000_0000_0000_0000n);
  assert.equal(file.fileChecksum, 0xb495_be34_f10e_2d36n);
  assert.equal(file.pageCount, 0);
});

test("verifyLTX() reads legacy512.ltx", () => {
  const file = verifyLTX([golden("legacy512.ltx")]);
  assert.equal(file.fileChecksum, 0xb4f7_2337_87b5_5d7en);
  assert.deepEqual([...file.index.sizes], [49, 49]);
  assert.deepEqual(readPages("legacy512.ltx"), { 1: filled(512, "2"), 2: filled(512, "3") });
});

for (const name of NAMES) {
  test(`decodeLTXHeader() and encodeLTXHeader() give back the header of ${name}`, () => {
    const bytes = golden(name).subarray(0, 100);
    assert.deepEqual(encodeLTXHeader(decodeLTXHeader(bytes)), bytes);
  });

  test(`LTXDecoder reads ${name} in chunks of every size`, () => {
    const bytes = golden(name);
    const whole = verifyLTX([bytes]);
    for (let size = 1; size <= bytes.length; size += size < 60 ? 1 : 13) {
      const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
        bytes.subarray(i * size, (i + 1) * size),
      );
      assert.deepEqual(verifyLTX(chunks), whole);
    }
  });

  test(`LTXDecoder refuses ${name} truncated anywhere, or with a byte more`, () => {
    const bytes = golden(name);
    for (let length = 0; length < bytes.length; length++) {
      assert.throws(
        () => verifyLTX([bytes.subarray(0, length)]),
        hasKind("truncated"),
        `${length}`,
      );
    }
    const longer = new Uint8Array(bytes.length + 1);
    longer.set(bytes);
    assert.throws(() => verifyLTX([longer]), hasKind("trailing-data"));
    assert.throws(() => verifyLTX([bytes, new Uint8Array(1)]), hasKind("trailing-data"));
  });

  test(`LTXDecoder refuses ${name} with any bit flipped that changes what the file says`, () => {
    const bytes = golden(name).slice();
    const { index, ...summary } = verifyLTX([bytes]);
    const pages = pagesOf(bytes);
    let accepted = 0;
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const at = bit >> 3;
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit & 7));
      const error = failureOf(() => verifyLTX([bytes]));
      if (error === undefined) {
        // The file checksum covers raw pages, not compressed bytes: other bytes may stand for the same page.
        accepted++;
        assert.ok(isCompressed(index, at), `bit ${bit} outside of compressed bytes`);
        assert.deepEqual(pagesOf(bytes), pages);
        const { index: indexNow, ...summaryNow } = verifyLTX([bytes]);
        assert.deepEqual(summaryNow, summary);
        assert.deepEqual(indexNow, index);
      } else {
        assert.ok(error instanceof FormatError, `bit ${bit}`);
      }
      bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit & 7));
    }
    assert.ok(accepted <= index.count * 24, `${accepted} flips accepted`);
  });
}

test("LTXEncoder writes the fields of snap512_nochk.ltx from wal512.wal", () => {
  const wal = golden("wal512.wal");
  const header = decodeWALHeader(wal);
  assert.ok(header);
  assert.deepEqual([header.checksum1, header.checksum2], [0xe06f_785b, 0x8e2d_dda3]);
  const scanner = new WALScanner(header);
  scanner.frames().set(wal.subarray(WAL_HEADER_SIZE));
  assert.equal(scanner.scan(4), 4);
  assert.deepEqual([...scanner.pgnos.subarray(0, 4)], [1, 2, 1, 3]);
  assert.deepEqual([...scanner.commits.subarray(0, 4)], [0, 2, 0, 3]);
  assert.deepEqual([scanner.checksum1, scanner.checksum2], [0xe0cc_1800, 0x5e1a_2f6a]);

  const salts = { walSalt1: header.salt1, walSalt2: header.salt2, pageSize: 512 };
  const first = createLTXHeader({
    ...salts,
    commit: 2,
    minTXID: 1n,
    maxTXID: 1n,
    timestampMs: 1_700_000_000_000,
    walOffset: 32,
    walSize: 1072,
  });
  const second = createLTXHeader({
    ...salts,
    commit: 3,
    minTXID: 2n,
    maxTXID: 2n,
    timestampMs: 1_700_000_001_000,
    walOffset: 1104,
    walSize: 1072,
  });
  const snapshot = encodeFrames(new LTXEncoder(first), scanner, [0, 1]);
  const increment = encodeFrames(new LTXEncoder(second), scanner, [2, 3]);
  // Block sizes may differ between compressors; the header and the pages may not.
  assert.deepEqual(snapshot.subarray(0, 100), golden("snap512_nochk.ltx").subarray(0, 100));
  assert.deepEqual(increment.subarray(0, 100), golden("incr512_nochk.ltx").subarray(0, 100));
  assert.deepEqual(pagesOf(snapshot), readPages("snap512_nochk.ltx"));
  assert.deepEqual(pagesOf(increment), readPages("incr512_nochk.ltx"));
});

test("mergeLTX() merges snap512 and incr512 to compacted512, byte for byte", async () => {
  const inputs = ["snap512_nochk.ltx", "incr512_nochk.ltx"].map((name, i) => ({
    minTXID: BigInt(i + 1),
    maxTXID: BigInt(i + 1),
    open: async function* () {
      yield golden(name);
    },
  }));
  const chunks = await Array.fromAsync(mergeLTX(inputs));
  assert.deepEqual(new Uint8Array(Buffer.concat(chunks)), golden("compacted512.ltx"));
});

function golden(name: string): Uint8Array {
  return new Uint8Array(readFileSync(new URL(`../../../test/golden/${name}`, import.meta.url)));
}

function filled(size: number, char: string): Uint8Array {
  return new Uint8Array(size).fill(char.charCodeAt(0));
}

function readPages(name: string): Record<number, Uint8Array> {
  return pagesOf(golden(name));
}

function pagesOf(bytes: Uint8Array): Record<number, Uint8Array> {
  const decoder = new LTXDecoder();
  const pages: Record<number, Uint8Array> = {};
  decoder.push(bytes);
  for (let batch = decoder.read(); batch !== null; batch = decoder.read()) {
    const pageSize = decoder.header?.pageSize ?? 0;
    for (let i = 0; i < batch.count; i++) {
      pages[batch.pgnos[i] ?? 0] = batch.pages.slice(i * pageSize, (i + 1) * pageSize);
    }
  }
  decoder.end();
  return pages;
}

function encodeFrames(encoder: LTXEncoder, scanner: WALScanner, frames: number[]): Uint8Array {
  const parts = [encoder.begin()];
  parts.push(encoder.encodeWALFrames(scanner, Uint32Array.from(frames), frames.length).slice());
  parts.push(...encoder.finish());
  return new Uint8Array(Buffer.concat(parts));
}

function isCompressed(index: PageIndex, at: number): boolean {
  for (let i = 0; i < index.count; i++) {
    const start = (index.offsets[i] ?? 0) + 6;
    if (at >= start && at < start - 6 + (index.sizes[i] ?? 0)) return true;
  }
  return false;
}

function failureOf(action: () => unknown): unknown {
  try {
    action();
    return undefined;
  } catch (error) {
    return error;
  }
}

function hasKind(kind: string): (error: unknown) => boolean {
  return (error) => error instanceof FormatError && error.kind === kind;
}
