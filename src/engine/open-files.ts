/** Finds out whether another process uses a database, without touching the database. Linux only; elsewhere unknown. */
import { readFile, stat } from "node:fs/promises";

/**
 * The process that holds SQLite's locks on a database, or undefined when none is known to. A connection in WAL mode
 * holds one on the `-shm` file as long as it lives, one in rollback mode only during a transaction. Looking at the
 * kernel's lock table, unlike trying SQLite's locks, neither creates nor recovers a `-wal`.
 */
export async function findDatabaseUser(path: string): Promise<number | undefined> {
  return (await findDatabaseUsers(path))[0];
}

/** All of them, each once. */
export async function findDatabaseUsers(path: string): Promise<readonly number[]> {
  const wanted = new Set<string>();
  for (const name of [path, `${path}-shm`]) {
    const key = await lockKey(name);
    if (key !== undefined) wanted.add(key);
  }
  if (wanted.size === 0) return [];
  const locks = parseLocks(await readLocks()).filter((lock) => wanted.has(lock.file));
  return [...new Set(locks.map((lock) => lock.pid))];
}

interface FileLock {
  readonly pid: number;
  /** "major:minor:inode", the first two in hex. */
  readonly file: string;
}

/** Lines such as `1: POSIX  ADVISORY  READ 4711 08:01:131090 128 128`. */
export function parseLocks(table: string): FileLock[] {
  const locks: FileLock[] = [];
  for (const line of table.split("\n")) {
    const match = /^\d+: (?:POSIX|OFDLCK)\s+\S+\s+\S+\s+(-?\d+)\s+(\S+)/.exec(line);
    if (match?.[1] !== undefined && match[2] !== undefined) {
      locks.push({ pid: Number(match[1]), file: match[2] });
    }
  }
  return locks;
}

async function lockKey(path: string): Promise<string | undefined> {
  try {
    const { dev, ino } = await stat(path, { bigint: true });
    const major = (dev >> 8n) & 0xfffn;
    const minor = (dev & 0xffn) | ((dev >> 12n) & 0xfff00n);
    return `${hexByte(major)}:${hexByte(minor)}:${ino}`;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

function hexByte(value: bigint): string {
  return value.toString(16).padStart(2, "0");
}

async function readLocks(): Promise<string> {
  if (process.platform !== "linux") return "";
  try {
    return await readFile("/proc/locks", "utf8");
  } catch (error) {
    // Not mounted, or hidden from this user: then nobody is known to use the database.
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "EACCES" || code === "EPERM") return "";
    throw error;
  }
}
