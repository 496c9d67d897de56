import assert from "node:assert/strict";
import { test } from "node:test";

import { uvarint } from "../../test/formats/craft-ltx.ts";
import { UvarintReader } from "./bytes.ts";
import { FormatError } from "./format-error.ts";

test("UvarintReader reads the vectors of the specification", () => {
  const vectors: [number, string][] = [
    [0, "00"],
    [127, "7f"],
    [128, "8001"],
    [134, "8601"],
    [300, "ac02"],
    [16_383, "ff7f"],
    [16_384, "808001"],
    [262_145, "818010"],
    [2 ** 31, "8080808008"],
    [Number.MAX_SAFE_INTEGER, "ffffffffffffff0f"],
  ];
  const all = vectors.flatMap(([, hex]) => [...fromHex(hex)]);
  const reader = new UvarintReader(Uint8Array.from(all));
  for (const [value] of vectors) assert.equal(reader.read(), value);
  assert.equal(reader.at, all.length);
});

test("UvarintReader reads what the format writes", () => {
  for (let bits = 0; bits <= 53; bits++) {
    for (const value of [2 ** bits - 1, 2 ** bits].filter((n) => n <= Number.MAX_SAFE_INTEGER)) {
      assert.equal(new UvarintReader(uvarint(BigInt(value))).read(), value);
    }
  }
});

test("UvarintReader refuses what is cut, too large or longer than need be", () => {
  assert.equal(kindOf(""), "truncated");
  assert.equal(kindOf("80"), "truncated");
  assert.equal(kindOf("8000"), "bad-varint");
  assert.equal(kindOf("ffffffffffffff1f"), "bad-varint");
  assert.equal(kindOf("ffffffffffffffff7f"), "bad-varint");
  assert.equal(kindOf("ffffffffffffffffffff01"), "bad-varint");
});

function fromHex(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, "hex"));
}

function kindOf(hex: string): string {
  try {
    new UvarintReader(fromHex(hex)).read();
    return "ok";
  } catch (error) {
    return error instanceof FormatError ? error.kind : String(error);
  }
}
