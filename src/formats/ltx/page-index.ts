/** LTX page index (formats §1.3) and how to find it with ranged reads (formats §4). */
import { UvarintReader } from "../bytes.ts";
import { FormatError } from "../format-error.ts";
import { lz4Bound } from "../kernel/lz4.ts";
import { LEGACY_FRAMING_LIMIT } from "../kernel/memory.ts";
import { lockPgno } from "../sqlite-header.ts";
import { LTX_HEADER_SIZE, LTX_PAGE_HEADER_SIZE, LTX_TRAILER_SIZE } from "./header.ts";

/** Where each page of a file is, in ascending page order. Only the first `count` entries of the arrays count. */
export interface PageIndex {
  readonly count: number;
  readonly pgnos: Uint32Array;
  /** Offset in the file of the page frame's header. */
  readonly offsets: Float64Array;
  /** Bytes of the frame, header included. */
  readonly sizes: Uint32Array;
}

/** Bytes at the end of a file that a reader fetches first: they hold the trailer and, mostly, the whole index. */
export const INDEX_TAIL_SIZE = 32_768;

/** The length field of the index, and the trailer. */
const AFTER_INDEX_SIZE: number = 8 + LTX_TRAILER_SIZE;
const BEFORE_INDEX_SIZE: number = LTX_HEADER_SIZE + LTX_PAGE_HEADER_SIZE;
const MAX_U32 = 0xffff_ffff;

/** Where the page index of a file is. */
export interface PageIndexRange {
  /** Offset of the first triple. */
  readonly offset: number;
  /** Bytes from the first triple through the terminator. */
  readonly length: number;
}

/** What else is known of a file whose index is decoded. */
export interface PageIndexBounds {
  /** Where in the file the index starts: the frames end six bytes before. */
  readonly offset: number;
  /** From the header. */
  readonly commit?: number;
  readonly pageSize?: number;
}

/** Most bytes a page frame can have, in either encoding. */
export function maxFrameSize(pageSize: number): number {
  return LTX_PAGE_HEADER_SIZE + lz4Bound(pageSize) + LEGACY_FRAMING_LIMIT;
}

/**
 * Finds the page index from the last bytes of a file (at least 24 of them, `INDEX_TAIL_SIZE` is a good number).
 * When `range.offset` lies before the tail (fileSize − tail.length), fetch `[offset, offset + length)` and decode that.
 * FormatError "truncated" when the file or the tail is too short, "index-length" when the length field cannot be right.
 */
export function locatePageIndex(tail: Uint8Array, fileSize: number): PageIndexRange {
  const minimum = BEFORE_INDEX_SIZE + 1 + AFTER_INDEX_SIZE;
  if (fileSize < minimum || tail.length < AFTER_INDEX_SIZE || tail.length > fileSize) {
    throw new FormatError(
      "truncated",
      `Cannot find the page index: ${tail.length} bytes read from the end of ${fileSize}, ${minimum} is the least`,
    );
  }
  const end = fileSize - AFTER_INDEX_SIZE;
  const view = new DataView(tail.buffer, tail.byteOffset, tail.byteLength);
  const length = view.getBigUint64(tail.length - AFTER_INDEX_SIZE);
  if (length < 1n || length > BigInt(end - BEFORE_INDEX_SIZE)) {
    throw new FormatError(
      "index-length",
      `Invalid length of page index: ${length} in a file of ${fileSize} bytes`,
      end,
    );
  }
  return { offset: end - Number(length), length: Number(length) };
}

/** The bytes of the index when they lie within the tail, otherwise null. */
export function sliceTail(
  tail: Uint8Array,
  fileSize: number,
  range: PageIndexRange,
): Uint8Array | null {
  const start = range.offset - (fileSize - tail.length);
  return start >= 0 ? tail.subarray(start, start + range.length) : null;
}

/**
 * Decodes the bytes of a page index, first triple through terminator. Strict: ascending page numbers, frames that follow each
 * other without a gap from offset 100 to the end marker, and nothing after the terminator. `bounds.commit` and
 * `bounds.pageSize` also rule out pages beyond the database, the lock page and frames larger than any page can be.
 */
export function decodePageIndex(bytes: Uint8Array, bounds: PageIndexBounds): PageIndex {
  const capacity = countEntries(bytes);
  const pgnos = new Uint32Array(capacity);
  const offsets = new Float64Array(capacity);
  const sizes = new Uint32Array(capacity);
  const reader = new UvarintReader(bytes);
  const check = new EntryCheck(bounds);
  let count = 0;
  for (let pgno = reader.read(); pgno !== 0; pgno = reader.read()) {
    const offset = reader.read();
    const size = reader.read();
    check.entry(pgno, offset, size, bounds.offset + reader.at);
    pgnos[count] = pgno;
    offsets[count] = offset;
    sizes[count++] = size;
  }
  if (reader.at !== bytes.length) {
    throw new FormatError(
      "index-length",
      `Page index ends ${bytes.length - reader.at} bytes early`,
      bounds.offset,
    );
  }
  if (check.nextOffset + LTX_PAGE_HEADER_SIZE !== bounds.offset) {
    throw badIndex(
      `its frames end at ${check.nextOffset}, the page block at ${bounds.offset}`,
      bounds.offset,
    );
  }
  return { count, pgnos, offsets, sizes };
}

/** Position of `pgno` in the index, or −1. */
export function findPage(index: PageIndex, pgno: number): number {
  let low = 0;
  let high = index.count - 1;
  while (low <= high) {
    const middle = (low + high) >>> 1;
    const found = index.pgnos[middle] ?? 0;
    if (found === pgno) return middle;
    if (found < pgno) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
}

/** How many triples the bytes can hold: each integer ends with a byte below 128. */
function countEntries(bytes: Uint8Array): number {
  let integers = 0;
  for (let i = 0; i < bytes.length; i++) {
    if ((bytes[i] as number) < 128) integers++;
  }
  return Math.floor(integers / 3);
}

/** The rules that each entry must keep with the one before. */
class EntryCheck {
  nextOffset = LTX_HEADER_SIZE;
  #lastPgno = 0;
  readonly #commit: number;
  readonly #lockPgno: number;
  readonly #maxSize: number;

  constructor(bounds: PageIndexBounds) {
    this.#commit = bounds.commit ?? MAX_U32;
    this.#lockPgno = bounds.pageSize === undefined ? 0 : lockPgno(bounds.pageSize);
    this.#maxSize = maxFrameSize(bounds.pageSize ?? 65_536);
  }

  entry(pgno: number, offset: number, size: number, at: number): void {
    if (pgno > MAX_U32) throw badIndex(`page number ${pgno} is too large`, at);
    if (pgno <= this.#lastPgno) {
      throw new FormatError(
        "page-order",
        `Page index has page ${pgno} after ${this.#lastPgno}`,
        at,
      );
    }
    if (pgno > this.#commit) {
      throw new FormatError(
        "page-out-of-range",
        `Page index has page ${pgno} of ${this.#commit}`,
        at,
      );
    }
    if (pgno === this.#lockPgno) {
      throw new FormatError("lock-page", `Page index has the lock page ${pgno}`, at);
    }
    if (offset !== this.nextOffset) {
      throw badIndex(`page ${pgno} is at ${offset}, expected at ${this.nextOffset}`, at);
    }
    if (size <= LTX_PAGE_HEADER_SIZE || size > this.#maxSize) {
      throw badIndex(`page ${pgno} has a frame of ${size} bytes`, at);
    }
    this.#lastPgno = pgno;
    this.nextOffset += size;
  }
}

function badIndex(what: string, offset: number): FormatError {
  return new FormatError("bad-page-index", `Page index is wrong: ${what}`, offset);
}
