/**
 * Settings that are read and checked, but ask for something this version does not do. Each is said at start, so
 * that nobody believes in what does not happen. Whoever builds a feature removes its row.
 */
import type { NotYet } from "./config.ts";

interface Row {
  readonly key: string;
  /** What this version does not do: "but this version does not …". */
  readonly lacks: string;
  /** Upstream's or our words when replicating must not start. */
  readonly refusal?: string;
}

const ROWS: readonly Row[] = [
  { key: "addr", lacks: "serve metrics" },
  { key: "mcp-addr", lacks: "serve MCP" },
  { key: "socket.enabled", lacks: "serve a control socket" },
  { key: "heartbeat-url", lacks: "send heartbeats" },
  { key: "levels", lacks: "compact level-0 files into levels" },
  { key: "snapshot.interval", lacks: "take snapshots by a schedule" },
  { key: "snapshot.retention", lacks: "delete old snapshots" },
  { key: "validation.interval", lacks: "validate levels" },
  { key: "validation-interval", lacks: "validate replicas" },
  { key: "l0-retention", lacks: "delete level-0 files" },
  { key: "l0-retention-check-interval", lacks: "delete level-0 files" },
  { key: "verify-compaction", lacks: "compact level-0 files into levels" },
  { key: "retention", lacks: "delete old snapshots" },
  { key: "retention-check-interval", lacks: "delete old snapshots" },
  { key: "snapshot-interval", lacks: "take snapshots by a schedule" },
  { key: "age.identities", lacks: "read encrypted backups" },
  {
    key: "age.recipients",
    lacks: "encrypt",
    refusal:
      "age encryption is not currently supported, if you need encryption please revert back to Litestream v0.3.x",
  },
  {
    key: "dir",
    lacks: "replicate folders",
    refusal: 'Cannot replicate "dir" entries: this version does not replicate folders of databases',
  },
];

/** The entry for `key` (without the part that names the database), or undefined when the feature is there. */
export function notYet(key: string, where: string, line: number): NotYet | undefined {
  const row = ROWS.find((candidate) => candidate.key === key);
  if (row === undefined) return undefined;
  const message = `"${key}" is set but this version does not ${row.lacks}`;
  return {
    line,
    key: where,
    message,
    refuse: row.refusal !== undefined,
    ...(row.refusal === undefined ? {} : { upstream: { kind: "plain", text: row.refusal } }),
  };
}
