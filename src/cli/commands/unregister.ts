/** `litestream unregister`: has a running daemon let go of a database. */
import { askDaemon, socketPath } from "../control-client.ts";
import { daemonFlags, databaseArgument, printAnswer, requirePositive } from "../daemon-command.ts";
import { parseFlags } from "../flags.ts";
import type { CommandIO } from "../io.ts";
import { commandUsage } from "../usage.ts";

const TIMEOUT_SECONDS = 30;
const FLAGS = {
  "dry-run": {
    kind: "boolean",
    help: ["Preview what would be unregistered without changing the daemon."],
  },
  ...daemonFlags(TIMEOUT_SECONDS),
} as const;

const USAGE = {
  about: `Unregisters a database from replication, after a last sync. What is in its
replica stays there.`,
  forms: ["litestream unregister [OPTIONS] DB_PATH"],
  flags: FLAGS,
  more: `Examples:

\t$ litestream unregister /path/to/db
\t$ litestream unregister -json /path/to/db
\t$ litestream unregister -dry-run /path/to/db
\t$ litestream unregister -timeout 10 /path/to/db`,
};

/** Runs the command. */
export async function runUnregister(args: readonly string[], io: CommandIO): Promise<number> {
  const parsed = parseFlags(args, FLAGS);
  if (parsed.kind === "help") {
    io.stdout(commandUsage(USAGE));
    return 0;
  }
  const { flags, positionals } = parsed;
  const path = databaseArgument(positionals, "litestream unregister /path/to/db", io);
  const timeout = flags.timeout ?? TIMEOUT_SECONDS;
  requirePositive(timeout);
  const socket = await socketPath(flags.socket, io);
  const json = flags.json === true;
  if (flags["dry-run"] === true) {
    if (json) printAnswer({ status: "dry_run", db_path: path, timeout, socket }, json, io);
    else io.stdout(preview(path, socket, timeout));
    return 0;
  }
  const answer = await askDaemon({
    method: "POST",
    path: "/unregister",
    body: { path, timeout },
    socket,
    timeoutSeconds: timeout,
    what: "unregister",
  });
  const { status, path: databasePath, txid } = answer;
  printAnswer({ status, db_path: databasePath, final_txid: txid, socket }, json, io);
  return 0;
}

function preview(path: string, socket: string, timeout: number): string {
  return `Dry run: unregister request preview
  database: ${path}
  socket: ${socket}
  replicas: daemon-managed replica for this database
  final sync: daemon close will sync the database and replica before the command completes
  timeout: ${timeout}s
No unregister request was sent.
`;
}
