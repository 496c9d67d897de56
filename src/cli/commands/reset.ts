/** `litestream reset`: removes the local state of a database, so that the next sync starts with a full image. */
import * as fs from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import type { Config } from "../../config/config.ts";
import { ConfigError } from "../../config/config-error.ts";
import { expandPath } from "../../config/expand-path.ts";
import { DEFAULT_CONFIG_PATH } from "../../config/settings.ts";
import { pageHashesPath } from "../../engine/page-hashes.ts";
import { resumePointPath } from "../../engine/resume-point.ts";
import { acquireMetaLock } from "../../service/meta-lock.ts";
import { lookUpDatabase } from "../command-databases.ts";
import { CONFIG_FLAGS, readConfig, type ConfigFlagValues } from "../config-flags.ts";
import { findLitestream } from "../daemon-of.ts";
import { UsageError } from "../errors.ts";
import { parseFlags } from "../flags.ts";
import type { CommandIO } from "../io.ts";
import { localLTXFiles } from "../local-state.ts";
import { stderrLogger } from "../replica-argument.ts";
import { commandUsage } from "../usage.ts";

const FLAGS = {
  ...CONFIG_FLAGS,
  "dry-run": {
    kind: "boolean",
    help: ["Print the local LTX files that would be removed without deleting them."],
  },
  force: {
    kind: "boolean",
    help: ["Resets even while a daemon has the database open."],
  },
} as const;

const USAGE = {
  about: `The reset command clears local Litestream state for a database.

This is useful for recovering from corrupted or missing LTX files. The reset
removes local LTX files from the metadata directory, forcing Litestream to
create a fresh snapshot on the next sync. The database file itself is not
modified. It is refused while a daemon has the database open.`,
  forms: ["litestream reset [arguments] <path>"],
  flags: FLAGS,
  more: `Examples:

\t# Reset local state for a specific database
\tlitestream reset /path/to/database.db

\t# Preview local files that would be removed
\tlitestream reset -dry-run /path/to/database.db

\t# Reset using a specific configuration file
\tlitestream reset -config /etc/litestream.yml /path/to/database.db`,
} as const;

/** Runs the command. */
export async function runReset(args: readonly string[], io: CommandIO): Promise<number> {
  const parsed = parseFlags(args, FLAGS);
  if (parsed.kind === "help") {
    io.stdout(commandUsage(USAGE));
    return 0;
  }
  const { flags, positionals } = parsed;
  const [argument, ...more] = positionals;
  if (argument === undefined || argument === "") {
    throw new UsageError("database path required", { example: "litestream reset /path/to/db" });
  }
  if (more.length > 0) throw new UsageError("too many arguments");
  const path = expandPath(argument, io.cwd);
  const metaPath = await findMetaPath(path, flags, io);
  if (!(await exists(path))) throw new UsageError(`database does not exist: ${path}`);
  if (!(await exists(metaPath))) {
    io.stdout(`No local state to reset for ${path}\nMeta directory does not exist: ${metaPath}\n`);
    return 0;
  }
  if (flags["dry-run"] === true) {
    io.stdout(await describeReset(path, metaPath));
    return 0;
  }
  // Held until the files are gone, so that no daemon takes the database meanwhile for its own.
  const lock = acquireMetaLock(metaPath, false);
  using _lock = lock === "busy" ? undefined : lock;
  if (flags.force !== true) await refuseWhileOpen(path, lock === "busy");
  io.stdout(`Resetting local Litestream state for: ${path}\nRemoving: ${join(metaPath, "ltx")}\n`);
  // Both are worth nothing without the files they belong to.
  await fs.rm(resumePointPath(metaPath), { force: true });
  await fs.rm(pageHashesPath(metaPath), { force: true });
  await fs.rm(join(metaPath, "ltx"), { recursive: true, force: true });
  io.stdout("Reset complete. Next replication sync will create a fresh snapshot.\n");
  return 0;
}

/**
 * The folder of local state: as the configuration has it, or the default one for a database that it does not list. Databases are also
 * replicated without any file, so that only a file that was named must exist.
 */
async function findMetaPath(path: string, flags: ConfigFlagValues, io: CommandIO): Promise<string> {
  const isNamed = [flags.config, io.env["LITESTREAM_CONFIG"]].some(
    (name) => name !== undefined && name !== "",
  );
  if (isNamed || (await exists(DEFAULT_CONFIG_PATH))) {
    const config = await readConfigToReset(flags, io);
    stderrLogger(config.logging, config.warnings, config.file, io);
    const database = lookUpDatabase(config, path, io.cwd);
    if (database !== undefined) return database.metaPath;
  }
  return join(dirname(path), `.${basename(path)}-litestream`);
}

/** Upstream says in this command only what it was doing. */
async function readConfigToReset(flags: ConfigFlagValues, io: CommandIO): Promise<Config> {
  try {
    return await readConfig(flags, io);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new UsageError(`cannot read config: ${error.message}`);
  }
}

async function describeReset(path: string, metaPath: string): Promise<string> {
  const files = (await localLTXFiles(metaPath)) ?? [];
  const head = `Dry run: local Litestream state would be reset for: ${path}
Would remove: ${join(metaPath, "ltx")}
`;
  if (files.length === 0) return `${head}No local LTX files would be removed.\n`;
  const list = files.map((file) => `  ${file}\n`).join("");
  return `${head}Files that would be removed:\n${list}No files were removed.\n`;
}

async function refuseWhileOpen(path: string, isLocked: boolean): Promise<void> {
  const pid = await findLitestream(path);
  if (!isLocked && pid === undefined) return;
  const who = pid === undefined ? "" : ` (process ${pid})`;
  throw new UsageError(`cannot reset, a daemon has the database open: ${path}${who}`, {
    hint: "Stop it first, or reset all the same with -force",
  });
}

async function exists(path: string): Promise<boolean> {
  try {
    await fs.stat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}
