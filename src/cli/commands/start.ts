/** `litestream start`: asks the daemon to begin replicating a database. */
import { askDaemon, socketPath } from "../control-client.ts";
import { daemonFlags, databaseArgument, printAnswer } from "../daemon-command.ts";
import { parseFlags } from "../flags.ts";
import type { CommandIO } from "../io.ts";
import { commandUsage } from "../usage.ts";

const TIMEOUT_SECONDS = 30;
const FLAGS = daemonFlags(TIMEOUT_SECONDS);

const USAGE = {
  about: "Starts replication for a database.",
  forms: ["litestream start [OPTIONS] DB_PATH"],
  flags: FLAGS,
  more: `Examples:

\t$ litestream start /path/to/db
\t$ litestream start -json /path/to/db
\t$ litestream start -socket /tmp/litestream.sock /path/to/db
\t$ litestream start -timeout 10 /path/to/db`,
};

/** Runs the command. */
export async function runStart(args: readonly string[], io: CommandIO): Promise<number> {
  const parsed = parseFlags(args, FLAGS);
  if (parsed.kind === "help") {
    io.stdout(commandUsage(USAGE));
    return 0;
  }
  const { flags, positionals } = parsed;
  const path = databaseArgument(positionals, "litestream start /path/to/db", io);
  const timeout = flags.timeout ?? TIMEOUT_SECONDS;
  const socket = await socketPath(flags.socket, io);
  const answer = await askDaemon({
    method: "POST",
    path: "/start",
    body: { path, timeout },
    socket,
    timeoutSeconds: timeout,
    what: "start",
  });
  const { status, path: databasePath, txid } = answer;
  printAnswer(
    { status, db_path: databasePath, state: "running", txid, socket },
    flags.json === true,
    io,
  );
  return 0;
}
