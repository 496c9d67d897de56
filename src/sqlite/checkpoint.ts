/** Checkpoints as SQLite reports them, and the write barrier around their end. */
import { isBusy } from "./driver.ts";
import type { SQLiteConnection } from "./driver.ts";

export interface CheckpointResult {
  /** Another connection checkpoints just now: nothing was done. */
  readonly busy: boolean;
  /** Frames in the WAL. */
  readonly walFrames: number;
  /** Of these, frames whose pages are in the database file. */
  readonly backfilledFrames: number;
}

/**
 * Copies WAL pages into the database file as far as readers allow; waits for nobody. Flushes as `synchronous = NORMAL`
 * does: the WAL before the copy, the database file after a complete one.
 */
export function checkpointPassive(connection: SQLiteConnection): CheckpointResult {
  const row = connection.get("PRAGMA wal_checkpoint(PASSIVE)");
  return {
    busy: row?.["busy"] !== 0,
    walFrames: Number(row?.["log"] ?? -1),
    backfilledFrames: Number(row?.["checkpointed"] ?? -1),
  };
}

/**
 * Committed frames of the WAL's present generation, as SQLite's index counts them. Takes no lock and does nothing (SQLite ≥ 3.51).
 * Null while the connection is in a transaction, or SQLite cannot say just now.
 */
export function countCommittedFrames(connection: SQLiteConnection): number | null {
  if (connection.inTransaction) return null;
  try {
    const row = connection.get("PRAGMA wal_checkpoint(NOOP)");
    return row?.["busy"] === 0 ? Number(row["log"]) : null;
  } catch (error) {
    if (isBusy(error)) return null;
    throw error;
  }
}

/** Tries to take SQLite's write lock; while it is held nobody can commit. False: somebody else holds it. */
export function tryBarrier(connection: SQLiteConnection): boolean {
  try {
    connection.exec("BEGIN IMMEDIATE");
    return true;
  } catch (error) {
    if (isBusy(error)) return false;
    throw error;
  }
}

/** Ends the barrier; nothing was written under it. */
export function releaseBarrier(connection: SQLiteConnection): void {
  if (connection.inTransaction) connection.exec("ROLLBACK");
}
