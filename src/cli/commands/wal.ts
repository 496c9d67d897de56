/** `litestream wal`: the WAL segments of a v0.3 backup as v0.3 listed them; without one, another name of `ltx`. */
import { hasV3Backups } from "../../engine/v3-inventory.ts";
import { parseFlags } from "../flags.ts";
import type { CommandIO } from "../io.ts";
import { formatJSON } from "../json.ts";
import { formatRFC3339 } from "../rfc3339.ts";
import { formatTable } from "../table.ts";
import { commandUsage } from "../usage.ts";
import { readV3Inventories, V3_VIEW_FLAGS, type ReplicaInventory } from "../v3-listing.ts";

const FLAGS = {
  ...V3_VIEW_FLAGS,
  generation: { kind: "string", value: "NAME", help: ["Lists this generation only."] },
  level: { kind: "string", value: "LEVEL", help: ["Runs the ltx command, see there."] },
} as const;

const USAGE = {
  about: `The wal command lists all WAL segments of the v0.3 backups of a database or
replica. Without v0.3 backups it is a deprecated name of the ltx command.`,
  forms: ["litestream wal [arguments] DB_PATH", "litestream wal [arguments] REPLICA_URL"],
  flags: FLAGS,
} as const;

/** Runs the command. */
export async function runWAL(args: readonly string[], io: CommandIO): Promise<number> {
  const parsed = parseFlags(args, FLAGS);
  if (parsed.kind === "help") {
    io.stdout(commandUsage(USAGE));
    return 0;
  }
  const { flags, positionals } = parsed;
  if (flags.level !== undefined) return runAsLTX(args, io);
  const example = "litestream wal /path/to/db";
  const found = await readV3Inventories(positionals, flags, io, example);
  const hasBackups = found.some(({ inventory }) => hasV3Backups(inventory));
  if (!hasBackups && flags.generation === undefined) return runAsLTX(args, io);
  const rows = found.flatMap((replica) => segmentRows(replica, flags.generation));
  if (flags.json === true) {
    io.stdout(formatJSON(rows));
    return 0;
  }
  const cells = rows.map((row) => Object.values(row).map(String));
  io.stdout(formatTable(["replica", "generation", "index", "offset", "size", "created"], cells));
  return 0;
}

async function runAsLTX(args: readonly string[], io: CommandIO): Promise<number> {
  io.stderr("Warning: 'wal' command is deprecated, please use 'ltx' instead\n");
  const { runLTX } = await import("./ltx.ts");
  return runLTX(args, io);
}

function segmentRows(
  { replica, inventory }: ReplicaInventory,
  generation: string | undefined,
): readonly object[] {
  return inventory.segments
    .filter((segment) => segment.generation === (generation ?? segment.generation))
    .map((segment) => ({
      replica,
      generation: segment.generation,
      index: segment.index,
      offset: segment.offset,
      size: segment.sizeBytes,
      created: formatRFC3339(segment.createdAt),
    }));
}
