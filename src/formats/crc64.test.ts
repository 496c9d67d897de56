import assert from "node:assert/strict";
import { test } from "node:test";

import { noise } from "../../test/formats/sample-pages.ts";
import { CRC_START, crc64, finishCRC64, storedChecksum, updateCRC64 } from "./crc64.ts";

test("crc64() gives the check values of CRC-64/ISO", () => {
  assert.equal(crc64(new Uint8Array(0)), 0n);
  assert.equal(crc64(Uint8Array.of(0)), 0x6f90_0000_0000_0000n);
  assert.equal(crc64(new TextEncoder().encode("123456789")), 0xb909_56c7_75a4_1001n);
});

test("updateCRC64() continues over pieces, longer than scratch memory too", () => {
  const bytes = noise(3, 200_000);
  for (const split of [0, 1, 65_536, 65_537, 199_999]) {
    const state = updateCRC64(
      updateCRC64(CRC_START, bytes.subarray(0, split)),
      bytes.subarray(split),
    );
    assert.equal(finishCRC64(state), crc64(bytes));
  }
});

test("storedChecksum() gives the page checksums of the specification", () => {
  assert.equal(pageChecksum(1, 1), 0xe4e4_aaa1_0237_7eeen);
  assert.equal(pageChecksum(2, 2), 0xc9c9_5542_3104_4dddn);
  assert.equal(pageChecksum(3, 3), 0xc2d2_001c_dfea_a333n);
  assert.equal(pageChecksum(1, 0x32), 0xc6e5_7aa1_0237_7eeen);
});

function pageChecksum(pgno: number, byte: number): bigint {
  const bytes = new Uint8Array(516).fill(byte);
  new DataView(bytes.buffer).setUint32(0, pgno);
  return storedChecksum(updateCRC64(CRC_START, bytes));
}
