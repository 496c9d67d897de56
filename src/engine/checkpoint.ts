/**
 * One checkpoint without TRUNCATE (engine R4): the bulk is backfilled while writers go on, and the write lock is held
 * only for the last few frames.
 *
 * The read lock rolls under one rule: everything committed is copied between two rolls. Then what others may backfill is
 * always copied already, whoever checkpoints, and a WAL generation that ends has been copied in full.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import { releaseBarrier, tryBarrier } from "../sqlite/checkpoint.ts";
import type { CheckpointResult } from "../sqlite/checkpoint.ts";
import type { CheckpointThread } from "../sqlite/checkpoint-thread.ts";
import { bumpSequence } from "../sqlite/connection.ts";
import type { DatabaseFile } from "../sqlite/database-file.ts";
import { isBusy } from "../sqlite/driver.ts";
import type { SQLiteConnection } from "../sqlite/driver.ts";
import type { ReadLock } from "../sqlite/read-lock.ts";
import type { Clock } from "./clock.ts";

/** Go for the barrier when no more frames than this are left to backfill … */
const REST_FRAMES = 200;
/** … or after so many passes. */
const MAX_PASSES = 3;
/** How long to wait for another connection's checkpoint with and without the write lock. */
const BUSY_INSIDE_MS = 10;
const BUSY_OUTSIDE_MS = 200;
/** Attempts in a row before a pause: another connection's checkpoint that finds nothing to do takes microseconds. */
const QUICK_ATTEMPTS = 10;

export interface CheckpointTarget {
  readonly path: string;
  readonly database: DatabaseFile;
  /** A writable connection; its `journal_size_limit` is what the WAL file shrinks to. */
  readonly writer: SQLiteConnection;
  readonly readLock: ReadLock;
  readonly thread: CheckpointThread;
  readonly clock: Clock;
  /** How long to try for the write lock. */
  readonly barrierWaitMs: number;
  /** Copies everything committed. */
  readonly syncAll: () => Promise<void>;
  /** Called when everything is copied and backfilled, the barrier still held: the next generation starts from nothing. */
  readonly onSealed: () => void;
  /**
   * Called when SQLite has more committed frames than could be copied, the barrier still held: whatever restarts the WAL afterwards,
   * continuity must not seem to hold.
   */
  readonly onMissingFrames: () => void;
  /** Frames of the present generation that are copied. */
  readonly copiedFrames: () => number;
  readonly walSizeBytes: () => number;
  /** Shrink the WAL file when it is longer. */
  readonly walLimitBytes: number;
}

export type CheckpointOutcome =
  /** Everything is in the database file: the next commit restarts the WAL. */
  | { readonly kind: "complete"; readonly walFrames: number; readonly barrierMs: number }
  /** A reader needs older pages: only so many frames could be backfilled. */
  | {
      readonly kind: "pinned";
      readonly walFrames: number;
      readonly backfilledFrames: number;
      readonly barrierMs: number;
    }
  /** Somebody held the write lock or checkpointed all the time. */
  | { readonly kind: "busy" }
  /** The chain of checksums ends before the commits do: see `settle`. */
  | { readonly kind: "chain-broken"; readonly walFrames: number };

/** Runs one checkpoint. Everything committed must be copied when it is called. */
export async function checkpoint(target: CheckpointTarget): Promise<CheckpointOutcome> {
  await backfillBulk(target);
  await target.syncAll();
  if (!(await takeBarrier(target))) return { kind: "busy" };
  const startedAt = target.clock.monotonic();
  let result: CheckpointResult;
  try {
    target.readLock.roll();
    // Nobody commits now, so the last copy and the backfill of the same frames go on side by side.
    result = await whileCopying(target, passive(target, BUSY_INSIDE_MS, nextTurn));
    // With everything backfilled the new pin lands on read slot 0: the one restart it permits loses nothing.
    if (!result.busy) target.readLock.roll();
    if (result.walFrames > target.copiedFrames()) target.onMissingFrames();
    else if (isComplete(result)) target.onSealed();
  } finally {
    releaseBarrier(target.writer);
  }
  const barrierMs = target.clock.monotonic() - startedAt;
  if (result.busy) return { kind: "busy" };
  const { walFrames, backfilledFrames } = result;
  if (walFrames > target.copiedFrames()) return { kind: "chain-broken", walFrames };
  if (backfilledFrames < walFrames)
    return { kind: "pinned", walFrames, backfilledFrames, barrierMs };
  shrinkWAL(target);
  return { kind: "complete", walFrames, barrierMs };
}

/**
 * Brings everything SQLite has committed into the database file, copied or not, for a WAL that cannot be copied. Afterwards the
 * read lock is where nobody can backfill more, so the database file stays as it is until the lock moves; `onSettled` is called
 * when that is so, the barrier still held. "pinned": another reader needs older pages.
 */
export async function settle(
  target: Omit<CheckpointTarget, "syncAll" | "copiedFrames" | "onSealed" | "onMissingFrames">,
  onSettled: (walFrames: number) => void,
): Promise<"settled" | "pinned" | "busy"> {
  target.readLock.roll();
  await passive(target, BUSY_OUTSIDE_MS, () => target.clock.sleep(1));
  await target.thread.flush(target.database.descriptor);
  if (!(await takeBarrier(target))) return "busy";
  try {
    target.readLock.roll();
    const result = await passive(target, BUSY_INSIDE_MS, nextTurn);
    if (result.busy) return "busy";
    if (!isComplete(result)) return "pinned";
    target.readLock.roll();
    onSettled(result.walFrames);
    return "settled";
  } finally {
    releaseBarrier(target.writer);
  }
}

/**
 * Leaves read slot 0, to be called as soon as the WAL has frames again after a complete checkpoint: against slot 0 an
 * application's own checkpoint sorts the whole WAL index at each commit, in vain; against a mark that is backfilled already
 * it returns at once. Everything committed must be copied when it is called.
 */
export async function leaveSlotZero(target: CheckpointTarget): Promise<void> {
  target.readLock.roll();
  await target.syncAll();
  await passive(target, BUSY_OUTSIDE_MS, () => target.clock.sleep(1));
}

function isComplete(result: CheckpointResult): boolean {
  return !result.busy && result.backfilledFrames === result.walFrames;
}

/** Moves the pin to the end of the WAL and backfills up to it, again and again until little is left. */
async function backfillBulk(target: CheckpointTarget): Promise<void> {
  let backfilled = 0;
  for (let pass = 0; pass < MAX_PASSES; pass++) {
    target.readLock.roll();
    // At once, or the application's next commit does it in its own time.
    const result = await whileCopying(
      target,
      passive(target, BUSY_OUTSIDE_MS, () => target.clock.sleep(1)),
    );
    if (!result.busy) backfilled = result.backfilledFrames;
    if (target.copiedFrames() - backfilled <= REST_FRAMES) break;
  }
  // A partial backfill flushes the WAL only: what this flush takes now, the one under the barrier need not.
  await target.thread.flush(target.database.descriptor);
}

/** Copies everything committed while a checkpoint runs; waits for both, whatever fails. */
async function whileCopying(
  target: CheckpointTarget,
  running: Promise<CheckpointResult>,
): Promise<CheckpointResult> {
  const [synced, result] = await Promise.allSettled([target.syncAll(), running]);
  if (synced.status === "rejected") throw synced.reason;
  if (result.status === "rejected") throw result.reason;
  return result.value;
}

async function takeBarrier(
  target: Pick<CheckpointTarget, "writer" | "clock" | "barrierWaitMs">,
): Promise<boolean> {
  const startedAt = target.clock.monotonic();
  for (let attempt = 1; ; attempt++) {
    if (tryBarrier(target.writer)) return true;
    if (target.clock.monotonic() - startedAt > target.barrierWaitMs) return false;
    if (attempt % 100 === 0) await target.clock.sleep(1);
    else await nextTurn();
  }
}

/** A passive checkpoint; while another connection is at it, tried again up to `limitMs`. */
async function passive(
  target: Pick<CheckpointTarget, "path" | "thread" | "clock">,
  limitMs: number,
  pause: () => Promise<unknown>,
): Promise<CheckpointResult> {
  const startedAt = target.clock.monotonic();
  for (let attempt = 1; ; attempt++) {
    const result = await target.thread.checkpoint(target.path);
    if (!result.busy || target.clock.monotonic() - startedAt > limitMs) return result;
    if (attempt >= QUICK_ATTEMPTS) await pause();
  }
}

/** The commit that restarts a WAL truncates its file to that connection's `journal_size_limit`: make that commit ours. */
function shrinkWAL(target: CheckpointTarget): void {
  if (target.walSizeBytes() <= target.walLimitBytes) return;
  try {
    bumpSequence(target.writer);
  } catch (error) {
    // Busy: the application's next commit restarts the WAL instead, and a later checkpoint shrinks it.
    if (!isBusy(error)) throw error;
  }
}
