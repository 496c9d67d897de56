/** A configuration as the rest of the program uses it: checked, complete, in milliseconds and bytes. */
import type { ReplicaOptions } from "../storage/replica-options.ts";
import type { ConfigProblem } from "./config-error.ts";

export interface Config {
  /** The file it was read from; undefined for one made of command-line arguments. */
  readonly file: string | undefined;
  readonly databases: readonly DatabaseConfig[];
  /** Entries with `dir`. */
  readonly directories: readonly DirectoryConfig[];
  readonly exec: string | undefined;
  readonly execExitCode: boolean;
  readonly execKillTimeoutMs: number;
  readonly logging: LoggingConfig;
  readonly shutdownSyncTimeoutMs: number;
  readonly shutdownSyncIntervalMs: number;
  readonly addr: string | undefined;
  readonly mcpAddr: string | undefined;
  readonly mcpToken: string | undefined;
  readonly bindFailure: "error" | "warn";
  readonly socket: { readonly enabled: boolean; readonly path: string; readonly mode: number };
  readonly heartbeatURL: string | undefined;
  readonly heartbeatFailureURL: string | undefined;
  readonly heartbeatIntervalMs: number;
  /** Intervals of level 1 and up. */
  readonly levelIntervalsMs: readonly number[];
  readonly l0RetentionMs: number;
  readonly l0RetentionCheckIntervalMs: number;
  readonly auditIntervalMs: number;
  readonly backlogLimitBytes: number | undefined;
  readonly verifyCompaction: boolean;
  readonly retentionEnabled: boolean;
  readonly validationIntervalMs: number | undefined;
  /** What is odd but usable, for the log. */
  readonly warnings: readonly ConfigProblem[];
  /** Settings that ask for something this version does not do. */
  readonly notYet: readonly NotYet[];
}

export interface LoggingConfig {
  /** As written; undefined when the file says nothing. */
  readonly level: string | undefined;
  readonly type: "text" | "json" | "pretty";
  readonly stderr: boolean;
  readonly source: boolean;
}

export interface DatabaseSettings {
  readonly monitorIntervalMs: number;
  readonly checkpointIntervalMs: number;
  readonly busyTimeoutMs: number;
  readonly minCheckpointPageCount: number;
  /** Negative: off. */
  readonly truncatePageCount: number;
  /** 0: no limit. */
  readonly maxSyncWALBytes: number;
  readonly restoreIfNotExists: boolean;
  readonly snapshotIntervalMs: number;
  readonly snapshotRetentionMs: number;
  readonly heartbeatURL: string | undefined;
  readonly heartbeatFailureURL: string | undefined;
  readonly replicas: readonly ReplicaConfig[];
}

export interface DatabaseConfig extends DatabaseSettings {
  /** Absolute. */
  readonly path: string;
  /** Absolute folder of the local state: `meta-path`, or `.<file>-litestream` beside the database. */
  readonly metaPath: string;
}

export interface DirectoryConfig extends DatabaseSettings {
  /** Absolute. */
  readonly dir: string;
  readonly pattern: string;
  readonly recursive: boolean;
  readonly watch: boolean;
  readonly metaPath: string | undefined;
  readonly metaDir: string | undefined;
}

export interface ReplicaConfig {
  /** Unique within its database: `name:`, or the type with a number where needed. */
  readonly name: string;
  readonly options: ReplicaOptions;
  readonly syncIntervalMs: number;
  readonly autoRecover: boolean;
  /** 0: no limit. */
  readonly maxSyncLTXFiles: number;
  readonly validationIntervalMs: number | undefined;
  readonly snapshotIntervalMs: number | undefined;
  readonly retentionMs: number | undefined;
  readonly retentionCheckIntervalMs: number | undefined;
  /** Key texts that read age-encrypted v0.3 backups. */
  readonly ageIdentities: readonly string[];
}

/** Something the configuration asks for and this version does not do. */
export interface NotYet extends ConfigProblem {
  /** Replicating would do less than was asked for: `replicate` does not start. */
  readonly refuse: boolean;
}
