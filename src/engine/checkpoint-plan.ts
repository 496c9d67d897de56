/** Decides when to checkpoint (engine §5.1, R4). Pure. Counts are frames of the present WAL generation. */

export interface CheckpointSettings {
  /** Checkpoint when this many frames are copied; raised under load, at most fourfold. */
  readonly minFrames: number;
  /** Checkpoint after this time when anything was copied since the last one; 0 = never by time. */
  readonly intervalMs: number;
  /** WAL length above which a pinned WAL is reported; ≤ 0 = never. */
  readonly reportFrames: number;
}

export interface CheckpointFacts {
  readonly copiedFrames: number;
  /** Frames copied per millisecond of late. */
  readonly framesPerMs: number;
  /** All of it is in the database file already, and nothing was committed since. */
  readonly complete: boolean;
  readonly syncedSinceLast: boolean;
  readonly sinceLastMs: number;
  /** Set when the last attempt was stopped by a reader or another checkpoint: how many frames there were, and how long ago. */
  readonly blocked: { readonly frames: number; readonly sinceMs: number } | null;
}

export type CheckpointPlan =
  | { readonly kind: "none" }
  | { readonly kind: "checkpoint"; readonly reason: "frames" | "interval" };

/** The longest time's worth of frames that a busy writer may pile up between two checkpoints. */
const LOAD_WINDOW_MS = 50;
export const MAX_THRESHOLD_RAISE = 4;
/** A reader that pins the WAL may stay for hours: ask again now and then, not at every turn. */
const BLOCKED_RETRY_MS = 5_000;

/** The threshold in frames: what the writer makes in 50 ms, within 1…4 times the minimum. */
export function checkpointThreshold(settings: CheckpointSettings, framesPerMs: number): number {
  const underLoad = framesPerMs * LOAD_WINDOW_MS;
  return Math.min(
    MAX_THRESHOLD_RAISE * settings.minFrames,
    Math.max(settings.minFrames, underLoad),
  );
}

export function planCheckpoint(
  settings: CheckpointSettings,
  facts: CheckpointFacts,
): CheckpointPlan {
  if (facts.complete) return { kind: "none" };
  const threshold = checkpointThreshold(settings, facts.framesPerMs);
  const { blocked } = facts;
  if (
    blocked !== null &&
    blocked.sinceMs < BLOCKED_RETRY_MS &&
    facts.copiedFrames < blocked.frames + threshold
  ) {
    return { kind: "none" };
  }
  if (facts.copiedFrames >= threshold) return { kind: "checkpoint", reason: "frames" };
  const due =
    settings.intervalMs > 0 &&
    facts.syncedSinceLast &&
    facts.copiedFrames > 0 &&
    facts.sinceLastMs >= settings.intervalMs;
  return due ? { kind: "checkpoint", reason: "interval" } : { kind: "none" };
}
