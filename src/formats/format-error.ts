/** What was wrong with bytes that should have been an LTX file, a WAL, an LZ4 block or a SQLite database. */
export type FormatErrorKind =
  /** The bytes end before the format does. */
  | "truncated"
  /** Bytes follow where the format ends. */
  | "trailing-data"
  | "bad-magic"
  /** Header flags outside the known set. */
  | "bad-flags"
  /** Not a power of two in 512…65536. */
  | "bad-page-size"
  | "bad-txid"
  /** walOffset, walSize and salts contradict each other or are out of range. */
  | "bad-wal-position"
  | "bad-timestamp"
  /** A checksum field (pre-apply, post-apply, file) breaks the rules of its flags. */
  | "bad-checksum-field"
  /** Unknown page flags, or page number 0 with flags. */
  | "bad-page-header"
  /** Page numbers not strictly ascending. */
  | "page-order"
  /** Page number above the commit size. */
  | "page-out-of-range"
  /** The lock page, which never holds data, is present. */
  | "lock-page"
  /** A snapshot with a hole or an early end, or a file that grows the database without its new pages. */
  | "missing-page"
  /** A page frame longer than any valid page can be. */
  | "frame-too-large"
  /** Malformed LZ4 data. */
  | "bad-lz4"
  /** LZ4 data that expands to something else than one page. */
  | "page-length"
  /** The xxHash32 of an LZ4 frame does not match. */
  | "content-checksum"
  /** The page index contradicts the page frames or itself. */
  | "bad-page-index"
  /** The length field of the page index is wrong. */
  | "index-length"
  /** The CRC-64 over the whole file does not match. */
  | "file-checksum"
  /** The rolling database checksum does not match. */
  | "database-checksum"
  /** File name and header name different TXIDs. */
  | "name-mismatch"
  /** Files of a chain do not follow each other. */
  | "not-contiguous"
  /** Files of a chain have different page sizes. */
  | "page-size-mismatch"
  /** A variable-length integer is not in its shortest form or too large. */
  | "bad-varint"
  /** Valid by its format, but with a feature that is not supported (LZ4 dictionary, WAL version). */
  | "unsupported";

/** The one error of every decoder. `offset` is where in the file or buffer, when known. */
export class FormatError extends Error {
  override readonly name = "FormatError";
  readonly kind: FormatErrorKind;
  readonly offset: number | undefined;

  constructor(kind: FormatErrorKind, message: string, offset?: number, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
    this.offset = offset;
  }
}
