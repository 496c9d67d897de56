/** LZ4 blocks in plain TypeScript. Same choices of matches need not be made by the WebAssembly kernel: any valid block will do. */

/** Bytes and a DataView on the same memory. */
export interface ByteView {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/** `decompressBlock()`: not a valid block. */
export const LZ4_MALFORMED: number = -1;
/** `decompressBlock()`: the block expands to more than there is room for. */
export const LZ4_TOO_LONG: number = -2;

/** Most bytes a block of `length` raw bytes can have. */
export function lz4Bound(length: number): number {
  return length + Math.floor(length / 255) + 16;
}

export function byteView(bytes: Uint8Array): ByteView {
  return { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength) };
}

/** Position in the block where a hash was seen last. */
const table = new Uint16Array(4096);

/**
 * Compresses `length` ≤ 65536 bytes to one block at `out`, which has room for `lz4Bound(length)` bytes and 8 more; returns its
 * length. Greedy, one match candidate per hash of five bytes.
 */
export function compressBlock(
  source: ByteView,
  start: number,
  length: number,
  target: ByteView,
  out: number,
): number {
  const { bytes, view } = source;
  const end = start + length;
  const matchStartLimit = end - 12;
  let anchor = start;
  let op = out;
  if (length >= 13) {
    table.fill(0);
    let ip = start + 1;
    let found = findMatch(bytes, view, start, ip, matchStartLimit);
    while (found >= 0) {
      ip = found;
      let match = start + lastCandidate;
      while (ip > anchor && match > start && bytes[ip - 1] === bytes[match - 1]) {
        ip--;
        match--;
      }
      let token = op;
      op = putLiterals(source, anchor, ip - anchor, target, op);
      let follows = true;
      while (follows) {
        const distance = ip - match;
        target.bytes[op] = distance;
        target.bytes[op + 1] = distance >> 8;
        op += 2;
        const matchEnd = extendMatch(bytes, view, ip + 4, match + 4, end - 5);
        const matchLength = matchEnd - ip - 4;
        ip = matchEnd;
        anchor = ip;
        if (matchLength >= 15) {
          target.bytes[token] = (target.bytes[token] as number) | 15;
          op = putLength(target.bytes, op, matchLength - 15);
        } else {
          target.bytes[token] = (target.bytes[token] as number) | matchLength;
        }
        follows = false;
        if (ip <= matchStartLimit) {
          const word = view.getInt32(ip, true);
          const slot = hash(word, bytes[ip + 4] as number);
          match = start + (table[slot] as number);
          table[slot] = ip - start;
          follows = view.getInt32(match, true) === word;
          if (follows) {
            token = op;
            target.bytes[op++] = 0;
          }
        }
      }
      found = ip > matchStartLimit ? -1 : findMatch(bytes, view, start, ip + 1, matchStartLimit);
    }
  }
  return putLastLiterals(source, anchor, end - anchor, target, op) - out;
}

/** Candidate of the last successful `findMatch()`, relative to the start of the block. */
let lastCandidate = 0;

/** First position from `ip` whose four bytes occurred before (at `lastCandidate`), or −1. The step grows with the misses. */
function findMatch(
  bytes: Uint8Array,
  view: DataView,
  start: number,
  ip: number,
  limit: number,
): number {
  let next = ip;
  let step = 1;
  let misses = 64;
  while (next + step <= limit) {
    const at = next;
    next += step;
    step = misses++ >> 6;
    const word = view.getInt32(at, true);
    const slot = hash(word, bytes[at + 4] as number);
    const candidate = table[slot] as number;
    table[slot] = at - start;
    if (view.getInt32(start + candidate, true) === word) {
      lastCandidate = candidate;
      return at;
    }
  }
  return -1;
}

function hash(word: number, fifth: number): number {
  return (Math.imul(word, -1_640_531_535) ^ Math.imul(fifth, -1_640_531_535)) >>> 20;
}

function extendMatch(
  bytes: Uint8Array,
  view: DataView,
  ip: number,
  match: number,
  limit: number,
): number {
  while (ip + 4 <= limit) {
    const difference = view.getInt32(ip, true) ^ view.getInt32(match, true);
    if (difference !== 0) return ip + ((31 - Math.clz32(difference & -difference)) >> 3);
    ip += 4;
    match += 4;
  }
  while (ip < limit && bytes[ip] === bytes[match]) {
    ip++;
    match++;
  }
  return ip;
}

/** Token, length and literals; overshoots by at most 7 bytes. */
function putLiterals(
  source: ByteView,
  from: number,
  length: number,
  target: ByteView,
  out: number,
): number {
  let op = out + 1;
  if (length >= 15) {
    target.bytes[out] = 240;
    op = putLength(target.bytes, op, length - 15);
  } else {
    target.bytes[out] = length << 4;
  }
  const end = op + length;
  for (let s = from; op < end; s += 8, op += 8) {
    target.view.setInt32(op, source.view.getInt32(s, true), true);
    target.view.setInt32(op + 4, source.view.getInt32(s + 4, true), true);
  }
  return end;
}

function putLastLiterals(
  source: ByteView,
  from: number,
  length: number,
  target: ByteView,
  out: number,
): number {
  let op = out + 1;
  if (length >= 15) {
    target.bytes[out] = 240;
    op = putLength(target.bytes, op, length - 15);
  } else {
    target.bytes[out] = length << 4;
  }
  if (length > 64) target.bytes.set(source.bytes.subarray(from, from + length), op);
  else for (let i = 0; i < length; i++) target.bytes[op + i] = source.bytes[from + i] as number;
  return op + length;
}

function putLength(bytes: Uint8Array, out: number, length: number): number {
  while (length >= 255) {
    bytes[out++] = 255;
    length -= 255;
  }
  bytes[out++] = length;
  return out;
}

/**
 * Expands the block `[start, end)` of `source` to `target` from `out`; returns its length, at most `capacity`, or `LZ4_MALFORMED`
 * or `LZ4_TOO_LONG`. Matches may reach back to `low` in `target` (`out`, or earlier for linked blocks). Writes only
 * `[out, out + capacity)` and up to 3 bytes more where `target` has them.
 */
export function decompressBlock(
  source: ByteView,
  start: number,
  end: number,
  target: ByteView,
  out: number,
  capacity: number,
  low: number = out,
): number {
  const { bytes, view } = source;
  const o = target.bytes;
  const ov = target.view;
  const limit = out + capacity;
  // Up to here four bytes can be copied where fewer are meant.
  const wideIn = bytes.length - 3;
  const wideOut = o.length - 3;
  let ip = start;
  let op = out;
  while (ip < end) {
    const token = bytes[ip++] as number;
    let literals = token >> 4;
    if (literals === 15) {
      let more: number;
      do {
        if (ip >= end) return LZ4_MALFORMED;
        more = bytes[ip++] as number;
        literals += more;
      } while (more === 255);
    }
    if (literals > end - ip) return LZ4_MALFORMED;
    if (literals > limit - op) return LZ4_TOO_LONG;
    const literalEnd = op + literals;
    if (ip + literals <= wideIn && literalEnd <= wideOut) {
      for (; op < literalEnd; op += 4, ip += 4) ov.setInt32(op, view.getInt32(ip, true), true);
      ip -= op - literalEnd;
      op = literalEnd;
    } else {
      while (op < literalEnd) o[op++] = bytes[ip++] as number;
    }
    if (ip === end) return op - out;
    if (ip + 2 > end) return LZ4_MALFORMED;
    const distance = (bytes[ip] as number) | ((bytes[ip + 1] as number) << 8);
    ip += 2;
    let match = op - distance;
    if (distance === 0 || match < low) return LZ4_MALFORMED;
    let length = (token & 15) + 4;
    if (length === 19) {
      let more: number;
      do {
        if (ip >= end) return LZ4_MALFORMED;
        more = bytes[ip++] as number;
        length += more;
      } while (more === 255);
    }
    if (length > limit - op) return LZ4_TOO_LONG;
    const matchEnd = op + length;
    if (distance >= 4 && matchEnd <= wideOut) {
      for (; op < matchEnd; op += 4, match += 4) ov.setInt32(op, ov.getInt32(match, true), true);
      op = matchEnd;
    } else {
      while (op < matchEnd) o[op++] = o[match++] as number;
    }
  }
  // A block ends with literals.
  return LZ4_MALFORMED;
}
