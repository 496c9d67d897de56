/** From the tree of a configuration file to a Config: sections, inheritance, checks across databases. */
import type { Config, DatabaseConfig, DirectoryConfig, LoggingConfig, NotYet } from "./config.ts";
import {
  AGE_GO_TYPE,
  buildReplicas,
  checkDatabaseEntry,
  databaseConfig,
  databaseSettings,
  directoryConfig,
  nameReplicas,
  readDatabaseEntry,
  type DatabaseEntry,
} from "./database-section.ts";
import { formatDuration } from "./duration.ts";
import { checkDestinations, groupByPath } from "./destinations.ts";
import type { LoadOptions } from "./load.ts";
import { notYet } from "./not-yet.ts";
import type { ReplicaContext } from "./replica-section.ts";
import { addWrongType, readSection, type ProblemSink, type Section } from "./section.ts";
import {
  AGE_SETTINGS,
  LEVEL_SETTINGS,
  LOGGING_SETTINGS,
  REPLICA_SETTINGS,
  RETENTION_SETTINGS,
  SNAPSHOT_SETTINGS,
  SOCKET_SETTINGS,
  TOP_SETTINGS,
  VALIDATION_SETTINGS,
} from "./settings.ts";
import type { YAMLNode } from "./yaml-tree.ts";

const TOP_TABLE: typeof TOP_SETTINGS & typeof REPLICA_SETTINGS = {
  ...TOP_SETTINGS,
  ...REPLICA_SETTINGS,
};
type TopSection = Section<typeof TOP_TABLE>;

const TOP_CHILDREN = [
  "socket",
  "logging",
  "snapshot",
  "validation",
  "retention",
  "levels",
  "dbs",
  "age",
];
const TOP_GO_TYPE = 'struct { Snapshot *main.SnapshotConfig "yaml:\\"snapshot\\"" }';

const DEFAULT_LEVEL_INTERVALS_MS = [30_000, 300_000, 3_600_000];
const MAX_LEVELS = 8;
const DAY_MS = 86_400_000;
const MIN_HEARTBEAT_INTERVAL_MS = 60_000;

/** Reads everything of `root`; problems go to `sink`, and the result is good only when it got no errors. */
export function buildConfig(
  root: YAMLNode | undefined,
  file: string | undefined,
  options: LoadOptions,
  sink: ProblemSink,
): Config {
  const shape = { table: TOP_TABLE, children: TOP_CHILDREN, goType: TOP_GO_TYPE, prefix: "" };
  const top = readSection(root, shape, sink);
  const { values } = top;
  const block = readBlocks(top, sink);
  const levels = readLevels(top.child("levels"), sink);
  checkTop(top, block.logging.section, sink);

  const entries = readEntries(top.child("dbs"), options.cwd, sink);
  const usable = entries.filter((entry) => checkDatabaseEntry(entry, sink));
  const context: Omit<ReplicaContext, "label"> = {
    inherited: values,
    endpointTypes: endpointTypes(top, usable, sink),
    cwd: options.cwd,
    env: options.env,
    strict: options.strict === true,
  };
  const defaults = {
    snapshotIntervalMs: block.snapshot.values.interval ?? DAY_MS,
    snapshotRetentionMs: block.snapshot.values.retention ?? DAY_MS,
  };
  const databases: DatabaseConfig[] = [];
  const directories: DirectoryConfig[] = [];
  for (const group of groupByPath(usable, sink)) {
    const [entry] = group;
    if (entry === undefined) continue;
    const unnamed = group.flatMap((member) => buildReplicas(member, context, sink));
    const replicas = nameReplicas(unnamed, entry.label, entry.section.line, sink);
    const own = entry.section.values;
    const settings = databaseSettings(own, entry.snapshot.values, defaults, replicas);
    if (own.dir === undefined || own.dir === "") {
      databases.push(databaseConfig(entry, settings, options.cwd));
    } else {
      directories.push(directoryConfig(entry, settings, options.cwd));
    }
    warnDatabase(entry, sink);
  }
  checkDestinations(databases, usable, sink);
  const { logging, socket } = block;
  return {
    file,
    databases,
    directories,
    exec: values.exec,
    execExitCode: values["exec-exit-code"] ?? false,
    execKillTimeoutMs: values["exec-kill-timeout"] ?? 30_000,
    logging: logging.config,
    shutdownSyncTimeoutMs: values["shutdown-sync-timeout"] ?? 30_000,
    shutdownSyncIntervalMs: values["shutdown-sync-interval"] ?? 500,
    addr: nonEmpty(values.addr),
    mcpAddr: nonEmpty(values["mcp-addr"]),
    bindFailure: values["bind-failure"] === "warn" ? "warn" : "error",
    socket: {
      enabled: socket.values.enabled ?? false,
      path: nonEmpty(socket.values.path) ?? SOCKET_SETTINGS.path.default,
      mode: socket.values.permissions ?? 0o600,
    },
    heartbeatURL: nonEmpty(values["heartbeat-url"]),
    heartbeatIntervalMs: values["heartbeat-interval"] ?? 300_000,
    levelIntervalsMs: levels,
    l0RetentionMs: values["l0-retention"] ?? 300_000,
    l0RetentionCheckIntervalMs: values["l0-retention-check-interval"] ?? 15_000,
    verifyCompaction: values["verify-compaction"] ?? false,
    retentionEnabled: block.retention.values.enabled ?? true,
    validationIntervalMs: block.validation.values.interval,
    warnings: [],
    notYet: [...topNotYet(top, block), ...usable.flatMap((entry) => databaseNotYet(entry))],
  };
}

interface Blocks {
  readonly socket: Section<typeof SOCKET_SETTINGS>;
  readonly logging: {
    readonly section: Section<typeof LOGGING_SETTINGS>;
    readonly config: LoggingConfig;
  };
  readonly snapshot: Section<typeof SNAPSHOT_SETTINGS>;
  readonly validation: Section<typeof VALIDATION_SETTINGS>;
  readonly retention: Section<typeof RETENTION_SETTINGS>;
  readonly age: Section<typeof AGE_SETTINGS>;
}

function readBlocks(top: TopSection, sink: ProblemSink): Blocks {
  const socket = readSection(
    top.child("socket"),
    { table: SOCKET_SETTINGS, goType: "litestream.SocketConfig", prefix: "socket." },
    sink,
  );
  const mode = socket.values.permissions;
  if (mode !== undefined && (mode & 0o022) !== 0) {
    sink.warnings.push({
      line: socket.lineOf("permissions"),
      key: "socket.permissions",
      message: `Other users may write to the control socket (0${mode.toString(8)})`,
    });
  }
  const logging = readSection(
    top.child("logging"),
    { table: LOGGING_SETTINGS, goType: "internal.LoggingConfig", prefix: "logging." },
    sink,
  );
  const type = nonEmpty(logging.values.type) ?? "text";
  return {
    socket,
    logging: {
      section: logging,
      config: {
        level: logging.values.level,
        type: type === "json" || type === "pretty" ? type : "text",
        stderr: logging.values.stderr ?? false,
        source: logging.values.source ?? false,
      },
    },
    snapshot: readSection(
      top.child("snapshot"),
      { table: SNAPSHOT_SETTINGS, goType: "main.SnapshotConfig", prefix: "snapshot." },
      sink,
    ),
    validation: readSection(
      top.child("validation"),
      { table: VALIDATION_SETTINGS, goType: "main.ValidationConfig", prefix: "validation." },
      sink,
    ),
    retention: readSection(
      top.child("retention"),
      { table: RETENTION_SETTINGS, goType: "main.RetentionConfig", prefix: "retention." },
      sink,
    ),
    age: readSection(
      top.child("age"),
      { table: AGE_SETTINGS, goType: AGE_GO_TYPE, prefix: "age." },
      sink,
    ),
  };
}

function readLevels(node: YAMLNode | undefined, sink: ProblemSink): readonly number[] {
  if (node === undefined) return DEFAULT_LEVEL_INTERVALS_MS;
  if (node.kind === "null") return [];
  if (node.kind !== "sequence") {
    addWrongType(node, "[]*main.CompactionLevelConfig", "levels", sink);
    return [];
  }
  if (node.items.length > MAX_LEVELS) {
    const message = `compaction level cannot exceed ${MAX_LEVELS}`;
    const upstream = { kind: "plain", text: `cannot open store: ${message}` } as const;
    sink.errors.push({ line: node.line, key: "levels", message, upstream });
  }
  return node.items.map((item, index) => {
    const key = `levels[${index}]`;
    const goType = "main.CompactionLevelConfig";
    const shape = { table: LEVEL_SETTINGS, goType, prefix: `${key}.` };
    const before = sink.typeErrors.length;
    const level = readSection(item, shape, sink);
    const interval = level.values.interval ?? 0;
    if (interval <= 0 && sink.typeErrors.length === before) {
      const message = `compaction interval must be greater than 0 (got ${formatDuration(interval)})`;
      sink.errors.push({ line: level.lineOf("interval"), key: `${key}.interval`, message });
    }
    return interval;
  });
}

function readEntries(
  node: YAMLNode | undefined,
  cwd: string,
  sink: ProblemSink,
): readonly DatabaseEntry[] {
  if (node === undefined || node.kind === "null") return [];
  if (node.kind !== "sequence") {
    addWrongType(node, "[]*main.DBConfig", "dbs", sink);
    return [];
  }
  return node.items.flatMap((item, index) => readDatabaseEntry(item, index, cwd, sink) ?? []);
}

/** Checks that need more than one value, or more than a number's sign. */
function checkTop(
  top: TopSection,
  logging: Section<typeof LOGGING_SETTINGS>,
  sink: ProblemSink,
): void {
  const { values } = top;
  const fail = (key: string, message: string, hint?: string, text?: string): void => {
    const upstream = text === undefined ? undefined : ({ kind: "plain", text } as const);
    sink.errors.push({ line: top.lineOf(key), key, message, hint, upstream });
  };
  const url = nonEmpty(values["heartbeat-url"]);
  if (url !== undefined && !/^https?:\/\//.test(url)) {
    fail("heartbeat-url", `heartbeat URL must be a valid HTTP or HTTPS URL (got ${url})`);
  }
  const interval = values["heartbeat-interval"];
  if (interval !== undefined && interval < MIN_HEARTBEAT_INTERVAL_MS) {
    const got = formatDuration(interval);
    fail("heartbeat-interval", `heartbeat interval must be at least 1 minute (got ${got})`);
  }
  const addr = nonEmpty(values.addr);
  if (addr !== undefined && !/:\w+$/.test(addr)) {
    const message = `must specify port for bind address: ${JSON.stringify(addr)}`;
    fail("addr", message, `Write "${addr.replace(/:$/, "")}:9090"`, message);
  }
  if (values.exec !== undefined && values.exec !== "" && values.exec.trim() === "") {
    fail("exec", "Command is blank", "Remove the key or name a command");
  }
  const bindFailure = nonEmpty(values["bind-failure"]);
  if (bindFailure !== undefined && bindFailure !== "error" && bindFailure !== "warn") {
    fail("bind-failure", `Unknown value "${bindFailure}"`, "Write error or warn");
  }
  const type = nonEmpty(logging.values.type);
  if (type !== undefined && !["text", "json", "pretty"].includes(type)) {
    sink.errors.push({
      line: logging.lineOf("type"),
      key: "logging.type",
      message: `Unknown log type "${type}"`,
      hint: "Write text, json or pretty",
    });
  }
}

/** The kinds of replica that take the endpoint at the top of the file: one kind only, S3 before the others. */
function endpointTypes(
  top: TopSection,
  entries: readonly DatabaseEntry[],
  sink: ProblemSink,
): ReadonlySet<string> {
  const used = new Set(
    entries.flatMap((entry) =>
      entry.replicas.map(({ section }) => {
        const scheme = /^(\w+):\/\//.exec(section.values.url ?? "")?.[1]?.toLowerCase();
        return scheme ?? nonEmpty(section.values.type) ?? "file";
      }),
    ),
  );
  const takers = ["s3", "abs", "oss"].filter((type) => used.has(type));
  const chosen = takers.length > 1 ? takers.filter((type) => type === "s3") : takers;
  const others = takers.filter((type) => !chosen.includes(type));
  if (nonEmpty(top.values.endpoint) !== undefined && others.length > 0) {
    sink.warnings.push({
      line: top.lineOf("endpoint"),
      key: "endpoint",
      message: `Endpoint is not used for replicas of type ${others.join(", ")}`,
      hint: "Give them an endpoint of their own",
    });
  }
  return new Set(chosen);
}

function warnDatabase(entry: DatabaseEntry, sink: ProblemSink): void {
  const { values } = entry.section;
  const warn = (key: string, message: string, hint?: string): void => {
    sink.warnings.push({
      line: entry.section.lineOf(key),
      key: `${entry.label}.${key}`,
      message,
      hint,
    });
  };
  if (values["truncate-page-n"] === 0) {
    warn("truncate-page-n", "0 means the default of 121359 pages", 'Write -1 or "off" to disable');
  }
  if (values["max-checkpoint-page-count"] !== undefined) {
    warn("max-checkpoint-page-count", "Key of version 0.3 has no effect");
  }
}

function topNotYet(top: TopSection, block: Blocks): readonly NotYet[] {
  const { values } = top;
  const rows: (NotYet | undefined)[] = [];
  const add = (wanted: boolean, key: string, line: number): void => {
    if (wanted) rows.push(notYet(key, key, line));
  };
  for (const key of ["addr", "mcp-addr", "heartbeat-url"] as const) {
    add(nonEmpty(values[key]) !== undefined, key, top.lineOf(key));
  }
  add(values["verify-compaction"] === true, "verify-compaction", top.lineOf("verify-compaction"));
  for (const key of [
    "l0-retention",
    "l0-retention-check-interval",
    "validation-interval",
  ] as const) {
    add(values[key] !== undefined, key, top.lineOf(key));
  }
  const levels = top.child("levels");
  add(levels !== undefined && levels.kind !== "null", "levels", top.lineOf("levels"));
  add(block.socket.values.enabled === true, "socket.enabled", block.socket.lineOf("enabled"));
  for (const key of ["interval", "retention"] as const) {
    const line = block.snapshot.lineOf(key);
    add(block.snapshot.values[key] !== undefined, `snapshot.${key}`, line);
  }
  const validation = block.validation.values.interval ?? 0;
  add(validation > 0, "validation.interval", block.validation.lineOf("interval"));
  for (const key of ["identities", "recipients"] as const) {
    add((block.age.values[key]?.length ?? 0) > 0, `age.${key}`, block.age.lineOf(key));
  }
  return rows.filter((row) => row !== undefined);
}

function databaseNotYet(entry: DatabaseEntry): readonly NotYet[] {
  const rows: (NotYet | undefined)[] = [];
  const { values } = entry.section;
  const add = (wanted: boolean, key: string, where: string, line: number): void => {
    if (wanted) rows.push(notYet(key, `${entry.label}.${where}`, line));
  };
  add(nonEmpty(values.dir) !== undefined, "dir", "dir", entry.section.lineOf("dir"));
  const url = nonEmpty(values["heartbeat-url"]);
  add(url !== undefined, "heartbeat-url", "heartbeat-url", entry.section.lineOf("heartbeat-url"));
  for (const key of ["interval", "retention"] as const) {
    const where = `snapshot.${key}`;
    add(entry.snapshot.values[key] !== undefined, where, where, entry.snapshot.lineOf(key));
  }
  for (const { section, age, label } of entry.replicas) {
    for (const key of [
      "retention",
      "retention-check-interval",
      "snapshot-interval",
      "validation-interval",
    ] as const) {
      add(section.values[key] !== undefined, key, `${label}.${key}`, section.lineOf(key));
    }
    for (const key of ["identities", "recipients"] as const) {
      const wanted = (age.values[key]?.length ?? 0) > 0;
      add(wanted, `age.${key}`, `${label}.age.${key}`, age.lineOf(key));
    }
  }
  return rows.filter((row) => row !== undefined);
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}
