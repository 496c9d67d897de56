/** Why a restore did not happen. */
import type { RestorePoint } from "./restore-plan.ts";

export type RestoreErrorKind =
  /** Nothing in the replica, or nothing old enough: what `-if-replica-exists` forgives. */
  | "no-backup"
  /** Newer than everything there, or only inside a compacted file. */
  | "txid-not-available"
  /** Files are missing from the history. */
  | "gap"
  /** A file is damaged, missing or not what its name says, and no other file stands in. */
  | "damaged"
  /** There is a database already. */
  | "output-exists"
  /** A -wal, -shm or -journal of another database lies where the output would find it. */
  | "sidecar-exists"
  /** The output is a folder or a device. */
  | "output-invalid"
  /** Another restore writes to the same output. */
  | "output-busy"
  /** A living process has the database open that is to be replaced. */
  | "database-in-use"
  /** The output cannot be written: no space, no right, a failing disk. */
  | "output-failed"
  /** SQLite found the restored database malformed. */
  | "integrity";

export interface RestoreErrorDetails {
  readonly hint?: string | undefined;
  readonly cause?: unknown;
  /** With "no-backup": the replica holds nothing at all. */
  readonly nothingAtAll?: boolean;
  /** What Litestream says in this case, where scripts may look for it. */
  readonly upstreamMessage?: string | undefined;
  readonly lastReachable?: RestorePoint | undefined;
}

/** A restore that was refused or failed; nothing is left at the output. Storage failures are StorageErrors. */
export class RestoreError extends Error {
  override readonly name = "RestoreError";
  readonly kind: RestoreErrorKind;
  /** How a person can go on. */
  readonly hint: string | undefined;
  readonly nothingAtAll: boolean;
  readonly upstreamMessage: string | undefined;
  /** The last state that can be restored instead, where that is known. */
  readonly lastReachable: RestorePoint | undefined;

  constructor(kind: RestoreErrorKind, message: string, details: RestoreErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.kind = kind;
    this.hint = details.hint;
    this.nothingAtAll = details.nothingAtAll ?? false;
    this.upstreamMessage = details.upstreamMessage;
    this.lastReachable = details.lastReachable;
  }
}
