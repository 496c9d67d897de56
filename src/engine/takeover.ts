/**
 * Finds the resume point when only level-0 files are at hand: after a run of Litestream itself, or when the stored resume
 * point does not belong to the newest file. The header says where in which WAL generation it ended; that the frame there
 * is still the same is proven by its page, which the file must hold with the same bytes.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { decodeFrames } from "../formats/ltx/decoder.ts";
import { LTX_HEADER_SIZE } from "../formats/ltx/header.ts";
import type { LTXHeader } from "../formats/ltx/header.ts";
import {
  INDEX_TAIL_SIZE,
  decodePageIndex,
  findPage,
  locatePageIndex,
  sliceTail,
} from "../formats/ltx/page-index.ts";
import { WAL_FRAME_HEADER_SIZE, WAL_HEADER_SIZE } from "../formats/wal.ts";
import { previousFrameOffset } from "./sync-plan.ts";
import type { FrameMark, ResumePoint } from "./sync-plan.ts";
import type { FileIdentity } from "../sqlite/database-file.ts";
import type { WALFile } from "./wal-file.ts";

/** A mark no frame has: the salts are the file's, the checksums unknown. Leads to a full image unless salts settle it. */
function unprovenMark(newest: LTXHeader): FrameMark {
  return { salt1: newest.walSalt1, salt2: newest.walSalt2, checksum1: -1, checksum2: -1 };
}

/**
 * The resume point that the level-0 file at `path`, with header `newest`, proves against the present WAL. Always a point:
 * where nothing is proven its mark matches no frame, and the plan says why an image is needed.
 */
export function deriveResumePoint(
  path: string,
  newest: LTXHeader,
  wal: WALFile | null,
  identity: FileIdentity,
): ResumePoint {
  const offset = newest.walOffset + newest.walSize;
  const header = wal?.header() ?? null;
  return {
    txid: newest.maxTXID,
    commit: newest.commit,
    pageSize: newest.pageSize,
    offset: Math.max(offset, WAL_HEADER_SIZE),
    mark: (wal === null ? null : provenMark(path, newest, wal)) ?? unprovenMark(newest),
    bigEndian: header?.bigEndian ?? false,
    ino: identity.ino,
  };
}

function provenMark(path: string, newest: LTXHeader, wal: WALFile): FrameMark | null {
  const offset = newest.walOffset + newest.walSize;
  const header = wal.header();
  if (header === null || header.pageSize !== newest.pageSize) return null;
  if (offset === WAL_HEADER_SIZE) {
    const { salt1, salt2, checksum1, checksum2 } = header;
    return salt1 === newest.walSalt1 && salt2 === newest.walSalt2
      ? { salt1, salt2, checksum1, checksum2 }
      : null;
  }
  const frameOffset = previousFrameOffset(offset, newest.pageSize);
  if (frameOffset < WAL_HEADER_SIZE) return null;
  const mark = wal.frameMark(frameOffset);
  if (mark === null || mark.salt1 !== newest.walSalt1 || mark.salt2 !== newest.walSalt2)
    return null;
  return holdsPageOf(path, newest, wal, frameOffset) ? mark : null;
}

/** Whether the LTX file holds the page of the WAL frame at `frameOffset` with the same content. */
function holdsPageOf(path: string, newest: LTXHeader, wal: WALFile, frameOffset: number): boolean {
  const { pageSize } = newest;
  const page = new Uint8Array(pageSize);
  wal.read(page, 0, pageSize, frameOffset + WAL_FRAME_HEADER_SIZE);
  const pgnoBytes = new Uint8Array(4);
  wal.read(pgnoBytes, 0, 4, frameOffset);
  const pgno = new DataView(pgnoBytes.buffer).getUint32(0);
  const stored = readLTXPage(path, newest, pgno);
  return stored !== null && equalBytes(stored, page);
}

/** One page of a local LTX file by its page index, or null when the file does not hold it. */
function readLTXPage(path: string, newest: LTXHeader, pgno: number): Uint8Array | null {
  const { commit, pageSize } = newest;
  const fd = openSync(path, "r");
  try {
    const sizeBytes = fstatSync(fd).size;
    const tail = readAt(
      fd,
      Math.max(0, sizeBytes - INDEX_TAIL_SIZE),
      Math.min(sizeBytes, INDEX_TAIL_SIZE),
    );
    const range = locatePageIndex(tail, sizeBytes);
    const bytes = sliceTail(tail, sizeBytes, range) ?? readAt(fd, range.offset, range.length);
    const index = decodePageIndex(bytes, { offset: range.offset, commit, pageSize });
    const entry = findPage(index, pgno);
    if (entry < 0) return null;
    const frame = readAt(fd, index.offsets[entry] ?? LTX_HEADER_SIZE, index.sizes[entry] ?? 0);
    for (const batch of decodeFrames(frame, pageSize)) return batch.pages.slice(0, pageSize);
    return null;
  } finally {
    closeSync(fd);
  }
}

function readAt(fd: number, offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const count = readSync(fd, bytes, done, length - done, offset + done);
    if (count === 0)
      throw new Error(
        `Cannot read ${length} bytes at ${offset}: the file ends after ${offset + done}`,
      );
    done += count;
  }
  return bytes;
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
