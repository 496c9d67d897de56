/** Opens a database the way replication needs it. */
import { SQLiteError } from "./driver.ts";
import type { OpenConnection, SQLiteConnection } from "./driver.ts";
import { RestingConnection } from "./resting-connection.ts";

/** Upstream's tables: bumping the one row of `_litestream_seq` forces a write; `_litestream_lock` stays empty. */
const BOOKKEEPING_TABLES = `
  CREATE TABLE IF NOT EXISTS _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER);
  CREATE TABLE IF NOT EXISTS _litestream_lock (id INTEGER);
`;

const BUMP =
  "INSERT INTO _litestream_seq (id, seq) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET seq = seq + 1";

/** What every writable connection is set to: no checkpoints of its own, flushes that a checkpoint needs to be safe. */
const WRITER_SETTINGS = "PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = NORMAL";

export interface OpenedWriter {
  /** May rest once a reader is open. */
  readonly connection: RestingConnection;
  readonly pageSize: number;
  /** The WAL file shrinks to this when a commit on this connection restarts it. */
  readonly walLimitBytes: number;
  /** The journal mode found, when it had to be changed to WAL. */
  readonly convertedFrom: string | undefined;
}

/**
 * Opens the writable connection: WAL mode, no automatic checkpoints of its own, the bookkeeping tables present.
 * Writes nothing when all of that is so already. `walLimit`: the length of the WAL that is left in place, by page size.
 *
 * @throws SQLiteError "busy" when somebody holds the locks needed: try again later.
 */
export function openWriter(
  open: OpenConnection,
  path: string,
  walLimit: (pageSize: number) => number,
): OpenedWriter {
  const connection = open({ path });
  try {
    connection.exec(WRITER_SETTINGS);
    const mode = String(connection.get("PRAGMA journal_mode")?.["journal_mode"]);
    if (mode !== "wal") convertToWAL(connection, path, mode);
    if (missesBookkeeping(connection)) connection.exec(BOOKKEEPING_TABLES);
    const pageSize = Number(connection.get("PRAGMA page_size")?.["page_size"]);
    const walLimitBytes = walLimit(pageSize);
    const limit = `PRAGMA journal_size_limit = ${walLimitBytes}`;
    connection.exec(limit);
    return {
      connection: new RestingConnection(connection, () =>
        openSet(open, path, `${WRITER_SETTINGS}; ${limit}`),
      ),
      pageSize,
      walLimitBytes,
      convertedFrom: mode === "wal" ? undefined : mode,
    };
  } catch (error) {
    connection.close();
    throw error;
  }
}

/** A connection with some settings. */
function openSet(open: OpenConnection, path: string, settings: string): SQLiteConnection {
  const connection = open({ path });
  try {
    connection.exec(settings);
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  }
}

function convertToWAL(connection: SQLiteConnection, path: string, mode: string): void {
  const reply = String(connection.get("PRAGMA journal_mode = wal")?.["journal_mode"]);
  if (reply === "wal") return;
  throw new SQLiteError(
    `Cannot switch database "${path}" from journal mode "${mode}" to "wal": it stays "${reply}"`,
    0,
  );
}

function missesBookkeeping(connection: SQLiteConnection): boolean {
  const row = connection.get(
    "SELECT count(*) AS present FROM sqlite_schema WHERE type = 'table' AND name IN ('_litestream_seq', '_litestream_lock')",
  );
  return row?.["present"] !== 2;
}

/** Makes one small commit, so that the WAL exists or restarts. */
export function bumpSequence(connection: SQLiteConnection): void {
  connection.exec(BUMP);
}

/** Opens a connection that only reads; closed after the writable one it keeps the WAL file in place. */
export function openReader(open: OpenConnection, path: string): SQLiteConnection {
  const connection = open({ path, readOnly: true });
  try {
    // It reads a page or two; with more, SQLite would set aside memory for twenty.
    connection.exec("PRAGMA cache_size = 2; PRAGMA shrink_memory");
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  }
}
