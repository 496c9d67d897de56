// CRC-64/ISO, reflected, on raw states (formats §2.1).
//
// The polynomial is x^64 + x^4 + x^3 + x + 1, so for any unit of u = 2^k bits x^(64u) = 1 + x^u + x^(3u) + x^(4u). A message cut
// into units v[0..n) can be folded with XOR alone: v[p] = m[p] ^ v[p-64] ^ v[p-63] ^ v[p-61] ^ v[p-60]; the last 64 units are
// then an equivalent message. Folding with u = 64 leaves 512 bytes, with u = 32 256 bytes; those go through a Horner loop.

const POLYNOMIAL: u64 = 0xd800000000000000;
/** x^8, reflected. */
const X8: u64 = (<u64>1) << 55;

const TABLE = memory.data(2048, 64);
const WORK_SIZE: usize = 65536;
const WORK = memory.data(WORK_SIZE + 64, 64);

export function init(): void {
  for (let i: u32 = 0; i < 256; i++) {
    let c: u64 = i;
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >> 1) ^ POLYNOMIAL : c >> 1;
    store<u64>(TABLE + ((<usize>i) << 3), c);
  }
}

/** State after n bytes at p. */
export function crc(s: u64, p: usize, n: usize): u64 {
  while (n >= 1024) {
    const m: usize = min<usize>(n & ~15, WORK_SIZE);
    fold(s, p, m);
    const e = WORK + m;
    s = 0;
    for (let q = e - 256; q < e; q += 8) s = timesX64(s ^ load<u64>(q));
    p += m;
    n -= m;
  }
  return horner(s, p, n);
}

/** For short or odd lengths. */
export function horner(s: u64, p: usize, n: usize): u64 {
  while (n >= 8) {
    s = timesX64(s ^ load<u64>(p));
    p += 8;
    n -= 8;
  }
  const e = p + n;
  for (; p < e; p++) s = load<u64>(TABLE + ((<usize>((s ^ (<u64>load<u8>(p))) & 255)) << 3)) ^ (s >> 8);
  return s;
}

/** x^(8n) for lengths seen before: merges ask for a few again and again. */
const CACHE_BITS: u64 = 6;
const CACHE_LENGTHS = memory.data(8 << 6, 64);
const CACHE_POWERS = memory.data(8 << 6, 64);

/** State after n zero bytes: s · x^(8n). */
export function shift(s: u64, n: u64): u64 {
  if (n == 0) return s;
  const slot = (<usize>((n * 0x9e3779b97f4a7c15) >> (64 - CACHE_BITS))) << 3;
  if (load<u64>(CACHE_LENGTHS + slot) != n) {
    store<u64>(CACHE_LENGTHS + slot, n);
    store<u64>(CACHE_POWERS + slot, power(n));
  }
  return multiply(s, load<u64>(CACHE_POWERS + slot));
}

function power(n: u64): u64 {
  let result: u64 = (<u64>1) << 63;
  let square = X8;
  for (; n != 0; n >>= 1) {
    if (n & 1) result = multiply(result, square);
    square = multiply(square, square);
  }
  return result;
}

/** a · b modulo the polynomial, reflected: bit 63 is x^0. */
function multiply(a: u64, b: u64): u64 {
  let r: u64 = 0;
  for (let i = 63; i >= 0; i--) {
    r ^= a & (0 - ((b >> i) & 1));
    a = (a >> 1) ^ (POLYNOMIAL & (0 - (a & 1)));
  }
  return r;
}

// @ts-ignore
@inline
function timesX64(a: u64): u64 {
  const t = a ^ (a >> 1);
  const o1 = a << 63;
  const r = t ^ (t >> 3);
  const o = (t << 61) ^ o1 ^ (o1 >> 3);
  const u = o ^ (o >> 1);
  return r ^ u ^ (u >> 3);
}

/** Folds m bytes (a multiple of 16, 1024…WORK_SIZE) at p to the last 256 bytes of WORK[0, m). */
// @ts-ignore
@inline
function fold(s: u64, p: usize, m: usize): void {
  const e = WORK + m;
  const d = p - WORK;
  memory.copy(WORK, p, 512);
  store<u64>(WORK, load<u64>(WORK) ^ s);
  edgeHead<u64>(WORK);
  for (let q = WORK + 512; q < e - 32; q += 16) {
    v128.store(q, xor5(at(q + d), at(q - 512), at(q - 504), at(q - 488), at(q - 480)));
  }
  memory.copy(e - 32, p + m - 32, 32);
  edgeTail<u64>(e);
  const w = e - 512;
  edgeHead<u32>(w);
  for (let q = w + 256; q < e - 16; q += 16) {
    v128.store(q, xor5(at(q), at(q - 256), at(q - 252), at(q - 244), at(q - 240)));
  }
  edgeTail<u32>(e);
}

/** Units 60…63 take only the terms that exist. */
// @ts-ignore
@inline
function edgeHead<U>(w: usize): void {
  const z = sizeof<U>();
  for (let i: usize = 60; i < 64; i++) {
    let v = load<U>(w + i * z);
    v = <U>(v ^ load<U>(w + (i - 60) * z));
    if (i > 60) v = <U>(v ^ load<U>(w + (i - 61) * z));
    if (i == 63) v = <U>(v ^ load<U>(w));
    store<U>(w + i * z, v);
  }
}

/** The last four units take only terms of units before the last 64. */
// @ts-ignore
@inline
function edgeTail<U>(e: usize): void {
  const z = sizeof<U>();
  store<U>(e - 4 * z, <U>(load<U>(e - 4 * z) ^ load<U>(e - 68 * z) ^ load<U>(e - 67 * z) ^ load<U>(e - 65 * z)));
  store<U>(e - 3 * z, <U>(load<U>(e - 3 * z) ^ load<U>(e - 67 * z) ^ load<U>(e - 66 * z)));
  store<U>(e - 2 * z, <U>(load<U>(e - 2 * z) ^ load<U>(e - 66 * z) ^ load<U>(e - 65 * z)));
  store<U>(e - 1 * z, <U>(load<U>(e - 1 * z) ^ load<U>(e - 65 * z)));
}

// @ts-ignore
@inline
function at(p: usize): v128 {
  return v128.load(p);
}

// @ts-ignore
@inline
function xor5(a: v128, b: v128, c: v128, d: v128, e: v128): v128 {
  return v128.xor(a, v128.xor(v128.xor(b, c), v128.xor(d, e)));
}
