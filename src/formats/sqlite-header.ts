/** The fields of a SQLite database header that replication uses (formats §9), and the lock page (formats §2.4). */
import { FormatError } from "./format-error.ts";

/** Bytes needed by `decodeSQLiteHeader()`. */
export const SQLITE_HEADER_SIZE = 100;

/** SQLite's locks live at this file offset; the page that holds it never holds data. */
const LOCK_OFFSET = 0x4000_0000;

const MAGIC = "SQLite format 3\0";

export interface SQLiteHeader {
  readonly pageSize: number;
  /** 1 = rollback journal, 2 = WAL. */
  readonly writeVersion: number;
  readonly readVersion: number;
  readonly changeCounter: number;
  /** Page count as written in the header; SQLite trusts it only while the change counter agrees. */
  readonly pageCount: number;
}

/** Whether SQLite could use this page size: a power of two in 512…65536. */
export function isValidPageSize(pageSize: number): boolean {
  return pageSize >= 512 && pageSize <= 65_536 && (pageSize & (pageSize - 1)) === 0;
}

/** Number of the page that holds SQLite's lock bytes. */
export function lockPgno(pageSize: number): number {
  if (!isValidPageSize(pageSize)) throw new RangeError(`Invalid page size: ${pageSize}`);
  return LOCK_OFFSET / pageSize + 1;
}

/** Pages of data in a database of `pageCount` pages: all but the lock page. */
export function dataPageCount(pageCount: number, pageSize: number): number {
  return pageCount >= lockPgno(pageSize) ? pageCount - 1 : pageCount;
}

/** Whether bytes start like a SQLite database: the first 16 are enough. Encrypted databases do not. */
export function isSQLiteMagic(bytes: Uint8Array): boolean {
  for (let i = 0; i < MAGIC.length; i++) {
    if (bytes[i] !== MAGIC.charCodeAt(i)) return false;
  }
  return true;
}

/**
 * Decodes the first 100 bytes of a database file.
 *
 *   offset  size  field
 *   0       16    "SQLite format 3\0"
 *   16      2     page size, big-endian; 1 = 65536
 *   18      1     write version
 *   19      1     read version
 *   24      4     change counter, big-endian
 *   28      4     page count, big-endian
 *
 * FormatError "truncated", "bad-magic" or "bad-page-size".
 */
export function decodeSQLiteHeader(bytes: Uint8Array): SQLiteHeader {
  if (bytes.length < SQLITE_HEADER_SIZE) {
    throw new FormatError(
      "truncated",
      `Cannot read a SQLite header: ${bytes.length} of 100 bytes`,
      0,
    );
  }
  if (!isSQLiteMagic(bytes)) {
    throw new FormatError(
      "bad-magic",
      "Not a SQLite database, or an encrypted one: no SQLite header found",
      0,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, SQLITE_HEADER_SIZE);
  const stored = view.getUint16(16);
  const pageSize = stored === 1 ? 65_536 : stored;
  if (!isValidPageSize(pageSize)) {
    throw new FormatError("bad-page-size", `Invalid page size in SQLite header: ${stored}`, 16);
  }
  return {
    pageSize,
    writeVersion: view.getUint8(18),
    readVersion: view.getUint8(19),
    changeCounter: view.getUint32(24),
    pageCount: view.getUint32(28),
  };
}
