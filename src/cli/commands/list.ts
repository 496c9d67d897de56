/** `litestream list`: the databases the daemon has. */
import { encodeGoJSON } from "../../service/control/go-json.ts";
import { askDaemon, socketPath, type JSONObject } from "../control-client.ts";
import { daemonFlags, refusePositionals, requirePositive } from "../daemon-command.ts";
import { parseFlags } from "../flags.ts";
import type { CommandIO } from "../io.ts";
import { commandUsage } from "../usage.ts";

const TIMEOUT_SECONDS = 10;
const FLAGS = daemonFlags(TIMEOUT_SECONDS);

const USAGE = {
  about: "Lists all databases a running daemon has.",
  forms: ["litestream list [OPTIONS]"],
  flags: FLAGS,
  more: `Examples:

\t$ litestream list
\t$ litestream list -json
\t$ litestream list -socket /tmp/litestream.sock`,
};

/** Runs the command. */
export async function runList(args: readonly string[], io: CommandIO): Promise<number> {
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
  const what = "list";
  const answer = await askDaemon({ method: "GET", path: "/list", socket, timeoutSeconds, what });
  const databases = (answer["databases"] ?? []) as readonly JSONObject[];
  if (flags.json === true) io.stdout(encodeGoJSON(answer, 2));
  else if (databases.length === 0) io.stdout("No databases configured\n");
  else io.stdout(databases.map(line).join(""));
  return 0;
}

function line({ path, status, last_sync_at: syncedAt }: JSONObject): string {
  const time = typeof syncedAt === "string" ? syncedAt.replace(/\.\d+/, "") : "never";
  return `${String(path)} [${String(status)}] (last sync: ${time})\n`;
}
