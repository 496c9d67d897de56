/** How one replicated database stands, for metrics, health and heartbeats. Taken when somebody asks; nothing is kept for it. */
import type { TickTotals } from "../engine/database.ts";
import type { Level0Counts } from "../engine/replica-levels.ts";
import type { ReplicaState } from "../engine/replica.ts";
import type { TXID } from "../formats/ltx/txid.ts";
import type { DatabaseRunner } from "./database-runner.ts";
import type { DatabaseStatus, ReplicaStatus } from "./database-status.ts";
import type { DatabaseOptions } from "./store-options.ts";

export interface DatabaseObservation {
  /** Absolute. */
  readonly path: string;
  /** Nothing is asked of a database that was stopped. */
  readonly isStopped: boolean;
  /** The database file is there and open. */
  readonly isOpen: boolean;
  readonly txid: TXID;
  /** End of what is copied of the WAL, in bytes. */
  readonly walOffset: number;
  readonly ticks: TickTotals;
  readonly heartbeatURL: string | undefined;
  readonly heartbeatFailureURL: string | undefined;
  readonly replicas: readonly ReplicaObservation[];
}

export interface ReplicaObservation {
  readonly name: string;
  readonly state: ReplicaState | "stopped";
  /** Everything up to here is in the store. */
  readonly txid: TXID;
  /** Age of the oldest change that the store lacks; 0: it has everything. */
  readonly lagMs: number;
  /** Local files that the store lacks. */
  readonly pendingFiles: number;
  /** Epoch ms of the last file that got into the store; undefined: none since the start. */
  readonly uploadedAtMs: number | undefined;
  /** Epoch ms at which the store last was known to hold everything; undefined: never. */
  readonly syncedAtMs: number | undefined;
  /** Epoch ms of the first failure since the last success. */
  readonly failingSinceMs: number | undefined;
  /** Epoch ms of the newest snapshot; undefined while none is known. */
  readonly snapshotAtMs: number | undefined;
  readonly level0: Level0Counts;
}

const NO_TICKS: TickTotals = { count: 0, errorCount: 0, durationMs: 0, failingSinceMs: undefined };
const NO_LEVEL0: Level0Counts = { eligible: 0, notCompacted: 0, tooRecent: 0 };

/** `runner` null: the database is stopped. */
export function observeDatabase(
  status: DatabaseStatus,
  options: DatabaseOptions,
  runner: DatabaseRunner | null,
  nowMs: number,
): DatabaseObservation {
  return {
    path: status.path,
    isStopped: runner === null,
    isOpen: status.isOpen,
    txid: status.txid,
    walOffset: runner?.database.walOffset ?? 0,
    ticks: runner?.database.ticks ?? NO_TICKS,
    heartbeatURL: options.heartbeatURL,
    heartbeatFailureURL: options.heartbeatFailureURL,
    replicas: status.replicas.map((replica) => observeReplica(replica, status, runner, nowMs)),
  };
}

function observeReplica(
  replica: ReplicaStatus,
  { openedAtMs }: DatabaseStatus,
  runner: DatabaseRunner | null,
  nowMs: number,
): ReplicaObservation {
  const { name, state, txid, lag, uploadedAtMs, syncedAtMs } = replica;
  const levels = runner?.levelsOf(name);
  const pendingFiles = runner === null ? 0 : pendingOf(runner, txid);
  // Files of an earlier run wait since the start at least.
  const sinceStartMs = pendingFiles > 0 && openedAtMs !== undefined ? nowMs - openedAtMs : 0;
  return {
    name,
    state,
    txid,
    lagMs: lag.files > 0 ? lag.ms : Math.max(0, sinceStartMs),
    pendingFiles,
    uploadedAtMs,
    syncedAtMs,
    failingSinceMs: runner?.replicas.find((candidate) => candidate.name === name)?.status
      .failingSinceMs,
    snapshotAtMs: levels?.snapshotAtMs,
    level0: levels?.countLevel0() ?? NO_LEVEL0,
  };
}

/** The local folder holds one file per transaction, without holes. */
function pendingOf(runner: DatabaseRunner, position: TXID): number {
  const { local } = runner.database;
  if (local === null || local.newestTXID <= position) return 0;
  const before = local.oldestTXID - 1n > position ? local.oldestTXID - 1n : position;
  return Number(local.newestTXID - before);
}
