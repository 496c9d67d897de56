/** A database that is written to, its replica, followers of it and processes that read the followed copy. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import type { ReaderReport } from "./follow-reader.ts";
import { contentOf } from "./follow-source.ts";
import { ours, start, succeed } from "./program.ts";
import type { Program, RunningProgram } from "./program.ts";
import type { Random } from "./random.ts";
import { Replication } from "./replication.ts";
import type { Scratch } from "./scratch.ts";
import { until } from "./wait.ts";

/** Writes states that a reader can tell from mixtures: every cell holds the number that the sheet names. */
export class SheetWriter implements AsyncDisposable {
  readonly #database: DatabaseSync;
  readonly #random: Random;
  #running: Promise<void> | undefined;
  #isStopped = false;
  n = 0;

  constructor(path: string, random: Random) {
    this.#random = random;
    this.#database = new DatabaseSync(path, { timeout: 5000 });
    this.#database.exec(`
      PRAGMA journal_mode = WAL;
      CREATE TABLE IF NOT EXISTS sheet (id INTEGER PRIMARY KEY, n INTEGER, cells INTEGER);
      CREATE TABLE IF NOT EXISTS cell (id INTEGER PRIMARY KEY, v INTEGER, pad BLOB);
      INSERT OR IGNORE INTO sheet VALUES (1, 0, 0);
    `);
    this.n = Number(this.#database.prepare("SELECT n FROM sheet").get()?.["n"]);
  }

  /** One commit: every cell gets the next number, and some come or go. */
  commit(): void {
    const cells = this.#random.integer(20, 120);
    this.n += 1;
    this.#database.exec(`
      BEGIN IMMEDIATE;
      DELETE FROM cell WHERE id > ${cells};
      WITH RECURSIVE number (id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM number WHERE id < ${cells})
        INSERT INTO cell SELECT id, ${this.n}, randomblob(1 + abs(random()) % 3000) FROM number WHERE true
        ON CONFLICT (id) DO UPDATE SET v = ${this.n};
      UPDATE sheet SET n = ${this.n}, cells = ${cells};
      COMMIT`);
    if (this.#random.integer(1, 10) === 1) this.#database.exec("VACUUM");
  }

  /** Commits until told to stop. */
  start(pauseMs: number): void {
    this.#isStopped = false;
    this.#running = (async () => {
      while (!this.#isStopped) {
        this.commit();
        await sleep(pauseMs);
      }
    })();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#running;
    this.#running = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    this.#database.close();
  }
}

export class FollowScene {
  readonly replication: Replication;
  readonly copy: string;
  readonly #scratch: Scratch;
  #restores = 0;

  constructor(writer: Program, scratch: Scratch, globals: Readonly<Record<string, string>> = {}) {
    this.#scratch = scratch;
    this.replication = new Replication({ program: writer, scratch, globals });
    this.copy = scratch.inFolder("copy", "copy.db");
  }

  follow(program: Program, intervalMs = 30): RunningProgram {
    const interval = `${intervalMs}ms`;
    return start(program, [
      "restore",
      "-f",
      "-follow-interval",
      interval,
      "-json",
      "-o",
      this.copy,
      this.replication.place.url,
    ]);
  }

  /** The transaction in the sidecar, 0 without one. */
  position(): bigint {
    const path = `${this.copy}-txid`;
    return existsSync(path) ? BigInt(`0x${readFileSync(path, "utf8").trim()}`) : 0n;
  }

  /** The sheet's number in the copy, as a program that may write (and thus recover) reads it; -1 while it is locked. */
  readCopy(): number {
    using database = new DatabaseSync(this.copy, { timeout: 2000 });
    const check = database.prepare("PRAGMA integrity_check").get();
    assert.equal(check?.["integrity_check"], "ok");
    const row = database.prepare(
      "SELECT n, cells, (SELECT count(*) FROM cell) AS count, (SELECT min(v) FROM cell) AS min, (SELECT max(v) FROM cell) AS max FROM sheet",
    );
    const { n, cells, count, min, max } = { ...row.get() } as Record<string, number>;
    assert.ok(n !== undefined);
    if (n > 0) assert.deepEqual({ count, min, max }, { count: cells, min: n, max: n });
    return n;
  }

  async untilCopyHas(n: number, timeoutMs = 30_000): Promise<void> {
    await until(() => this.#number() === n, {
      what: `number ${n} in the copy at ${this.position()}`,
      timeoutMs,
      everyMs: 50,
    });
  }

  #number(): number {
    if (!existsSync(this.copy)) return -1;
    using database = new DatabaseSync(this.copy, { readOnly: true, timeout: 1000 });
    try {
      return Number(database.prepare("SELECT n FROM sheet").get()?.["n"]);
    } catch (error) {
      if (![5, 776].includes((error as { errcode?: number }).errcode ?? 0)) throw error;
      return -1;
    }
  }

  /** The copy is what a restore to its position gives, byte for byte. Nobody may be following it. */
  async assertCopyIsAtItsPosition(program: Program = ours()): Promise<void> {
    this.readCopy();
    const output = this.#scratch.path(`restored-${++this.#restores}.db`);
    const txid = this.position().toString(16).padStart(16, "0");
    await succeed(program, ["restore", "-txid", txid, "-o", output, this.replication.place.url]);
    const [copy, restored] = [readFileSync(this.copy), readFileSync(output)].map(contentOf);
    assert.ok(copy && restored);
    assert.ok(copy.equals(restored), `the copy is not the state of TXID ${txid}`);
  }

  read(mode: "short" | "kept" | "long"): Reader {
    return new Reader(this.copy, mode);
  }
}

export class Reader implements AsyncDisposable {
  readonly #child;
  readonly #closed: Promise<unknown>;
  #output = "";

  constructor(path: string, mode: string) {
    const script = new URL("./follow-reader.ts", import.meta.url).pathname;
    this.#child = spawn(process.execPath, [script, path, mode], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#closed = once(this.#child, "close");
    this.#child.stdout.setEncoding("utf8").on("data", (text: string) => {
      this.#output += text;
    });
  }

  async stop(): Promise<ReaderReport> {
    await this[Symbol.asyncDispose]();
    return JSON.parse(this.#output) as ReaderReport;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#closed;
  }
}
