/** Builds the bytes of a page index while a file is written or read: some 10 bytes per page, which are kept or only hashed. */
import { updateCRC64 } from "../crc64.ts";

const FIRST_CHUNK_SIZE = 2048;
const CHUNK_SIZE = 65_536;
/** pgno: 5 bytes, offset: 8, size: 5; the end: 1 + 8. */
const MAX_ENTRY_SIZE = 18;

/** Bytes of the length field that ends an index. */
export const PAGE_INDEX_LENGTH_SIZE = 8;

/** Memory of closed indexes that were only hashed: thousands of small files are read one after the other. */
const spareChunks: Uint8Array[] = [];
const spareCount = 16;

export class PageIndexWriter {
  readonly #keeps: boolean;
  readonly #full: Uint8Array[] = [];
  #hash = 0n;
  #chunk: Uint8Array;
  #used = 0;
  #fullBytes = 0;
  #closed = false;

  /** With `keep` false the bytes are gone once they are hashed: memory does not grow with the file. */
  constructor(options: { readonly keep?: boolean } = {}) {
    this.#keeps = options.keep ?? true;
    const spare = this.#keeps ? undefined : spareChunks.pop();
    this.#chunk = spare ?? new Uint8Array(FIRST_CHUNK_SIZE);
  }

  /** CRC state of the closed index without its length field, counted from a state of zero. */
  get hash(): bigint {
    return this.#hash;
  }

  /** Bytes so far; after `close()` those of the whole index with its length field. */
  get sizeBytes(): number {
    return this.#fullBytes + this.#used;
  }

  add(pgno: number, offset: number, size: number): void {
    this.#reserve();
    this.#put(pgno);
    this.#put(offset);
    this.#put(size);
  }

  /** Adds the terminator and the length field. Once; later calls do nothing. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#reserve();
    this.#chunk[this.#used++] = 0;
    this.#addToHash();
    const view = new DataView(this.#chunk.buffer);
    view.setBigUint64(this.#used, BigInt(this.sizeBytes));
    this.#used += PAGE_INDEX_LENGTH_SIZE;
    if (!this.#keeps && spareChunks.length < spareCount) spareChunks.push(this.#chunk);
  }

  /** The bytes, if they are kept. */
  *chunks(): Generator<Uint8Array, void, undefined> {
    if (!this.#keeps) throw new Error("Page index was only hashed, not kept");
    yield* this.#full;
    if (this.#used > 0) yield this.#chunk.subarray(0, this.#used);
  }

  /** All bytes in one array. */
  toBytes(): Uint8Array {
    const bytes = new Uint8Array(this.sizeBytes);
    let at = 0;
    for (const chunk of this.chunks()) {
      bytes.set(chunk, at);
      at += chunk.length;
    }
    return bytes;
  }

  #reserve(): void {
    if (this.#used + MAX_ENTRY_SIZE <= this.#chunk.length) return;
    this.#addToHash();
    this.#fullBytes += this.#used;
    if (this.#keeps) {
      this.#full.push(this.#chunk.subarray(0, this.#used));
      this.#chunk = new Uint8Array(CHUNK_SIZE);
    }
    this.#used = 0;
  }

  #addToHash(): void {
    this.#hash = updateCRC64(this.#hash, this.#chunk.subarray(0, this.#used));
  }

  /** One uvarint. */
  #put(value: number): void {
    let rest = value;
    while (rest >= 0x8000_0000) {
      this.#chunk[this.#used++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    while (rest >= 128) {
      this.#chunk[this.#used++] = (rest & 127) | 128;
      rest >>>= 7;
    }
    this.#chunk[this.#used++] = rest;
  }
}
