/**
 * Decides how one sync continues from the last one (engine R2). Pure: every fact it needs is in its arguments.
 *
 * F = 24 + page size is the length of a WAL frame. A WAL generation is what was written under one pair of salts; SQLite
 * adds 1 to the first salt and draws the second anew each time it restarts the WAL.
 */
import { WAL_FRAME_HEADER_SIZE, WAL_HEADER_SIZE } from "../formats/wal.ts";
import type { WALHeader } from "../formats/wal.ts";
import type { TXID } from "../formats/ltx/txid.ts";

/** Salts and checksum pair: the identity of one WAL frame, as its header carries it. */
export interface FrameMark {
  readonly salt1: number;
  readonly salt2: number;
  readonly checksum1: number;
  readonly checksum2: number;
}

/** Where the last sync ended. */
export interface ResumePoint {
  /** TXID of the newest level-0 file. */
  readonly txid: TXID;
  /** Database size in pages after it. */
  readonly commit: number;
  readonly pageSize: number;
  /** End of the last committed frame copied; 32 when none of this generation was. */
  readonly offset: number;
  /** Salts of that generation; the checksum pair of the frame before `offset`, or the WAL header's when offset is 32. */
  readonly mark: FrameMark;
  /** Byte order of that generation's checksums. */
  readonly bigEndian: boolean;
  /** Inode of the database file. Not its device: device numbers may change when a machine starts anew. */
  readonly ino: number;
}

/** What the WAL looks like now. */
export interface WALObservation {
  /** Size of the WAL file; 0 when there is none. */
  readonly sizeBytes: number;
  /** Null: no WAL, too short, or its header fails its checksum (an empty WAL to SQLite). */
  readonly header: WALHeader | null;
  /** Header of the frame that ends at the resume point's offset; null when the file is too short or the offset is 32. */
  readonly previousFrame: FrameMark | null;
}

export type SyncPlan =
  /** Scan on from `offset` under `mark`. */
  | { readonly kind: "continue"; readonly offset: number; readonly mark: FrameMark }
  /** The WAL was restarted once after everything in it had been copied: its new generation from the start. */
  | { readonly kind: "new-generation" }
  /** The WAL was restarted once and what we copied last is still in place: first the old tail, then the new frames. */
  | {
      readonly kind: "continue-after-restart";
      readonly tailOffset: number;
      readonly tailMark: FrameMark;
    }
  | { readonly kind: "full-image"; readonly reason: string };

/**
 * `sealed`: a checkpoint of ours ended with everything copied and backfilled, and the read lock is held ever since, on read
 * slot 0. It permits exactly one restart, and only of the WAL as it was then.
 */
export function planSync(
  wal: WALObservation,
  resume: ResumePoint | null,
  database: { readonly pageSize: number; readonly ino: number; readonly sealed: boolean },
): SyncPlan {
  if (resume === null) return image("first sync");
  if (resume.pageSize !== database.pageSize) {
    return image(`page size changed from ${resume.pageSize} to ${database.pageSize}`);
  }
  if (resume.ino !== database.ino) return image("database file was replaced");
  if (wal.header === null) {
    return image(
      wal.sizeBytes < WAL_HEADER_SIZE ? "WAL was removed or emptied" : "WAL header is not valid",
    );
  }
  if (wal.header.pageSize !== database.pageSize) {
    return image(`WAL has page size ${wal.header.pageSize}, the database ${database.pageSize}`);
  }
  return planWithin(wal, wal.header, resume, database.sealed);
}

function planWithin(
  wal: WALObservation,
  header: WALHeader,
  resume: ResumePoint,
  sealed: boolean,
): SyncPlan {
  const { mark, offset } = resume;
  if (header.bigEndian !== resume.bigEndian) {
    return image("WAL was made anew on a machine of another byte order");
  }
  const sameSalts = header.salt1 === mark.salt1 && header.salt2 === mark.salt2;
  const restartedOnce = !sameSalts && header.salt1 === (mark.salt1 + 1) >>> 0;
  // The restarting commit may have truncated the file below the last copied frame.
  if (sealed && restartedOnce) return { kind: "new-generation" };
  if (offset === WAL_HEADER_SIZE) {
    const sameHeader = header.checksum1 === mark.checksum1 && header.checksum2 === mark.checksum2;
    if (sameSalts && sameHeader) return { kind: "continue", offset, mark };
    return image("WAL was restarted before any of its frames were copied");
  }
  const previousIntact = wal.previousFrame !== null && sameMark(wal.previousFrame, mark);
  if (sameSalts) {
    if (previousIntact) return { kind: "continue", offset, mark };
    return image("WAL was rewritten below the last copied frame");
  }
  if (!restartedOnce) return image("WAL was restarted more than once or made anew");
  if (!previousIntact) return image("WAL was restarted and the last copied frame is overwritten");
  return { kind: "continue-after-restart", tailOffset: offset, tailMark: mark };
}

/**
 * Whether an image may be a difference from the newest level-0 file's state. It may not where a new chain begins, for nothing after
 * it needs older files, and where its number does not follow that file's. The inode does not matter: every page is compared.
 */
export function planImage(facts: {
  readonly mustBeFull: boolean;
  /** The number before that of the image. */
  readonly txid: TXID;
  /** Newest level-0 file; 0n when there is none. */
  readonly newestTXID: TXID;
}): "full" | "difference" {
  const follows = facts.newestTXID > 0n && facts.txid === facts.newestTXID;
  return facts.mustBeFull || !follows ? "full" : "difference";
}

function image(reason: string): SyncPlan {
  return { kind: "full-image", reason };
}

export function sameMark(a: FrameMark, b: FrameMark): boolean {
  return (
    a.salt1 === b.salt1 &&
    a.salt2 === b.salt2 &&
    a.checksum1 === b.checksum1 &&
    a.checksum2 === b.checksum2
  );
}

/** Where frame headers lie: the one that ends at `offset`. */
export function previousFrameOffset(offset: number, pageSize: number): number {
  return offset - WAL_FRAME_HEADER_SIZE - pageSize;
}

/** Whole frames between the WAL header and `offset`. */
export function framesBefore(offset: number, pageSize: number): number {
  return (offset - WAL_HEADER_SIZE) / (WAL_FRAME_HEADER_SIZE + pageSize);
}
