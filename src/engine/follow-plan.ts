/** Decides what a follower fetches next. Pure. */
import { SNAPSHOT_LEVEL } from "../formats/ltx/layout.ts";
import { formatTXID } from "../formats/ltx/txid.ts";
import type { TXID } from "../formats/ltx/txid.ts";
import type { LTXFileInfo } from "../storage/replica-client.ts";
import { connectFiles, planRestore } from "./restore-plan.ts";

export interface FollowFacts {
  /** The transaction the followed database is at. */
  readonly position: TXID;
  /**
   * Where an update that was interrupted would have led: it may have happened or not, so only a state from there on
   * may be applied page by page. At least the position.
   */
  readonly atLeast: TXID;
  /** "level-0": only that level from the position on; "all": every level, whole. */
  readonly listed: "level-0" | "all";
  /** Without those that are known to be damaged. */
  readonly files: readonly LTXFileInfo[];
  /** An earlier complete listing showed the same obstacle: it is not just a listing that was late. */
  readonly confirmed: boolean;
}

export type FollowPlan =
  /** Nothing newer was seen. */
  | { readonly kind: "current" }
  /** Level 0 does not tell how to go on: list the other levels. */
  | { readonly kind: "look-further" }
  /** Each file continues the one before; the first begins at or before position + 1. */
  | { readonly kind: "apply"; readonly files: readonly LTXFileInfo[]; readonly reached: TXID }
  /** The files since the position are gone: the whole state has to be read again. */
  | { readonly kind: "re-seed"; readonly reason: string; readonly reached: TXID }
  /** There is more, or less, than there should be, and no way on. */
  | { readonly kind: "stalled"; readonly reason: string };

/** How far a follower is behind its replica. */
export interface FollowLag {
  readonly position: TXID;
  /** The newest transaction seen in the replica. */
  readonly newest: TXID;
  /** Age of the oldest state that the follower lacks; 0 when it has everything seen. */
  readonly lagMs: number;
}

/** Plans the next step from a listing. */
export function planFollow(facts: FollowFacts): FollowPlan {
  return facts.listed === "level-0" ? planFromLevel0(facts) : planFromAll(facts);
}

/** Lag as a listing shows it at a time. */
export function followLag(position: TXID, files: readonly LTXFileInfo[], nowMs: number): FollowLag {
  let newest = position;
  let oldestMs = nowMs;
  for (const file of files) {
    if (file.maxTXID <= position) continue;
    if (file.maxTXID > newest) newest = file.maxTXID;
    oldestMs = Math.min(oldestMs, file.createdAt.getTime());
  }
  return { position, newest, lagMs: nowMs - oldestMs };
}

function planFromLevel0({ position, atLeast, files }: FollowFacts): FollowPlan {
  const newest = newestOf(files);
  if (newest <= position)
    return atLeast > position ? { kind: "look-further" } : { kind: "current" };
  const chain = connectFiles(files, position);
  const reached = newestOf(chain);
  if (reached < newest || reached < atLeast) return { kind: "look-further" };
  return { kind: "apply", files: chain, reached };
}

function planFromAll({ position, atLeast, files, confirmed }: FollowFacts): FollowPlan {
  const newest = newestOf(files);
  if (files.length === 0) {
    return { kind: "stalled", reason: "The replica holds nothing any more" };
  }
  if (newest < atLeast) return planBehind({ position, atLeast, newest, files, confirmed });
  if (newest === position) return { kind: "current" };
  const increments = files.filter((file) => file.level !== SNAPSHOT_LEVEL);
  const chain = connectFiles(increments, position);
  const reached = newestOf(chain);
  if (reached === newest) return { kind: "apply", files: chain, reached };
  const whole = planRestore(files, { kind: "latest" });
  if (whole.kind === "restore" && whole.reached.txid > reached) {
    const gap = formatTXID((reached > position ? reached : position) + 1n);
    return {
      kind: "re-seed",
      reason: `The files from TXID ${gap} on are not kept any more`,
      reached: whole.reached.txid,
    };
  }
  if (reached > position && reached >= atLeast) return { kind: "apply", files: chain, reached };
  const why = whole.kind === "refused" ? whole.message : "no newer state can be restored";
  return {
    kind: "stalled",
    reason: `No file continues TXID ${formatTXID(position)} although the replica goes on to ${formatTXID(newest)}: ${why}`,
  };
}

/** The replica ends before where the follower is, or may be. */
function planBehind({
  position,
  atLeast,
  newest,
  files,
  confirmed,
}: Omit<FollowFacts, "listed"> & { readonly newest: TXID }): FollowPlan {
  const reason =
    newest < position
      ? `The replica ends at TXID ${formatTXID(newest)}, before the position ${formatTXID(position)}: its history was started anew or set back`
      : `An interrupted update led to TXID ${formatTXID(atLeast)}, but the replica ends at ${formatTXID(newest)}`;
  if (!confirmed) return { kind: "stalled", reason };
  const whole = planRestore(files, { kind: "latest" });
  if (whole.kind === "refused") return { kind: "stalled", reason: `${reason}; ${whole.message}` };
  return { kind: "re-seed", reason, reached: whole.reached.txid };
}

function newestOf(files: readonly LTXFileInfo[]): TXID {
  return files.reduce((max, { maxTXID }) => (maxTXID > max ? maxTXID : max), 0n);
}
