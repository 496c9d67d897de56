/** Finds a local level-0 file that holds every page of the database, so that a chain of files may start with it. */
import { closeSync, openSync, readSync } from "node:fs";
import { LTX_HEADER_SIZE, LTX_PAGE_HEADER_SIZE, LTX_TRAILER_SIZE } from "../formats/ltx/header.ts";
import { decodePageIndex } from "../formats/ltx/page-index.ts";
import type { TXID } from "../formats/ltx/txid.ts";
import { lockPgno } from "../formats/sqlite-header.ts";
import { localDiskError } from "./local-disk-error.ts";
import type { LocalLTX, LocalLTXFile } from "./local-ltx.ts";

/** TXID of the newest file with every page, 0n when there is none. Reads the header of every file and the page index of a few. */
export function findLocalImage(local: LocalLTX): TXID {
  for (let txid = local.newestTXID; local.has(txid); txid--) {
    if (isFullImage(local.read(txid))) return txid;
  }
  return 0n;
}

/** Whether the file holds all pages 1 … commit but the lock page, by its page index. */
export function isFullImage(file: LocalLTXFile): boolean {
  const { commit, pageSize } = file.header;
  const pageCount = commit >= lockPgno(pageSize) ? commit - 1 : commit;
  // The fewest bytes such a file can have rule out nearly every file without reading its index.
  if (commit === 0 || file.sizeBytes < LTX_HEADER_SIZE + pageCount * MIN_BYTES_PER_PAGE)
    return false;
  const fd = openSync(file.path, "r");
  try {
    const length = indexLength(fd, file);
    if (length < pageCount * MIN_INDEX_ENTRY_SIZE) return false;
    const offset = file.sizeBytes - LTX_TRAILER_SIZE - INDEX_LENGTH_SIZE - length;
    if (offset < LTX_HEADER_SIZE + LTX_PAGE_HEADER_SIZE) return false;
    return (
      decodePageIndex(readBytes(fd, offset, length), { offset, commit, pageSize }).count ===
      pageCount
    );
  } catch (error) {
    throw localDiskError(error, { action: "read", path: file.path, txid: file.txid });
  } finally {
    closeSync(fd);
  }
}

/** Three varints of at least one byte each. */
const MIN_INDEX_ENTRY_SIZE = 3;
/** Page header, size word, the shortest LZ4 block of a page, index entry. */
const MIN_BYTES_PER_PAGE = LTX_PAGE_HEADER_SIZE + 4 + 8 + MIN_INDEX_ENTRY_SIZE;
const INDEX_LENGTH_SIZE = 8;

function indexLength(fd: number, file: LocalLTXFile): number {
  const bytes = readBytes(
    fd,
    file.sizeBytes - LTX_TRAILER_SIZE - INDEX_LENGTH_SIZE,
    INDEX_LENGTH_SIZE,
  );
  return Number(new DataView(bytes.buffer).getBigUint64(0));
}

function readBytes(fd: number, position: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const count = readSync(fd, bytes, done, length - done, position + done);
    if (count === 0) throw new Error("the file ended while it was read");
    done += count;
  }
  return bytes;
}
