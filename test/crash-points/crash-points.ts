/** Runs victims that die at named points, and judges what is left: see shim.ts and victim.ts. */
import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { restore } from "../../src/engine/restore.ts";
import { FileReplicaClient } from "../../src/storage/file.ts";
import { Scratch } from "../harness/scratch.ts";

export interface CrashPoint {
  /** `before|after <step> #<count>` */
  readonly name: string;
  readonly powerCut: boolean;
}

/** How often each point is passed when nothing happens. */
export async function listCrashPoints(): Promise<Map<string, number>> {
  using scratch = new Scratch("crash-points");
  const application = new Application(scratch.path("app.db"));
  using _application = application;
  const list = scratch.path("points.json");
  const died = await runVictim(scratch.folder, application, { CRASH_LIST: list });
  assert.equal(died.signal, null, "nothing was to happen");
  return new Map(JSON.parse(readFileSync(list, "utf8")) as [string, number][]);
}

/** Lets a victim die at the point, checks the replica, lets another one finish, and checks again. False: the point was not met. */
export async function crashAt({ name, powerCut }: CrashPoint): Promise<boolean> {
  using scratch = new Scratch("crash-points");
  const application = new Application(scratch.path("app.db"));
  using _application = application;
  const died = await runVictim(scratch.folder, application, {
    CRASH_POINT: name,
    POWER_CUT: powerCut ? "1" : "0",
  });
  const left = await restoreLatest(scratch, "left.db");
  if (left === null) assert.equal(died.acknowledged, 0, "what was acknowledged is gone");
  else {
    const state = application.states.lastIndexOf(left);
    assert.ok(state >= 0, "the restored state was never committed");
    assert.ok(
      state >= died.acknowledged,
      `state ${died.acknowledged} was acknowledged, ${state} is restored`,
    );
  }
  application.write();
  const after = await runVictim(scratch.folder, application, {});
  assert.equal(after.signal, null);
  assert.equal(after.code, 0, "the second run does not end cleanly");
  assert.equal(await restoreLatest(scratch, "end.db"), application.states.at(-1), "the source");
  return died.signal === "SIGKILL";
}

interface Death {
  readonly signal: NodeJS.Signals | null;
  readonly code: number | null;
  /** Index of the newest state that was known to be in the replica. */
  readonly acknowledged: number;
}

/** The application, in the test's process; nothing else here touches the database. */
class Application implements Disposable {
  readonly states: string[] = [];
  readonly #database: DatabaseSync;

  constructor(path: string) {
    this.#database = new DatabaseSync(path, { timeout: 5_000 });
    this.#database.exec(
      "PRAGMA journal_mode = wal; PRAGMA wal_autocheckpoint = 0; CREATE TABLE item (id INTEGER PRIMARY KEY, body BLOB)",
    );
    this.write();
  }

  write(): void {
    for (let commit = 0; commit < 4; commit++) {
      this.#database.exec("BEGIN; INSERT INTO item (body) VALUES (randomblob(5000))");
      if (this.states.length % 5 === 4) this.#database.exec("DELETE FROM item WHERE id % 3 = 0");
      this.states.push(digestOf(this.#database));
      this.#database.exec("COMMIT");
    }
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }
}

function runVictim(
  folder: string,
  application: Application,
  env: Readonly<Record<string, string>>,
): Promise<Death> {
  return new Promise((resolve) => {
    let acknowledged = 0;
    let committed = application.states.length - 1;
    const child = fork(join(import.meta.dirname, "victim.ts"), {
      execArgv: ["--import", join(import.meta.dirname, "shim.ts")],
      env: { ...process.env, CRASH_ROOT: folder, ...env },
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    child.on("message", () => {
      acknowledged = committed;
      application.write();
      committed = application.states.length - 1;
      // It may be dead by now.
      child.send("go", () => {});
    });
    child.on("exit", (code, signal) => resolve({ code, signal, acknowledged }));
  });
}

/** Digest of the newest state in the replica; null when there is none. */
async function restoreLatest(scratch: Scratch, name: string): Promise<string | null> {
  if (!existsSync(scratch.path("replica", "ltx"))) return null;
  await using client = new FileReplicaClient({ type: "file", path: scratch.path("replica") });
  const outputPath = scratch.path(name);
  try {
    await restore(client, {
      target: { kind: "latest" },
      outputPath,
      parallelism: 4,
      integrityCheck: "none",
      force: true,
    });
  } catch (error) {
    if ((error as { reason?: string; kind?: string }).kind === "no-backup") return null;
    throw error;
  }
  using database = new DatabaseSync(outputPath);
  const [row] = database.prepare("PRAGMA integrity_check").all();
  assert.equal(row?.["integrity_check"], "ok");
  return digestOf(database);
}

function digestOf(database: DatabaseSync): string {
  const sql =
    "SELECT count(*) AS n, max(id) AS top, sum(length(body)) AS size, (SELECT hex(substr(body, 1, 16)) FROM item ORDER BY id DESC LIMIT 1) AS last FROM item";
  return JSON.stringify(database.prepare(sql).get());
}
