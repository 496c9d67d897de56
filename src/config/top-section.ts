/** The top of the configuration file: its own settings, the blocks inside it, and their checks. */
import type { LoggingConfig } from "./config.ts";
import { AGE_GO_TYPE } from "./database-section.ts";
import { formatDuration } from "./duration.ts";
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
export type TopSection = Section<typeof TOP_TABLE>;

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
const MIN_HEARTBEAT_INTERVAL_MS = 60_000;

/** Reads the settings at the top; what is inside blocks and lists is left to be read. */
export function readTop(root: YAMLNode | undefined, sink: ProblemSink): TopSection {
  const shape = { table: TOP_TABLE, children: TOP_CHILDREN, goType: TOP_GO_TYPE, prefix: "" };
  return readSection(root, shape, sink);
}

/** The blocks of the top. */
export interface Blocks {
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

/** Reads the blocks. */
export function readBlocks(top: TopSection, sink: ProblemSink): Blocks {
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

/** Intervals of the compaction levels, in ms. */
export function readLevels(node: YAMLNode | undefined, sink: ProblemSink): readonly number[] {
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

/** Checks that need more than one value, or more than a number's sign. */
export function checkTop(
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
  const failureURL = nonEmpty(values["heartbeat-failure-url"]);
  if (failureURL !== undefined && !/^https?:\/\//.test(failureURL)) {
    const message = "heartbeat URL must be a valid HTTP or HTTPS URL";
    fail("heartbeat-failure-url", message, "Begin it with https://");
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
  const mcpAddr = nonEmpty(values["mcp-addr"]);
  if (mcpAddr !== undefined && !/:\w+$/.test(mcpAddr)) {
    const message = `must specify port for bind address: ${JSON.stringify(mcpAddr)}`;
    fail("mcp-addr", message, `Write "${mcpAddr.replace(/:$/, "")}:3001"`, message);
  } else if (
    mcpAddr !== undefined &&
    !isLoopback(mcpAddr) &&
    nonEmpty(values["mcp-token"]) === undefined
  ) {
    const message = `MCP would be open to everybody who reaches ${JSON.stringify(mcpAddr)}`;
    fail("mcp-addr", message, 'Set "mcp-token", or bind to localhost');
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

/** Whether only this machine reaches a bind address; without a host MCP stays there. */
function isLoopback(address: string): boolean {
  return /^(?:localhost|127(?:\.\d+){3}|\[::1\])?:\w+$/i.test(address);
}

/** An empty string means "not set". */
export function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}
