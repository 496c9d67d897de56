// SQLite WAL frames (formats §8): salts and running checksum.
import { INPUT, PGNOS, RESULT, SIZES } from "./memory";

const FRAME_HEADER_SIZE: usize = 24;

/** How many of the first `count` frames at INPUT continue the chain. */
export function scanWAL(count: u32, pageSize: u32, bigEndian: bool, salt1: u32, salt2: u32, sum1: u32, sum2: u32): u32 {
  let p = INPUT;
  let i: usize = 0;
  for (; i < <usize>count; i++) {
    if (bswap(load<u32>(p, 8)) != salt1 || bswap(load<u32>(p, 12)) != salt2) break;
    let x = sum1;
    let y = sum2;
    const body = p + FRAME_HEADER_SIZE;
    const end = body + pageSize;
    // The chain of additions is what takes time: the sums are associated so that only two of each three depend on the step before.
    if (bigEndian) {
      x = bswap(load<u32>(p)) + x + y;
      y = bswap(load<u32>(p, 4)) + y + x;
      const swap = i8x16(3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12);
      for (let q = body; q < end; q += 16) {
        const words = i8x16.swizzle(v128.load(q), swap);
        x = i32x4.extract_lane(words, 0) + x + y;
        y = i32x4.extract_lane(words, 1) + y + x;
        x = i32x4.extract_lane(words, 2) + x + y;
        y = i32x4.extract_lane(words, 3) + y + x;
      }
    } else {
      x = load<u32>(p) + x + y;
      y = load<u32>(p, 4) + y + x;
      for (let q = body; q < end; q += 16) {
        x = load<u32>(q) + x + y;
        y = load<u32>(q, 4) + y + x;
        x = load<u32>(q, 8) + x + y;
        y = load<u32>(q, 12) + y + x;
      }
    }
    if (bswap(load<u32>(p, 16)) != x || bswap(load<u32>(p, 20)) != y) break;
    sum1 = x;
    sum2 = y;
    store<u32>(PGNOS + (i << 2), bswap(load<u32>(p)));
    store<u32>(SIZES + (i << 2), bswap(load<u32>(p, 4)));
    p = end;
  }
  store<u32>(RESULT, sum1, 20);
  store<u32>(RESULT, sum2, 24);
  return <u32>i;
}
