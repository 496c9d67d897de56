/**
 * CRC-64/ISO on raw states in plain TypeScript, as two 32-bit halves (formats §2.1).
 *
 * The polynomial is x^64 + x^4 + x^3 + x + 1, so a message cut into 32-bit words v can be folded with XOR alone:
 * v[p] = m[p] ^ v[p-64] ^ v[p-63] ^ v[p-61] ^ v[p-60]; the last 64 words are then an equivalent message. With
 * t[i] = v[i] ^ v[i+1] this is v[p] = m[p] ^ t[p-64] ^ t[p-61].
 */

const POLYNOMIAL_HIGH = 0xd800_0000 | 0;
const tableHigh = new Int32Array(256);
const tableLow = new Int32Array(256);
for (let i = 0; i < 256; i++) {
  let high = 0;
  let low = i;
  for (let k = 0; k < 8; k++) {
    const bit = low & 1;
    low = (low >>> 1) | (high << 31);
    high >>>= 1;
    if (bit === 1) high ^= POLYNOMIAL_HIGH;
  }
  tableHigh[i] = high;
  tableLow[i] = low;
}

/** Words folded at a time. */
const FOLD_WORDS = 1024;
/** Fewer words than this are not worth folding. */
const FOLD_MIN_WORDS = 136;

/** A running CRC state over one piece of memory. */
export class CRC64State {
  low: number = -1;
  high: number = -1;
  readonly #bytes: Uint8Array;
  readonly #words: Int32Array;
  readonly #v = new Int32Array(FOLD_WORDS);
  readonly #t = new Int32Array(FOLD_WORDS);

  /** `memory` has a length that is a multiple of 4. */
  constructor(memory: ArrayBuffer) {
    this.#bytes = new Uint8Array(memory);
    this.#words = new Int32Array(memory);
  }

  get value(): bigint {
    return (BigInt(this.high >>> 0) << 32n) | BigInt(this.low >>> 0);
  }

  set value(state: bigint) {
    this.low = Number(BigInt.asIntN(32, state));
    this.high = Number(BigInt.asIntN(32, state >> 32n));
  }

  /** Continues over memory[start, start + length). */
  update(start: number, length: number): void {
    const head = Math.min(length, -start & 3);
    this.#table(start, head);
    const words = (length - head) >> 2;
    const folded = this.#fold((start + head) >> 2, words);
    const done = head + folded * 4;
    this.#table(start + done, length - done);
  }

  #table(start: number, length: number): void {
    let { low, high } = this;
    for (let at = start; at < start + length; at++) {
      const i = (low ^ (this.#bytes[at] as number)) & 255;
      low = ((low >>> 8) | (high << 24)) ^ (tableLow[i] as number);
      high = (high >>> 8) ^ (tableHigh[i] as number);
    }
    this.low = low;
    this.high = high;
  }

  /** Continues over as many words as can be folded, returns how many. */
  #fold(first: number, count: number): number {
    let at = first;
    let left = count;
    while (left >= FOLD_MIN_WORDS) {
      const n = left > FOLD_WORDS ? FOLD_WORDS : left & ~1;
      this.#foldBlock(at, n);
      this.#horner(n);
      at += n;
      left -= n;
    }
    return at - first;
  }

  #foldBlock(first: number, n: number): void {
    const words = this.#words;
    const v = this.#v;
    const t = this.#t;
    for (let i = 0; i < 64; i++) v[i] = words[first + i] as number;
    v[0] = (v[0] as number) ^ this.low;
    v[1] = (v[1] as number) ^ this.high;
    // Words 60…63 take only the terms that exist.
    v[60] = (v[60] as number) ^ (v[0] as number);
    v[61] = (v[61] as number) ^ (v[1] as number) ^ (v[0] as number);
    v[62] = (v[62] as number) ^ (v[2] as number) ^ (v[1] as number);
    v[63] = (v[63] as number) ^ (v[3] as number) ^ (v[2] as number) ^ (v[0] as number);
    for (let i = 0; i < 63; i++) t[i] = (v[i] as number) ^ (v[i + 1] as number);
    let previous = v[63] as number;
    const tail = n - 4;
    for (let i = 64; i < tail; i++) {
      const word = (words[first + i] as number) ^ (t[i - 64] as number) ^ (t[i - 61] as number);
      t[i - 1] = previous ^ word;
      previous = word;
      v[i] = word;
    }
    // The last four words take only terms of words before the last 64.
    v[n - 4] =
      (words[first + n - 4] as number) ^
      (v[n - 68] as number) ^
      (v[n - 67] as number) ^
      (v[n - 65] as number);
    v[n - 3] = (words[first + n - 3] as number) ^ (v[n - 67] as number) ^ (v[n - 66] as number);
    v[n - 2] = (words[first + n - 2] as number) ^ (v[n - 66] as number) ^ (v[n - 65] as number);
    v[n - 1] = (words[first + n - 1] as number) ^ (v[n - 65] as number);
  }

  /** The state after the last 64 folded words alone. */
  #horner(n: number): void {
    const v = this.#v;
    let low = 0;
    let high = 0;
    for (let i = n - 64; i < n; i += 2) {
      low ^= v[i] as number;
      high ^= v[i + 1] as number;
      const tl = low ^ ((low >>> 1) | (high << 31));
      const th = high ^ (high >>> 1);
      const o1 = low << 31;
      const rl = tl ^ ((tl >>> 3) | (th << 29));
      const rh = th ^ (th >>> 3);
      const oh = (tl << 29) ^ o1 ^ (o1 >>> 3);
      const u = oh ^ (oh >>> 1);
      low = rl;
      high = rh ^ u ^ (u >>> 3);
    }
    this.low = low;
    this.high = high;
  }
}

const POLYNOMIAL = 0xd800_0000_0000_0000n;

/** State after `byteCount` zero bytes: state · x^(8·byteCount). */
export function shiftCRC64(state: bigint, byteCount: number): bigint {
  let square = 1n << 55n;
  for (let left = byteCount; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) state = multiply(state, square);
    square = multiply(square, square);
  }
  return state;
}

/** a · b modulo the polynomial, reflected: bit 63 is x^0. */
function multiply(a: bigint, b: bigint): bigint {
  let product = 0n;
  for (let i = 63n; i >= 0n; i--) {
    if (((b >> i) & 1n) === 1n) product ^= a;
    a = (a & 1n) === 1n ? (a >> 1n) ^ POLYNOMIAL : a >> 1n;
  }
  return product;
}
