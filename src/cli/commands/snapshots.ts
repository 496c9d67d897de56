/** `litestream snapshots`: the snapshots of a v0.3 backup, as v0.3 listed them. */
import { parseFlags } from "../flags.ts";
import type { CommandIO } from "../io.ts";
import { formatJSON } from "../json.ts";
import { formatRFC3339 } from "../rfc3339.ts";
import { formatTable } from "../table.ts";
import { commandUsage } from "../usage.ts";
import { readV3Inventories, V3_VIEW_FLAGS } from "../v3-listing.ts";

const USAGE = {
  about: `The snapshots command lists all snapshots of the v0.3 backups of a database or
replica. Snapshots of newer backups are listed by "litestream ltx -level 9".`,
  forms: [
    "litestream snapshots [arguments] DB_PATH",
    "litestream snapshots [arguments] REPLICA_URL",
  ],
  flags: V3_VIEW_FLAGS,
} as const;

/** Runs the command. */
export async function runSnapshots(args: readonly string[], io: CommandIO): Promise<number> {
  const parsed = parseFlags(args, V3_VIEW_FLAGS);
  if (parsed.kind === "help") {
    io.stdout(commandUsage(USAGE));
    return 0;
  }
  const { flags, positionals } = parsed;
  const example = "litestream snapshots /path/to/db";
  const rows = (await readV3Inventories(positionals, flags, io, example)).flatMap(
    ({ replica, inventory }) =>
      inventory.snapshots.map(({ generation, index, sizeBytes, createdAt }) => ({
        replica,
        generation,
        index,
        size: sizeBytes,
        created: formatRFC3339(createdAt),
      })),
  );
  if (flags.json === true) {
    io.stdout(formatJSON(rows));
    return 0;
  }
  const cells = rows.map((row) => Object.values(row).map(String));
  io.stdout(formatTable(["replica", "generation", "index", "size", "created"], cells));
  return 0;
}
