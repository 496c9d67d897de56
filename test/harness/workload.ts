/** The application's data and what it does with it: small, varied, and checkable after a restore. */
import { createHash } from "node:crypto";
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from "node:fs";
import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import type { Random } from "./random.ts";

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS progress (id INTEGER PRIMARY KEY CHECK (id = 1), n INTEGER NOT NULL);
  INSERT OR IGNORE INTO progress VALUES (1, 0);
  CREATE TABLE IF NOT EXISTS item (id INTEGER PRIMARY KEY, label TEXT NOT NULL, body BLOB NOT NULL);
  CREATE INDEX IF NOT EXISTS item_label ON item (label);
`;

const MAX_ITEMS = 160;

export function createSchema(database: DatabaseSync): void {
  database.exec(SCHEMA);
}

/** Number of the last committed transaction. */
export function readProgress(database: DatabaseSync): number {
  return Number(database.prepare("SELECT n FROM progress").get()?.["n"]);
}

/** Hash of everything the application stored, independent of pages. */
export function digest(database: DatabaseSync): string {
  const hash = createHash("sha1");
  hash.update(`${readProgress(database)}\n`);
  for (const row of database.prepare("SELECT id, label, body FROM item ORDER BY id").iterate()) {
    hash.update(`${String(row["id"])} ${String(row["label"])} `);
    hash.update(row["body"] as Uint8Array);
  }
  return hash.digest("hex");
}

/**
 * One transaction of random changes. Before the commit, number and digest go to the journal and to the disk, so
 * whatever state is found later can be looked up there.
 */
export function transact(database: DatabaseSync, random: Random, journal: JournalWriter): number {
  database.exec("BEGIN IMMEDIATE");
  try {
    for (let changes = random.integer(1, 6); changes > 0; changes--) change(database, random);
    database.exec("UPDATE progress SET n = n + 1");
    const n = readProgress(database);
    journal.write(n, digest(database));
    database.exec("COMMIT");
    return n;
  } catch (error) {
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}

/** A transaction too big for the cache: its frames are in the WAL, and are never committed. */
export function rollBackSpill(database: DatabaseSync, random: Random): void {
  database.exec("BEGIN IMMEDIATE");
  for (let i = 0; i < 30; i++) insert(database, random, 3_000);
  database.exec("ROLLBACK");
}

function change(database: DatabaseSync, random: Random): void {
  const count = Number(database.prepare("SELECT count(*) AS n FROM item").get()?.["n"]);
  const what = count >= MAX_ITEMS ? 0.95 : random.next();
  if (what < 0.5) insert(database, random, random.pick([10, 300, 2_000, 6_000]));
  else if (what < 0.85)
    runOnRandomItem(
      database,
      random,
      "UPDATE item SET body = ?",
      random.bytes(random.pick([10, 300, 2_000])),
    );
  else
    for (let i = random.integer(1, 8); i > 0; i--)
      runOnRandomItem(database, random, "DELETE FROM item");
}

function insert(database: DatabaseSync, random: Random, sizeBytes: number): void {
  const label = `item ${random.integer(1, 1_000_000)}`;
  database
    .prepare("INSERT INTO item (label, body) VALUES (?, ?)")
    .run(label, random.bytes(sizeBytes));
}

function runOnRandomItem(
  database: DatabaseSync,
  random: Random,
  sql: string,
  ...values: SQLInputValue[]
): void {
  const where =
    "WHERE id = (SELECT id FROM item WHERE id >= (SELECT max(id) FROM item) * ? LIMIT 1)";
  database.prepare(`${sql} ${where}`).run(...values, random.next());
}

/** Appends "number digest" lines, each on the disk before the transaction commits. */
export class JournalWriter implements Disposable {
  readonly #descriptor: number;

  constructor(path: string) {
    this.#descriptor = openSync(path, "a");
  }

  write(n: number, contentDigest: string): void {
    writeSync(this.#descriptor, `${n} ${contentDigest}\n`);
    fsyncSync(this.#descriptor);
  }

  [Symbol.dispose](): void {
    closeSync(this.#descriptor);
  }
}

/**
 * Digests by transaction number. A number can have several: one of an attempt that was killed before its commit, one
 * of the transaction that took the number later.
 */
export function readJournal(path: string): Map<number, Set<string>> {
  const states = new Map<number, Set<string>>();
  if (!existsSync(path)) return states;
  for (const line of readFileSync(path, "utf8").split("\n")) {
    const [n, contentDigest] = line.split(" ");
    if (n === undefined || contentDigest?.length !== 40) continue;
    const known = states.get(Number(n)) ?? new Set();
    states.set(Number(n), known.add(contentDigest));
  }
  return states;
}
