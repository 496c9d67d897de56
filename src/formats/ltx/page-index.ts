/** LTX page index (formats §1.3) and how to find it with ranged reads (formats §4). */
import { FormatError } from "../format-error.ts";

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

/** Where the page index of a file is. */
export interface PageIndexRange {
  /** Offset of the first triple. */
  readonly offset: number;
  /** Bytes from the first triple through the terminator. */
  readonly length: number;
}

/**
 * Finds the page index from the last bytes of a file (at least 24 of them, `INDEX_TAIL_SIZE` is a good number).
 * When `range.offset` lies before the tail (fileSize − tail.length), fetch `[offset, offset + length)` and decode that.
 */
export function locatePageIndex(tail: Uint8Array, fileSize: number): PageIndexRange {
  throw new FormatError("truncated", `${tail.length}${fileSize}`);
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
 * Decodes the bytes of a page index, first triple through terminator. Strict: ascending page numbers, frames that
 * follow each other without gap from offset 100 to the six bytes of the end marker, which must end at `range.offset`.
 * `bounds.commit` and `bounds.pageSize` (from the header) also rule out pages beyond the database, the lock page
 * and frames larger than any page can be.
 */
export function decodePageIndex(
  bytes: Uint8Array,
  bounds: { readonly offset: number; readonly commit?: number; readonly pageSize?: number },
): PageIndex {
  throw new FormatError("truncated", `${bytes.length}${bounds.offset}`);
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
