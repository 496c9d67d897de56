import assert from "node:assert/strict";
import { test } from "node:test";

import { formatLTXName, levelFolder, levelHexFolder, parseLTXName } from "./layout.ts";
import { formatTXID, MAX_TXID, parseTXID } from "./txid.ts";

test("parseLTXName() reads what formatLTXName() writes", () => {
  assert.equal(formatLTXName(1n, 255n), "0000000000000001-00000000000000ff.ltx");
  for (const [minTXID, maxTXID] of [
    [1n, 1n],
    [1n, MAX_TXID],
    [16n, 4096n],
  ] as const) {
    assert.deepEqual(parseLTXName(formatLTXName(minTXID, maxTXID)), { minTXID, maxTXID });
  }
});

test("parseLTXName() ignores every other name", () => {
  const names = [
    "0000000000000001-0000000000000001.ltx.tmp",
    "0000000000000001-0000000000000001.LTX",
    "000000000000000A-000000000000000A.ltx",
    "0000000000000001.ltx",
    "0000000000000000-0000000000000001.ltx",
    "0000000000000002-0000000000000001.ltx",
    "x0000000000000001-0000000000000001.ltx",
    "",
  ];
  for (const name of names) assert.equal(parseLTXName(name), null, name);
});

test("levelFolder() and levelHexFolder() name the folder of a level", () => {
  assert.equal(levelFolder(0), "ltx/0");
  assert.equal(levelFolder(9), "ltx/9");
  assert.equal(levelHexFolder(0), "0000");
  assert.equal(levelHexFolder(9), "0009");
});

test("parseTXID() reads 16 lower-case hex digits and nothing else", () => {
  for (const txid of [0n, 1n, MAX_TXID]) assert.equal(parseTXID(formatTXID(txid)), txid);
  for (const text of ["", "1", "000000000000000A", "0x00000000000001", "00000000000000001"]) {
    assert.throws(() => parseTXID(text), SyntaxError);
  }
  assert.throws(() => formatTXID(-1n), RangeError);
  assert.throws(() => formatTXID(MAX_TXID + 1n), RangeError);
});
