/**
 * Tells a daemon that has a database open from one that has not: a lock on a file in the folder of local state.
 *
 * Node cannot lock a file itself, but the SQLite it brings can: the lock is SQLite's exclusive one on an empty database,
 * a POSIX lock that the kernel drops when the process dies, whatever it dies of. So there is nothing that could be stale,
 * no process id to be doubted, and it works between containers that share the folder. Where the file system
 * has no locks, or the folder cannot be written to, nobody is known to replicate.
 */
import { closeSync, existsSync, openSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import type { EmitEvent } from "../engine/events.ts";
import { SQLiteError } from "../sqlite/driver.ts";
import { FileLocks } from "../sqlite/file-locks.ts";
import { openConnection } from "../sqlite/node-sqlite.ts";

const FILE_NAME = "lock";

/** Of this process: many locks share a connection. */
const fileLocks = new FileLocks(openConnection);

/** A lock that is held; disposing it removes the file too. */
export interface MetaLock extends Disposable {
  readonly path: string;
}

/**
 * Locks the folder of local state `metaPath`. "busy": a daemon holds it. Undefined: nothing can be locked there.
 * With `create` false, a folder without a lock file is free, and nothing is left in it.
 */
export function acquireMetaLock(metaPath: string, create: boolean): MetaLock | "busy" | undefined {
  const path = join(metaPath, FILE_NAME);
  for (;;) {
    if (!existsSync(path) && (!create || !createFile(path))) return undefined;
    const before = inodeOf(path);
    const held = lockFile(path);
    if (held === "busy" || held === undefined) return held;
    if (before !== undefined && inodeOf(path) === before) {
      return {
        path,
        [Symbol.dispose]: () => {
          // Its name goes first: whoever opened it meanwhile finds that out by the inode and begins again.
          rmSync(path, { force: true });
          held[Symbol.dispose]();
        },
      };
    }
    held[Symbol.dispose]();
    if (!create) return undefined;
  }
}

/**
 * A reader of events that holds the lock of each database as long as it is open. `onBusy` is told of a database
 * that another process has.
 */
export class MetaLocks implements Disposable {
  readonly #metaPathOf: (database: string) => string | undefined;
  readonly #onBusy: (database: string) => void;
  readonly #held = new Map<string, MetaLock>();

  constructor(
    metaPathOf: (database: string) => string | undefined,
    onBusy: (database: string) => void,
  ) {
    this.#metaPathOf = metaPathOf;
    this.#onBusy = onBusy;
  }

  readonly read: EmitEvent = (event) => {
    if (event.type === "database-opened") this.#acquire(event.database);
    else if (event.type === "database-closed") this.#release(event.database);
  };

  [Symbol.dispose](): void {
    for (const database of this.#held.keys()) this.#release(database);
  }

  #acquire(database: string): void {
    const metaPath = this.#metaPathOf(database);
    if (metaPath === undefined || this.#held.has(database)) return;
    const lock = acquireMetaLock(metaPath, true);
    if (lock === "busy") this.#onBusy(database);
    else if (lock !== undefined) this.#held.set(database, lock);
  }

  #release(database: string): void {
    this.#held.get(database)?.[Symbol.dispose]();
    this.#held.delete(database);
  }
}

/** An empty file. It is not opened when it is there: closing it would drop a lock this process holds on it. */
function createFile(path: string): boolean {
  try {
    closeSync(openSync(path, "wx", 0o600));
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EEXIST";
  }
}

function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}

function lockFile(path: string): Disposable | "busy" | undefined {
  try {
    return fileLocks.lock(path);
  } catch (error) {
    // The file cannot be opened, or its file system has no locks.
    if (error instanceof SQLiteError) return undefined;
    throw error;
  }
}
