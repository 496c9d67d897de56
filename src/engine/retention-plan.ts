/** Decides which files of a replica may go without ever breaking what a restore needs. Pure. */
import type { TXID } from "../formats/ltx/txid.ts";
import type { LTXFileInfo } from "../storage/replica-client.ts";
import { compareLTXFiles } from "../storage/replica-client.ts";

export interface SnapshotRetentionPlan {
  readonly expired: readonly LTXFileInfo[];
  /** Compacted files that end below it are not needed any more; 0 = all are. */
  readonly floorTXID: TXID;
}

/**
 * Snapshots older than the retention go, never the newest. The floor is the end of the last one that goes, not the beginning of the
 * first that stays: a restore that began with it still finds what follows it.
 */
export function planSnapshotRetention(
  snapshots: readonly LTXFileInfo[],
  times: { readonly nowMs: number; readonly retentionMs: number },
): SnapshotRetentionPlan {
  const sorted = snapshots.toSorted(compareLTXFiles);
  const limit = times.nowMs - times.retentionMs;
  const older = sorted.slice(0, -1);
  // Only from the oldest on, whatever the clock did: what lies below the floor is needed by no snapshot that stays.
  const end = older.findIndex((file) => file.createdAt.getTime() >= limit);
  const expired = end === -1 ? older : older.slice(0, end);
  return { expired, floorTXID: expired.at(-1)?.maxTXID ?? 0n };
}

/** Files of one compacted level that end below the floor, never the newest. */
export function planLevelRetention(
  files: readonly LTXFileInfo[],
  floorTXID: TXID,
): readonly LTXFileInfo[] {
  return files
    .toSorted(compareLTXFiles)
    .slice(0, -1)
    .filter((file) => file.maxTXID < floorTXID);
}

/**
 * Level-0 files that are in level 1 and older than the retention: from the oldest on, so that the rest is without holes, and up to the
 * end of a file of level 1, so that what stays can be restored to the transaction. Never the newest.
 */
export function planLevel0Retention(
  files: readonly LTXFileInfo[],
  facts: {
    /** Level 1, as far as it overlaps level 0. */
    readonly compacted: readonly LTXFileInfo[];
    readonly nowMs: number;
    readonly retentionMs: number;
  },
): readonly LTXFileInfo[] {
  const sorted = files.toSorted(compareLTXFiles);
  const limit = facts.nowMs - facts.retentionMs;
  const end = sorted.findIndex((file) => file.createdAt.getTime() > limit);
  const aged = end === -1 ? sorted : sorted.slice(0, end);
  const agedTXID = aged.at(-1)?.maxTXID ?? 0n;
  let covered = 0n;
  for (const { maxTXID } of facts.compacted)
    if (maxTXID <= agedTXID && maxTXID > covered) covered = maxTXID;
  const newest = sorted.at(-1);
  return aged.filter((file) => file.maxTXID <= covered && file !== newest);
}

/**
 * The first of `files`, up to one that nothing else stands in for: by a listing, a compacted file, or, where compaction goes on behind a
 * hole, the snapshot that bridges it.
 */
export function coveredBy(
  files: readonly LTXFileInfo[],
  compacted: readonly LTXFileInfo[],
  snapshots: readonly LTXFileInfo[],
): readonly LTXFileInfo[] {
  const reached = compacted.reduce((max, { maxTXID }) => (maxTXID > max ? maxTXID : max), 0n);
  const covers = [...compacted, ...snapshots];
  const end = files.findIndex(
    (file) =>
      file.maxTXID > reached ||
      !covers.some(({ minTXID, maxTXID }) => minTXID <= file.minTXID && maxTXID >= file.maxTXID),
  );
  return end === -1 ? files : files.slice(0, end);
}

/**
 * From which TXID on local level-0 files are kept: what a replica still needs, what it must compare after a restart, and what is
 * younger than `agedTXID`. A replica out of reach can ask for nothing below `boundTXID`.
 */
export function planLocalTrim(facts: {
  readonly replicas: readonly {
    /** What it still has to upload, or compares with. */
    readonly neededFromTXID: TXID;
    readonly isReachable: boolean;
  }[];
  /** Newest TXID older than the retention; 0 = none. */
  readonly agedTXID: TXID;
  /** 0 = no bound. */
  readonly boundTXID: TXID;
  /** Files before the needed ones that a start compares. */
  readonly witnesses: number;
}): TXID {
  let keepFrom = facts.agedTXID + 1n;
  for (const { neededFromTXID, isReachable } of facts.replicas) {
    const needed = neededFromTXID - BigInt(facts.witnesses);
    const from = isReachable || needed > facts.boundTXID ? needed : facts.boundTXID;
    if (from < keepFrom) keepFrom = from;
  }
  return keepFrom > 0n ? keepFrom : 0n;
}
