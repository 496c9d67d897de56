/** `litestream register`: gives a running daemon one more database. */
import { askDaemon, socketPath } from "../control-client.ts";
import { daemonFlags, databaseArgument, printAnswer, requirePositive } from "../daemon-command.ts";
import { UsageError } from "../errors.ts";
import { parseFlags } from "../flags.ts";
import type { CommandIO } from "../io.ts";
import { commandUsage } from "../usage.ts";

const TIMEOUT_SECONDS = 30;
const EXAMPLE = "litestream register -replica s3://bucket/prefix /path/to/db";
const FLAGS = {
  replica: {
    kind: "string",
    value: "URL",
    help: [
      "Replica destination URL (e.g., s3://bucket/prefix, file:///backup/path).",
      "Required. The daemon's configuration gives it its defaults.",
    ],
  },
  ...daemonFlags(TIMEOUT_SECONDS),
} as const;

const USAGE = {
  about: `Registers a database for replication with a running daemon, until that ends.
A database that is to be replicated for good belongs into the configuration.`,
  forms: ["litestream register [OPTIONS] DB_PATH"],
  flags: FLAGS,
  more: `Examples:

\t$ litestream register -replica s3://mybucket/db /path/to/db
\t$ litestream register -replica file:///backup/path /path/to/db
\t$ litestream register -json -replica s3://mybucket/db /path/to/db`,
};

/** Runs the command. */
export async function runRegister(args: readonly string[], io: CommandIO): Promise<number> {
  const parsed = parseFlags(args, FLAGS);
  if (parsed.kind === "help") {
    io.stdout(commandUsage(USAGE));
    return 0;
  }
  const { flags, positionals } = parsed;
  const path = databaseArgument(positionals, EXAMPLE, io);
  const { replica = "" } = flags;
  if (replica === "") throw new UsageError("-replica is required", { example: EXAMPLE });
  const timeoutSeconds = flags.timeout ?? TIMEOUT_SECONDS;
  requirePositive(timeoutSeconds);
  const socket = await socketPath(flags.socket, io);
  const answer = await askDaemon({
    method: "POST",
    path: "/register",
    body: { path, replica_url: replica },
    socket,
    timeoutSeconds,
    what: "register",
  });
  const json = flags.json === true;
  const said = String(answer["status"]);
  const status = json ? said : said.replace("_", " ");
  printAnswer({ status, db_path: answer["path"], replica, socket }, json, io);
  return 0;
}
