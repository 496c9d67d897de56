/** The small transaction of the timed writers: one insert and one update, four or five pages. */
import { DatabaseSync } from "node:sqlite";
import type { StatementSync } from "node:sqlite";
import { SeededRandom } from "../data.ts";

const ACCOUNTS = 1000;

/** Stands before the running number of a transaction in every row, so that it can be found in a copied page. */
export const TICK_MARK = "tick=";
export const TICK_DIGITS = 10;

/**
 * An order book in WAL mode with synchronous=NORMAL, a busy timeout of 30 s and SQLite's own autocheckpoint (after 1000
 * pages unless told otherwise), as a careful application would have it.
 */
export class OrderBook implements Disposable {
  readonly #db: DatabaseSync;
  readonly #insert: StatementSync;
  readonly #update: StatementSync;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  readonly #random = new SeededRandom(7);
  #tick = 0;

  constructor(file: string, autocheckpointPages = 1000) {
    this.#db = new DatabaseSync(file, { timeout: 30_000 });
    this.#db.exec(`pragma wal_autocheckpoint=${autocheckpointPages}`);
    this.#db.exec("pragma journal_mode=wal; pragma synchronous=normal");
    this.#db.exec(`
      create table if not exists accounts(id integer primary key, balance integer, changed integer);
      create index if not exists accounts_changed on accounts(changed);
      create table if not exists entries(id integer primary key, account integer, body text);
      create index if not exists entries_account on entries(account);`);
    this.#db.exec(`
      with recursive n(id) as (select 1 union all select id + 1 from n where id < ${ACCOUNTS})
      insert or ignore into accounts select id, 0, 0 from n`);
    this.#insert = this.#db.prepare("insert into entries(account, body) values(?, ?)");
    this.#update = this.#db.prepare(
      "update accounts set balance = balance + ?, changed = ? where id = ?",
    );
    this.#begin = this.#db.prepare("begin immediate");
    this.#commit = this.#db.prepare("commit");
  }

  /** One transaction; returns its number, counted from 1. */
  addEntry(): number {
    const tick = ++this.#tick;
    const account = 1 + this.#random.below(ACCOUNTS);
    const amount = this.#random.below(10_000);
    const number = tick.toString().padStart(TICK_DIGITS, "0");
    this.#begin.run();
    this.#insert.run(account, `${TICK_MARK}${number} account ${account} amount ${amount} EUR`);
    this.#update.run(amount, tick, account);
    this.#commit.run();
    return tick;
  }

  [Symbol.dispose](): void {
    this.#db.close();
  }
}
