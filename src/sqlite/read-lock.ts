/**
 * The long read transaction ("pin") that keeps others from restarting the WAL before its frames are copied.
 *
 * Two connections take turns: the new transaction begins before the old one ends, so a pin always exists. While it is
 * held, anybody may backfill frames up to its mark, nobody beyond, and nobody may restart the WAL — except once, when
 * the pin began with everything backfilled (read slot 0): then a writer may restart the WAL, and nobody backfills.
 *
 * Rule for the user: copy everything committed between two rolls. Then backfilled ≤ mark of the old pin ≤ copied, and a
 * generation that ends has been copied in full.
 */
import { openReader } from "./connection.ts";
import type { OpenConnection, SQLiteConnection } from "./driver.ts";

const TAKE_READ_MARK = "SELECT count(*) FROM _litestream_seq";

export class ReadLock implements Disposable {
  readonly #open: OpenConnection;
  readonly #path: string;
  #pinned: SQLiteConnection;
  #spare: SQLiteConnection | null = null;

  /** Opens the first reader and begins its transaction. */
  constructor(open: OpenConnection, path: string) {
    this.#open = open;
    this.#path = path;
    this.#pinned = openPinned(open, path);
  }

  /** Whether SQLite still sees the transaction. After any doubt: continuity must be proven anew. */
  get held(): boolean {
    return this.#pinned.inTransaction;
  }

  /** Moves the pin to the present end of the WAL. */
  roll(): void {
    const next = this.#spare ?? openReader(this.#open, this.#path);
    this.#spare = next;
    begin(next);
    this.#spare = this.#pinned;
    this.#pinned = next;
    this.#spare.exec("COMMIT");
  }

  /** Begins the transaction again after it was lost. */
  reacquire(): void {
    if (this.held) return;
    this.#pinned.close();
    this.#pinned = openPinned(this.#open, this.#path);
  }

  /** Gives the spare connection's descriptors back; the next roll opens it again. */
  rest(): void {
    this.#spare?.close();
    this.#spare = null;
  }

  /**
   * Gives back the descriptors of connections that are closed: SQLite keeps them as long as the process holds any lock on the
   * database file. Every other connection to it must be closed. For a moment there is no pin: what was known of the WAL must be
   * looked at anew. When it cannot be taken again, `held` is false.
   */
  renew(): void {
    this.rest();
    // Read-only, so that the WAL stays in place even when no application has it open.
    this.#pinned.close();
    this.#pinned = openPinned(this.#open, this.#path);
  }

  /** Ends the pin. The reader that is closed last leaves the WAL file in place. */
  close(): void {
    this.rest();
    this.#pinned.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function openPinned(open: OpenConnection, path: string): SQLiteConnection {
  const connection = openReader(open, path);
  try {
    begin(connection);
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  }
}

/** BEGIN alone takes no lock: the first read does. */
function begin(connection: SQLiteConnection): void {
  connection.exec("BEGIN");
  try {
    connection.get(TAKE_READ_MARK);
  } catch (error) {
    connection.exec("ROLLBACK");
    throw error;
  }
}
