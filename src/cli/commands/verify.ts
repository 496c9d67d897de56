/** `litestream verify`: reads a replica whole and tells whether it is what it should be. */
import type { LevelVerdict, ReplicaProblem } from "../../engine/verify-plan.ts";
import { verifyReplica, type VerifyResult } from "../../engine/verify-replica.ts";
import { SNAPSHOT_LEVEL } from "../../formats/ltx/layout.ts";
import { formatTXID } from "../../formats/ltx/txid.ts";
import { CONFIG_FLAGS } from "../config-flags.ts";
import { UsageError } from "../errors.ts";
import { parseFlags } from "../flags.ts";
import { formatHumanSize } from "../human-size.ts";
import type { CommandIO } from "../io.ts";
import { formatJSON } from "../json.ts";
import type { OpenReplica } from "../newest-replica.ts";
import { openReplicas } from "../open-replicas.ts";
import { ProgressLine } from "../progress.ts";
import { readReplicaArgument } from "../replica-argument.ts";
import { formatRFC3339 } from "../rfc3339.ts";
import { formatTable } from "../table.ts";
import { commandUsage, JSON_FLAG } from "../usage.ts";

const PARALLELISM = 8;

const FLAGS = {
  ...CONFIG_FLAGS,
  replica: {
    kind: "string",
    value: "NAME",
    help: ["Verifies this replica of the configuration file only."],
  },
  level: {
    kind: "integer",
    value: "LEVEL",
    help: ["Reads the files of this level only (0-9), and lists the others.", "Defaults to all."],
  },
  json: JSON_FLAG,
} as const;

const USAGE = {
  about: `The verify command reads every LTX file of a replica and checks it: its name,
its pages, its index and its checksum, that the files of each level continue
each other, and that the newest state can be restored. Nothing is written.
Everything is downloaded once; on S3 that is traffic to be paid.`,
  forms: ["litestream verify [arguments] DB_PATH", "litestream verify [arguments] REPLICA_URL"],
  flags: FLAGS,
  more: `The exit code is 0 when every replica is whole, and 1 when one is not. What is
odd but does no harm to a restore of the newest state is told as a note.

Examples:

\t# Verify all replicas of a database.
\t$ litestream verify /path/to/db

\t# Verify the snapshots of a replica, as JSON.
\t$ litestream verify -level 9 -json s3://mybkt/db`,
} as const;

interface Verified extends OpenReplica {
  readonly result: VerifyResult;
}

/** Runs the command. With several replicas a first column names the replica. */
export async function runVerify(args: readonly string[], io: CommandIO): Promise<number> {
  const parsed = parseFlags(args, FLAGS);
  if (parsed.kind === "help") {
    io.stdout(commandUsage(USAGE));
    return 0;
  }
  const { flags, positionals } = parsed;
  const { level } = flags;
  if (level !== undefined && (level < 0 || level > SNAPSHOT_LEVEL)) {
    throw new UsageError(`level must be between 0 and 9 (got ${level})`);
  }
  const example = "litestream verify /path/to/db";
  const { replicas, logger } = await readReplicaArgument(positionals, flags, io, example);
  await using clients = new AsyncDisposableStack();
  const verified: Verified[] = [];
  for (const open of await openReplicas(replicas, clients, io, logger)) {
    verified.push({ ...open, result: await verify(open, level, io) });
  }
  if (flags.json === true) io.stdout(formatJSON(verified.map(toJSON)));
  else printVerified(verified, io);
  return verified.every(({ result }) => result.isWhole) ? 0 : 1;
}

async function verify(
  { client, replica }: OpenReplica,
  level: number | undefined,
  io: CommandIO,
): Promise<VerifyResult> {
  using progress = new ProgressLine(io);
  const label = `verifying ${replica.name}`;
  return await verifyReplica(client, {
    parallelism: PARALLELISM,
    level,
    onProgress: ({ bytesRead: bytesDone, bytesTotal }) =>
      progress.show({ label, bytesDone, bytesTotal }),
  });
}

function printVerified(verified: readonly Verified[], io: CommandIO): void {
  const several = verified.length > 1;
  const headings = ["level", "files", "size", "min_txid", "max_txid", "state"];
  const rows = verified.flatMap(({ replica, result }) =>
    result.levels.map((level) =>
      (several ? [replica.name] : []).concat(
        String(level.level),
        String(level.files),
        formatHumanSize(level.sizeBytes),
        formatTXID(level.minTXID),
        formatTXID(level.maxTXID),
        stateOf(level, result.problems),
      ),
    ),
  );
  io.stdout(formatTable(several ? ["replica", ...headings] : headings, rows));
  for (const { replica, result } of verified) {
    const prefix = several ? `${replica.name}: ` : "";
    for (const { isHarmless, message, hint } of result.problems) {
      io.stdout(`${prefix}${isHarmless ? "note" : "problem"}: ${message}. ${hint}\n`);
    }
  }
  for (const { client, result } of verified)
    io.stdout(`${summaryOf(client.description, result)}\n`);
}

function stateOf({ level, isRead }: LevelVerdict, problems: readonly ReplicaProblem[]): string {
  if (!isRead) return "not read";
  const counts = new Map<string, number>();
  for (const problem of problems) {
    if (problem.level !== level) continue;
    const word = problem.isHarmless ? `harmless ${problem.kind}` : problem.kind;
    counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  if (counts.size === 0) return "ok";
  return [...counts].map(([word, count]) => `${count} ${word}`).join(", ");
}

function summaryOf(description: string, result: VerifyResult): string {
  const { isWhole, filesRead, bytesRead, newest, problems } = result;
  const count = problems.filter(({ isHarmless }) => !isHarmless).length;
  const verdict = isWhole ? "whole" : `broken, ${count} ${count === 1 ? "problem" : "problems"}`;
  const read = `${filesRead} ${filesRead === 1 ? "file" : "files"} read, ${formatHumanSize(bytesRead)}`;
  const state =
    newest === undefined
      ? "no state can be restored"
      : `can be restored up to TXID ${formatTXID(newest.txid)} of ${formatRFC3339(newest.createdAt)}`;
  return `${description}: ${verdict}; ${read}; ${state}`;
}

function toJSON({ replica, client, result }: Verified): unknown {
  const { isWhole, levels, problems, newest, filesRead, bytesRead } = result;
  return {
    replica: replica.name,
    location: client.description,
    whole: isWhole,
    files_read: filesRead,
    bytes_read: bytesRead,
    newest: newest && {
      txid: formatTXID(newest.txid),
      timestamp: newest.createdAt.toISOString(),
    },
    levels: levels.map((level) => ({
      level: level.level,
      files: level.files,
      size: level.sizeBytes,
      min_txid: formatTXID(level.minTXID),
      max_txid: formatTXID(level.maxTXID),
      state: stateOf(level, problems),
    })),
    problems: problems.map(({ kind, level, file, message, hint, isHarmless }) => ({
      kind,
      level,
      file,
      message,
      hint,
      harmless: isHarmless,
    })),
  };
}
