/** The databases a command is about: those of the file, those found in its folders, or the one that was named. */
import type { Config, DatabaseConfig } from "../config/config.ts";
import { databaseInDirectory, findDirectoryDatabases } from "../config/directory-databases.ts";
import { expandPath } from "../config/expand-path.ts";
import { formatError, type Logger } from "../service/logger.ts";

/** Every database of the configuration: the entries with `path`, then what is found in each `dir`. */
export async function allDatabases(
  config: Config,
  logger: Logger,
): Promise<readonly DatabaseConfig[]> {
  const databases = [...config.databases];
  for (const entry of config.directories) {
    const found = await findDirectoryDatabases(entry);
    for (const { path, error } of found.unreadable) {
      logger.warn("cannot read folder", { path, error: formatError(error) });
    }
    if (found.databases.length === 0 && found.unreadable.length === 0) {
      logger.warn("no SQLite databases found in directory", {
        dir: entry.dir,
        pattern: entry.pattern,
      });
    }
    databases.push(...found.databases);
  }
  return databases;
}

/** The database at `argument`, as the user typed it; undefined when the configuration does not have it. */
export function lookUpDatabase(
  config: Config,
  argument: string,
  cwd: string,
): DatabaseConfig | undefined {
  const path = expandPath(argument, cwd);
  const own = config.databases.find((database) => database.path === path);
  if (own !== undefined) return own;
  for (const entry of config.directories) {
    const found = databaseInDirectory(entry, path);
    if (found !== undefined) return found;
  }
  return undefined;
}
