/** `litestream info`: what the daemon says of itself. */
import { formatDuration } from "../../config/duration.ts";
import { encodeGoJSON } from "../../service/control/go-json.ts";
import { askDaemon, socketPath } from "../control-client.ts";
import { daemonFlags, refusePositionals, requirePositive } from "../daemon-command.ts";
import { parseFlags } from "../flags.ts";
import type { CommandIO } from "../io.ts";
import { commandUsage } from "../usage.ts";

const TIMEOUT_SECONDS = 10;
const FLAGS = daemonFlags(TIMEOUT_SECONDS);

const USAGE = {
  about: "Shows information on a running daemon.",
  forms: ["litestream info [OPTIONS]"],
  flags: FLAGS,
  more: `Examples:

\t$ litestream info
\t$ litestream info -json
\t$ litestream info -socket /tmp/litestream.sock`,
};

/** Runs the command. */
export async function runInfo(args: readonly string[], io: CommandIO): Promise<number> {
  const parsed = parseFlags(args, FLAGS);
  if (parsed.kind === "help") {
    io.stdout(commandUsage(USAGE));
    return 0;
  }
  const { flags, positionals } = parsed;
  refusePositionals(positionals);
  const timeoutSeconds = flags.timeout ?? TIMEOUT_SECONDS;
  requirePositive(timeoutSeconds);
  const socket = await socketPath(flags.socket, io);
  const what = "info";
  const answer = await askDaemon({ method: "GET", path: "/info", socket, timeoutSeconds, what });
  if (flags.json === true) io.stdout(encodeGoJSON(answer, 2));
  else {
    const startedAt = String(answer["started_at"]).replace(/\.\d+/, "");
    io.stdout(`Litestream ${String(answer["version"])}
  PID:        ${String(answer["pid"])}
  Uptime:     ${formatDuration(Number(answer["uptime_seconds"]) * 1000)}
  Started at: ${startedAt}
  Databases:  ${String(answer["database_count"])}
`);
  }
  return 0;
}
