/** What a changed configuration means for a running service. */
import { isDeepStrictEqual } from "node:util";
import type { Config, DatabaseConfig } from "./config.ts";

/** Top settings that every database is replicated by. */
const OF_EVERY_DATABASE = [
  "levelIntervalsMs",
  "l0RetentionMs",
  "l0RetentionCheckIntervalMs",
  "auditIntervalMs",
  "backlogLimitBytes",
  "verifyCompaction",
  "retentionEnabled",
  "validationIntervalMs",
] as const satisfies readonly (keyof Config)[];

/** Top settings that hold from start to end, with their keys in the file. */
const FROM_THE_START = {
  exec: "exec",
  execExitCode: "exec-exit-code",
  execKillTimeoutMs: "exec-kill-timeout",
  logging: "logging",
  shutdownSyncTimeoutMs: "shutdown-sync-timeout",
  shutdownSyncIntervalMs: "shutdown-sync-interval",
  addr: "addr",
  mcpAddr: "mcp-addr",
  mcpToken: "mcp-token",
  bindFailure: "bind-failure",
  socket: "socket",
  heartbeatURL: "heartbeat-url",
  heartbeatFailureURL: "heartbeat-failure-url",
  heartbeatIntervalMs: "heartbeat-interval",
} as const satisfies Partial<Record<keyof Config, string>>;

export interface DatabasesDiff {
  readonly add: readonly DatabaseConfig[];
  readonly replace: readonly DatabaseConfig[];
  /** Paths. */
  readonly remove: readonly string[];
}

/** Compares by value. `replaceAll`: settings that all of them share changed. */
export function diffDatabases(
  before: readonly DatabaseConfig[],
  after: readonly DatabaseConfig[],
  replaceAll: boolean,
): DatabasesDiff {
  const old = new Map(before.map((database) => [database.path, database]));
  const paths = new Set(after.map(({ path }) => path));
  const isKept = (database: DatabaseConfig): boolean => old.has(database.path);
  const isSame = (database: DatabaseConfig): boolean =>
    isDeepStrictEqual(old.get(database.path), database);
  return {
    add: after.filter((database) => !isKept(database)),
    replace: after.filter((database) => isKept(database) && (replaceAll || !isSame(database))),
    remove: [...old.keys()].filter((path) => !paths.has(path)),
  };
}

/** Whether something changed that every database is replicated by. */
export function changesEveryDatabase(before: Config, after: Config): boolean {
  return OF_EVERY_DATABASE.some((key) => !isDeepStrictEqual(before[key], after[key]));
}

/** Keys that changed and hold only from the next start. */
export function changedForNextStart(before: Config, after: Config): readonly string[] {
  return Object.entries(FROM_THE_START)
    .filter(([key]) => !isDeepStrictEqual(before[key as keyof Config], after[key as keyof Config]))
    .map(([, name]) => name);
}
