/** `litestream stop`: asks the daemon to end replicating a database. */
import { askDaemon, socketPath } from "../control-client.ts";
import { daemonFlags, databaseArgument, printAnswer } from "../daemon-command.ts";
import { parseFlags } from "../flags.ts";
import type { CommandIO } from "../io.ts";
import { commandUsage } from "../usage.ts";

const TIMEOUT_SECONDS = 30;
const FLAGS = daemonFlags(TIMEOUT_SECONDS);

const USAGE = {
  about: "Stops replication for a database, after a last sync.",
  forms: ["litestream stop [OPTIONS] DB_PATH"],
  flags: FLAGS,
  more: `Examples:

\t$ litestream stop /path/to/db
\t$ litestream stop -json /path/to/db
\t$ litestream stop -socket /tmp/litestream.sock /path/to/db
\t$ litestream stop -timeout 10 /path/to/db`,
};

/** Runs the command. */
export async function runStop(args: readonly string[], io: CommandIO): Promise<number> {
  const parsed = parseFlags(args, FLAGS);
  if (parsed.kind === "help") {
    io.stdout(commandUsage(USAGE));
    return 0;
  }
  const { flags, positionals } = parsed;
  const path = databaseArgument(positionals, "litestream stop /path/to/db", io);
  const timeout = flags.timeout ?? TIMEOUT_SECONDS;
  const socket = await socketPath(flags.socket, io);
  const answer = await askDaemon({
    method: "POST",
    path: "/stop",
    body: { path, timeout },
    socket,
    timeoutSeconds: timeout,
    what: "stop",
  });
  const { status, path: databasePath, txid } = answer;
  printAnswer(
    { status, db_path: databasePath, state: "stopped", txid, socket },
    flags.json === true,
    io,
  );
  return 0;
}
