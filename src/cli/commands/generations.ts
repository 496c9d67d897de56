/** `litestream generations`: the generations of a v0.3 backup, as v0.3 listed them. */
import { stat } from "node:fs/promises";
import { listV3Generations } from "../../engine/v3-inventory.ts";
import { isReplicaURL } from "../../config/expand-path.ts";
import { formatDuration } from "../../service/duration-text.ts";
import { findDatabase, readConfig } from "../config-flags.ts";
import { parseFlags, type FlagValues } from "../flags.ts";
import type { CommandIO } from "../io.ts";
import { formatJSON } from "../json.ts";
import { formatRFC3339 } from "../rfc3339.ts";
import { formatTable } from "../table.ts";
import { commandUsage } from "../usage.ts";
import { readV3Inventories, V3_VIEW_FLAGS } from "../v3-listing.ts";

const USAGE = {
  about: `The generations command lists all generations of the v0.3 backups of a database
or replica, with the time range they cover and their lag behind the database
(behind now, for a replica URL).`,
  forms: [
    "litestream generations [arguments] DB_PATH",
    "litestream generations [arguments] REPLICA_URL",
  ],
  flags: V3_VIEW_FLAGS,
} as const;

/** Runs the command. */
export async function runGenerations(args: readonly string[], io: CommandIO): Promise<number> {
  const parsed = parseFlags(args, V3_VIEW_FLAGS);
  if (parsed.kind === "help") {
    io.stdout(commandUsage(USAGE));
    return 0;
  }
  const { flags, positionals } = parsed;
  const example = "litestream generations /path/to/db";
  const found = await readV3Inventories(positionals, flags, io, example);
  const changedAt = await lastChange(positionals[0] ?? "", flags, io);
  const rows = found.flatMap(({ replica, inventory }) =>
    listV3Generations(inventory).map(({ generation, startAt, endAt }) => ({
      name: replica,
      generation,
      lagMs: changedAt - endAt.getTime(),
      start: formatRFC3339(startAt),
      end: formatRFC3339(endAt),
    })),
  );
  if (flags.json === true) {
    io.stdout(formatJSON(rows.map(({ lagMs, ...row }) => ({ ...row, lag_ms: Math.round(lagMs) }))));
    return 0;
  }
  const cells = rows.map(({ name, generation, lagMs, start, end }) => [
    name,
    generation,
    formatDuration(truncateLag(lagMs)),
    start,
    end,
  ]);
  io.stdout(formatTable(["name", "generation", "lag", "start", "end"], cells));
  return 0;
}

/** When the database or its WAL last changed, in epoch ms; now when it is not on this machine. */
async function lastChange(
  argument: string,
  flags: FlagValues<typeof V3_VIEW_FLAGS>,
  io: CommandIO,
): Promise<number> {
  if (isReplicaURL(argument)) return Date.now();
  const { path } = findDatabase(await readConfig(flags, io), argument, io.cwd);
  const times = await Promise.all([modifiedAtMs(path), modifiedAtMs(`${path}-wal`)]);
  return Math.max(...times.map((time) => time ?? 0)) || Date.now();
}

async function modifiedAtMs(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).mtimeMs;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** To whole seconds above ten of them, tenths above one, then ms and µs. */
function truncateLag(ms: number): number {
  const size = Math.abs(ms);
  const unit = size > 10_000 ? 1_000 : size > 1_000 ? 100 : size > 1 ? 1 : 0.001;
  return Math.trunc(ms / unit) * unit;
}
