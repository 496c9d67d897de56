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
    const [v0 = 0, v1 = 0, v2 = 0, v3 = 0] = v;
    let previous = (v[63] as number) ^ v3 ^ v2 ^ v0;
    v[60] = (v[60] as number) ^ v0;
    v[61] = (v[61] as number) ^ v1 ^ v0;
    v[62] = (v[62] as number) ^ v2 ^ v1;
    v[63] = previous;
    for (let i = 0; i < 63; i++) t[i] = (v[i] as number) ^ (v[i + 1] as number);
    // The middle of v is needed in t only; its last 64 words, which remain, and the four before them are kept.
    const kept = n - 68;
    const tail = n - 4;
    let i = 64;
    for (; i < kept; i++) {
      const word = (words[first + i] as number) ^ (t[i - 64] as number) ^ (t[i - 61] as number);
      t[i - 1] = previous ^ word;
      previous = word;
    }
    for (; i < tail; i++) {
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

/** x^(8n) for lengths seen before: merges ask for a few again and again. */
const powers = new Map<number, Halves>();
const MAX_POWERS = 64;

/** A 64-bit value: bit 63 (the highest of `high`) is x^0. */
interface Halves {
  readonly high: number;
  readonly low: number;
}

/** State after `byteCount` zero bytes: state · x^(8·byteCount). */
export function shiftCRC64(state: bigint, byteCount: number): bigint {
  if (byteCount === 0) return state;
  let power = powers.get(byteCount);
  if (power === undefined) {
    power = powerOf(byteCount);
    if (powers.size >= MAX_POWERS) powers.clear();
    powers.set(byteCount, power);
  }
  const low = Number(BigInt.asIntN(32, state));
  const high = Number(BigInt.asIntN(32, state >> 32n));
  const product = multiply({ high, low }, power);
  return (BigInt(product.high >>> 0) << 32n) | BigInt(product.low >>> 0);
}

function powerOf(byteCount: number): Halves {
  let result: Halves = { high: 1 << 31, low: 0 };
  let square: Halves = { high: 1 << 23, low: 0 };
  for (let left = byteCount; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) result = multiply(result, square);
    square = multiply(square, square);
  }
  return result;
}

/** a · b modulo the polynomial. */
function multiply(a: Halves, b: Halves): Halves {
  let { high: ah, low: al } = a;
  let high = 0;
  let low = 0;
  for (let i = 63; i >= 0; i--) {
    const bit = i > 31 ? (b.high >>> (i - 32)) & 1 : (b.low >>> i) & 1;
    high ^= ah & -bit;
    low ^= al & -bit;
    const carry = al & 1;
    al = (al >>> 1) | (ah << 31);
    ah = (ah >>> 1) ^ (POLYNOMIAL_HIGH & -carry);
  }
  return { high, low };
}
