/** SQLite's rollback journal, as far as it is written here (sqlite.org/fileformat2.html#the_rollback_journal). */
import { isValidPageSize } from "./sqlite-header.ts";

/** The header fills one sector of this size; records follow it. */
export const JOURNAL_HEADER_SIZE = 512;

const MAGIC = [0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7];
/** Only one byte in so many goes into the checksum of a record. */
const CHECKSUM_STRIDE = 200;

export interface JournalHeader {
  readonly recordCount: number;
  /** Random; part of every record's checksum, so that records of an older journal are not believed. */
  readonly nonce: number;
  /** Size to which a rollback brings the database back, in pages. */
  readonly pageCount: number;
  readonly pageSize: number;
}

/**
 * Encodes the header, padded to its sector; integers are big-endian.
 *
 *   offset  size  field
 *   0       8     magic
 *   8       4     recordCount
 *   12      4     nonce
 *   16      4     pageCount
 *   20      4     sector size: 512
 *   24      4     pageSize
 */
export function encodeJournalHeader(header: JournalHeader): Uint8Array {
  if (!isValidPageSize(header.pageSize)) {
    throw new RangeError(`Invalid page size: ${header.pageSize}`);
  }
  const bytes = new Uint8Array(JOURNAL_HEADER_SIZE);
  bytes.set(MAGIC);
  const view = new DataView(bytes.buffer);
  view.setUint32(8, header.recordCount);
  view.setUint32(12, header.nonce);
  view.setUint32(16, header.pageCount);
  view.setUint32(20, JOURNAL_HEADER_SIZE);
  view.setUint32(24, header.pageSize);
  return bytes;
}

/** Bytes of one record: page number, page, checksum. */
export function journalRecordSize(pageSize: number): number {
  return pageSize + 8;
}

/** Completes the record at `offset` of `target` around a page that lies there already, 4 bytes on. */
export function sealJournalRecord(
  target: Uint8Array,
  offset: number,
  pgno: number,
  { nonce, pageSize }: Pick<JournalHeader, "nonce" | "pageSize">,
): void {
  const view = new DataView(target.buffer, target.byteOffset + offset, journalRecordSize(pageSize));
  view.setUint32(0, pgno);
  let checksum = nonce;
  for (let at = pageSize - CHECKSUM_STRIDE; at > 0; at -= CHECKSUM_STRIDE) {
    checksum = (checksum + view.getUint8(4 + at)) >>> 0;
  }
  view.setUint32(4 + pageSize, checksum);
}
