/** Writes one level-0 file from what a sync found, and keeps the page hashes in step. */
import type { LTXHeader } from "../formats/ltx/header.ts";
import { createLTXHeader } from "../formats/ltx/header.ts";
import type { TXID } from "../formats/ltx/txid.ts";
import type { WALHeader } from "../formats/wal.ts";
import type { DatabaseFile } from "../sqlite/database-file.ts";
import type { Clock } from "./clock.ts";
import type { LocalLTX } from "./local-ltx.ts";
import { writeLTXFile } from "./ltx-file.ts";
import type { PageSelection } from "./ltx-file.ts";
import { MAX_HASHED_PAGES } from "./page-hashes.ts";
import type { PageHashes } from "./page-hashes.ts";
import type { WALFile, WALStretch } from "./wal-file.ts";

export interface LevelZeroTarget {
  readonly database: DatabaseFile;
  readonly pageSize: number;
  readonly local: LocalLTX;
  readonly hashes: PageHashes;
  readonly clock: Clock;
}

export interface LevelZeroJob {
  readonly txid: TXID;
  /** Null: every page comes from the database file. */
  readonly wal: WALFile | null;
  readonly header: WALHeader;
  readonly walOffset: number;
  readonly stretch: Pick<WALStretch, "pages" | "commit" | "endOffset">;
  readonly selection: PageSelection;
  /** Whether what was read is still what was verified, asked after the last read. */
  readonly intact: () => boolean;
  readonly signal: AbortSignal | undefined;
}

export interface LevelZeroFile {
  readonly header: LTXHeader;
  readonly pageCount: number;
  readonly sizeBytes: number;
  readonly durationMs: number;
}

/** "unchanged": no page differs from what the newest file left. "disturbed": the WAL was overwritten while it was read. */
export async function writeLevelZero(
  target: LevelZeroTarget,
  job: LevelZeroJob,
): Promise<LevelZeroFile | "disturbed" | "unchanged"> {
  const { local, database, clock, pageSize, hashes } = target;
  const { stretch, header, txid, selection, signal } = job;
  const startedAt = clock.monotonic();
  const ltx = createLTXHeader({
    pageSize,
    commit: stretch.commit,
    minTXID: txid,
    maxTXID: txid,
    timestampMs: clock.now(),
    walOffset: job.walOffset,
    walSize: stretch.endOffset - job.walOffset,
    walSalt1: header.salt1,
    walSalt2: header.salt2,
  });
  const temp = local.createTemp(txid);
  let written;
  let intact;
  try {
    const source = { database, wal: job.wal, pages: stretch.pages };
    const hashing = stretch.commit <= MAX_HASHED_PAGES;
    written = await writeLTXFile(temp, ltx, selection, source, { hashing, signal });
    intact = job.intact();
  } catch (error) {
    local.discard(temp);
    throw error;
  }
  if (written === null || !intact) {
    local.discard(temp);
    return intact ? "unchanged" : "disturbed";
  }
  await local.publish(temp, ltx);
  await hashes.note({
    txid,
    fileChecksum: written.fileChecksum,
    commit: ltx.commit,
    list: written.hashes,
    isImage: selection.kind === "all",
  });
  const { pageCount, sizeBytes } = written;
  return { header: ltx, pageCount, sizeBytes, durationMs: clock.monotonic() - startedAt };
}
