/**
 * `npm run soak -- --minutes N [--seed S]`: the engine beside a writer, checkpoints, a store that fails, restores with comparison of
 * contents; at the end the slopes of memory, descriptors, local disk and requests are printed and judged.
 */
import { fork } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { DatabaseSync } from "node:sqlite";
import { parseArgs } from "node:util";
import { restore } from "../../src/engine/restore.ts";
import { FileReplicaClient } from "../../src/storage/file.ts";
import { Random } from "../harness/random.ts";
import { judge } from "./slopes.ts";
import type { Sample } from "./slopes.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "1" },
    seed: { type: "string", default: "1" },
  },
});
const durationMs = Number(values.minutes) * 60_000;
const random = new Random(Number(values.seed));
/** Between two comparisons. */
const ROUND_MS = 3_000;
const KEPT_DIGESTS = 20_000;

async function main(): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "litestream-soak-"));
  try {
    return await soak(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function soak(folder: string): Promise<number> {
  const samples: Sample[] = [];
  const problems: string[] = [];
  mkdirSync(join(folder, "replica"));
  const application = new Application(join(folder, "app.db"));
  using _application = application;
  let engine = await Engine.start(folder);
  const endAt = Date.now() + durationMs;
  let rounds = 0;
  let kills = 0;
  while (Date.now() < endAt) {
    await writeFor(application, ROUND_MS);
    rounds++;
    const before = application.n;
    await engine.sync();
    const restored = await restoreLatest(folder);
    if (restored.digest !== application.digests.get(restored.n))
      problems.push(`round ${rounds}: state ${restored.n} is not what was committed`);
    if (restored.n < before)
      problems.push(`round ${rounds}: ${before} was synced, ${restored.n} restored`);
    samples.push(engine.sample(folder, application.n));
    if (!random.chance(0.15)) continue;
    kills++;
    await engine.kill();
    await writeFor(application, 200);
    engine = await Engine.start(folder);
  }
  if (!(await engine.stop())) problems.push("the engine does not end cleanly");
  const restored = await restoreLatest(folder);
  if (restored.digest !== application.digest()) problems.push("the end differs from the source");
  const verdict = judge(samples);
  console.log(
    `${rounds} rounds, ${kills} kills, ${application.n} commits, ${engine.faults} faults`,
  );
  for (const line of verdict.lines) console.log(line);
  for (const problem of [...problems, ...verdict.problems]) console.log(`FAILED: ${problem}`);
  return problems.length + verdict.problems.length === 0 ? 0 : 1;
}

/** Commits for a while, now and then with a checkpoint of some mode. */
async function writeFor(application: Application, ms: number): Promise<void> {
  const endAt = Date.now() + ms;
  while (Date.now() < endAt) {
    application.commit();
    if (random.chance(0.02)) application.checkpoint();
    await sleep(random.integer(1, 8));
  }
}

class Application implements Disposable {
  readonly digests = new Map<number, string>();
  n = 0;
  readonly #database: DatabaseSync;

  constructor(path: string) {
    this.#database = new DatabaseSync(path, { timeout: 5_000 });
    this.#database.exec(
      "PRAGMA journal_mode = wal; PRAGMA synchronous = NORMAL; CREATE TABLE item (id INTEGER PRIMARY KEY, body BLOB); CREATE TABLE progress (n INTEGER); INSERT INTO progress VALUES (0)",
    );
    this.commit();
  }

  commit(): void {
    const size = random.pick([20, 500, 3_000]);
    this.#database.exec(`BEGIN IMMEDIATE;
      INSERT OR REPLACE INTO item VALUES (${random.integer(1, 400)}, randomblob(${size}));
      UPDATE progress SET n = n + 1`);
    this.n++;
    this.digests.set(this.n, digestOf(this.#database).digest);
    this.#database.exec("COMMIT");
    // Restores are never older than this.
    this.digests.delete(this.n - KEPT_DIGESTS);
  }

  checkpoint(): void {
    const mode = random.pick(["PASSIVE", "FULL", "RESTART", "TRUNCATE"] as const);
    this.#database.exec("PRAGMA busy_timeout = 0");
    this.#database.prepare(`PRAGMA wal_checkpoint(${mode})`).get();
    this.#database.exec("PRAGMA busy_timeout = 5000");
  }

  digest(): string {
    return digestOf(this.#database).digest;
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }
}

interface Reply {
  readonly memoryBytes: number;
  readonly requests: number;
  readonly faults: number;
  readonly ok: boolean;
}

/** The engine in a process of its own. */
class Engine {
  readonly #child: ReturnType<typeof fork>;
  #last: Reply = { memoryBytes: 0, requests: 0, faults: 0, ok: true };
  static #lives = 0;
  readonly #life = ++Engine.#lives;

  private constructor(folder: string) {
    this.#child = fork(join(import.meta.dirname, "engine-process.ts"), {
      env: { ...process.env, SOAK_FOLDER: folder, SOAK_SEED: values.seed },
    });
  }

  static async start(folder: string): Promise<Engine> {
    const engine = new Engine(folder);
    await engine.#answer();
    return engine;
  }

  get faults(): number {
    return this.#last.faults;
  }

  async sync(): Promise<void> {
    this.#child.send("sync");
    await this.#answer();
  }

  sample(folder: string, commits: number): Sample {
    const { pid } = this.#child;
    const { memoryBytes, requests } = this.#last;
    return {
      life: this.#life,
      atMs: Date.now(),
      memoryBytes,
      descriptors: readdirSync(`/proc/${pid}/fd`).length,
      localFiles: readdirSync(join(folder, ".app.db-litestream", "ltx", "0")).length,
      requests,
      commits,
    };
  }

  async kill(): Promise<void> {
    const exited = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGKILL");
    await exited;
  }

  async stop(): Promise<boolean> {
    const exited = new Promise<number | null>((resolve) => this.#child.once("exit", resolve));
    this.#child.send("stop");
    return (await exited) === 0;
  }

  async #answer(): Promise<void> {
    this.#last = await new Promise<Reply>((resolve, reject) => {
      this.#child.once("message", (reply) => resolve(reply as Reply));
      this.#child.once("exit", (code) => reject(new Error(`The engine ended with ${code}`)));
    });
    if (!this.#last.ok) throw new Error("The engine could not sync within a minute");
  }
}

async function restoreLatest(folder: string): Promise<{ n: number; digest: string }> {
  const outputPath = join(folder, "restored.db");
  await using client = new FileReplicaClient({ type: "file", path: join(folder, "replica") });
  await restore(client, {
    target: { kind: "latest" },
    outputPath,
    parallelism: 4,
    integrityCheck: "quick",
    force: true,
  });
  using database = new DatabaseSync(outputPath);
  if (readFileSync(outputPath).length === 0) throw new Error("Nothing was restored");
  return digestOf(database);
}

function digestOf(database: DatabaseSync): { n: number; digest: string } {
  const sql =
    "SELECT (SELECT n FROM progress) AS n, count(*) AS rows, sum(length(body)) AS size, sum(id * (1 + length(body)) * (1 + unicode(hex(substr(body, 1, 1))))) AS mix FROM item";
  const row = database.prepare(sql).get();
  return { n: Number(row?.["n"]), digest: JSON.stringify(row) };
}

process.exitCode = await main();
