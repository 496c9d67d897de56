/**
 * A connection that is open only while it is used: one that rests costs some 70 KB and a descriptor less, and there may be
 * thousands of databases. Another connection of the process must hold the database open meanwhile.
 */
import type { SQLiteConnection, SQLiteRow } from "./driver.ts";

export class RestingConnection implements SQLiteConnection {
  readonly #reopen: () => SQLiteConnection;
  #connection: SQLiteConnection | null;
  #closed = false;

  /** Takes over `connection`; `reopen` makes one like it. */
  constructor(connection: SQLiteConnection, reopen: () => SQLiteConnection) {
    this.#connection = connection;
    this.#reopen = reopen;
  }

  exec(sql: string): void {
    this.#awake().exec(sql);
  }

  get(sql: string): SQLiteRow | undefined {
    return this.#awake().get(sql);
  }

  get inTransaction(): boolean {
    return this.#connection?.inTransaction ?? false;
  }

  /** Closes it until it is used again; not while a transaction is open. */
  rest(): void {
    if (this.inTransaction) return;
    this.#connection?.close();
    this.#connection = null;
  }

  /** Closes it for good. */
  close(): void {
    this.#closed = true;
    this.#connection?.close();
    this.#connection = null;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #awake(): SQLiteConnection {
    // After the end nothing may open the database's file again: the lock rule.
    if (this.#closed) throw new Error("The connection is closed");
    return (this.#connection ??= this.#reopen());
  }
}
