// xxHash64 with seed 0, of whole pages: a page is a multiple of 32 bytes, so there is no rest to handle.
import { INPUT, OFFSETS, STATES } from "./memory";

const P1: u64 = 0x9e3779b185ebca87;
const P2: u64 = 0xc2b2ae3d27d4eb4f;
const P3: u64 = 0x165667b19e3779f9;
const P4: u64 = 0x85ebca77c2b2ae63;

/** Hashes `count` raw pages at INPUT + OFFSETS[i] to STATES. */
export function hashPages(count: u32, pageSize: u32): void {
  for (let i: usize = 0; i < <usize>count; i++) {
    store<u64>(STATES + (i << 3), hashPage(INPUT + load<u32>(OFFSETS + (i << 2)), pageSize));
  }
}

// @ts-ignore: decorator
@inline
function round(lane: u64, input: u64): u64 {
  return rotl<u64>(lane + input * P2, 31) * P1;
}

// @ts-ignore: decorator
@inline
function merge(hash: u64, lane: u64): u64 {
  return (hash ^ round(0, lane)) * P1 + P4;
}

function hashPage(p: usize, pageSize: u32): u64 {
  const end = p + pageSize;
  let a = P1 + P2;
  let b = P2;
  let c: u64 = 0;
  let d: u64 = 0 - P1;
  for (; p < end; p += 32) {
    a = round(a, load<u64>(p));
    b = round(b, load<u64>(p, 8));
    c = round(c, load<u64>(p, 16));
    d = round(d, load<u64>(p, 24));
  }
  let h = rotl<u64>(a, 1) + rotl<u64>(b, 7) + rotl<u64>(c, 12) + rotl<u64>(d, 18);
  h = merge(merge(merge(merge(h, a), b), c), d) + pageSize;
  h = (h ^ (h >> 33)) * P2;
  h = (h ^ (h >> 29)) * P3;
  return h ^ (h >> 32);
}
