/** `litestream sync`: asks the daemon to copy, and with `-wait` to upload, what a database has committed. */
import { askDaemon, socketPath } from "../control-client.ts";
import { daemonFlags, databaseArgument, printAnswer, requirePositive } from "../daemon-command.ts";
import { parseFlags } from "../flags.ts";
import type { CommandIO } from "../io.ts";
import { commandUsage } from "../usage.ts";

const TIMEOUT_SECONDS = 30;
const FLAGS = {
  wait: {
    kind: "boolean",
    help: ["Block until everything is in every replica (default: false)."],
  },
  ...daemonFlags(TIMEOUT_SECONDS),
} as const;

const USAGE = {
  about: "Forces an immediate sync for a database.",
  forms: ["litestream sync [OPTIONS] DB_PATH"],
  flags: FLAGS,
  more: `Examples:

\t$ litestream sync /path/to/db
\t$ litestream sync -json /path/to/db
\t$ litestream sync -wait /path/to/db
\t$ litestream sync -wait -timeout 120 /path/to/db`,
};

/** Runs the command. */
export async function runSync(args: readonly string[], io: CommandIO): Promise<number> {
  const parsed = parseFlags(args, FLAGS);
  if (parsed.kind === "help") {
    io.stdout(commandUsage(USAGE));
    return 0;
  }
  const { flags, positionals } = parsed;
  const path = databaseArgument(positionals, "litestream sync /path/to/db", io);
  const timeout = flags.timeout ?? TIMEOUT_SECONDS;
  requirePositive(timeout);
  const wait = flags.wait === true;
  const socket = await socketPath(flags.socket, io);
  const startedAt = performance.now();
  const answer = await askDaemon({
    method: "POST",
    path: "/sync",
    body: { path, wait, timeout },
    socket,
    timeoutSeconds: timeout,
    what: "sync",
  });
  const fields = {
    db_path: answer["path"],
    txid: answer["txid"],
    replica_txid: wait ? answer["replicated_txid"] : undefined,
    duration_ms: Math.round(performance.now() - startedAt),
  };
  const json = flags.json === true;
  printAnswer(json ? { ...fields, status: answer["status"] } : fields, json, io);
  return 0;
}
