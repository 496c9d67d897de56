/**
 * An application in a process of its own, driven over IPC: random writes, rollbacks, VACUUM and checkpoints on one database.
 * A second connection in the engine's process would share its locks and prove nothing.
 */
import { DatabaseSync } from "node:sqlite";

export type ApplicationRequest =
  | {
      readonly kind: "create";
      readonly path: string;
      readonly pageSize: number;
      readonly autoVacuum: number;
    }
  | {
      readonly kind: "work";
      readonly seed: number;
      readonly steps: number;
      readonly downtime: boolean;
    }
  /** Runs SQL; replies with the first row of the last statement. */
  | { readonly kind: "sql"; readonly sql: string }
  /** Works on a database that another application created. */
  | { readonly kind: "attach"; readonly path: string }
  | { readonly kind: "close" }
  /** Brings everything into the database file and leaves no connection open. */
  | { readonly kind: "flatten" };

export type ApplicationReply = { readonly row?: unknown } | { readonly error: string };

let path = "";
let database: DatabaseSync | null = null;
let random: () => number = Math.random;

process.on("message", (request: ApplicationRequest) => {
  let reply: ApplicationReply;
  try {
    reply = { row: carryOut(request) };
  } catch (error) {
    reply = { error: String(error) };
  }
  process.send?.(reply);
});

function carryOut(request: ApplicationRequest): unknown {
  switch (request.kind) {
    case "create":
      create(request);
      return undefined;
    case "work":
      random = xorshift(request.seed);
      for (let step = 0; step < request.steps; step++) {
        if (request.downtime) downtimeStep();
        else write(1 + Math.floor(random() * 12));
      }
      return undefined;
    case "sql":
      return open().prepare(request.sql).get();
    case "attach":
      path = request.path;
      database = null;
      return undefined;
    case "close":
      database?.close();
      database = null;
      return undefined;
    case "flatten":
      flatten();
      return undefined;
  }
}

function create(request: ApplicationRequest & { kind: "create" }): void {
  database?.close();
  path = request.path;
  using fresh = new DatabaseSync(path);
  fresh.exec(`
    PRAGMA page_size = ${request.pageSize};
    PRAGMA auto_vacuum = ${request.autoVacuum};
    CREATE TABLE t (i INTEGER PRIMARY KEY, x BLOB);
  `);
  database = null;
}

function open(): DatabaseSync {
  if (database === null) {
    database = new DatabaseSync(path, { timeout: 5_000 });
    const autocheckpoint = [0, 0, 5, 20][Math.floor(random() * 4)] ?? 0;
    database.exec(`
      PRAGMA journal_mode = wal;
      PRAGMA wal_autocheckpoint = ${autocheckpoint};
      PRAGMA cache_size = 10;
      PRAGMA synchronous = OFF;
    `);
  }
  return database;
}

function write(count: number): void {
  const db = open();
  for (let index = 0; index < count; index++) {
    const dice = random();
    if (dice < 0.5) db.exec(`INSERT INTO t (x) VALUES (randomblob(${blobSize()}))`);
    else if (dice < 0.8) {
      db.exec(
        `UPDATE t SET x = randomblob(${blobSize()}) WHERE i = (SELECT i FROM t ORDER BY random() LIMIT 1)`,
      );
    } else if (dice < 0.9)
      db.exec("DELETE FROM t WHERE i IN (SELECT i FROM t ORDER BY random() LIMIT 2)");
    else if (dice < 0.97) spill();
    else db.exec("VACUUM");
  }
}

function blobSize(): number {
  return [10, 300, 2000][Math.floor(random() * 3)] ?? 10;
}

/** A transaction too large for the page cache: its pages go to the WAL before it commits, or is rolled back. */
function spill(): void {
  const db = open();
  db.exec("BEGIN");
  for (let row = 0; row < 30; row++) db.exec("INSERT INTO t (x) VALUES (randomblob(600))");
  db.exec(random() < 0.8 ? "ROLLBACK" : "COMMIT");
}

function downtimeStep(): void {
  const dice = random();
  if (dice < 0.45) write(Math.floor(random() * 12));
  else if (dice < 0.65) open().exec("PRAGMA wal_checkpoint(PASSIVE)");
  else if (dice < 0.75) open().exec("PRAGMA wal_checkpoint(RESTART)");
  else if (dice < 0.8) open().exec("PRAGMA wal_checkpoint(TRUNCATE)");
  else if (dice < 0.85) write(60);
  else if (dice < 0.9) {
    database?.close();
    database = null;
  }
}

function flatten(): void {
  const row = open().prepare("PRAGMA wal_checkpoint(TRUNCATE)").get();
  if (row?.["busy"] !== 0) throw new Error("somebody else has the database open");
  database?.close();
  database = null;
}

function xorshift(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
