/** `litestream ltx`: the LTX files of a replica, as its listing gives them. */
import { SNAPSHOT_LEVEL } from "../../formats/ltx/layout.ts";
import { formatTXID } from "../../formats/ltx/txid.ts";
import type { LTXFileInfo } from "../../storage/replica-client.ts";
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
  level: {
    kind: "string",
    value: "LEVEL",
    help: ['Compaction level to list (0-9 or "all").', "Defaults to 0."],
  },
  replica: {
    kind: "string",
    value: "NAME",
    help: ["Lists this replica of the configuration file only."],
  },
  json: JSON_FLAG,
} as const;

const USAGE = {
  about: "The ltx command lists all LTX files available for a database.",
  forms: ["litestream ltx [arguments] DB_PATH", "litestream ltx [arguments] REPLICA_URL"],
  flags: FLAGS,
  more: `Examples:

\t# List all LTX files for a database.
\t$ litestream ltx /path/to/db

\t# List all LTX files for replica URL.
\t$ litestream ltx s3://mybkt/db

\t# List LTX files at snapshot level (level 9).
\t$ litestream ltx -level 9 /path/to/db

\t# List LTX files across all compaction levels.
\t$ litestream ltx -level all /path/to/db`,
} as const;

/** Runs the command. With several replicas a first column, and a field, names the replica. */
export async function runLTX(args: readonly string[], io: CommandIO): Promise<number> {
  const parsed = parseFlags(args, FLAGS);
  if (parsed.kind === "help") {
    io.stdout(commandUsage(USAGE));
    return 0;
  }
  const { flags, positionals } = parsed;
  const levels = readLevels(flags.level);
  const example = "litestream ltx /path/to/db";
  const { replicas, logger } = await readReplicaArgument(positionals, flags, io, example);
  await using clients = new AsyncDisposableStack();
  const open = await openReplicas(replicas, clients, io, logger);
  const rows: { readonly replica: string; readonly file: LTXFileInfo }[] = [];
  for (const { replica, client } of open) {
    for (const level of levels) {
      for await (const file of client.list(level, { mayBlock: true })) {
        rows.push({ replica: replica.name, file });
      }
    }
  }
  const several = open.length > 1;
  if (flags.json === true) {
    io.stdout(
      formatJSON(
        rows.map(({ replica, file }) => ({
          ...(several ? { replica } : {}),
          level: file.level,
          min_txid: formatTXID(file.minTXID),
          max_txid: formatTXID(file.maxTXID),
          size: file.sizeBytes,
          timestamp: formatRFC3339(file.createdAt),
        })),
      ),
    );
    return 0;
  }
  const headings = ["level", "min_txid", "max_txid", "size", "created"];
  const cells = rows.map(({ replica, file }) =>
    (several ? [replica] : []).concat(
      String(file.level),
      formatTXID(file.minTXID),
      formatTXID(file.maxTXID),
      String(file.sizeBytes),
      formatRFC3339(file.createdAt),
    ),
  );
  io.stdout(formatTable(several ? ["replica", ...headings] : headings, cells));
  return 0;
}

function readLevels(text: string | undefined): readonly number[] {
  if (text === undefined) return [0];
  if (text === "all") return Array.from({ length: SNAPSHOT_LEVEL + 1 }, (_, level) => level);
  const level = /^[-+]?\d+$/.test(text) ? Number(text) : undefined;
  const wrong =
    level === undefined
      ? 'invalid level: must be 0-9 or "all"'
      : level < 0 || level > SNAPSHOT_LEVEL
        ? "level must be between 0 and 9"
        : undefined;
  if (level === undefined || wrong !== undefined) {
    throw new UsageError(`invalid value ${JSON.stringify(text)} for flag -level: ${wrong ?? ""}`);
  }
  return [level];
}
