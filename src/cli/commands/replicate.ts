/** `litestream replicate`: copies databases to their replicas until it is stopped. */
import { commandLineConfig } from "../../config/command-line.ts";
import type { Config } from "../../config/config.ts";
import { CONFIG_FLAGS, loadOptions, readConfig } from "../config-flags.ts";
import { UsageError } from "../errors.ts";
import { parseFlags, type FlagValues } from "../flags.ts";
import type { CommandIO } from "../io.ts";
import { splitShellWords } from "../shell-words.ts";
import { commandUsage } from "../usage.ts";

const FLAGS = {
  ...CONFIG_FLAGS,
  exec: {
    kind: "string",
    value: "CMD",
    help: [
      "Executes a subcommand once every database has been replicated.",
      "Litestream will exit when the child process exits.",
      "Useful for simple process management.",
    ],
  },
  "exec-exit-code": {
    kind: "boolean",
    help: ["Exits with the exit code of the subcommand instead of 1."],
  },
  once: {
    kind: "boolean",
    help: [
      "Replicate once and exit. This performs a single sync of all",
      "databases and their replicas, then exits. Cannot be used with -exec.",
    ],
  },
  "force-snapshot": {
    kind: "boolean",
    help: ["Takes a snapshot of each database after the sync. Requires -once."],
  },
  "enforce-retention": {
    kind: "boolean",
    help: ["Deletes expired snapshots and files after the sync. Requires -once."],
  },
  "log-level": {
    kind: "string",
    value: "LEVEL",
    help: [
      "Sets the log level. Overrides the config file setting.",
      "Valid values: trace, debug, info, warn, error",
    ],
  },
  "restore-if-db-not-exists": {
    kind: "boolean",
    help: [
      "Restores the database from the replica if it doesn't exist.",
      "On first start with no backup, proceeds normally.",
    ],
  },
} as const;

const USAGE = {
  about: `The replicate command starts a server to monitor & replicate databases.
You can specify your database & replicas in a configuration file or you can
replicate a single database file by specifying its path and its replicas in the
command line arguments.`,
  forms: [
    "litestream replicate [arguments]",
    "litestream replicate [arguments] DB_PATH REPLICA_URL [REPLICA_URL…]",
  ],
  flags: FLAGS,
} as const;

/** What `replicate` was asked to do. */
export interface ReplicateRequest {
  readonly config: Config;
  /** Reads the configuration file again; undefined: there is none. */
  readonly readConfig: (() => Promise<Config>) | undefined;
  /** Words of the command to run; undefined for none. */
  readonly exec: readonly string[] | undefined;
  readonly execExitCode: boolean;
  readonly once: boolean;
  /** With `once`: take a snapshot of each database, and let retention delete what it may. */
  readonly forceSnapshot: boolean;
  readonly enforceRetention: boolean;
  readonly levelFlag: string | undefined;
  /** Restore every database whose file is missing. */
  readonly restoreMissing: boolean;
}

/** Runs the command. */
export async function runReplicate(args: readonly string[], io: CommandIO): Promise<number> {
  const parsed = parseFlags(args, FLAGS);
  if (parsed.kind === "help") {
    io.stdout(commandUsage(USAGE));
    return 0;
  }
  const { flags, positionals } = parsed;
  const config = await readReplicateConfig(flags, positionals, io);
  const again = config.file === undefined ? undefined : () => readConfig(flags, io);
  const request = { ...readRequest(flags, config), readConfig: again };
  const { replicate } = await import("../replicate-service.ts");
  return replicate(request, io);
}

type Flags = FlagValues<typeof FLAGS>;

async function readReplicateConfig(
  flags: Flags,
  positionals: readonly string[],
  io: CommandIO,
): Promise<Config> {
  const [database, ...urls] = positionals;
  if (database === undefined) return readConfig(flags, io);
  if (urls.length === 0) {
    throw new UsageError(`must specify at least one replica URL for ${database}`, {
      example: `litestream replicate ${database} s3://bucket/prefix`,
    });
  }
  if (flags.config !== undefined) {
    throw new UsageError("cannot specify a replica URL and the -config flag");
  }
  return commandLineConfig(database, urls, loadOptions(flags, io));
}

/** Upstream's checks in its order, before anything is started. */
function readRequest(flags: Flags, config: Config): Omit<ReplicateRequest, "readConfig"> {
  const command = flags.exec ?? config.exec;
  const hasCommand = command !== undefined && command !== "";
  const once = flags.once === true;
  if (once && hasCommand) throw new UsageError("cannot specify -once flag with -exec");
  for (const name of ["force-snapshot", "enforce-retention"] as const) {
    if (flags[name] === true && !once)
      throw new UsageError(`cannot specify -${name} flag without -once`);
  }
  return {
    config,
    exec: hasCommand ? splitShellWords(command) : undefined,
    execExitCode: flags["exec-exit-code"] ?? config.execExitCode,
    once,
    forceSnapshot: flags["force-snapshot"] === true,
    enforceRetention: flags["enforce-retention"] === true,
    levelFlag: flags["log-level"],
    restoreMissing: flags["restore-if-db-not-exists"] === true,
  };
}
