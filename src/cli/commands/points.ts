/** `litestream points`: the states a replica can be restored to, told from its listings. */
import { restorePoints, type FileEnd } from "../../engine/restore-points.ts";
import { SNAPSHOT_LEVEL } from "../../formats/ltx/layout.ts";
import { formatTXID } from "../../formats/ltx/txid.ts";
import type { LTXFileInfo, ReplicaClient } from "../../storage/replica-client.ts";
import { CONFIG_FLAGS } from "../config-flags.ts";
import { UsageError } from "../errors.ts";
import { parseFlags } from "../flags.ts";
import type { CommandIO } from "../io.ts";
import { formatJSON } from "../json.ts";
import { openReplicas } from "../open-replicas.ts";
import { readReplicaArgument } from "../replica-argument.ts";
import { formatRFC3339 } from "../rfc3339.ts";
import { formatTable } from "../table.ts";
import { commandUsage, JSON_FLAG } from "../usage.ts";

const FLAGS = {
  ...CONFIG_FLAGS,
  replica: {
    kind: "string",
    value: "NAME",
    help: ["Lists this replica of the configuration file only."],
  },
  "oldest-first": { kind: "boolean", help: ["Lists the oldest first instead of the newest."] },
  limit: {
    kind: "integer",
    value: "NUM",
    help: ["Lists at most this many of each replica.", "Defaults to all."],
  },
  all: {
    kind: "boolean",
    help: ["Lists ends of files that cannot be restored too, and says so."],
  },
  "exact-times": {
    kind: "boolean",
    help: [
      "Asks for the time inside each file, which -timestamp of restore",
      "goes by. On S3 this is a request per file; without it, the upload",
      "time is shown.",
    ],
  },
  json: JSON_FLAG,
} as const;

const USAGE = {
  about: `The points command lists the states of a database that can be restored.
Each is the end of an LTX file whose predecessors are all there; give its TXID
or its time to "litestream restore".`,
  forms: ["litestream points [arguments] DB_PATH", "litestream points [arguments] REPLICA_URL"],
  flags: FLAGS,
  more: `Output columns:
  txid     Transaction ID for restore -txid
  created  Time of the state; restore -timestamp takes a later one
  levels   Compaction levels with a file that ends there

Examples:

\t# The ten newest states.
\t$ litestream points -limit 10 /path/to/db

\t# Everything of a replica, as JSON.
\t$ litestream points -json s3://mybkt/db`,
} as const;

interface Point extends FileEnd {
  readonly replica: string;
}

/** Runs the command. With several replicas a first column, and a field, names the replica. */
export async function runPoints(args: readonly string[], io: CommandIO): Promise<number> {
  const parsed = parseFlags(args, FLAGS);
  if (parsed.kind === "help") {
    io.stdout(commandUsage(USAGE));
    return 0;
  }
  const { flags, positionals } = parsed;
  const { limit } = flags;
  if (limit !== undefined && limit < 1) {
    throw new UsageError(`limit must be greater than 0 (got ${limit})`);
  }
  const example = "litestream points /path/to/db";
  const { replicas, logger } = await readReplicaArgument(positionals, flags, io, example);
  await using clients = new AsyncDisposableStack();
  const open = await openReplicas(replicas, clients, io, logger);
  const points: Point[] = [];
  let hidden = 0;
  for (const { replica, client } of open) {
    const ends = restorePoints(await listAll(client, flags["exact-times"] === true));
    const shown = flags.all === true ? ends : ends.filter((end) => end.restorable);
    hidden += ends.length - shown.length;
    const ordered = flags["oldest-first"] === true ? shown : shown.toReversed();
    for (const end of ordered.slice(0, limit)) points.push({ ...end, replica: replica.name });
  }
  const several = open.length > 1;
  const json = flags.json === true;
  io.stdout(json ? formatPointsJSON(points, several) : formatPoints(points, several, flags.all));
  if (hidden > 0) {
    const ends = hidden === 1 ? "1 end of a file" : `${hidden} ends of files`;
    io.stderr(`${ends} cannot be restored, what they need is not there (-all lists them)\n`);
  }
  return 0;
}

/** Level 0 before the others: a file that is compacted meanwhile is then seen once or twice, never missed. */
async function listAll(
  client: ReplicaClient,
  withTimestamps: boolean,
): Promise<readonly LTXFileInfo[]> {
  const files: LTXFileInfo[] = [];
  for (let level = 0; level <= SNAPSHOT_LEVEL; level++) {
    for await (const file of client.list(level, { withTimestamps, mayBlock: true })) {
      files.push(file);
    }
  }
  return files;
}

function formatPoints(
  points: readonly Point[],
  several: boolean,
  all: boolean | undefined,
): string {
  const marked = all === true;
  const headings = (several ? ["replica"] : []).concat(
    ["txid", "created", "levels"],
    marked ? ["restorable"] : [],
  );
  const rows = points.map((point) =>
    (several ? [point.replica] : []).concat(
      [formatTXID(point.txid), formatRFC3339(point.createdAt), point.levels.join(",")],
      marked ? [point.restorable ? "yes" : "no"] : [],
    ),
  );
  return formatTable(headings, rows);
}

function formatPointsJSON(points: readonly Point[], several: boolean): string {
  return formatJSON(
    points.map(({ replica, txid, createdAt, levels, restorable }) => ({
      ...(several ? { replica } : {}),
      txid: formatTXID(txid),
      timestamp: createdAt.toISOString(),
      levels,
      restorable,
    })),
  );
}
