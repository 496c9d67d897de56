/** Reads and proves one LTX file, batch by batch (formats §13). */
import { CRC_START, storedChecksum, updateCRC64 } from "../crc64.ts";
import { FormatError } from "../format-error.ts";
import { kernel } from "../kernel/kernel.ts";
import {
  BATCH_BYTES,
  DECODE_BAD_CONTENT_CHECKSUM,
  DECODE_BAD_HEADER,
  DECODE_BAD_LENGTH,
  DECODE_END,
  DECODE_TOO_LARGE,
  DECODE_UNSUPPORTED,
  INPUT_SIZE,
} from "../kernel/memory.ts";
import { isValidPageSize } from "../sqlite-header.ts";
import { DatabaseChecksum } from "./database-checksum.ts";
import { decodeLTXHeader, LTX_HEADER_SIZE, LTX_PAGE_HEADER_SIZE } from "./header.ts";
import type { LTXHeader } from "./header.ts";
import { decodePageIndex } from "./page-index.ts";
import type { PageIndex } from "./page-index.ts";
import { PageIndexWriter } from "./page-index-writer.ts";
import { PageSequence } from "./page-sequence.ts";
import { TailReader } from "./tail-reader.ts";

/** Some decoded pages in kernel memory, valid until the next await or kernel use. */
export interface PageBatch {
  readonly count: number;
  /** The first `count` entries are the page numbers, ascending. */
  readonly pgnos: Uint32Array;
  /** `count` raw pages, one after the other. */
  readonly pages: Uint8Array;
  /** Bytes of each page frame, header included. */
  readonly sizes: Uint32Array;
  /** The page frames as they are in the file. */
  readonly frames: Uint8Array;
  /** How many of the frames are in the legacy form. */
  readonly legacyCount: number;
}

/** What a whole, valid LTX file was. */
export interface LTXSummary {
  readonly header: LTXHeader;
  readonly pageCount: number;
  readonly sizeBytes: number;
  readonly postApplyChecksum: bigint;
  readonly fileChecksum: bigint;
}

const NO_BYTES: Uint8Array = new Uint8Array(0);

/**
 * Strict streaming decoder. Push chunks of any size; after each, read batches until null.
 *
 *   const decoder = new LTXDecoder();
 *   for await (const chunk of body) {
 *     decoder.push(chunk);
 *     for (let batch = decoder.read(); batch !== null; batch = decoder.read()) use(batch);
 *   }
 *   const summary = decoder.end();
 *
 * Nothing may be trusted before `end()` has returned: the file checksum comes last. All failures are FormatErrors.
 * Memory: one incomplete frame; with `keepIndex` about 10 bytes per page.
 */
export class LTXDecoder {
  readonly #batchBytes: number;
  #header: LTXHeader | undefined;
  #sequence: PageSequence | undefined;
  #database: DatabaseChecksum | undefined;
  #tail: TailReader | undefined;
  #summary: LTXSummary | undefined;
  readonly #index: PageIndexWriter;
  readonly #keepsIndex: boolean;
  #state = CRC_START;
  #stateBefore = CRC_START;
  /** Offset in the file of the next byte to decode. */
  #offset = 0;

  // Bytes not yet decoded: what was left of earlier chunks, then the rest of the chunk. A window of them lies in kernel input.
  #carry: Uint8Array = NO_BYTES;
  #chunk: Uint8Array = NO_BYTES;
  #windowStart = 0;
  #windowEnd = 0;
  /** The window was filled by the caller: it exists nowhere else. */
  #direct = false;

  /**
   * `batchBytes` limits the pages that `read()` hands out at a time; 1 MiB by default and at most, one page at least.
   * `keepIndex` is needed for `index()`.
   */
  constructor(options: { readonly batchBytes?: number; readonly keepIndex?: boolean } = {}) {
    this.#keepsIndex = options.keepIndex ?? false;
    this.#index = new PageIndexWriter({ keep: this.#keepsIndex });
    this.#batchBytes = Math.min(options.batchBytes ?? BATCH_BYTES, BATCH_BYTES);
  }

  /** The header, once its 100 bytes have been read; undefined before. */
  get header(): LTXHeader | undefined {
    return this.#header;
  }

  /** The page block has ended: `read()` gives no more pages. */
  get hasAllPages(): boolean {
    return this.#tail !== undefined;
  }

  /** Bytes decoded so far. */
  get offset(): number {
    return this.#offset;
  }

  /** CRC states around the last batch, and after each page of it in `kernel().states`: for merging. */
  get crcBefore(): bigint {
    return this.#stateBefore;
  }

  /**
   * Hands in the next bytes of the file. The decoder keeps the reference until `read()` has returned null,
   * so the chunk must not change before that. Error when the chunk before is not used up.
   */
  push(chunk: Uint8Array): void {
    this.#requireEmpty();
    this.#chunk = chunk;
  }

  /**
   * Kernel memory to read the next bytes of the file into (at least 1 MiB), instead of `push()`: fill its beginning,
   * call `filled(byteCount)` at once, then `read()` until null without an await or other kernel use between.
   */
  buffer(): Uint8Array {
    this.#requireEmpty();
    const k = kernel();
    k.owner = this;
    k.input.set(this.#carry);
    return k.input.subarray(this.#carry.length, INPUT_SIZE);
  }

  /** `byteCount` bytes have been put into `buffer()`. */
  filled(byteCount: number): void {
    if (kernel().owner !== this)
      throw new Error("Kernel was used by another between buffer() and filled()");
    this.#windowStart = 0;
    this.#windowEnd = this.#carry.length + byteCount;
    this.#carry = NO_BYTES;
    this.#direct = true;
  }

  /** The next pages, or null when more bytes are needed or the page block has ended. */
  read(): PageBatch | null {
    for (;;) {
      this.#fillWindow();
      if (!this.#header && !this.#readHeader()) return this.#keepRest();
      if (!this.#tail) {
        const batch = this.#readPages();
        if (batch) return batch;
        if (!this.#tail && this.#windowIsAll()) return this.#keepRest();
      } else {
        this.#readTail();
        if (this.#windowIsAll()) return this.#keepRest();
      }
    }
  }

  /** The file is complete: checks index, trailer and checksums. */
  end(): LTXSummary {
    this.#requireEmpty();
    const header = this.#header;
    if (!header || !this.#tail || !this.#sequence) {
      throw new FormatError(
        "truncated",
        `LTX file ends within its ${header ? "pages" : "header"}, after ${this.#offset + this.#carry.length} bytes`,
        this.#offset,
      );
    }
    const { trailer, state } = this.#tail.end(header, this.#offset);
    const computed = storedChecksum(state);
    if (computed !== trailer.fileChecksum) {
      throw new FormatError(
        "file-checksum",
        `LTX file checksum is ${computed.toString(16)}, its trailer says ${trailer.fileChecksum.toString(16)}`,
        this.#offset - 8,
      );
    }
    this.#database?.check(trailer.postApplyChecksum);
    this.#summary = {
      header,
      pageCount: this.#sequence.count,
      sizeBytes: this.#offset,
      postApplyChecksum: trailer.postApplyChecksum,
      fileChecksum: trailer.fileChecksum,
    };
    return this.#summary;
  }

  /** The page index, proven against the frames; after `end()`, with `keepIndex`. */
  index(): PageIndex {
    if (!this.#summary) throw new Error("LTX file has not been read to its end");
    if (!this.#keepsIndex) throw new Error("LTX decoder was not told to keep the page index");
    const bytes = this.#index.toBytes();
    const triples = bytes.subarray(0, bytes.length - 8);
    const { commit, pageSize } = this.#summary.header;
    const offset = this.#summary.sizeBytes - 16 - bytes.length;
    return decodePageIndex(triples, { offset, commit, pageSize });
  }

  #readHeader(): boolean {
    if (this.#windowEnd - this.#windowStart < LTX_HEADER_SIZE) return false;
    const bytes = kernel().input.slice(this.#windowStart, this.#windowStart + LTX_HEADER_SIZE);
    this.#header = decodeLTXHeader(bytes);
    this.#sequence = new PageSequence(this.#header);
    this.#database = DatabaseChecksum.for(this.#header);
    this.#state = updateCRC64(CRC_START, bytes);
    this.#advance(LTX_HEADER_SIZE);
    return true;
  }

  #readPages(): PageBatch | null {
    const k = kernel();
    const { pageSize } = this.#header as LTXHeader;
    const maxPages = Math.max(1, Math.floor(this.#batchBytes / pageSize));
    const start = this.#windowStart;
    this.#stateBefore = this.#state;
    const status = k.decodeFrames(start, this.#windowEnd, pageSize, maxPages, this.#state);
    const { count } = k;
    if (count === 0 && status < 0) throw badFrame(status, this.#offset);
    this.#account(count);
    this.#database?.add(count, pageSize);
    this.#state = status < 0 ? (k.states[count - 1] as bigint) : k.state;
    this.#advance(status === DECODE_END ? k.consumed - LTX_PAGE_HEADER_SIZE : k.consumed);
    const frames = k.input.subarray(start, this.#windowStart);
    if (status === DECODE_END) {
      this.#sequence?.end(this.#offset);
      this.#advance(LTX_PAGE_HEADER_SIZE);
      this.#index.close();
      this.#tail = new TailReader(this.#index, this.#state);
    }
    if (count === 0) return null;
    const pages = k.output.subarray(0, count * pageSize);
    return { count, pgnos: k.pgnos, pages, sizes: k.sizes, frames, legacyCount: k.legacyCount };
  }

  #account(count: number): void {
    const { pgnos, sizes } = kernel();
    let offset = this.#offset;
    for (let i = 0; i < count; i++) {
      const pgno = pgnos[i] as number;
      const size = sizes[i] as number;
      (this.#sequence as PageSequence).next(pgno, offset);
      this.#index.add(pgno, offset, size);
      offset += size;
    }
  }

  #readTail(): void {
    const bytes = kernel().input.subarray(this.#windowStart, this.#windowEnd);
    this.#tail?.push(bytes, this.#offset);
    this.#advance(bytes.length);
  }

  /** Puts undecoded bytes into kernel input, unless they lie there already. */
  #fillWindow(): void {
    const k = kernel();
    const windowIsOurs = k.owner === this;
    if (this.#direct) {
      if (!windowIsOurs)
        throw new Error("Kernel was used by another before read() had returned null");
      return;
    }
    if (windowIsOurs && this.#windowEnd > 0) return;
    k.owner = this;
    k.input.set(this.#carry);
    const room = INPUT_SIZE - this.#carry.length;
    const taken = this.#chunk.length > room ? this.#chunk.subarray(0, room) : this.#chunk;
    k.input.set(taken, this.#carry.length);
    this.#windowStart = 0;
    this.#windowEnd = this.#carry.length + taken.length;
  }

  /** Whether the window holds all undecoded bytes; when it does not, moves it. */
  #windowIsAll(): boolean {
    const left = this.#windowEnd - this.#windowStart;
    if (this.#direct || left === this.#carry.length + this.#chunk.length) return true;
    this.#windowEnd = 0;
    return false;
  }

  /** All that can be decoded is: keeps the rest for the next chunk. */
  #keepRest(): null {
    this.#carry =
      this.#windowStart === this.#windowEnd
        ? NO_BYTES
        : kernel().input.slice(this.#windowStart, this.#windowEnd);
    this.#chunk = NO_BYTES;
    this.#windowStart = 0;
    this.#windowEnd = 0;
    this.#direct = false;
    return null;
  }

  #advance(byteCount: number): void {
    this.#offset += byteCount;
    this.#windowStart += byteCount;
    if (this.#direct) return;
    const fromCarry = Math.min(byteCount, this.#carry.length);
    if (fromCarry > 0) this.#carry = this.#carry.subarray(fromCarry);
    if (byteCount > fromCarry) this.#chunk = this.#chunk.subarray(byteCount - fromCarry);
  }

  #requireEmpty(): void {
    if (this.#chunk.length > 0 || this.#direct) {
      throw new Error("LTX decoder has bytes left: call read() until it returns null");
    }
  }
}

/** Decodes and proves a whole file held in chunks. */
export function verifyLTX(
  chunks: Iterable<Uint8Array>,
): LTXSummary & { readonly index: PageIndex } {
  const decoder = new LTXDecoder({ keepIndex: true });
  for (const chunk of chunks) {
    decoder.push(chunk);
    while (decoder.read() !== null);
  }
  const summary = decoder.end();
  return { ...summary, index: decoder.index() };
}

/**
 * Decodes a run of consecutive page frames, such as a ranged read through a page index returns. Each page is checked to
 * be exactly `pageSize` bytes; no file checksum covers such a read, so compare `pgnos` and `sizes` with the index.
 * Yields batches in kernel memory. FormatError "truncated" when the run ends inside a frame.
 */
export function* decodeFrames(
  frames: Uint8Array,
  pageSize: number,
): Generator<PageBatch, void, undefined> {
  if (!isValidPageSize(pageSize)) throw new RangeError(`Invalid page size: ${pageSize}`);
  const owner = {};
  const maxPages = BATCH_BYTES / pageSize;
  const k = kernel();
  let at = 0;
  let windowStart = 0;
  let windowEnd = 0;
  while (at < frames.length) {
    if (k.owner !== owner || windowStart === windowEnd) {
      k.owner = owner;
      windowEnd = Math.min(INPUT_SIZE, frames.length - at);
      windowStart = 0;
      k.input.set(frames.subarray(at, at + windowEnd));
    }
    const status = k.decodeFrames(windowStart, windowEnd, pageSize, maxPages, CRC_START);
    const { count, consumed } = k;
    if (count === 0) {
      if (status < 0 || status === DECODE_END) throw badFrame(status, at);
      if (at + (windowEnd - windowStart) === frames.length) {
        throw new FormatError("truncated", "Page frames end within a frame", at);
      }
      windowStart = windowEnd;
      continue;
    }
    // An end marker does not belong to a run: the next round reports it.
    const size = status === DECODE_END ? consumed - LTX_PAGE_HEADER_SIZE : consumed;
    const batch = {
      count,
      pgnos: k.pgnos,
      pages: k.output.subarray(0, count * pageSize),
      sizes: k.sizes,
      frames: k.input.subarray(windowStart, windowStart + size),
      legacyCount: k.legacyCount,
    };
    at += size;
    windowStart += size;
    yield batch;
  }
}

function badFrame(status: number, offset: number): FormatError {
  const at = `at offset ${offset}`;
  switch (status) {
    case DECODE_END:
      return new FormatError("bad-page-header", `Page frames have an end marker ${at}`, offset);
    case DECODE_BAD_HEADER:
      return new FormatError("bad-page-header", `Invalid page header ${at}`, offset);
    case DECODE_TOO_LARGE:
      return new FormatError(
        "frame-too-large",
        `Page frame ${at} is larger than a page can be`,
        offset,
      );
    case DECODE_BAD_LENGTH:
      return new FormatError("page-length", `Page frame ${at} does not expand to one page`, offset);
    case DECODE_BAD_CONTENT_CHECKSUM:
      return new FormatError(
        "content-checksum",
        `Content checksum of the page frame ${at} is wrong`,
        offset,
      );
    case DECODE_UNSUPPORTED:
      return new FormatError("unsupported", `Page frame ${at} needs an LZ4 dictionary`, offset);
    default:
      return new FormatError("bad-lz4", `Malformed LZ4 data in the page frame ${at}`, offset);
  }
}
