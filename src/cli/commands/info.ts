/** `litestream info`: what the daemon says of itself. */
import { formatDuration } from "../../config/duration.ts";
import type { JSONObject } from "../control-client.ts";
import { runQuery } from "../daemon-command.ts";
import type { CommandIO } from "../io.ts";

/** Runs the command. */
export function runInfo(args: readonly string[], io: CommandIO): Promise<number> {
  const about = "Shows information on a running daemon.";
  return runQuery({ name: "info", about, toText: describeDaemon }, args, io);
}

function describeDaemon(answer: JSONObject): string {
  const startedAt = String(answer["started_at"]).replace(/\.\d+/, "");
  return `Litestream ${String(answer["version"])}
  PID:        ${String(answer["pid"])}
  Uptime:     ${formatDuration(Number(answer["uptime_seconds"]) * 1000)}
  Started at: ${startedAt}
  Databases:  ${String(answer["database_count"])}
`;
}
