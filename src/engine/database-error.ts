/** Why a database cannot be replicated just now, in words a person can act on. */
import { SQLiteError } from "../sqlite/driver.ts";

export type DatabaseErrorKind = "not-a-database" | "read-only" | "busy" | "denied" | "other";

export class DatabaseError extends Error {
  override readonly name = "DatabaseError";
  readonly kind: DatabaseErrorKind;
  readonly hint: string | undefined;

  constructor(
    kind: DatabaseErrorKind,
    message: string,
    options: { cause?: unknown; hint?: string } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = kind;
    this.hint = options.hint;
  }
}

/** Turns a failure to open a database into one message with a hint; other errors stay as they are. */
export function explainOpenError(error: unknown, path: string): unknown {
  if (error instanceof SQLiteError) return explainSQLiteError(error, path);
  const code = (error as NodeJS.ErrnoException).code;
  if (code === "EACCES" || code === "EPERM") {
    return new DatabaseError("denied", `Cannot open database "${path}": permission denied`, {
      cause: error,
      hint: "Run litestream as a user that may read and write the database and its directory",
    });
  }
  return error;
}

function explainSQLiteError(error: SQLiteError, path: string): unknown {
  switch (error.kind) {
    case "not-a-database":
      return notADatabase(path, error);
    case "read-only":
    case "cannot-open":
      return new DatabaseError(
        "read-only",
        `Cannot replicate database "${path}": it cannot be written: ${error.message}`,
        {
          cause: error,
          hint: "Replication needs write access to the database file and its directory: it keeps a WAL and two small tables",
        },
      );
    case "busy":
      return new DatabaseError("busy", `Cannot open database "${path}": database is locked`, {
        cause: error,
        hint: "Another connection holds a lock, such as one in EXCLUSIVE locking mode; trying again",
      });
    case "corrupt":
    case "full":
    case "io":
    case "other":
      return error;
  }
}

export function notADatabase(path: string, cause?: unknown): DatabaseError {
  return new DatabaseError("not-a-database", `Cannot replicate "${path}": file is not a database`, {
    cause,
    hint: "The file is encrypted (SQLCipher, SEE), damaged, or no SQLite database at all",
  });
}
