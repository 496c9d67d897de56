/**
 * Exclusive locks on empty files, by SQLite: POSIX locks that the kernel drops when the process ends, however it ends. Several
 * files share one connection: a connection of its own costs 70 KB each, and there may be thousands of them.
 */
import { isBusy } from "./driver.ts";
import type { OpenConnection, SQLiteConnection } from "./driver.ts";

/** What SQLite attaches to one connection unless it was built otherwise. */
const MAX_ATTACHED = 10;

interface Group {
  readonly connection: SQLiteConnection;
  /** Names that no lock has. */
  readonly free: string[];
}

export class FileLocks {
  readonly #open: OpenConnection;
  readonly #groups = new Set<Group>();

  constructor(open: OpenConnection) {
    this.#open = open;
  }

  /** Locks the file at the absolute `path` until the result is disposed of. "busy": another connection has it. Throws SQLiteError. */
  lock(path: string): Disposable | "busy" {
    const group = this.#groupWithRoom();
    const { connection, free } = group;
    const name = free.pop() ?? "";
    let isAttached = false;
    try {
      connection.exec(`ATTACH '${path.replaceAll("'", "''")}' AS ${name}`);
      isAttached = true;
      // In this mode a lock once taken stays when its transaction ends. Nothing is ever written, but SQLite prepares a journal
      // for an empty database: in memory.
      connection.exec(
        `PRAGMA ${name}.locking_mode = EXCLUSIVE; PRAGMA ${name}.journal_mode = MEMORY; PRAGMA ${name}.cache_size = 2`,
      );
      connection.exec("BEGIN EXCLUSIVE; ROLLBACK; PRAGMA shrink_memory");
    } catch (error) {
      this.#release(group, name, isAttached);
      if (isBusy(error)) return "busy";
      throw error;
    }
    return { [Symbol.dispose]: () => this.#release(group, name, true) };
  }

  #groupWithRoom(): Group {
    for (const group of this.#groups) if (group.free.length > 0) return group;
    const connection = this.#open({ path: ":memory:" });
    const free = Array.from({ length: MAX_ATTACHED }, (_, index) => `lock${index}`);
    const group = { connection, free };
    this.#groups.add(group);
    return group;
  }

  #release(group: Group, name: string, isAttached: boolean): void {
    const { connection, free } = group;
    if (connection.inTransaction) connection.exec("ROLLBACK");
    if (isAttached) connection.exec(`DETACH ${name}`);
    free.push(name);
    if (free.length < MAX_ATTACHED) return;
    connection.close();
    this.#groups.delete(group);
  }
}
