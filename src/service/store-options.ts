/** What the store is told of its databases, and what it tells of them. */
import type { Clock } from "../engine/clock.ts";
import type { EmitEvent } from "../engine/events.ts";
import type { LevelSettings } from "../engine/level-settings.ts";
import type { TXID } from "../formats/ltx/txid.ts";
import type { ReplicaEntry as RunnerReplica, RunnerOptions } from "./database-runner.ts";
import type { FinalSyncSettings } from "./final-sync.ts";

export interface ReplicaEntry extends RunnerReplica {
  /** Discard broken local files and go on with a full image. */
  readonly autoRecover: boolean;
}

export interface DatabaseOptions {
  readonly path: string;
  readonly metaPath: string;
  readonly monitorIntervalMs: number;
  readonly checkpointIntervalMs: number;
  readonly busyTimeoutMs: number;
  readonly minCheckpointPageCount: number;
  readonly truncatePageCount: number;
  readonly maxSyncWALBytes: number;
  readonly replicas: readonly ReplicaEntry[];
  /** Compaction, snapshots and retention; upstream's defaults where nothing is said. */
  readonly levels?: Partial<LevelSettings>;
  /** Gets a ping while this database is healthy, and the other while it is not. */
  readonly heartbeatURL?: string | undefined;
  readonly heartbeatFailureURL?: string | undefined;
  /** What the replicas need, such as their clients: disposed of when the database is removed, or the store closed. */
  readonly resources?: AsyncDisposable;
}

export interface StoreOptions extends FinalSyncSettings {
  /** Those that are there from the beginning. */
  readonly databases: readonly DatabaseOptions[];
  readonly emit: EmitEvent;
  readonly clock?: Clock;
}

/** What became of one database that was stopped. */
export interface ClosedDatabase {
  readonly path: string;
  /** Everything committed is in every replica. */
  readonly synced: boolean;
  readonly error?: unknown;
  /** Its newest TXID. */
  readonly txid: TXID;
}

export interface CloseReport {
  readonly databases: readonly ClosedDatabase[];
}

export type AddedDatabase =
  /** `copied` resolves when it was opened and copied once, or that failed once; its loops run from then on. */
  | { readonly added: true; readonly copied: Promise<void> }
  /** There is one of this path already. */
  | { readonly added: false; readonly options: DatabaseOptions };

/** The settings of one database as its runner takes them. */
export function runnerOptions(database: DatabaseOptions): RunnerOptions {
  const { path, metaPath, replicas, levels, monitorIntervalMs, maxSyncWALBytes, busyTimeoutMs } =
    database;
  return {
    path,
    metaPath,
    checkpoint: {
      minFrames: database.minCheckpointPageCount,
      intervalMs: database.checkpointIntervalMs,
      reportFrames: database.truncatePageCount,
    },
    maxSyncWALBytes,
    busyTimeoutMs,
    autoRecover: replicas.some((replica) => replica.autoRecover),
    monitorIntervalMs,
    replicas,
    ...(levels === undefined ? {} : { levels }),
  };
}
