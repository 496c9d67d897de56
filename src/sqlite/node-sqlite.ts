/** The SQLite driver on Node's built-in library. */
import { DatabaseSync } from "node:sqlite";
import type { StatementSync } from "node:sqlite";
import { SQLiteError } from "./driver.ts";
import type { OpenConnectionOptions, SQLiteConnection, SQLiteRow } from "./driver.ts";

/** Oldest SQLite whose WAL reset is safe with two checkpointers (sqlite.org/wal.html#walresetbug). */
const OLDEST_SAFE_VERSION = [3, 51, 3] as const;

/** Throws when the SQLite in this Node would put databases at risk. */
export function assertSafeSQLite(version: string = process.versions["sqlite"] ?? "0"): void {
  if (isSafeSQLiteVersion(version)) return;
  throw new Error(
    `Cannot replicate with SQLite ${version}: it can lose pages when two connections checkpoint; Node 24.15 or newer brings a fixed one`,
  );
}

/** Whether this version of SQLite lacks the WAL-reset bug of 3.7.0–3.51.2. */
export function isSafeSQLiteVersion(version: string): boolean {
  const parts = version.split(".").map(Number);
  for (const [index, least] of OLDEST_SAFE_VERSION.entries()) {
    const part = parts[index] ?? 0;
    if (part !== least) return part > least;
  }
  return true;
}

/**
 * Opens a connection to a file that is there; none is ever made, also when it is renamed away at this very moment. The path is taken
 * literally, whatever characters it has. `:memory:` is a database in memory.
 */
export function openConnection(options: OpenConnectionOptions): SQLiteConnection {
  return new NodeSQLiteConnection(options);
}

class NodeSQLiteConnection implements SQLiteConnection {
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();

  constructor(options: OpenConnectionOptions) {
    this.#database = wrap(
      `Cannot open database "${options.path}"`,
      () =>
        new DatabaseSync(existingFile(options), {
          readOnly: options.readOnly ?? false,
          timeout: options.busyTimeoutMs ?? 0,
        }),
    );
  }

  exec(sql: string): void {
    wrap(`Cannot run "${sql}"`, () => this.#database.exec(sql));
  }

  get(sql: string): SQLiteRow | undefined {
    return wrap(`Cannot run "${sql}"`, () => {
      let statement = this.#statements.get(sql);
      if (statement === undefined) {
        statement = this.#database.prepare(sql);
        this.#statements.set(sql, statement);
      }
      return statement.get();
    });
  }

  get inTransaction(): boolean {
    return this.#database.isOpen && this.#database.isTransaction;
  }

  close(): void {
    if (this.#database.isOpen) this.#database.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** The path as a URI, the only way to open a database without making one (sqlite.org/uri.html). */
function existingFile({ path, readOnly }: OpenConnectionOptions): string {
  if (path === ":memory:") return path;
  const literal = path.replaceAll(/[%?#]/g, encodeURIComponent);
  return `file:${literal}?mode=${readOnly === true ? "ro" : "rw"}`;
}

/** Runs `action`; a failure of SQLite becomes a SQLiteError that says what was tried. */
function wrap<T>(what: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    const code = (error as { errcode?: unknown }).errcode;
    if (typeof code !== "number") throw error;
    throw new SQLiteError(`${what}: ${(error as Error).message}`, code, { cause: error });
  }
}
