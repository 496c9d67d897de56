/** `litestream restore`: brings a database back from a replica. */
import { stat } from "node:fs/promises";
import { commandLineReplica } from "../../config/command-line.ts";
import type { LoggingConfig, ReplicaConfig } from "../../config/config.ts";
import type { ConfigProblem } from "../../config/config-error.ts";
import { expandPath, isReplicaURL, stripSQLiteScheme } from "../../config/expand-path.ts";
import type { IntegrityCheck } from "../../engine/integrity-check.ts";
import type { RestoreTarget } from "../../engine/restore-plan.ts";
import { CONFIG_FLAGS, findDatabase, loadOptions, readConfig } from "../config-flags.ts";
import { UsageError } from "../errors.ts";
import { parseFlags, type FlagValues } from "../flags.ts";
import type { CommandIO } from "../io.ts";
import { createCommandLogger, DEFAULT_LOGGING, logConfigWarnings } from "../logging.ts";
import { selectReplicas } from "../newest-replica.ts";
import { commandUsage } from "../usage.ts";

const FLAGS = {
  ...CONFIG_FLAGS,
  txid: {
    kind: "string",
    value: "TXID",
    help: [
      "Restore up to a specific hex-encoded transaction ID (inclusive).",
      "Defaults to use the highest available transaction.",
    ],
  },
  timestamp: {
    kind: "string",
    value: "TIMESTAMP",
    help: [
      "Restore to a specific point-in-time, the last state before it.",
      "Defaults to use the latest available backup.",
    ],
  },
  o: {
    kind: "string",
    value: "PATH",
    help: ["Output path of the restored database.", "Defaults to original DB path."],
  },
  replica: {
    kind: "string",
    value: "NAME",
    help: [
      "Restore from this replica of the configuration file.",
      "Defaults to the one with the newest data.",
    ],
  },
  "if-db-not-exists": {
    kind: "boolean",
    help: ["Returns exit code of 0 if the database already exists."],
  },
  "if-replica-exists": {
    kind: "boolean",
    help: ["Returns exit code of 0 if no backups found."],
  },
  "dry-run": {
    kind: "boolean",
    help: ["Print the restore plan and exit without writing a database."],
  },
  force: {
    kind: "boolean",
    help: [
      "Overwrite an existing output database and SQLite sidecar files,",
      "once the restored one is complete and checked.",
    ],
  },
  json: { kind: "boolean", help: ["Output raw JSON summary on successful restore."] },
  parallelism: {
    kind: "integer",
    value: "NUM",
    help: ["Determines the number of reads in flight.", "Defaults to 8"],
  },
  "integrity-check": {
    kind: "string",
    value: "MODE",
    help: [
      "Run a post-restore integrity check on the database.",
      "MODE is one of: none, quick, full.",
      "Defaults to quick.",
    ],
  },
  generation: {
    kind: "string",
    value: "NAME",
    help: ["Restore this generation of a v0.3 backup."],
  },
  index: {
    kind: "string",
    value: "NUM",
    help: ["Restore a v0.3 backup up to a hex-encoded WAL index (inclusive)."],
  },
  f: {
    kind: "boolean",
    help: [
      "Follow: keep the restored database up to date until interrupted.",
      "Continues with an existing one from the position in its -txid file.",
    ],
  },
  "follow-interval": {
    kind: "duration",
    value: "DURATION",
    help: ["Polling interval of follow mode.", "Defaults to 1s."],
  },
  // Flags of other versions: told apart from typing mistakes.
  v: { kind: "boolean" },
} as const;

const USAGE = {
  about: "The restore command recovers a database from a replica.",
  forms: ["litestream restore [arguments] DB_PATH", "litestream restore [arguments] REPLICA_URL"],
  flags: FLAGS,
  more: `Examples:

\t# Restore latest replica for database to original location.
\t$ litestream restore /path/to/db

\t# Restore replica for database to a given point in time.
\t$ litestream restore -timestamp 2020-01-01T00:00:00Z /path/to/db

\t# Restore latest replica for database to new /tmp directory
\t$ litestream restore -o /tmp/db /path/to/db

\t# Restore database from S3 replica URL.
\t$ litestream restore -o /tmp/db s3://mybucket/db

\t# Preview restore plan without writing a database.
\t$ litestream restore -dry-run -o /tmp/db s3://mybucket/db
`,
} as const;

type RestoreFlags = FlagValues<typeof FLAGS>;

/** Everything the arguments and the configuration say, before any request. */
export interface RestoreRequest {
  /** The database path or URL as typed. */
  readonly source: string;
  readonly outputPath: string;
  readonly replicas: readonly ReplicaConfig[];
  readonly target: RestoreTarget;
  /** Only in v0.3 backups. */
  readonly generation: string | undefined;
  readonly index: number | undefined;
  readonly integrityCheck: IntegrityCheck;
  /** The check was asked for, and is reported. */
  readonly integrityCheckAsked: boolean;
  readonly parallelism: number;
  readonly force: boolean;
  readonly json: boolean;
  readonly dryRun: boolean;
  /** Pause between two looks at the replica, in follow mode. */
  readonly followIntervalMs: number | undefined;
  readonly ifReplicaExists: boolean;
  readonly logging: LoggingConfig;
}

const EXAMPLE = "litestream restore -o /path/to/db s3://bucket/prefix";
const DEFAULT_PARALLELISM = 8;
const DEFAULT_FOLLOW_INTERVAL_MS = 1_000;

/** Runs the command. */
export async function runRestore(args: readonly string[], io: CommandIO): Promise<number> {
  const parsed = parseFlags(args, FLAGS);
  if (parsed.kind === "help") {
    io.stdout(commandUsage(USAGE));
    return 0;
  }
  const { flags, positionals } = parsed;
  const [source, ...more] = positionals;
  if (source === undefined || source === "") {
    throw new UsageError("database path or replica URL required", { example: EXAMPLE });
  }
  if (more.length > 0) throw new UsageError("too many arguments");
  const target = readTarget(flags);
  const { generation, index } = readV3Target(flags, target);
  const followIntervalMs = readFollowInterval(flags, target);
  const integrityCheck = readIntegrityCheck(flags["integrity-check"]);
  const parallelism = flags.parallelism ?? DEFAULT_PARALLELISM;
  if (parallelism < 1)
    throw new UsageError(`parallelism must be greater than 0 (got ${parallelism})`);
  const from = await resolveSource(source, flags, io);
  // Messages that scripts know from stdout stay there; everything else must leave it to the command's own output.
  const skipStream = flags.json === true ? "stderr" : "stdout";
  if (flags["if-db-not-exists"] === true && (await pathExists(from.outputPath))) {
    const { logger } = createCommandLogger(from.logging, io, { stream: skipStream });
    logger.info("database already exists, skipping");
    return 0;
  }
  const { logger } = createCommandLogger(from.logging, io, { stream: "stderr" });
  logConfigWarnings(logger, from.warnings, from.file);
  const { performRestore } = await import("../perform-restore.ts");
  return performRestore(
    {
      ...from,
      source,
      target,
      generation,
      index,
      integrityCheck,
      integrityCheckAsked: flags["integrity-check"] !== undefined,
      parallelism,
      force: flags.force === true,
      json: flags.json === true,
      dryRun: flags["dry-run"] === true,
      followIntervalMs,
      ifReplicaExists: flags["if-replica-exists"] === true,
    },
    logger,
    io,
  );
}

interface Source {
  readonly outputPath: string;
  readonly replicas: readonly ReplicaConfig[];
  readonly logging: LoggingConfig;
  readonly warnings: readonly ConfigProblem[];
  readonly file: string | undefined;
}

async function resolveSource(source: string, flags: RestoreFlags, io: CommandIO): Promise<Source> {
  // Not made absolute: messages and JSON show the path as it was typed.
  const output = flags.o === undefined || flags.o === "" ? undefined : expandHome(flags.o, io.cwd);
  if (isReplicaURL(source)) {
    if (flags.config !== undefined) {
      throw new UsageError("cannot specify a replica URL and the -config flag");
    }
    if (output === undefined) {
      const example = `litestream restore -o /path/to/db ${source}`;
      throw new UsageError("-o is required when restoring from a replica URL", { example });
    }
    if (flags.replica !== undefined) {
      throw new UsageError("cannot specify a replica URL and the -replica flag");
    }
    const { replica, warnings } = commandLineReplica(source, loadOptions(flags, io));
    const logging = DEFAULT_LOGGING;
    return { outputPath: output, replicas: [replica], logging, warnings, file: undefined };
  }
  const config = await readConfig(flags, io);
  const database = findDatabase(config, source, io.cwd);
  return {
    outputPath: output ?? database.path,
    replicas: selectReplicas(database.replicas, flags.replica),
    logging: config.logging,
    warnings: config.warnings,
    file: config.file,
  };
}

/** The interval of follow mode; undefined without it. */
function readFollowInterval(flags: RestoreFlags, target: RestoreTarget): number | undefined {
  if (flags.f !== true) return undefined;
  if (target.kind !== "latest") throw new UsageError(`cannot use follow mode with -${target.kind}`);
  if (flags["dry-run"] === true) throw new UsageError("cannot use -dry-run with -f");
  const intervalMs = flags["follow-interval"] ?? 0;
  return intervalMs > 0 ? intervalMs : DEFAULT_FOLLOW_INTERVAL_MS;
}

function readTarget(flags: RestoreFlags): RestoreTarget {
  const { txid, timestamp } = flags;
  if (txid !== undefined && txid !== "" && timestamp !== undefined && timestamp !== "") {
    throw new UsageError(
      flags["dry-run"] === true
        ? "cannot specify both TXID & timestamp to restore"
        : "cannot specify index & timestamp to restore",
    );
  }
  if (txid !== undefined && txid !== "") {
    if (!/^[\da-f]{1,16}$/i.test(txid)) {
      const hint = "Write up to 16 hex digits, as restore -dry-run shows them";
      const quoted = JSON.stringify(txid);
      throw new UsageError(`invalid value ${quoted} for flag -txid: invalid txid format`, { hint });
    }
    const value = BigInt(`0x${txid}`);
    return value === 0n ? { kind: "latest" } : { kind: "txid", txid: value };
  }
  if (timestamp !== undefined && timestamp !== "") {
    return { kind: "timestamp", at: readTimestamp(timestamp) };
  }
  return { kind: "latest" };
}

/** As in v0.3: a name, and up to 31 bits in hex digits. */
function readV3Target(
  { generation, index }: RestoreFlags,
  target: RestoreTarget,
): { readonly generation: string | undefined; readonly index: number | undefined } {
  const isGeneration = generation !== undefined && generation !== "";
  const isIndex = index !== undefined && index !== "";
  if ((isGeneration || isIndex) && target.kind === "txid") {
    throw new UsageError("cannot specify -txid with -generation or -index", {
      hint: "v0.3 backups have no transaction IDs",
    });
  }
  const number = isIndex && /^[\da-f]+$/i.test(index) ? Number.parseInt(index, 16) : Number.NaN;
  if (isIndex && !(number <= 0x7fff_ffff)) {
    throw new UsageError(
      `invalid value ${JSON.stringify(index)} for flag -index: invalid hexadecimal format`,
    );
  }
  return {
    generation: isGeneration ? generation : undefined,
    index: isIndex ? number : undefined,
  };
}

function readTimestamp(text: string): Date {
  const pattern = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[-+]\d\d:\d\d)$/;
  const at = new Date(pattern.test(text) ? text.toUpperCase() : Number.NaN);
  if (Number.isNaN(at.getTime())) {
    // Upstream writes a no-break space before "format".
    throw new UsageError(
      "invalid -timestamp, must specify in ISO 8601\u00a0format (e.g. 2000-01-01T00:00:00Z)",
    );
  }
  return at;
}

function readIntegrityCheck(text: string | undefined): IntegrityCheck {
  if (text === undefined) return "quick";
  if (text === "none" || text === "quick" || text === "full") return text;
  throw new UsageError(`invalid -integrity-check value: ${text}`, {
    hint: "Write none, quick or full",
  });
}

async function pathExists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}

function expandHome(path: string, cwd: string): string {
  const plain = stripSQLiteScheme(path);
  return plain === "~" || plain.startsWith("~/") ? expandPath(plain, cwd) : plain;
}
