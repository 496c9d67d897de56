/** From the tree of a configuration file to a Config: sections, inheritance, checks across databases. */
import type { Config, DatabaseConfig, DirectoryConfig } from "./config.ts";
import {
  buildReplicas,
  checkDatabaseEntry,
  databaseConfig,
  databaseSettings,
  directoryConfig,
  nameReplicas,
  readDatabaseEntry,
  type DatabaseEntry,
} from "./database-section.ts";
import { checkDestinations, groupByPath } from "./destinations.ts";
import type { LoadOptions } from "./load.ts";
import { databaseNotYet, topNotYet } from "./not-yet.ts";
import type { ReplicaContext } from "./replica-section.ts";
import { addWrongType, type ProblemSink } from "./section.ts";
import { SOCKET_SETTINGS } from "./settings.ts";
import {
  checkTop,
  nonEmpty,
  readBlocks,
  readLevels,
  readTop,
  type TopSection,
} from "./top-section.ts";
import type { YAMLNode } from "./yaml-tree.ts";

const DAY_MS = 86_400_000;
/** Reads everything of `root`; problems go to `sink`, and the result is good only when it got no errors. */
export function buildConfig(
  root: YAMLNode | undefined,
  file: string | undefined,
  options: LoadOptions,
  sink: ProblemSink,
): Config {
  const top = readTop(root, sink);
  const { values } = top;
  const block = readBlocks(top, sink);
  const levels = readLevels(top.child("levels"), sink);
  checkTop(top, block.logging.section, sink);

  const entries = readEntries(top.child("dbs"), options.cwd, sink);
  const usable = entries.filter((entry) => checkDatabaseEntry(entry, sink));
  const context: Omit<ReplicaContext, "label"> = {
    inherited: values,
    ageIdentities: block.age.values.identities ?? [],
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
    mcpToken: nonEmpty(values["mcp-token"]),
    bindFailure: values["bind-failure"] === "warn" ? "warn" : "error",
    socket: {
      enabled: socket.values.enabled ?? false,
      path: nonEmpty(socket.values.path) ?? SOCKET_SETTINGS.path.default,
      mode: socket.values.permissions ?? 0o600,
    },
    heartbeatURL: nonEmpty(values["heartbeat-url"]),
    heartbeatFailureURL: nonEmpty(values["heartbeat-failure-url"]),
    heartbeatIntervalMs: values["heartbeat-interval"] ?? 300_000,
    levelIntervalsMs: levels,
    l0RetentionMs: values["l0-retention"] ?? 300_000,
    l0RetentionCheckIntervalMs: values["l0-retention-check-interval"] ?? 15_000,
    auditIntervalMs: values["audit-interval"] ?? 3_600_000,
    backlogLimitBytes: values["backlog-limit"],
    verifyCompaction: values["verify-compaction"] ?? false,
    retentionEnabled: block.retention.values.enabled ?? true,
    validationIntervalMs: block.validation.values.interval,
    warnings: [],
    notYet: [...topNotYet(block), ...usable.flatMap((entry) => databaseNotYet(entry))],
  };
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
