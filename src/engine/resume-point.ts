/**
 * Where the last sync ended, kept beside the level-0 folder so that a restart continues without a full image (R1).
 *
 * The file is a hint that is never trusted alone: it names the newest level-0 file it belongs to (TXID, WAL end and
 * salts of its header), and counts for nothing when that file is another one, as after a run of another program.
 */
import { closeSync, constants, fsyncSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { LTXHeader } from "../formats/ltx/header.ts";
import { formatTXID } from "../formats/ltx/txid.ts";
import type { ResumePoint } from "./sync-plan.ts";

const FILE_NAME = "resume-point.json";
/**
 * Padded to one length, so that each record takes the place of the one before: truncating a file first makes some file
 * systems write it to the disk when it is closed, at every commit.
 */
const RECORD_SIZE = 512;

interface StoredResumePoint {
  readonly version: 1;
  readonly txid: string;
  readonly ltxWALEnd: number;
  readonly ltxSalt1: number;
  readonly ltxSalt2: number;
  readonly commit: number;
  readonly pageSize: number;
  readonly offset: number;
  readonly salt1: number;
  readonly salt2: number;
  readonly checksum1: number;
  readonly checksum2: number;
  readonly bigEndian: boolean;
  readonly ino: number;
}

export function resumePointPath(metaPath: string): string {
  return join(metaPath, FILE_NAME);
}

/**
 * Stores `resume` as belonging to the level-0 file with header `newest`. Not flushed unless asked for: to lose a write only costs
 * proof, but for one that takes proof back.
 */
export function writeResumePoint(
  metaPath: string,
  newest: LTXHeader,
  resume: ResumePoint,
  options: { readonly isFlushed?: boolean } = {},
): void {
  const stored: StoredResumePoint = {
    version: 1,
    txid: formatTXID(newest.maxTXID),
    ltxWALEnd: newest.walOffset + newest.walSize,
    ltxSalt1: newest.walSalt1,
    ltxSalt2: newest.walSalt2,
    commit: resume.commit,
    pageSize: resume.pageSize,
    offset: resume.offset,
    ...resume.mark,
    bigEndian: resume.bigEndian,
    ino: resume.ino,
  };
  const record = `${JSON.stringify(stored).padEnd(RECORD_SIZE - 1)}\n`;
  const fd = openSync(resumePointPath(metaPath), constants.O_WRONLY | constants.O_CREAT, 0o600);
  try {
    writeSync(fd, record, 0);
    if (options.isFlushed === true) fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** The stored resume point, or null when there is none that belongs to the level-0 file with header `newest`. */
export function readResumePoint(metaPath: string, newest: LTXHeader): ResumePoint | null {
  const stored = readStored(resumePointPath(metaPath));
  if (stored === null || !belongsTo(stored, newest)) return null;
  const { salt1, salt2, checksum1, checksum2 } = stored;
  return {
    txid: newest.maxTXID,
    commit: stored.commit,
    pageSize: stored.pageSize,
    offset: stored.offset,
    mark: { salt1, salt2, checksum1, checksum2 },
    bigEndian: stored.bigEndian,
    ino: stored.ino,
  };
}

function readStored(path: string): StoredResumePoint | null {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
  return parseStored(text);
}

/** Null for anything but a complete record: a torn write is as good as none. */
function parseStored(text: string): StoredResumePoint | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null) return null;
  const stored = value as StoredResumePoint;
  const numbers = [
    stored.ltxWALEnd,
    stored.ltxSalt1,
    stored.ltxSalt2,
    stored.commit,
    stored.pageSize,
    stored.offset,
    stored.salt1,
    stored.salt2,
    stored.checksum1,
    stored.checksum2,
    stored.ino,
  ];
  const complete =
    stored.version === 1 &&
    typeof stored.txid === "string" &&
    typeof stored.bigEndian === "boolean" &&
    numbers.every(Number.isSafeInteger);
  return complete ? stored : null;
}

function belongsTo(stored: StoredResumePoint, newest: LTXHeader): boolean {
  return (
    stored.txid === formatTXID(newest.maxTXID) &&
    stored.ltxWALEnd === newest.walOffset + newest.walSize &&
    stored.ltxSalt1 === newest.walSalt1 &&
    stored.ltxSalt2 === newest.walSalt2 &&
    stored.commit === newest.commit &&
    stored.pageSize === newest.pageSize
  );
}
