/** One input of a merge. */
import type { ChunkBuffer } from "../chunk-buffer.ts";
import { FormatError } from "../format-error.ts";
import { kernel } from "../kernel/kernel.ts";
import { dataPageCount } from "../sqlite-header.ts";
import { LTXDecoder } from "./decoder.ts";
import type { PageBatch } from "./decoder.ts";
import type { LTXEncoder } from "./encoder.ts";
import { checkLTXName } from "./header.ts";
import type { LTXHeader } from "./header.ts";
import { formatLTXName } from "./layout.ts";
import type { TXID } from "./txid.ts";

/** One file to merge. */
export interface MergeInput {
  /** TXIDs by its name; the header must agree. */
  readonly minTXID: TXID;
  readonly maxTXID: TXID;
  /** Opens the file; called once, when the merge starts to read it. */
  open(): AsyncIterable<Uint8Array>;
}

/** Streams one file: decodes it batch by batch, which proves it, and keeps the frames of one batch to copy. */
export class MergeSource {
  /** Position among the inputs: the higher, the newer. */
  readonly order: number;
  readonly #input: MergeInput;
  readonly #signal: AbortSignal | undefined;
  readonly #decoder: LTXDecoder;
  #chunks: AsyncIterator<Uint8Array> | undefined;
  #header: LTXHeader | undefined;
  #atEnd = false;
  #isClosed = false;

  // The batch: frames one after the other (memory is used again), and for each its page, its size and the CRC state after it.
  #frames = new Uint8Array(0);
  #pgnos = new Uint32Array(0);
  #sizes = new Uint32Array(0);
  #states = new BigUint64Array(0);
  #stateBefore = 0n;
  #at = 0;
  #byteAt = 0;
  /** The last page copied or skipped. */
  lastPgno: number = 0;

  // What an input that grows the database must hold.
  #oldCommit: number | undefined;
  #newPages = 0;

  /** `shareBytes`: how many bytes of decoded pages may wait in this input. */
  constructor(
    input: MergeInput,
    order: number,
    shareBytes: number,
    signal: AbortSignal | undefined,
  ) {
    this.#input = input;
    this.order = order;
    this.#signal = signal;
    this.#decoder = new LTXDecoder({ batchBytes: shareBytes });
  }

  /** The header, after the first `load()`. */
  get header(): LTXHeader {
    return this.#header as LTXHeader;
  }

  /** The next page. */
  get pgno(): number {
    return this.#pgnos[this.#at] as number;
  }

  /** No page at hand: after `load()` this is the end of the file. */
  isEmpty(): boolean {
    return this.#at === this.#pgnos.length;
  }

  /** This file follows one with `oldCommit` pages: when it has more, it must hold all those that are new. */
  requireGrowth(oldCommit: number): void {
    this.#oldCommit = oldCommit;
    this.#newPages = 0;
    this.#countNewPages();
    if (this.#atEnd) this.#named(() => this.#checkGrowth());
  }

  /**
   * Decodes the next batch. A file whose pages are all at hand is read to its end at once: its checksum is verified and its
   * stream closed, so that a merge of many small files does not keep them open.
   */
  async load(): Promise<void> {
    if (this.#atEnd) return;
    this.#chunks ??= this.#input.open()[Symbol.asyncIterator]();
    let isLoaded = this.#named(() => this.#loadBatch());
    while (!this.#atEnd && !this.#isClosed && (!isLoaded || this.#decoder.hasAllPages)) {
      this.#signal?.throwIfAborted();
      const next = await this.#chunks.next();
      if (this.#named(() => this.#accept(next))) isLoaded = true;
    }
  }

  /** How many pages at hand, from the next one on, are below `limit`. */
  countBelow(limit: number): number {
    let end = this.#at;
    while (end < this.#pgnos.length && (this.#pgnos[end] as number) < limit) end++;
    return end - this.#at;
  }

  /** Passes over one page. */
  skip(): void {
    this.lastPgno = this.pgno;
    this.#byteAt += this.#sizes[this.#at] as number;
    this.#at++;
  }

  /** Passes over all pages at hand. */
  skipAll(): void {
    while (!this.isEmpty()) this.skip();
  }

  /** Copies `count` frames. */
  copy(count: number, encoder: LTXEncoder, output: ChunkBuffer): void {
    const start = this.#at;
    const byteStart = this.#byteAt;
    const crcBefore = start === 0 ? this.#stateBefore : (this.#states[start - 1] as bigint);
    for (let i = 0; i < count; i++) this.skip();
    const pgnos = this.#pgnos.subarray(start, this.#at);
    const sizes = this.#sizes.subarray(start, this.#at);
    encoder.append({ pgnos, sizes, count, crcBefore, crc: this.#states[this.#at - 1] as bigint });
    output.add(this.#frames.subarray(byteStart, this.#byteAt));
  }

  /** Closes the stream when it was not read to its end. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (!this.#atEnd) await this.#chunks?.return?.();
  }

  #accept(next: IteratorResult<Uint8Array>): boolean {
    if (next.done !== true) {
      this.#decoder.push(next.value);
      return this.#loadBatch();
    }
    this.#decoder.end();
    this.#atEnd = true;
    this.#checkGrowth();
    return false;
  }

  /** Takes a batch from the decoder; false when that needs more bytes. */
  #loadBatch(): boolean {
    const batch = this.#decoder.read();
    if (!this.#header && this.#decoder.header) {
      this.#header = this.#decoder.header;
      checkLTXName(this.#header, this.#input);
    }
    if (batch === null) return false;
    this.#keep(batch);
    if (this.#decoder.hasAllPages) this.#decoder.read();
    return true;
  }

  /** A decoder does not know which file it reads: adds that to its errors. */
  #named<T>(action: () => T): T {
    try {
      return action();
    } catch (error) {
      if (!(error instanceof FormatError) || error.kind === "name-mismatch") throw error;
      const name = formatLTXName(this.#input.minTXID, this.#input.maxTXID);
      throw new FormatError(error.kind, `${error.message}, in ${name}`, error.offset, {
        cause: error,
      });
    }
  }

  /** Copies a batch out of kernel memory. */
  #keep(batch: PageBatch): void {
    const { count } = batch;
    this.#stateBefore = this.#decoder.crcBefore;
    const frames = batch.legacyCount > 0 ? this.#reencode(batch) : batch.frames;
    const k = kernel();
    if (this.#frames.length < frames.length) this.#frames = frames.slice();
    else this.#frames.set(frames);
    this.#pgnos = k.pgnos.slice(0, count);
    this.#sizes = k.sizes.slice(0, count);
    this.#states = k.states.slice(0, count);
    this.#at = 0;
    this.#byteAt = 0;
    this.#countNewPages();
  }

  /** Legacy frames as sized ones: output is written in one form only. Page numbers in kernel memory stay. */
  #reencode(batch: PageBatch): Uint8Array {
    const k = kernel();
    const { pageSize } = this.header;
    // The decoder's input is overwritten: it has to fill it again.
    k.owner = this;
    k.input.set(batch.pages);
    for (let i = 0; i < batch.count; i++) k.offsets[i] = i * pageSize;
    this.#stateBefore = 0n;
    return k.output.subarray(0, k.encodePages(batch.count, pageSize, 0n));
  }

  #countNewPages(): void {
    const oldCommit = this.#oldCommit;
    if (oldCommit === undefined) return;
    for (const pgno of this.#pgnos) if (pgno > oldCommit) this.#newPages++;
  }

  #checkGrowth(): void {
    const { commit, pageSize } = this.header;
    const oldCommit = this.#oldCommit;
    if (oldCommit === undefined || commit <= oldCommit) return;
    const expected = dataPageCount(commit, pageSize) - dataPageCount(oldCommit, pageSize);
    if (this.#newPages === expected) return;
    throw new FormatError(
      "missing-page",
      `LTX file grows the database from ${oldCommit} to ${commit} pages with ${this.#newPages} of ${expected} new pages`,
    );
  }
}
