/** Finds the Litestream process that has a database open. */
import { readFile } from "node:fs/promises";
import { findDatabaseUsers } from "../engine/open-files.ts";

/**
 * The process id of a Litestream program, of whatever version, that holds SQLite's locks on the database; undefined when none
 * is known to. Linux only, and only within the process's own PID namespace: the lock in the folder of local state tells of our own everywhere.
 */
export async function findLitestream(path: string): Promise<number | undefined> {
  for (const pid of await findDatabaseUsers(path)) {
    if (pid !== process.pid && (await nameOf(pid)) === "litestream") return pid;
  }
  return undefined;
}

async function nameOf(pid: number): Promise<string | undefined> {
  try {
    return (await readFile(`/proc/${pid}/comm`, "utf8")).trim();
  } catch {
    // It ended, or belongs to another PID namespace: then it cannot be named.
    return undefined;
  }
}
