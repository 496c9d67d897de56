/** Everything that can happen in the engine, as one union. Logs, metrics, status and progress are readers of it. */
import type { TXID } from "../formats/ltx/txid.ts";

export type CheckpointMode = "PASSIVE";

/** Emitted with the absolute path of the database; replica events also name the replica. */
export type EngineEvent =
  /** A running store took a database into care; `isReplicating` false: it is known, and stopped. */
  | {
      readonly type: "database-added";
      readonly database: string;
      readonly isReplicating: boolean;
    }
  /** A running store let go of a database: this is the last event of it. */
  | { readonly type: "database-removed"; readonly database: string }
  | {
      readonly type: "database-opened";
      readonly database: string;
      readonly pageSize: number;
      readonly txid: TXID;
    }
  | { readonly type: "database-waiting"; readonly database: string; readonly reason: string }
  | {
      readonly type: "database-converted-to-wal";
      readonly database: string;
      readonly previousMode: string;
    }
  | { readonly type: "database-replaced"; readonly database: string; readonly reason: string }
  | { readonly type: "database-closed"; readonly database: string; readonly txid: TXID }
  /**
   * One sync that found something: `image` tells why a full image was taken, `difference` why every page was compared and those
   * that differ were written.
   */
  | {
      readonly type: "ltx-written";
      readonly database: string;
      readonly level: 0;
      readonly txid: TXID;
      readonly pageCount: number;
      readonly walBytes: number;
      readonly sizeBytes: number;
      readonly durationMs: number;
      readonly image: string | undefined;
      readonly difference: { readonly reason: string; readonly databasePages: number } | undefined;
    }
  /** Continuity was lost; every page was compared, and all are as the newest file left them. */
  | {
      readonly type: "image-unneeded";
      readonly database: string;
      readonly reason: string;
      readonly databasePages: number;
    }
  /** The hashes that make differences possible could not be kept: the next image holds every page. */
  | { readonly type: "page-hashes-lost"; readonly database: string; readonly error: unknown }
  /** SQLite shows its readers more commits than the checksums in the WAL reach. */
  | {
      readonly type: "wal-chain-broken";
      readonly database: string;
      readonly validFrames: number;
      readonly committedFrames: number;
    }
  | {
      readonly type: "wal-chain-repaired";
      readonly database: string;
      readonly txid: TXID;
      readonly durationMs: number;
    }
  | {
      readonly type: "sync-failed";
      readonly database: string;
      readonly error: unknown;
      readonly consecutiveErrors: number;
      readonly backoffMs: number;
    }
  | {
      readonly type: "sync-recovered";
      readonly database: string;
      readonly consecutiveErrors: number;
    }
  | { readonly type: "read-lock-lost"; readonly database: string }
  | {
      readonly type: "checkpointed";
      readonly database: string;
      readonly mode: CheckpointMode;
      readonly walFrames: number;
      readonly backfilledFrames: number;
      readonly barrierMs: number;
      readonly durationMs: number;
    }
  | {
      readonly type: "checkpoint-failed";
      readonly database: string;
      readonly mode: CheckpointMode;
      readonly error: unknown;
    }
  /** Another connection's open read transaction keeps the WAL from being reused. */
  | {
      readonly type: "wal-pinned";
      readonly database: string;
      readonly walFrames: number;
      readonly backfilledFrames: number;
    }
  | {
      readonly type: "replica-opened";
      readonly database: string;
      readonly replica: string;
      readonly txid: TXID;
    }
  /** The replica has no LTX file yet, and holds backups of v0.3, which stay as they are. */
  | {
      readonly type: "v3-backups-found";
      readonly database: string;
      readonly replica: string;
    }
  | {
      readonly type: "ltx-uploaded";
      readonly database: string;
      readonly replica: string;
      readonly level: number;
      readonly minTXID: TXID;
      readonly maxTXID: TXID;
      readonly sizeBytes: number;
      readonly durationMs: number;
    }
  /** Everything up to `txid` is in the store. */
  | {
      readonly type: "replica-synced";
      readonly database: string;
      readonly replica: string;
      readonly txid: TXID;
    }
  | {
      readonly type: "replica-failed";
      readonly database: string;
      readonly replica: string;
      readonly error: unknown;
      readonly consecutiveErrors: number;
      readonly backoffMs: number;
    }
  | {
      readonly type: "replica-recovered";
      readonly database: string;
      readonly replica: string;
      readonly consecutiveErrors: number;
    }
  /** Somebody else's file stands where ours should be: this replica stops until told otherwise. */
  | {
      readonly type: "replica-conflict";
      readonly database: string;
      readonly replica: string;
      readonly error: unknown;
    }
  /** An upload during shutdown failed; it is tried again until the time for it is over. */
  | {
      readonly type: "final-sync-failed";
      readonly database: string;
      readonly error: unknown;
      readonly attempt: number;
    }
  | {
      readonly type: "snapshot-written";
      readonly database: string;
      readonly replica: string;
      readonly txid: TXID;
      readonly sizeBytes: number;
      readonly durationMs: number;
      /** Where its pages came from: the database (default), files of the replica, or a copy within the store. */
      readonly source?: "database" | "replica" | "copy";
    }
  /** Files of lower levels became one of this level. */
  | {
      readonly type: "compacted";
      readonly database: string;
      readonly replica: string;
      readonly level: number;
      readonly minTXID: TXID;
      readonly maxTXID: TXID;
      readonly inputCount: number;
      readonly sizeBytes: number;
      readonly durationMs: number;
      /** "copied" by the store itself; "present": an earlier write of ours had arrived after all. */
      readonly method: "merged" | "copied" | "present";
    }
  /** A level cannot go on where it ended: files between are gone. */
  | {
      readonly type: "level-gap";
      readonly database: string;
      readonly replica: string;
      readonly level: number;
      readonly fromTXID: TXID;
      readonly toTXID: TXID;
      /** How it goes on: with files of other levels, behind a snapshot, or not before there is a new snapshot. */
      readonly remedy: "other-levels" | "snapshot" | "new-snapshot";
    }
  /** A file of the store is damaged: it is left out, and other files take its place where there are any. */
  | {
      readonly type: "ltx-damaged";
      readonly database: string;
      readonly replica: string;
      readonly level: number;
      readonly minTXID: TXID;
      readonly maxTXID: TXID;
      readonly error: unknown;
    }
  /** A check of a level's listing (verify-compaction, validation) found files that do not follow each other. */
  | {
      readonly type: "level-invalid";
      readonly database: string;
      readonly replica: string;
      readonly level: number;
      readonly kind: "gap" | "overlap" | "unsorted";
      /** A snapshot bridges the gap: restores are not affected. */
      readonly isBridged: boolean;
      readonly message: string;
    }
  /** Retention deleted files of one level, from `minTXID` to `maxTXID`. */
  | {
      readonly type: "ltx-deleted";
      readonly database: string;
      readonly replica: string;
      readonly level: number;
      readonly fileCount: number;
      readonly minTXID: TXID;
      readonly maxTXID: TXID;
    }
  /** The store said that it deleted files, and still lists them. */
  | {
      readonly type: "deletion-ignored";
      readonly database: string;
      readonly replica: string;
      readonly fileCount: number;
      readonly level: number;
      readonly maxTXID: TXID;
    }
  /** Local level-0 files that nothing needs any more were removed. */
  | { readonly type: "local-files-deleted"; readonly database: string; readonly fileCount: number }
  /** Local files that nothing needs any more could not be removed; that is tried again. */
  | {
      readonly type: "local-trim-failed";
      readonly database: string;
      readonly error: unknown;
      readonly consecutiveErrors: number;
      readonly backoffMs: number;
    }
  /** Files that a replica out of reach still lacks were too many and went: it gets a full image when it is back. */
  | {
      readonly type: "backlog-given-up";
      readonly database: string;
      readonly replica: string;
      readonly fileCount: number;
    }
  /** A background task failed and is tried again: "level 2", "snapshot", "retention", "audit". */
  | {
      readonly type: "maintenance-failed";
      readonly database: string;
      readonly replica: string;
      readonly task: string;
      readonly error: unknown;
      readonly consecutiveErrors: number;
      readonly backoffMs: number;
    }
  | {
      readonly type: "maintenance-recovered";
      readonly database: string;
      readonly replica: string;
      readonly task: string;
      readonly consecutiveErrors: number;
    };

export type EmitEvent = (event: EngineEvent) => void;
