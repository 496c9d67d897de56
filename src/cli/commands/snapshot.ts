/** `litestream snapshot`: asks the daemon for a snapshot of a database in each of its replicas. */
import { formatTXID } from "../../formats/ltx/txid.ts";
import { CONFIG_FLAGS } from "../config-flags.ts";
import { askDaemon, socketPath } from "../control-client.ts";
import { daemonFlags, databaseArgument, printAnswer, requirePositive } from "../daemon-command.ts";
import { parseFlags } from "../flags.ts";
import type { CommandIO } from "../io.ts";
import { commandUsage } from "../usage.ts";

/** A snapshot is the whole database. */
const TIMEOUT_SECONDS = 600;
const FLAGS = { config: CONFIG_FLAGS.config, ...daemonFlags(TIMEOUT_SECONDS) } as const;

const USAGE = {
  about: `Takes a snapshot of a database now, into each of its replicas.
A running daemon does it; without one, "litestream replicate -once
-force-snapshot" does.`,
  forms: ["litestream snapshot [OPTIONS] DB_PATH"],
  flags: FLAGS,
  more: `Examples:

\t$ litestream snapshot /path/to/db
\t$ litestream snapshot -json /path/to/db
\t$ litestream snapshot -timeout 3600 /path/to/large.db`,
};

const WITHOUT_DAEMON =
  'Without a daemon for this database, run "litestream replicate -once -force-snapshot"';

/** Runs the command. */
export async function runSnapshot(args: readonly string[], io: CommandIO): Promise<number> {
  const parsed = parseFlags(args, FLAGS);
  if (parsed.kind === "help") {
    io.stdout(commandUsage(USAGE));
    return 0;
  }
  const { flags, positionals } = parsed;
  const path = databaseArgument(positionals, "litestream snapshot /path/to/db", io);
  const timeoutSeconds = flags.timeout ?? TIMEOUT_SECONDS;
  requirePositive(timeoutSeconds);
  const socket = await socketPath(flags.socket, io, flags.config);
  const startedAt = performance.now();
  const answer = await askDaemon({
    method: "POST",
    path: "/snapshot",
    body: { path, timeout: timeoutSeconds },
    socket,
    timeoutSeconds,
    what: "snapshot",
    hints: {
      unreachable: WITHOUT_DAEMON,
      unknown_database: WITHOUT_DAEMON,
      not_open: `Start it with "litestream start ${path}", or end the daemon and run "litestream replicate -once -force-snapshot"`,
    },
  });
  const fields = {
    db_path: answer["path"],
    txid: formatTXID(BigInt(String(answer["txid"]))),
    duration_ms: Math.round(performance.now() - startedAt),
  };
  const json = flags.json === true;
  printAnswer(json ? { ...fields, status: answer["status"] } : fields, json, io);
  return 0;
}
