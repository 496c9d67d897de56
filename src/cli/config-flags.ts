/** The flags that every command with a configuration file has, and how it is found. */
import type { Config, DatabaseConfig } from "../config/config.ts";
import type { LoadOptions } from "../config/load.ts";
import { expandPath } from "../config/expand-path.ts";
import { nearest } from "../config/nearest.ts";
import { lookUpDatabase } from "./command-databases.ts";
import { UsageError } from "./errors.ts";
import type { CommandIO } from "./io.ts";

export const CONFIG_FLAGS = {
  config: {
    kind: "string",
    value: "PATH",
    help: ["Specifies the configuration file.", "Defaults to /etc/litestream.yml"],
  },
  "no-expand-env": {
    kind: "boolean",
    help: ["Disables environment variable expansion in configuration file."],
  },
  strict: {
    kind: "boolean",
    help: ["Treats unknown and duplicate keys of the configuration file as", "errors."],
  },
} as const;

export interface ConfigFlagValues {
  readonly config?: string;
  readonly "no-expand-env"?: boolean;
  readonly strict?: boolean;
}

/** How the flags say a configuration is to be read. */
export function loadOptions(flags: ConfigFlagValues, io: CommandIO): LoadOptions {
  return {
    env: io.env,
    cwd: io.cwd,
    expandEnvironment: flags["no-expand-env"] !== true,
    strict: flags.strict === true,
  };
}

/** Reads the configuration file the flags name. */
export async function readConfig(flags: ConfigFlagValues, io: CommandIO): Promise<Config> {
  const options = loadOptions(flags, io);
  // Arguments alone need no YAML.
  const { configPath, loadConfig } = await import("../config/load.ts");
  return loadConfig(configPath(flags.config, options), options);
}

/** The database of a path as the user typed it, also one inside a `dir`. */
export function findDatabase(config: Config, argument: string, cwd: string): DatabaseConfig {
  const found = lookUpDatabase(config, argument, cwd);
  if (found !== undefined) return found;
  const path = expandPath(argument, cwd);
  const paths = config.databases.map((database) => database.path);
  const meant = nearest(path, paths);
  const hint =
    meant === undefined
      ? `The file lists ${paths.length === 0 ? "no databases" : paths.join(", ")}: ${config.file ?? ""}`
      : `Did you mean "${meant}"?`;
  throw new UsageError(`database not found in config: ${path}`, { hint });
}
