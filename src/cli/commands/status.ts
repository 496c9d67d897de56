/** `litestream status`: what the local state says of each database and, when asked, how far its replicas have come. */
import type { DatabaseConfig } from "../../config/config.ts";
import { expandPath } from "../../config/expand-path.ts";
import { nearest } from "../../config/nearest.ts";
import { formatTXID, type TXID } from "../../formats/ltx/txid.ts";
import { formatError, type Logger } from "../../service/logger.ts";
import { allDatabases, lookUpDatabase } from "../command-databases.ts";
import { CONFIG_FLAGS, readConfig } from "../config-flags.ts";
import { SOCKET_FLAG } from "../control-client.ts";
import { readDaemonStatus, type DaemonDatabase } from "../daemon-status.ts";
import { parseFlags } from "../flags.ts";
import { formatHumanSize } from "../human-size.ts";
import type { CommandIO } from "../io.ts";
import { formatJSON } from "../json.ts";
import { readLocalState, type LocalState } from "../local-state.ts";
import { stderrLogger } from "../replica-argument.ts";
import type { ReplicaState } from "../replica-state.ts";
import { formatRFC3339 } from "../rfc3339.ts";
import { formatTable } from "../table.ts";
import { commandUsage, JSON_FLAG } from "../usage.ts";

const FLAGS = {
  ...CONFIG_FLAGS,
  json: JSON_FLAG,
  socket: SOCKET_FLAG,
  replica: {
    kind: "boolean",
    help: ["Asks the storage of each replica how far it has come."],
  },
  check: {
    kind: "boolean",
    help: [
      "Exits with 1 unless every database shown is ok, a daemon that answers",
      "replicates it without errors and, with -replica, every replica holds",
      "the newest local transaction.",
    ],
  },
} as const;

const USAGE = {
  about: "The status command displays the replication status of databases.",
  forms: ["litestream status [arguments] [database path]"],
  flags: FLAGS,
  more: `If a database path is provided, only that database's status is shown.
Otherwise, all configured databases are displayed.

Output columns:
  database      Path to the SQLite database
  status        Current status (ok, not initialized, no database, error)
  local txid    Latest local transaction ID
  wal size      Current WAL file size

With -json, a running daemon that can be asked adds its own status, and for each
replica how far it has come, its lag in seconds and bytes, and its last upload.

With -replica there is a row for each replica, with these columns too:
  replica       Name of the replica
  state         in sync, behind, ahead, present, empty, error
  replica txid  Latest transaction ID of the replica
  last upload   Time of its newest file

Examples:

\t$ litestream status
\t$ litestream status /path/to/db
\t$ litestream status -json
\t$ litestream status -replica -check /path/to/db`,
} as const;

interface DatabaseStatus {
  readonly database: DatabaseConfig;
  readonly local: LocalState;
  /** Undefined: no daemon answers, or it does not have this database. */
  readonly daemon: DaemonDatabase | undefined;
  /** Undefined: the storage was not asked. */
  readonly replicas: readonly NamedReplicaState[] | undefined;
}

interface NamedReplicaState extends ReplicaState {
  readonly name: string;
  readonly type: string;
  readonly description: string;
}

/** Runs the command; further arguments are ignored, as upstream does. */
export async function runStatus(args: readonly string[], io: CommandIO): Promise<number> {
  const parsed = parseFlags(args, FLAGS);
  if (parsed.kind === "help") {
    io.stdout(commandUsage(USAGE));
    return 0;
  }
  const { flags, positionals } = parsed;
  const config = await readConfig(flags, io);
  const logger = stderrLogger(config.logging, config.warnings, config.file, io);
  const filter = positionals[0] ?? "";
  let databases: readonly DatabaseConfig[];
  if (filter === "") databases = await allDatabases(config, logger);
  else {
    const found = lookUpDatabase(config, filter, io.cwd);
    databases = found === undefined ? [] : [found];
    if (found === undefined) io.stderr(notFound(filter, config.databases, io.cwd));
  }
  const statuses: DatabaseStatus[] = [];
  const needsDaemon = flags.json === true || flags.check === true;
  const daemons = needsDaemon ? await readDaemonStatus(flags.socket, io) : undefined;
  for (const database of databases) {
    const local = await readLocalState(database.path, database.metaPath);
    if (local.error !== undefined) {
      logger.warn("cannot read local state", {
        path: database.path,
        error: formatError(local.error),
      });
    }
    const replicas =
      flags.replica === true ? await askReplicas(database, local.txid, io, logger) : undefined;
    statuses.push({ database, local, daemon: daemons?.get(database.path), replicas });
  }
  io.stdout(
    flags.json === true
      ? formatJSON(statuses.map(toJSON))
      : formatStatuses(statuses, flags.replica === true),
  );
  if (flags.check !== true) return 0;
  return statuses.length > 0 && statuses.every(isHealthy) ? 0 : 1;
}

function notFound(filter: string, databases: readonly DatabaseConfig[], cwd: string): string {
  const path = expandPath(filter, cwd);
  const meant = nearest(
    path,
    databases.map((database) => database.path),
  );
  const hint = meant === undefined ? "" : `. Did you mean "${meant}"?`;
  return `database not found in config: ${path}${hint}\n`;
}

async function askReplicas(
  database: DatabaseConfig,
  localTXID: TXID | undefined,
  io: CommandIO,
  logger: Logger,
): Promise<readonly NamedReplicaState[]> {
  const { openReplicas } = await import("../open-replicas.ts");
  const { readReplicaState } = await import("../replica-state.ts");
  await using clients = new AsyncDisposableStack();
  const open = await openReplicas(database.replicas, clients, io, logger);
  const states = await Promise.all(
    open.map(async ({ replica, client }) => {
      const { name } = replica;
      const { type, description } = client;
      return Object.assign({ name, type, description }, await readReplicaState(client, localTXID));
    }),
  );
  for (const { name, error } of states) {
    if (error === undefined) continue;
    logger.warn("cannot read replica", { path: database.path, replica: name, error });
  }
  return states;
}

function isHealthy({ local, daemon, replicas }: DatabaseStatus): boolean {
  if (local.status !== "ok" || daemon?.isHealthy === false) return false;
  return replicas === undefined || replicas.every((replica) => replica.state === "in sync");
}

function toJSON({ database, local, daemon, replicas }: DatabaseStatus): unknown {
  return {
    database: database.path,
    status: local.status,
    local_txid: textOfTXID(local.txid),
    wal_size: textOfSize(local.walBytes),
    ...(local.walBytes === undefined ? {} : { wal_size_bytes: local.walBytes }),
    ...(local.error === undefined ? {} : { error: formatError(local.error) }),
    ...(daemon === undefined ? {} : { state: daemon.status, replicas: daemon.replicas }),
    ...(replicas === undefined ? {} : { replicas: replicas.map(replicaJSON(local.txid)) }),
  };
}

function replicaJSON(localTXID: TXID | undefined): (replica: NamedReplicaState) => unknown {
  return ({ name, type, description, state, txid, lastUploadAt, error }) => ({
    name,
    type,
    location: description,
    state,
    replica_txid: textOfTXID(txid),
    ...(txid === undefined || localTXID === undefined
      ? {}
      : { lag_txids: Number(localTXID - txid) }),
    ...(lastUploadAt === undefined ? {} : { last_upload_at: formatRFC3339(lastUploadAt) }),
    ...(error === undefined ? {} : { error }),
  });
}

function formatStatuses(statuses: readonly DatabaseStatus[], withReplicas: boolean): string {
  const headings = ["database", "status", "local txid", "wal size"];
  const own = ({ database, local }: DatabaseStatus): string[] => [
    database.path,
    local.status,
    textOfTXID(local.txid),
    textOfSize(local.walBytes),
  ];
  if (!withReplicas) return formatTable(headings, statuses.map(own));
  const rows = statuses.flatMap((status) =>
    (status.replicas ?? []).map(({ name, state, txid, lastUploadAt }) =>
      own(status).concat(
        name,
        state,
        textOfTXID(txid),
        lastUploadAt === undefined ? "-" : formatRFC3339(lastUploadAt),
      ),
    ),
  );
  return formatTable([...headings, "replica", "state", "replica txid", "last upload"], rows);
}

function textOfTXID(txid: TXID | undefined): string {
  return txid === undefined ? "-" : formatTXID(txid);
}

function textOfSize(bytes: number | undefined): string {
  return bytes === undefined ? "-" : formatHumanSize(bytes);
}
