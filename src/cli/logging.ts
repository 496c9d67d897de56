/** The logger of a command: where it writes, in which form, from which level on. */
import type { LoggingConfig } from "../config/config.ts";
import { formatProblem, type ConfigProblem } from "../config/config-error.ts";
import { Logger, parseLogLevel, type LogLevel } from "../service/logger.ts";
import type { CommandIO } from "./io.ts";

export interface CommandLoggerOptions {
  /** `-log-level`, which wins over `LOG_LEVEL`, which wins over the file. */
  readonly levelFlag?: string | undefined;
  /** Where records go unless `logging.stderr` says otherwise. */
  readonly stream: "stdout" | "stderr";
}

export interface CommandLogger {
  readonly logger: Logger;
  /** The level as it was asked for, `INFO` when nobody asked: an attribute of upstream's first record. */
  readonly levelName: string;
}

export const DEFAULT_LOGGING: LoggingConfig = {
  level: undefined,
  type: "text",
  stderr: false,
  source: false,
};

/** Makes the logger; an unknown level is a warning and means info. */
export function createCommandLogger(
  logging: LoggingConfig,
  io: CommandIO,
  options: CommandLoggerOptions,
): CommandLogger {
  const asked = [options.levelFlag, io.env["LOG_LEVEL"], logging.level].find(
    (text) => text !== undefined && text !== "",
  );
  const level: LogLevel = parseLogLevel(asked ?? "info") ?? "info";
  const toStderr = logging.stderr || options.stream === "stderr";
  const logger = new Logger({
    format: logging.type,
    level,
    write: toStderr ? io.stderr : io.stdout,
    source: logging.source,
    color: toStderr ? io.stderrIsTerminal : io.stdoutIsTerminal,
  });
  if (asked !== undefined && parseLogLevel(asked) === undefined) {
    logger.warn("unknown log level, using info", { log_level: asked });
  }
  return { logger, levelName: asked ?? "INFO" };
}

/** One WARN record per oddity of a configuration. */
export function logConfigWarnings(
  logger: Logger,
  problems: readonly ConfigProblem[],
  file: string | undefined,
): void {
  for (const problem of problems) logger.warn(formatProblem(problem, file));
}
