/** Everything that can happen in the engine, as one union. Logs, metrics, status and progress are readers of it. */
import type { TXID } from "../formats/ltx/txid.ts";

export type CheckpointMode = "PASSIVE";

/** Emitted with the absolute path of the database; replica events also name the replica. */
export type EngineEvent =
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
  /** One sync that found something: `image` tells why a full image was taken. */
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
    };

export type EmitEvent = (event: EngineEvent) => void;
