/** `restore-if-db-not-exists`: brings back a database that is not there before it is replicated. */
import { stat } from "node:fs/promises";
import type { DatabaseConfig } from "../config/config.ts";
import { RestoreError } from "../engine/restore-error.ts";
import { restore } from "../engine/restore.ts";
import { restoreV3 } from "../engine/restore-v3.ts";
import { formatError, type Logger } from "../service/logger.ts";
import { UsageError } from "./errors.ts";
import type { CommandIO } from "./io.ts";
import { openReplicas } from "./open-replicas.ts";
import { chooseRestoreSource } from "./restore-source.ts";

const PARALLELISM = 8;

/**
 * Restores the missing databases that say so, or all with `everyDatabase`, one after another. Without a backup the
 * database starts fresh; any other failure ends the start, also one that hides whether a database is there.
 */
export async function restoreIfMissing(
  databases: readonly DatabaseConfig[],
  everyDatabase: boolean,
  io: CommandIO,
  logger: Logger,
  signal: AbortSignal,
): Promise<void> {
  for (const database of databases) {
    if (!everyDatabase && !database.restoreIfNotExists) continue;
    const { path } = database;
    if (await exists(path)) {
      logger.info("database exists, skipping restore", { path });
      continue;
    }
    logger.info("attempting restore before replication", { path });
    try {
      await restoreNewest(database, io, logger, signal);
      logger.info("restore completed", { path });
    } catch (error) {
      if (!(error instanceof RestoreError) || error.kind !== "no-backup") {
        throw new UsageError(`restore failed: ${formatError(error)}`, {
          hint: error instanceof RestoreError ? error.hint : undefined,
          cause: error,
        });
      }
      logger.info("no backup found, starting fresh", { path });
    }
  }
}

async function restoreNewest(
  { path, replicas }: DatabaseConfig,
  io: CommandIO,
  logger: Logger,
  signal: AbortSignal,
): Promise<void> {
  await using clients = new AsyncDisposableStack();
  const open = await openReplicas(replicas, clients, io, logger);
  const target = { kind: "latest" } as const;
  const source = await chooseRestoreSource(open, { target }, logger, signal);
  const options = {
    outputPath: path,
    parallelism: PARALLELISM,
    integrityCheck: "quick",
    force: false,
    signal,
  } as const;
  if (source.format === "ltx") {
    await restore(source.client, { ...options, target });
    return;
  }
  const { client, replica, plan } = source;
  const { ageIdentities } = replica;
  const summary = await restoreV3(client, {
    ...options,
    plan,
    target: source.target,
    ageIdentities,
  });
  for (const problem of summary.problems) logger.warn("odd v0.3 backup", { problem });
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw new UsageError(`restore failed: cannot look for ${path}: ${formatError(error)}`, {
      cause: error,
    });
  }
}
