/** xxHash32 with seed 0: the checksum of LZ4 frames. */

const P1 = 0x9e37_79b1 | 0;
const P2 = 0x85eb_ca77 | 0;
const P3 = 0xc2b2_ae3d | 0;
const P4 = 0x27d4_eb2f | 0;
const P5 = 0x1656_67b1 | 0;

/** xxHash32 of `length` bytes of `view` from `start`, as an unsigned number. */
export function xxh32(view: DataView, start: number, length: number): number {
  const hash = new XXH32();
  hash.update(view, start, length);
  return hash.digest();
}

/** Running xxHash32. Pieces of any length. */
export class XXH32 {
  #a = (P1 + P2) | 0;
  #b = P2;
  #c = 0;
  #d = -P1 | 0;
  #total = 0;
  readonly #rest = new DataView(new ArrayBuffer(16));
  #restLength = 0;

  update(view: DataView, start: number, length: number): void {
    this.#total += length;
    let at = start;
    const end = start + length;
    if (this.#restLength > 0) {
      while (this.#restLength < 16 && at < end) {
        this.#rest.setUint8(this.#restLength++, view.getUint8(at++));
      }
      if (this.#restLength < 16) return;
      this.#stripes(this.#rest, 0, 16);
      this.#restLength = 0;
    }
    const whole = at + ((end - at) & ~15);
    this.#stripes(view, at, whole);
    for (at = whole; at < end; at++) this.#rest.setUint8(this.#restLength++, view.getUint8(at));
  }

  digest(): number {
    let h =
      this.#total >= 16
        ? (rotate(this.#a, 1) + rotate(this.#b, 7) + rotate(this.#c, 12) + rotate(this.#d, 18)) | 0
        : P5;
    h = (h + this.#total) | 0;
    let at = 0;
    for (; at + 4 <= this.#restLength; at += 4) {
      h = Math.imul(rotate((h + Math.imul(this.#rest.getInt32(at, true), P3)) | 0, 17), P4);
    }
    for (; at < this.#restLength; at++) {
      h = Math.imul(rotate((h + Math.imul(this.#rest.getUint8(at), P5)) | 0, 11), P1);
    }
    h = Math.imul(h ^ (h >>> 15), P2);
    h = Math.imul(h ^ (h >>> 13), P3);
    return (h ^ (h >>> 16)) >>> 0;
  }

  #stripes(view: DataView, start: number, end: number): void {
    let a = this.#a;
    let b = this.#b;
    let c = this.#c;
    let d = this.#d;
    for (let at = start; at < end; at += 16) {
      a = Math.imul(rotate((a + Math.imul(view.getInt32(at, true), P2)) | 0, 13), P1);
      b = Math.imul(rotate((b + Math.imul(view.getInt32(at + 4, true), P2)) | 0, 13), P1);
      c = Math.imul(rotate((c + Math.imul(view.getInt32(at + 8, true), P2)) | 0, 13), P1);
      d = Math.imul(rotate((d + Math.imul(view.getInt32(at + 12, true), P2)) | 0, 13), P1);
    }
    this.#a = a;
    this.#b = b;
    this.#c = c;
    this.#d = d;
  }
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}
