/** The entries of `dbs`: one database or one folder each, with their replicas. */
import { basename, dirname, join } from "node:path";
import type { DatabaseConfig, DatabaseSettings, DirectoryConfig, ReplicaConfig } from "./config.ts";
import { expandPath } from "./expand-path.ts";
import {
  buildReplica,
  REPLICA_TABLE,
  type ReplicaContext,
  type ReplicaTable,
  type UnnamedReplica,
} from "./replica-section.ts";
import { addWrongType, readSection, type ProblemSink, type Section } from "./section.ts";
import { AGE_SETTINGS, DATABASE_SETTINGS, SNAPSHOT_SETTINGS, type Values } from "./settings.ts";
import type { YAMLNode } from "./yaml-tree.ts";

export type DatabaseTable = typeof DATABASE_SETTINGS;

export const AGE_GO_TYPE =
  'struct { Identities []string "yaml:\\"identities\\""; Recipients []string "yaml:\\"recipients\\"" }';

/** A replica section as written, before its place is known. */
interface ReplicaEntry {
  readonly section: Section<ReplicaTable>;
  readonly age: Section<typeof AGE_SETTINGS>;
  /** `replica` or `replicas[0]`. */
  readonly label: string;
}

/** An entry of `dbs` as written. */
export interface DatabaseEntry {
  /** 0-based position in `dbs`. */
  readonly index: number;
  readonly section: Section<DatabaseTable>;
  readonly snapshot: Section<typeof SNAPSHOT_SETTINGS>;
  readonly replicas: readonly ReplicaEntry[];
  /** Absolute path of the database or folder; undefined when the entry names none. */
  readonly path: string | undefined;
  /** `dbs[/data/app.db]`. */
  readonly label: string;
}

/** The settings every database shares unless it says otherwise. */
export interface DatabaseDefaults {
  readonly snapshotIntervalMs: number;
  readonly snapshotRetentionMs: number;
}

/** Reads one entry of `dbs`. */
export function readDatabaseEntry(
  node: YAMLNode,
  index: number,
  cwd: string,
  sink: ProblemSink,
): DatabaseEntry | undefined {
  if (node.kind === "null") {
    const message = `database config #${index + 1} is empty`;
    sink.errors.push({ line: node.line, message, hint: "Give it a path and a replica" });
    return undefined;
  }
  const written = writtenPath(node);
  const path = written === undefined || written === "" ? undefined : expandPath(written, cwd);
  const label = path === undefined ? `dbs[${index}]` : `dbs[${path}]`;
  const section = readSection(
    node,
    {
      table: DATABASE_SETTINGS,
      children: ["replica", "replicas", "snapshot"],
      goType: "main.DBConfig",
      prefix: `${label}.`,
    },
    sink,
  );
  const snapshot = readSection(
    section.child("snapshot"),
    { table: SNAPSHOT_SETTINGS, goType: "main.SnapshotConfig", prefix: `${label}.snapshot.` },
    sink,
  );
  const replicas = readReplicaEntries(section, label, sink);
  return { index, section, snapshot, replicas, path, label };
}

/** Upstream's checks of one entry, in its order and words; the first mistake is said. */
export function checkDatabaseEntry(entry: DatabaseEntry, sink: ProblemSink): boolean {
  const { values } = entry.section;
  const isDirectory = isSet(values.dir);
  const fail = (key: string, message: string, hint?: string): boolean => {
    const text = `database config #${entry.index + 1}: ${message}`;
    const upstream = { kind: "plain", text } as const;
    sink.errors.push({
      line: entry.section.lineOf(key),
      key: entry.label,
      message,
      hint,
      upstream,
    });
    return false;
  };
  if (isDirectory && isSet(values.path)) {
    return fail("dir", "cannot specify both 'path' and 'dir'");
  }
  if (!isDirectory && !isSet(values.path)) {
    return fail("path", "must specify either 'path' or 'dir'");
  }
  if (isDirectory && !isSet(values.pattern)) {
    return fail("dir", "'pattern' is required when using 'dir'", 'For example pattern: "*.db"');
  }
  if (!isDirectory && values.watch === true) {
    return fail("watch", "'watch' can only be enabled with a directory");
  }
  if (!isDirectory && isSet(values["meta-dir"])) {
    return fail("meta-dir", "'meta-dir' can only be used with a directory");
  }
  if (isSet(values["meta-dir"]) && isSet(values["meta-path"])) {
    return fail("meta-dir", "cannot specify both 'meta-path' and 'meta-dir'");
  }
  return true;
}

/** The replicas of an entry; errors go to `sink`. */
export function buildReplicas(
  entry: DatabaseEntry,
  context: Omit<ReplicaContext, "label">,
  sink: ProblemSink,
): readonly UnnamedReplica[] {
  const { section, replicas } = entry;
  const line = section.line;
  const fail = (message: string, hint: string): readonly UnnamedReplica[] => {
    const upstream = { kind: "plain", text: message } as const;
    sink.errors.push({ line, key: entry.label, message, hint, upstream });
    return [];
  };
  if (hasEntries(section.child("replica")) && hasEntries(section.child("replicas"))) {
    return fail(
      "cannot specify 'replica' and 'replicas' on a database",
      "Write one list under 'replicas'",
    );
  }
  if (replicas.length === 0) {
    return fail("must specify replica for database", "Add a replica with a url");
  }
  return replicas.flatMap((replica) => {
    const label = `${entry.label}.${replica.label}`;
    const own = replica.age.values.identities ?? [];
    const ageIdentities = own.length > 0 ? own : context.ageIdentities;
    const built = buildReplica(replica.section, { ...context, label, ageIdentities }, sink);
    return built === undefined ? [] : [built];
  });
}

/** Gives each replica a name of its own: `name:`, else the type, numbered when there are several. */
export function nameReplicas(
  replicas: readonly UnnamedReplica[],
  label: string,
  line: number,
  sink: ProblemSink,
): readonly ReplicaConfig[] {
  const taken = new Set<string>();
  for (const { name } of replicas) {
    if (name === undefined) continue;
    if (taken.has(name)) {
      const message = `Two replicas are named "${name}"`;
      sink.errors.push({ line, key: label, message, hint: "Give each a name of its own" });
    }
    taken.add(name);
  }
  return replicas.map((replica) => {
    let name = replica.name ?? replica.options.type;
    for (let number = 2; replica.name === undefined && taken.has(name); number++) {
      name = `${replica.options.type}-${number}`;
    }
    taken.add(name);
    return { ...replica, name };
  });
}

/** The complete settings of a database from what its entry says. */
export function databaseSettings(
  values: Values<DatabaseTable>,
  snapshot: Values<typeof SNAPSHOT_SETTINGS>,
  defaults: DatabaseDefaults,
  replicas: readonly ReplicaConfig[],
): DatabaseSettings {
  const truncate = values["truncate-page-n"];
  return {
    monitorIntervalMs: values["monitor-interval"] ?? 1_000,
    checkpointIntervalMs: values["checkpoint-interval"] ?? 60_000,
    busyTimeoutMs: values["busy-timeout"] ?? 1_000,
    minCheckpointPageCount: values["min-checkpoint-page-count"] ?? 1_000,
    truncatePageCount: truncate === undefined || truncate === 0 ? 121_359 : truncate,
    maxSyncWALBytes: values["max-sync-wal-bytes"] ?? 64 * 1024 * 1024,
    restoreIfNotExists: values["restore-if-db-not-exists"] ?? false,
    snapshotIntervalMs: snapshot.interval ?? defaults.snapshotIntervalMs,
    snapshotRetentionMs: snapshot.retention ?? defaults.snapshotRetentionMs,
    heartbeatURL: isSet(values["heartbeat-url"]) ? values["heartbeat-url"] : undefined,
    heartbeatFailureURL: isSet(values["heartbeat-failure-url"])
      ? values["heartbeat-failure-url"]
      : undefined,
    replicas,
  };
}

/** A database of an entry with `path`. */
export function databaseConfig(
  entry: DatabaseEntry,
  settings: DatabaseSettings,
  cwd: string,
): DatabaseConfig {
  const path = entry.path ?? "";
  const metaPath = optionalPath(entry.section.values["meta-path"], cwd);
  return {
    ...settings,
    path,
    metaPath: metaPath ?? join(dirname(path), `.${basename(path)}-litestream`),
  };
}

/** A folder of an entry with `dir`. */
export function directoryConfig(
  entry: DatabaseEntry,
  settings: DatabaseSettings,
  cwd: string,
): DirectoryConfig {
  const { values } = entry.section;
  return {
    ...settings,
    dir: entry.path ?? "",
    pattern: values.pattern ?? "",
    recursive: values.recursive ?? false,
    watch: values.watch ?? false,
    metaPath: optionalPath(values["meta-path"], cwd),
    metaDir: optionalPath(values["meta-dir"], cwd),
  };
}

function readReplicaEntries(
  section: Section<DatabaseTable>,
  label: string,
  sink: ProblemSink,
): readonly ReplicaEntry[] {
  const entries: ReplicaEntry[] = [];
  const single = section.child("replica");
  if (single !== undefined && single.kind !== "null") {
    entries.push(readReplicaEntry(single, "replica", label, sink));
  }
  const list = section.child("replicas");
  if (list?.kind === "sequence") {
    for (const [index, node] of list.items.entries()) {
      if (node.kind === "null") {
        const message = `${label}.replicas[${index}] is empty`;
        sink.errors.push({ line: node.line, message });
      } else {
        entries.push(readReplicaEntry(node, `replicas[${index}]`, label, sink));
      }
    }
  } else if (list !== undefined && list.kind !== "null") {
    addWrongType(list, "[]*main.ReplicaConfig", `${label}.replicas`, sink);
  }
  return entries;
}

function readReplicaEntry(
  node: YAMLNode,
  label: string,
  databaseLabel: string,
  sink: ProblemSink,
): ReplicaEntry {
  const prefix = `${databaseLabel}.${label}.`;
  const section = readSection(
    node,
    { table: REPLICA_TABLE, children: ["age"], goType: "main.ReplicaConfig", prefix },
    sink,
  );
  const age = readSection(
    section.child("age"),
    { table: AGE_SETTINGS, goType: AGE_GO_TYPE, prefix: `${prefix}age.` },
    sink,
  );
  return { section, age, label };
}

function writtenPath(node: YAMLNode): string | undefined {
  if (node.kind !== "mapping") return undefined;
  const value = (
    node.entries.find((entry) => entry.key === "path") ??
    node.entries.find((entry) => entry.key === "dir")
  )?.value;
  return value?.kind === "scalar" ? value.text : undefined;
}

function hasEntries(node: YAMLNode | undefined): boolean {
  if (node === undefined || node.kind === "null") return false;
  return node.kind !== "sequence" || node.items.length > 0;
}

function isSet(text: string | undefined): boolean {
  return text !== undefined && text !== "";
}

function optionalPath(path: string | undefined, cwd: string): string | undefined {
  return path === undefined || path === "" ? undefined : expandPath(path, cwd);
}
