/**
 * Decides when a database is looked at again. Pure.
 *
 * Quiet: its directory is watched, and a poll stands behind the watch. A write after quiet is copied at once; under steady
 * traffic copies are spaced by a token bucket, so that there are on average no more of them than one per monitor interval.
 * Busy: a writer at full speed would pay for each watch event, so the watch is off and the WAL is looked at every few
 * milliseconds; it is copied when there is enough of it to keep the WAL short.
 */

export type PaceMode = "quiet" | "busy";

/** Time between two looks at a busy database. */
export const BUSY_PACE_MS = 10;
/** A writer this fast, in frames per millisecond, makes a database busy … */
const BUSY_FRAMES_PER_MS = 1;
/** … if one copy found at least so many frames … */
const BUSY_MIN_FRAMES = 64;
/** … and until so many looks in a row found too little. */
const QUIET_LOOKS = 3;

export interface PaceFacts {
  readonly mode: PaceMode;
  /** Frames the last look copied, and the time since the one before. */
  readonly frames: number;
  readonly elapsedMs: number;
  /** Looks in a row that found little, this one included. */
  readonly quietLooks: number;
}

export interface PacePlan {
  readonly mode: PaceMode;
  readonly quietLooks: number;
}

export function planPace(facts: PaceFacts): PacePlan {
  const fast =
    facts.frames >= BUSY_MIN_FRAMES && facts.frames >= BUSY_FRAMES_PER_MS * facts.elapsedMs;
  if (fast) return { mode: "busy", quietLooks: 0 };
  if (facts.mode === "quiet") return { mode: "quiet", quietLooks: 0 };
  const quietLooks = facts.quietLooks + 1;
  return quietLooks >= QUIET_LOOKS
    ? { mode: "quiet", quietLooks: 0 }
    : { mode: "busy", quietLooks };
}

export type LookReason = "write" | "poll" | "request";

/** Whether a look may copy now, or must wait for a token so many milliseconds. */
export function planLook(facts: {
  readonly reason: LookReason;
  readonly tokenWaitMs: number;
  /** Enough WAL waits to be copied whatever the pace. */
  readonly pendingVolume: boolean;
}): { readonly kind: "copy" } | { readonly kind: "wait"; readonly ms: number } {
  if (facts.reason === "request" || facts.pendingVolume || facts.tokenWaitMs <= 0)
    return { kind: "copy" };
  return { kind: "wait", ms: facts.tokenWaitMs };
}
