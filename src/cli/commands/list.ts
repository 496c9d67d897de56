/** `litestream list`: the databases the daemon has. */
import type { JSONObject } from "../control-client.ts";
import { runQuery } from "../daemon-command.ts";
import type { CommandIO } from "../io.ts";

/** Runs the command. */
export function runList(args: readonly string[], io: CommandIO): Promise<number> {
  const about = "Lists all databases a running daemon has.";
  return runQuery({ name: "list", about, toText: describeDatabases }, args, io);
}

function describeDatabases(answer: JSONObject): string {
  const databases = (answer["databases"] ?? []) as readonly JSONObject[];
  return databases.length === 0 ? "No databases configured\n" : databases.map(line).join("");
}

function line({ path, status, last_sync_at: syncedAt }: JSONObject): string {
  const time = typeof syncedAt === "string" ? syncedAt.replace(/\.\d+/, "") : "never";
  return `${String(path)} [${String(status)}] (last sync: ${time})\n`;
}
