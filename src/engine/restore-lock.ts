/** Keeps two restores from writing to the same output. */
import type { Stats } from "node:fs";
import * as fs from "node:fs/promises";
import { isBusy } from "../sqlite/driver.ts";
import type { SQLiteConnection } from "../sqlite/driver.ts";
import { openConnection } from "../sqlite/node-sqlite.ts";
import { RestoreError } from "./restore-error.ts";

export interface RestoreLock {
  release(): Promise<void>;
}

/**
 * One restore at a time per output. SQLite's own file lock on an empty database is used: the kernel drops it when the
 * process dies, so nobody ever has to guess whether a lock is stale.
 */
export async function acquireRestoreLock(path: string, outputPath: string): Promise<RestoreLock> {
  for (;;) {
    await createEmpty(path);
    const before = await statOrNull(path);
    const connection = lockExclusively(path, outputPath);
    const after = await statOrNull(path);
    if (before !== null && after?.ino === before.ino) {
      return {
        release: async () => {
          await fs.rm(path, { force: true });
          connection?.close();
        },
      };
    }
    // Its holder finished and removed it between our opening and our locking: a lock without a name excludes nobody.
    connection?.close();
  }
}

/**
 * Makes the lock file unless it is there: it is not opened then, for closing it would drop the lock of another restore in
 * this process.
 */
async function createEmpty(path: string): Promise<void> {
  try {
    await using _created = await fs.open(path, "wx", 0o600);
  } catch (error) {
    if (errnoOf(error) !== "EEXIST") throw error;
  }
}

function lockExclusively(path: string, outputPath: string): SQLiteConnection | undefined {
  const connection = openConnection({ path });
  try {
    // Nothing is ever written, but SQLite prepares a journal for an empty database: keep that in memory.
    connection.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
    return connection;
  } catch (error) {
    connection.close();
    // A file system without locks: then only the check before publishing keeps two restores apart.
    if (!isBusy(error)) return undefined;
    throw new RestoreError(
      "output-busy",
      `Cannot restore, another restore to the same path is running: ${outputPath}`,
      { cause: error },
    );
  }
}

/** The file's state, null when there is none. */
export async function statOrNull(path: string): Promise<Stats | null> {
  try {
    return await fs.stat(path);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return null;
    throw error;
  }
}

/** The name of a failed system call's error, such as "ENOENT"; empty for other failures. */
export function errnoOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? "";
}
