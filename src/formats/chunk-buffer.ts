/** Small pieces in, large chunks out. */

const OUTPUT_CHUNK_SIZE: number = 1 << 20;

/** Gathers small pieces into chunks of about 1 MiB. */
export class ChunkBuffer {
  #chunk = new Uint8Array(OUTPUT_CHUNK_SIZE);
  #used = 0;
  readonly #full: Uint8Array[] = [];

  /** Copies `bytes`. */
  add(bytes: Uint8Array): void {
    let at = 0;
    while (at < bytes.length) {
      const length = Math.min(bytes.length - at, this.#chunk.length - this.#used);
      this.#chunk.set(bytes.subarray(at, at + length), this.#used);
      this.#used += length;
      at += length;
      if (this.#used === this.#chunk.length) this.#flush();
    }
  }

  /** Chunks that have become full. */
  *full(): Generator<Uint8Array, void, undefined> {
    while (this.#full.length > 0) yield this.#full.shift() as Uint8Array;
  }

  /** Everything. */
  *rest(): Generator<Uint8Array, void, undefined> {
    if (this.#used > 0) this.#flush();
    yield* this.full();
  }

  #flush(): void {
    this.#full.push(this.#chunk.subarray(0, this.#used));
    this.#chunk = new Uint8Array(OUTPUT_CHUNK_SIZE);
    this.#used = 0;
  }
}
