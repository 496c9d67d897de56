/** xxHash64 with seed 0 of whole pages, in plain TypeScript (github.com/Cyan4973/xxHash, doc/xxhash_spec.md). */

const P1 = 0x9e37_79b1_85eb_ca87n;
const P2 = 0xc2b2_ae3d_27d4_eb4fn;
const P3 = 0x1656_67b1_9e37_79f9n;
const P4 = 0x85eb_ca77_c2b2_ae63n;

/** The hash of `bytes`, whose length must be a multiple of 32, as that of a page is. */
export function xxh64(bytes: Uint8Array): bigint {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const lanes = [wrap(P1 + P2), P2, 0n, wrap(-P1)];
  for (let offset = 0; offset < bytes.length; offset += 8) {
    const lane = (offset >> 3) & 3;
    lanes[lane] = round(lanes[lane] ?? 0n, view.getBigUint64(offset, true));
  }
  let hash = 0n;
  for (const [index, shift] of [1n, 7n, 12n, 18n].entries()) {
    hash = wrap(hash + rotate(lanes[index] ?? 0n, shift));
  }
  for (const lane of lanes) hash = wrap((hash ^ round(0n, lane)) * P1 + P4);
  hash = wrap(hash + BigInt(bytes.length));
  hash = wrap((hash ^ (hash >> 33n)) * P2);
  hash = wrap((hash ^ (hash >> 29n)) * P3);
  return hash ^ (hash >> 32n);
}

function round(lane: bigint, input: bigint): bigint {
  return wrap(rotate(wrap(lane + input * P2), 31n) * P1);
}

function rotate(value: bigint, bits: bigint): bigint {
  return wrap(value << bits) | (value >> (64n - bits));
}

function wrap(value: bigint): bigint {
  return BigInt.asUintN(64, value);
}
