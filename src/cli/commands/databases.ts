/** `litestream databases`: the databases of the configuration, without asking anybody. */
import { allDatabases } from "../command-databases.ts";
import { CONFIG_FLAGS, readConfig } from "../config-flags.ts";
import { UsageError } from "../errors.ts";
import { parseFlags } from "../flags.ts";
import type { CommandIO } from "../io.ts";
import { formatJSON } from "../json.ts";
import { stderrLogger } from "../replica-argument.ts";
import { formatTable } from "../table.ts";
import { commandUsage, JSON_FLAG } from "../usage.ts";

const FLAGS = { ...CONFIG_FLAGS, json: JSON_FLAG } as const;

const USAGE = {
  about: `The databases command lists all databases in the configuration file.
The databases of a directory entry are those found in it now.`,
  forms: ["litestream databases [arguments]"],
  flags: FLAGS,
  more: `Examples:

\t$ litestream databases
\t$ litestream databases -config /path/to/litestream.yml
\t$ litestream databases -no-expand-env -config /path/to/litestream.yml`,
} as const;

/** Runs the command: a row for each replica of each database. */
export async function runDatabases(args: readonly string[], io: CommandIO): Promise<number> {
  const parsed = parseFlags(args, FLAGS);
  if (parsed.kind === "help") {
    io.stdout(commandUsage(USAGE));
    return 0;
  }
  if (parsed.positionals.length > 0) throw new UsageError("too many arguments");
  const config = await readConfig(parsed.flags, io);
  const logger = stderrLogger(config.logging, config.warnings, config.file, io);
  const databases = await allDatabases(config, logger);
  const rows = databases.flatMap(({ path, replicas }) =>
    replicas.map(({ name, options }) => ({ path, replica: options.type, name })),
  );
  if (parsed.flags.json === true) io.stdout(formatJSON(rows));
  else {
    io.stdout(
      formatTable(
        ["path", "replica"],
        rows.map((row) => [row.path, row.replica]),
      ),
    );
  }
  return 0;
}
