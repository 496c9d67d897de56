/**
 * Decisions of a replica: whether the local level-0 files continue what the store holds, where uploading goes on, which file
 * starts a new chain, and how long to wait after an error. Pure.
 */
import type { LTXHeader } from "../formats/ltx/header.ts";
import { SNAPSHOT_LEVEL } from "../formats/ltx/layout.ts";
import { formatTXID } from "../formats/ltx/txid.ts";
import type { TXID } from "../formats/ltx/txid.ts";
import type { LTXFileInfo } from "../storage/replica-client.ts";

/** The local level-0 files: a run without holes; both 0n when there are none. */
export interface LocalRun {
  readonly oldestTXID: TXID;
  readonly newestTXID: TXID;
  /** Greatest number any local name has used. */
  readonly reservedTXID: TXID;
}

/** What the listings of a replica say. */
export interface RemoteFiles {
  /** The file with the greatest maxTXID of each level, 0 … 9; undefined = the level is empty. */
  readonly newest: readonly (LTXFileInfo | undefined)[];
  /** Level 0 in TXID order, from the local run's oldest − 1 on. */
  readonly level0: readonly LTXFileInfo[];
}

/** A remote file that ends at a TXID whose local file exists, and whether both are of the same history. */
export interface Comparison {
  readonly file: LTXFileInfo;
  readonly equal: boolean;
}

export type StartPlan =
  /** Nothing anywhere: the first image gets TXID 1. */
  | { readonly kind: "fresh"; readonly nextTXID: TXID; readonly reason: string }
  /** Everything up to `position` is in the store; `ahead` are later files that are there already. */
  | {
      readonly kind: "continue";
      readonly position: TXID;
      readonly ahead: readonly TXID[];
      readonly reason: string;
    }
  /** The local file `txid` holds every page: the chain in the store starts anew with it. */
  | { readonly kind: "rebase"; readonly txid: TXID; readonly reason: string }
  /**
   * Local files cannot continue the store's: a full image numbered at least `nextTXID` is needed.
   *   behind    the store holds later transactions than the local folder
   *   diverged  the store holds other content under the same TXIDs, or nothing that could be compared
   *   gap       the store lacks transactions whose local files are gone
   */
  | {
      readonly kind: "behind" | "diverged" | "gap";
      readonly nextTXID: TXID;
      readonly reason: string;
    };

/** The plans that need a new full image before anything can be uploaded. */
export type ImageRequest = Extract<StartPlan, { readonly kind: "behind" | "diverged" | "gap" }>;

export function isImageRequest(plan: StartPlan): plan is ImageRequest {
  return plan.kind === "behind" || plan.kind === "diverged" || plan.kind === "gap";
}

/** The most level-0 uploads that are ever in flight together, by us or by an earlier run of ours. */
export const MAX_IN_FLIGHT = 4;

/**
 * The remote files to compare before the local files may continue the store's. Level 0: the newest in common and those before it that could
 * have been in flight together with it, since uploads that overtook a lost one prove nothing of it. A higher level: only when it
 * reaches further than level 0 does.
 */
export function chooseWitnesses(local: LocalRun, remote: RemoteFiles): LTXFileInfo[] {
  const witnesses = remote.level0
    .filter((file) => isLocal(local, file.maxTXID))
    .slice(-(MAX_IN_FLIGHT + 1));
  let best = witnesses.at(-1);
  for (const file of remote.newest.slice(1)) {
    if (file && isLocal(local, file.maxTXID) && file.maxTXID > (best?.maxTXID ?? 0n)) best = file;
  }
  return best === undefined || best.level === 0 ? witnesses : [...witnesses, best];
}

/**
 * Level-0 files of ours that stand behind somebody else's: they were in flight together with one whose number was taken. No restore may put them
 * together, so they are taken back. From a local full image behind that number on they are a chain of their own, and stay; `newestImage` finds the
 * newest one, 0n = none, and is asked only when it matters.
 */
export function findOvertakers(
  comparisons: readonly Comparison[],
  newestImage: () => TXID,
): LTXFileInfo[] {
  const level0 = comparisons.filter(({ file }) => file.level === 0);
  const foreign = level0.find(({ equal }) => !equal);
  if (foreign === undefined) return [];
  const behind = level0
    .filter(({ file, equal }) => equal && file.maxTXID > foreign.file.maxTXID)
    .map(({ file }) => file);
  if (behind.length === 0) return [];
  const image = newestImage();
  return image > foreign.file.maxTXID ? behind.filter(({ maxTXID }) => maxTXID < image) : behind;
}

/** Greatest TXID in the store. */
export function remoteMaxTXID(remote: RemoteFiles): TXID {
  return greatestTXID(remote.newest.map((file) => file?.maxTXID ?? 0n));
}

/** 0n when there are none. */
export function greatestTXID(txids: Iterable<TXID>): TXID {
  let greatest = 0n;
  for (const txid of txids) if (txid > greatest) greatest = txid;
  return greatest;
}

/**
 * Decides how a replica starts.
 * `comparisons`: one for each of `chooseWitnesses`; `image` is the newest local file that holds every page, 0n = none or not looked for yet.
 */
export function planStart(facts: {
  readonly local: LocalRun;
  readonly remote: RemoteFiles;
  readonly comparisons: readonly Comparison[];
  readonly image: TXID;
}): StartPlan {
  const { local, remote, comparisons } = facts;
  const remoteMax = remoteMaxTXID(remote);
  const nextTXID = greatestTXID([remoteMax, local.reservedTXID]) + 1n;
  if (local.newestTXID === 0n && remoteMax === 0n) {
    return { kind: "fresh", nextTXID, reason: "neither local files nor a replica" };
  }
  if (remoteMax > local.newestTXID) {
    const state =
      local.newestTXID === 0n
        ? "there are no local files"
        : `local files end at ${formatTXID(local.newestTXID)}`;
    return {
      kind: "behind",
      nextTXID,
      reason: `the replica is at ${formatTXID(remoteMax)} but ${state}`,
    };
  }
  const obstacle = findDivergence(remoteMax, comparisons) ?? findGap(local, remote);
  if (obstacle === undefined) return planContinue(local, remote);
  if (canRebase(facts.image, remoteMax, comparisons)) {
    return { kind: "rebase", txid: facts.image, reason: obstacle.reason };
  }
  return { ...obstacle, nextTXID };
}

/** Whether `file` cannot follow what is uploaded up to `previous`, so that it needs a level-9 snapshot beside it (engine R6, R7). */
export function startsNewChain(
  previous: { readonly txid: TXID; readonly pageSize: number | undefined },
  file: { readonly txid: TXID; readonly pageSize: number },
): boolean {
  if (file.txid === 1n) return false;
  if (file.txid !== previous.txid + 1n) return true;
  return previous.pageSize !== undefined && previous.pageSize !== file.pageSize;
}

/**
 * Whether a compacted or snapshot file ends in the state that the local level-0 file of its last TXID describes: a compaction carries the
 * timestamp of its last input, a snapshot the WAL position up to which it was read (formats §1.1).
 */
export function isSameState(local: LTXHeader, remote: LTXHeader): boolean {
  if (
    local.pageSize !== remote.pageSize ||
    local.commit !== remote.commit ||
    local.maxTXID !== remote.maxTXID
  )
    return false;
  if (local.timestampMs === remote.timestampMs) return true;
  return (
    remote.walOffset !== 0 &&
    local.walSalt1 === remote.walSalt1 &&
    local.walSalt2 === remote.walSalt2 &&
    local.walOffset + local.walSize === remote.walOffset + remote.walSize
  );
}

/** The longest pause after errors. */
export const MAX_BACKOFF_MS = 300_000;
/** The shortest pause after an error, whatever the interval. */
const MIN_BACKOFF_MS = 10;

/** Doubles from the sync interval to 5 minutes; `previousMs` is 0 after a success. */
export function nextBackoffMs(previousMs: number, intervalMs: number): number {
  const first = Math.max(intervalMs, MIN_BACKOFF_MS);
  return Math.min(MAX_BACKOFF_MS, previousMs === 0 ? first : previousMs * 2);
}

function isLocal(local: LocalRun, txid: TXID): boolean {
  return txid > 0n && txid >= local.oldestTXID && txid <= local.newestTXID;
}

type Obstacle = { readonly kind: "diverged" | "gap"; readonly reason: string };

function findDivergence(remoteMax: TXID, comparisons: readonly Comparison[]): Obstacle | undefined {
  if (remoteMax === 0n) return undefined;
  if (comparisons.length === 0) {
    return { kind: "diverged", reason: "no file of the replica can be compared with a local one" };
  }
  const different = comparisons.find((comparison) => !comparison.equal);
  if (different === undefined) return undefined;
  const { level, maxTXID } = different.file;
  return {
    kind: "diverged",
    reason: `the replica's file ${formatTXID(maxTXID)} of level ${level} is not the local one`,
  };
}

function findGap(local: LocalRun, remote: RemoteFiles): Obstacle | undefined {
  const snapshot = remote.newest[SNAPSHOT_LEVEL]?.maxTXID ?? 0n;
  const covered = greatestTXID([snapshot, continuedTXID(local, remote)]);
  if (covered >= local.oldestTXID - 1n) return undefined;
  const end = covered === 0n ? "holds nothing" : `ends at ${formatTXID(covered)}`;
  return {
    kind: "gap",
    reason: `the replica ${end} before the oldest local file ${formatTXID(local.oldestTXID)}`,
  };
}

/** How far the store is known to hold the whole history, by its compactions and by the file before the local run. */
function continuedTXID(local: LocalRun, remote: RemoteFiles): TXID {
  const compactions = remote.newest.slice(1, SNAPSHOT_LEVEL);
  const compacted = greatestTXID(compactions.map((file) => file?.maxTXID ?? 0n));
  // Local files are only deleted once the store has them and all before, so the one before the run stands for the rest.
  const before = local.oldestTXID - 1n;
  const isThere = remote.level0.some((file) => file.maxTXID === before);
  return isThere && before > compacted ? before : compacted;
}

function planContinue(local: LocalRun, remote: RemoteFiles): StartPlan {
  const present = new Set(remote.level0.map((file) => file.maxTXID));
  // A snapshot holds one state, not the history up to it: what it spans is still uploaded where there are local files.
  let position = greatestTXID([local.oldestTXID - 1n, continuedTXID(local, remote)]);
  while (present.has(position + 1n)) position++;
  const ahead = [...present].filter((txid) => txid > position);
  const reason =
    position === 0n ? "the replica is empty" : "the replica's newest files are the local ones";
  return { kind: "continue", position, ahead, reason };
}

/** An image starts a chain of its own when its number is free in the store, or when the store's file of that number is the same one. */
function canRebase(image: TXID, remoteMax: TXID, comparisons: readonly Comparison[]): boolean {
  if (image === 0n) return false;
  if (image > remoteMax) return true;
  const later = comparisons.filter((comparison) => comparison.file.maxTXID >= image);
  return later.length > 0 && later.every((comparison) => comparison.equal);
}
