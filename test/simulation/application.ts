/** The application of one machine: real SQLite connections in this process, everything it does in one go. */
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, readFileSync, renameSync, rmSync, truncateSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import type { Random } from "../harness/random.ts";

export interface ApplicationHabits {
  readonly pageSize: number;
  readonly autoVacuum: 0 | 1 | 2;
  /** 0 = never by itself. */
  readonly autoCheckpointPages: number;
  /** Pages of cache: few make big transactions spill into the WAL before they commit. */
  readonly cachePages: number;
}

const MAX_ROWS = 70;
const SQLITE_BUSY = 5;
const SQLITE_LOCKED = 6;

const SCHEMA = `
  CREATE TABLE progress (n INTEGER, tag TEXT);
  INSERT INTO progress VALUES (0, '');
  CREATE TABLE item (id INTEGER PRIMARY KEY, body BLOB);
  CREATE INDEX item_body ON item (substr(body, 1, 8))`;

/** The state of a database before the application made its tables. */
export const NO_TABLES = "no tables";

export class Application {
  readonly path: string;
  /** Called after each commit with the digest of the new state. */
  readonly #onState: (digest: string) => void;
  readonly #random: Random;
  readonly #habits: ApplicationHabits;
  #tag: string;
  #writer: DatabaseSync | null = null;
  #reader: DatabaseSync | null = null;

  constructor(
    path: string,
    tag: string,
    random: Random,
    habits: ApplicationHabits,
    onState: (digest: string) => void,
  ) {
    this.path = path;
    this.#tag = tag;
    this.#random = random;
    this.#habits = habits;
    this.#onState = onState;
  }

  get isOpen(): boolean {
    return this.#writer !== null;
  }

  /** Opens the database, or makes it. Somebody may have locked it: then it stays closed. */
  open(): void {
    if (this.#writer !== null) return;
    const writer = new DatabaseSync(this.path, { timeout: 0 });
    try {
      this.#prepare(writer);
    } catch (error) {
      if (writer.isTransaction) writer.exec("ROLLBACK");
      writer.close();
      if (isLockedOut(error)) return;
      throw error;
    }
    this.#writer = writer;
    this.#tell();
  }

  #prepare(writer: DatabaseSync): void {
    const { pageSize, autoVacuum, autoCheckpointPages, cachePages } = this.#habits;
    const mode = writer.prepare("PRAGMA journal_mode").get()?.["journal_mode"];
    if (mode !== "wal")
      writer.exec(
        `PRAGMA page_size = ${pageSize}; PRAGMA auto_vacuum = ${autoVacuum}; PRAGMA journal_mode = wal`,
      );
    writer.exec(
      `PRAGMA synchronous = NORMAL; PRAGMA cache_size = ${cachePages}; PRAGMA wal_autocheckpoint = ${autoCheckpointPages}`,
    );
    if (hasTables(writer)) return;
    writer.exec(`BEGIN IMMEDIATE; ${SCHEMA}; COMMIT`);
  }

  /** Ends all connections as an application does that is stopped, or killed. */
  close(how: "closed" | "killed"): void {
    this.#reader?.close();
    this.#reader = null;
    if (this.#writer === null) return;
    // A read-only connection that is closed last leaves the WAL as it is.
    const last = how === "killed" ? this.#lastConnection() : null;
    this.#writer.close();
    this.#writer = null;
    last?.close();
  }

  /** Keeps a read transaction open, or ends it. */
  toggleReader(): string {
    if (this.#reader !== null) {
      this.#reader.close();
      this.#reader = null;
      return "reader leaves";
    }
    if (this.#writer === null) return "no reader";
    this.#reader = new DatabaseSync(this.path, { readOnly: true, timeout: 0 });
    this.#reader.exec("BEGIN; SELECT count(*) FROM progress");
    return "reader pins";
  }

  leaveReader(): void {
    this.#reader?.close();
    this.#reader = null;
  }

  /** One thing an application does. Returns what, for the trace; being locked out is no failure. */
  act(): string {
    const what = this.#random.pick([
      "small",
      "small",
      "small",
      "small",
      "middle",
      "big",
      "delete",
      "rollback",
      "vacuum",
      "schema",
      "checkpoint",
      "checkpoint",
    ] as const);
    return this.do(what);
  }

  do(
    what: "small" | "middle" | "big" | "delete" | "rollback" | "vacuum" | "schema" | "checkpoint",
  ): string {
    const writer = this.#writer;
    if (writer === null) return "closed";
    try {
      return this.#do(writer, what);
    } catch (error) {
      if (writer.isTransaction) writer.exec("ROLLBACK");
      if (isLockedOut(error)) return `${what} locked out`;
      throw error;
    }
  }

  /** Rebuilds the database with another page size. Only while nobody else has it open. */
  changePageSize(): string {
    const writer = this.#writer;
    if (writer === null) return "closed";
    const pageSize = this.#random.pick([512, 1024, 2048, 4096]);
    writer.exec(
      `PRAGMA journal_mode = delete; PRAGMA page_size = ${pageSize}; VACUUM; PRAGMA journal_mode = wal`,
    );
    this.#tell();
    return `page size ${pageSize}`;
  }

  /** A new file takes the place of the old one, as after a deployment. */
  replaceFile(): string {
    this.close("closed");
    const fresh = `${this.path}.new`;
    copyFileSync(this.path, fresh);
    if (existsSync(`${this.path}-wal`)) copyFileSync(`${this.path}-wal`, `${fresh}-wal`);
    {
      using copy = new DatabaseSync(fresh);
      copy.exec("DELETE FROM item WHERE id % 3 = 1; PRAGMA wal_checkpoint(TRUNCATE)");
    }
    for (const suffix of ["-wal", "-shm"]) rmSync(`${this.path}${suffix}`, { force: true });
    renameSync(fresh, this.path);
    this.open();
    return "file replaced";
  }

  /** Forgets the end of the WAL, which was never flushed. Only while nobody has the database open. */
  loseTail(): string {
    const wal = `${this.path}-wal`;
    if (!existsSync(wal)) return "no WAL to lose";
    const bytes = readFileSync(wal);
    if (bytes.length < 32) return "no WAL to lose";
    const frame = 24 + bytes.readUInt32BE(8);
    const frames = Math.floor((bytes.length - 32) / frame);
    // What is in the database file already was flushed before that. The walindex would say, but a recovery forgets it.
    const pages = readFileSync(this.path);
    let backfilled = 0;
    for (let index = 0; index < frames; index++) {
      const at = 32 + index * frame;
      const end = bytes.readUInt32BE(at) * (frame - 24);
      const page = pages.subarray(end - (frame - 24), end);
      if (page.equals(bytes.subarray(at + 24, at + frame))) backfilled = index + 1;
    }
    // Of a transaction all or nothing is backfilled, but pages beyond the present end of the database are left out.
    const isCommit = (index: number): boolean => bytes.readUInt32BE(32 + index * frame + 4) !== 0;
    while (backfilled > 0 && backfilled < frames && !isCommit(backfilled - 1)) backfilled++;
    if (frames <= backfilled) return "nothing to lose";
    const kept = this.#random.integer(backfilled, frames);
    truncateSync(wal, 32 + kept * frame + this.#random.pick([0, 0, 13]));
    rmSync(`${this.path}-shm`, { force: true });
    return `WAL ends after ${kept} of ${frames} frames`;
  }

  /** From now on commits are of another history than those of machines with the same past. */
  rename(tag: string): void {
    this.#tag = tag;
  }

  #do(writer: DatabaseSync, what: Parameters<Application["do"]>[0]): string {
    switch (what) {
      case "small":
        return this.#commit(writer, what, () => this.#change(writer, 1, 200));
      case "middle":
        return this.#commit(writer, what, () => this.#change(writer, 4, 1_500));
      case "big":
        return this.#commit(writer, what, () => this.#change(writer, 12, 4_000));
      case "delete":
        return this.#commit(writer, what, () =>
          writer.exec(`DELETE FROM item WHERE id % 4 = ${this.#random.integer(0, 3)}`),
        );
      case "rollback":
        writer.exec("BEGIN IMMEDIATE");
        this.#change(writer, 10, 4_000);
        writer.exec("ROLLBACK");
        return what;
      case "vacuum":
        writer.exec(this.#random.chance(0.5) ? "VACUUM" : "PRAGMA incremental_vacuum(5)");
        return what;
      case "schema":
        return this.#commit(writer, what, () =>
          writer.exec(
            "CREATE TABLE IF NOT EXISTS extra (a); INSERT INTO extra VALUES (1); DROP TABLE extra",
          ),
        );
      case "checkpoint": {
        const mode = this.#random.pick([
          "PASSIVE",
          "PASSIVE",
          "FULL",
          "RESTART",
          "TRUNCATE",
        ] as const);
        const row = writer.prepare(`PRAGMA wal_checkpoint(${mode})`).get();
        return `checkpoint ${mode} ${JSON.stringify(row)}`;
      }
    }
  }

  #commit(writer: DatabaseSync, what: string, work: () => void): string {
    writer.exec("BEGIN IMMEDIATE");
    work();
    writer.prepare("UPDATE progress SET n = n + 1, tag = ?").run(this.#tag);
    const digest = digestOf(writer);
    writer.exec("COMMIT");
    this.#onState(digest);
    return what;
  }

  #change(writer: DatabaseSync, count: number, maxBytes: number): void {
    const insert = writer.prepare("INSERT INTO item (body) VALUES (?)");
    const update = writer.prepare(
      "UPDATE item SET body = ? WHERE id = (SELECT max(id) - ? FROM item)",
    );
    for (let i = 0; i < count; i++) {
      const body = this.#body(this.#random.integer(1, maxBytes));
      if (this.#random.chance(0.6)) insert.run(body);
      else update.run(body, this.#random.integer(0, 10));
    }
    const rows = Number(writer.prepare("SELECT count(*) AS n FROM item").get()?.["n"]);
    if (rows > MAX_ROWS) writer.exec("DELETE FROM item WHERE id % 2 = 0");
  }

  #body(length: number): Uint8Array {
    const bytes = new Uint32Array((length + 3) >> 2);
    let state = this.#random.integer(1, 2 ** 31);
    for (let i = 0; i < bytes.length; i++) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
      bytes[i] = state;
    }
    return new Uint8Array(bytes.buffer, 0, length);
  }

  #tell(): void {
    if (this.#writer !== null) this.#onState(digestOf(this.#writer));
  }

  #lastConnection(): DatabaseSync {
    const last = new DatabaseSync(this.path, { readOnly: true, timeout: 0 });
    last.prepare("SELECT count(*) FROM sqlite_schema").get();
    return last;
  }
}

function isLockedOut(error: unknown): boolean {
  const code = ((error as { errcode?: number }).errcode ?? 0) & 0xff;
  return code === SQLITE_BUSY || code === SQLITE_LOCKED;
}

function hasTables(database: DatabaseSync): boolean {
  const sql = "SELECT count(*) AS n FROM sqlite_schema WHERE name IN ('progress', 'item')";
  return database.prepare(sql).get()?.["n"] === 2;
}

/** Everything the application stored, whatever page it is on. */
export function digestOf(database: DatabaseSync): string {
  if (!hasTables(database)) return NO_TABLES;
  const hash = createHash("sha1");
  hash.update(JSON.stringify(database.prepare("SELECT n, tag FROM progress").get()));
  for (const row of database.prepare("SELECT id, body FROM item ORDER BY id").iterate()) {
    hash.update(String(row["id"]));
    hash.update(row["body"] as Uint8Array);
  }
  return hash.digest("hex");
}
