// LZ4 blocks of at most 64 KiB, so that positions fit 16 bits.

const HASH_BITS: u32 = 12;
/** Position in the block where a hash was seen last; zeroed for each block. */
const TABLE = memory.data(2 << 12, 64);

/**
 * Compresses n bytes (0…65536) at src to one block at dst; returns its length, at most n + n/255 + 16. Always a valid block.
 * Writes up to 16 bytes beyond the block.
 */
export function compress(src: usize, dst: usize, n: u32): u32 {
  let ip = src;
  let anchor = src;
  let op = dst;
  const iend = src + n;
  if (n >= 13) {
    memory.fill(TABLE, 0, 2 << HASH_BITS);
    const matchStartLimit = iend - 12;
    const matchEndLimit = iend - 5;
    ip++;
    let done = false;
    while (!done) {
      // Look for a match; the step grows with the misses.
      let next = ip;
      let step: usize = 1;
      let misses: u32 = 64;
      let match: usize = 0;
      let word = load<u64>(next);
      while (true) {
        ip = next;
        next += step;
        step = misses++ >> 6;
        if (next > matchStartLimit) {
          done = true;
          break;
        }
        const slot = TABLE + hash(word);
        match = src + load<u16>(slot);
        store<u16>(slot, <u16>(ip - src));
        if (load<u32>(match) == <u32>word) break;
        word = load<u64>(next);
      }
      if (done) break;
      while (ip > anchor && match > src && load<u8>(ip - 1) == load<u8>(match - 1)) {
        ip--;
        match--;
      }
      const literals = <u32>(ip - anchor);
      let token = op++;
      if (literals >= 15) {
        store<u8>(token, 240);
        op = putLength(op, literals - 15);
      } else {
        store<u8>(token, literals << 4);
      }
      copy16(op, anchor, op + literals);
      op += literals;
      // One match, and those that follow at once without literals between.
      while (true) {
        store<u16>(op, <u16>(ip - match));
        op += 2;
        ip += 4;
        const end = matchEnd(ip, match + 4, matchEndLimit);
        const length = <u32>(end - ip);
        ip = end;
        if (length >= 15) {
          store<u8>(token, load<u8>(token) + 15);
          op = putLength(op, length - 15);
        } else {
          store<u8>(token, load<u8>(token) + length);
        }
        anchor = ip;
        if (ip > matchStartLimit) {
          done = true;
          break;
        }
        store<u16>(TABLE + hash(load<u64>(ip - 2)), <u16>(ip - 2 - src));
        const follow = load<u64>(ip);
        const slot = TABLE + hash(follow);
        match = src + load<u16>(slot);
        store<u16>(slot, <u16>(ip - src));
        if (load<u32>(match) != <u32>follow) break;
        token = op++;
        store<u8>(token, 0);
      }
      ip++;
    }
  }
  return <u32>(putLastLiterals(op, anchor, <u32>(iend - anchor)) - dst);
}

/**
 * Expands the block of n bytes at src to dst; returns the length, −1 = malformed, −2 = longer than capacity.
 * Matches may reach back to `low` (dst, or earlier for linked blocks).
 *
 * Memory: reads [src, src + n + 16) and [low, dst + capacity + 32), writes [dst, dst + capacity + 32). Every step starts with
 * ip ≤ iend and op ≤ oend and copies at most 16 bytes (literals) or 18 bytes (short match) before it checks again; long
 * runs are checked before they are copied and overshoot by at most 15 bytes.
 */
export function decompress(src: usize, dst: usize, n: u32, capacity: u32, low: usize): i32 {
  let ip = src;
  let op = dst;
  const iend = src + n;
  const oend = dst + capacity;
  while (ip < iend) {
    const token = <u32>load<u8>(ip++);
    let literals: usize = token >> 4;
    if (literals == 15) {
      let b: u32;
      do {
        if (ip >= iend) return -1;
        b = load<u8>(ip++);
        literals += b;
      } while (b == 255);
      if (literals > <usize>(iend - ip)) return -1;
      if (literals > <usize>(oend - op)) return -2;
      copy16(op, ip, op + literals);
      op += literals;
      ip += literals;
    } else {
      v128.store(op, v128.load(ip));
      op += literals;
      ip += literals;
      if (ip > iend) return -1;
      if (op > oend) return -2;
    }
    if (ip == iend) return <i32>(op - dst);
    if (ip + 2 > iend) return -1;
    const distance = <usize>load<u16>(ip);
    ip += 2;
    let length: usize = token & 15;
    let match = op - distance;
    if (distance == 0 || match < low) return -1;
    if (length != 15 && distance >= 8) {
      store<u64>(op, load<u64>(match));
      store<u64>(op, load<u64>(match, 8), 8);
      store<u16>(op, load<u16>(match, 16), 16);
      op += length + 4;
      if (op > oend) return -2;
      continue;
    }
    if (length == 15) {
      let b: u32;
      do {
        if (ip >= iend) return -1;
        b = load<u8>(ip++);
        length += b;
      } while (b == 255);
    }
    length += 4;
    if (length > <usize>(oend - op)) return -2;
    copyMatch(op, match, op + length, distance);
    op += length;
  }
  // A block ends with literals.
  return -1;
}

/** Repeats what lies `distance` before d up to e; writes at most 15 bytes more. */
// @ts-ignore
@inline
function copyMatch(d: usize, match: usize, e: usize, distance: usize): void {
  if (distance >= 16) {
    copy16(d, match, e);
  } else if (distance >= 8) {
    do {
      store<u64>(d, load<u64>(match));
      d += 8;
      match += 8;
    } while (d < e);
  } else if (distance == 1) {
    fill16(d, e, i8x16.splat(load<u8>(match)));
  } else if (distance == 2) {
    fill16(d, e, i16x8.splat(load<u16>(match)));
  } else if (distance == 4) {
    fill16(d, e, i32x4.splat(load<u32>(match)));
  } else {
    do {
      store<u8>(d++, load<u8>(match++));
    } while (d < e);
  }
}

// @ts-ignore
@inline
function copy16(d: usize, s: usize, e: usize): void {
  do {
    v128.store(d, v128.load(s));
    d += 16;
    s += 16;
  } while (d < e);
}

// @ts-ignore
@inline
function fill16(d: usize, e: usize, pattern: v128): void {
  do {
    v128.store(d, pattern);
    d += 16;
  } while (d < e);
}

/** Byte offset in TABLE for the first five bytes of a word. */
// @ts-ignore
@inline
function hash(word: u64): usize {
  return (<usize>(((word << 24) * 889523592379) >>> (64 - HASH_BITS))) << 1;
}

/** Where ip and match stop being equal, at most limit. */
// @ts-ignore
@inline
function matchEnd(ip: usize, match: usize, limit: usize): usize {
  while (ip + 8 <= limit) {
    const difference = load<u64>(ip) ^ load<u64>(match);
    if (difference != 0) return ip + <usize>(ctz(difference) >> 3);
    ip += 8;
    match += 8;
  }
  while (ip < limit && load<u8>(ip) == load<u8>(match)) {
    ip++;
    match++;
  }
  return ip;
}

// @ts-ignore
@inline
function putLength(op: usize, length: u32): usize {
  while (length >= 255) {
    store<u8>(op++, 255);
    length -= 255;
  }
  store<u8>(op++, <u8>length);
  return op;
}

function putLastLiterals(op: usize, anchor: usize, literals: u32): usize {
  if (literals >= 15) {
    store<u8>(op++, 240);
    op = putLength(op, literals - 15);
  } else {
    store<u8>(op++, literals << 4);
  }
  memory.copy(op, anchor, literals);
  return op + literals;
}
