/**
 * What replication needs of a SQLite library. `node-sqlite.ts` implements it on Node's own; another driver can
 * stand in. Exactly one SQLite library may be loaded in the process (see docs/ARCHITECTURE.md, "The lock rule").
 */

export type SQLiteRow = Readonly<Record<string, unknown>>;

export interface SQLiteConnection extends Disposable {
  /** Runs one or more statements and drops their rows. */
  exec(sql: string): void;
  /** Runs one statement, compiled once per connection, and returns its first row. */
  get(sql: string): SQLiteRow | undefined;
  /** Whether a transaction is open on this connection, as SQLite sees it. */
  readonly inTransaction: boolean;
  /** Closes it; an open transaction is rolled back. Closing twice is not an error. */
  close(): void;
}

export interface OpenConnectionOptions {
  /** Absolute path of the database file, which must exist. */
  readonly path: string;
  /** A connection that cannot write; it still takes part in WAL locking. */
  readonly readOnly?: boolean;
  /** How long a statement may wait for a lock, blocking this thread. Default 0: fail at once. */
  readonly busyTimeoutMs?: number;
}

export type OpenConnection = (options: OpenConnectionOptions) => SQLiteConnection;

/** Primary result codes that matter to replication (sqlite3.h). */
const SQLITE_PERM = 3;
const SQLITE_BUSY = 5;
const SQLITE_LOCKED = 6;
const SQLITE_READONLY = 8;
const SQLITE_IOERR = 10;
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_CANTOPEN = 14;
const SQLITE_NOTADB = 26;

export type SQLiteErrorKind =
  | "busy"
  | "read-only"
  | "not-a-database"
  | "corrupt"
  | "full"
  | "cannot-open"
  | "io"
  | "other";

/** A failure reported by SQLite. `kind` comes from the primary result code, never from the text. */
export class SQLiteError extends Error {
  override readonly name = "SQLiteError";
  readonly kind: SQLiteErrorKind;
  /** Extended result code, 0 when unknown. */
  readonly code: number;

  constructor(message: string, code: number, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.kind = errorKind(code);
  }
}

export function isBusy(error: unknown): boolean {
  return error instanceof SQLiteError && error.kind === "busy";
}

function errorKind(code: number): SQLiteErrorKind {
  switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return "busy";
    case SQLITE_READONLY:
    case SQLITE_PERM:
      return "read-only";
    case SQLITE_NOTADB:
      return "not-a-database";
    case SQLITE_CORRUPT:
      return "corrupt";
    case SQLITE_FULL:
      return "full";
    case SQLITE_CANTOPEN:
      return "cannot-open";
    case SQLITE_IOERR:
      return "io";
    default:
      return "other";
  }
}
