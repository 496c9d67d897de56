/** The one argument of commands that look at a replica: a database of the configuration, or a replica URL. */
import { commandLineReplica } from "../config/command-line.ts";
import type { LoggingConfig, ReplicaConfig } from "../config/config.ts";
import type { ConfigProblem } from "../config/config-error.ts";
import { isReplicaURL } from "../config/expand-path.ts";
import { findDatabase, loadOptions, readConfig, type ConfigFlagValues } from "./config-flags.ts";
import { UsageError } from "./errors.ts";
import type { CommandIO } from "./io.ts";
import { createCommandLogger, DEFAULT_LOGGING, logConfigWarnings } from "./logging.ts";
import { selectReplicas } from "./newest-replica.ts";
import type { Logger } from "../service/logger.ts";

export interface ReplicaArgument {
  readonly replicas: readonly ReplicaConfig[];
  /** Logs to stderr: stdout is the command's own. */
  readonly logger: Logger;
}

interface ReplicaFlagValues extends ConfigFlagValues {
  readonly replica?: string;
}

/** Reads the argument; `example` is a command that would work. Throws UsageError in upstream's words. */
export async function readReplicaArgument(
  positionals: readonly string[],
  flags: ReplicaFlagValues,
  io: CommandIO,
  example: string,
): Promise<ReplicaArgument> {
  const [argument, ...more] = positionals;
  if (argument === undefined || argument === "") {
    throw new UsageError("database path or replica URL required", { example });
  }
  if (more.length > 0) throw new UsageError("too many arguments");
  if (!isReplicaURL(argument)) {
    const config = await readConfig(flags, io);
    const database = findDatabase(config, argument, io.cwd);
    const logger = stderrLogger(config.logging, config.warnings, config.file, io);
    return { replicas: selectReplicas(database.replicas, flags.replica), logger };
  }
  if (flags.config !== undefined && flags.config !== "") {
    throw new UsageError("cannot specify a replica URL and the -config flag");
  }
  if (flags.replica !== undefined) {
    throw new UsageError("cannot specify a replica URL and the -replica flag");
  }
  const { replica, warnings } = commandLineReplica(argument, loadOptions(flags, io));
  return {
    replicas: [replica],
    logger: stderrLogger(DEFAULT_LOGGING, warnings, undefined, io),
  };
}

/** The logger of a command whose stdout is its own, with the oddities of its configuration told. */
export function stderrLogger(
  logging: LoggingConfig,
  warnings: readonly ConfigProblem[],
  file: string | undefined,
  io: CommandIO,
): Logger {
  const { logger } = createCommandLogger(logging, io, { stream: "stderr" });
  logConfigWarnings(logger, warnings, file);
  return logger;
}
