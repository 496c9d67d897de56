/** What a resting database gives back, and that nothing is lost by it. */
import assert from "node:assert/strict";
import { readdirSync, readlinkSync } from "node:fs";
import { test } from "node:test";
import type { OpenConnection, SQLiteConnection } from "../../src/sqlite/driver.ts";
import { openConnection } from "../../src/sqlite/node-sqlite.ts";
import { Application, Engine, ReplicaImage, Workspace } from "./fixture.ts";

/** At each tick that has something new. */
const always = { minFrames: 1000, intervalMs: 1, reportFrames: 0 };

/** The database's file, the reader's and its WAL, the index they share. */
const DESCRIPTORS_AT_REST = 4;

/** An application with a table, and the engine that has copied and checkpointed it. */
async function startScene(
  application: Application,
  workspace: Workspace,
  engine: Engine,
  beforeCheckpoint: () => void = () => undefined,
): Promise<void> {
  await application.ask({
    kind: "create",
    path: workspace.path,
    pageSize: 4096,
    autoVacuum: 0,
  });
  await application.sql("PRAGMA wal_autocheckpoint = 0");
  await engine.database.tick();
  await application.sql("INSERT INTO t (x) VALUES (randomblob(20000))");
  beforeCheckpoint();
  await engine.database.tick();
  assert.ok(engine.events.some(({ type }) => type === "checkpointed"));
}

test(
  "a database at rest keeps no descriptor of closed connections",
  { skip: process.platform !== "linux" },
  async () => {
    await using application = new Application();
    using workspace = new Workspace();
    const replica = new ReplicaImage();
    {
      await using engine = new Engine(workspace, replica, { checkpoint: always });
      await startScene(application, workspace, engine);
      for (let round = 0; round < 3; round++) {
        await engine.database.rest();
        assert.equal(descriptorsBelow(workspace.folder), DESCRIPTORS_AT_REST);
        await application.sql("INSERT INTO t (x) VALUES (randomblob(20000))");
        await engine.database.tick();
      }
      assert.equal(replica.fullImages, 1, "continuity was proven each time");
      assert.ok(engine.events.every(({ type }) => type !== "read-lock-lost"));
    }
    await application.ask({ kind: "flatten" });
    replica.assertEquals(workspace.path, "at the end");
  },
);

/** What another program does in the moment without the read lock; a reader of its own is there since before the checkpoint. */
const intrusions: Readonly<Record<string, (path: string, reader: SQLiteConnection) => void>> = {
  "a commit restarts the WAL": (path, reader) => {
    reader.exec("COMMIT");
    using writer = openConnection({ path });
    insert(writer);
  },
  "the WAL goes on, is emptied, and goes on": (path, reader) => {
    using writer = openConnection({ path });
    // The reader keeps it from restarting the WAL. Its pages are neither new nor changed again.
    writer.exec("UPDATE t SET x = zeroblob(length(x)) WHERE rowid = 1");
    reader.exec("COMMIT");
    assert.equal(writer.get("PRAGMA wal_checkpoint(PASSIVE)")?.["busy"], 0);
    // This one restarts it, once.
    insert(writer);
  },
  "the WAL is emptied twice": (path, reader) => {
    reader.exec("COMMIT");
    using writer = openConnection({ path });
    for (let round = 0; round < 2; round++) {
      insert(writer);
      assert.equal(writer.get("PRAGMA wal_checkpoint(TRUNCATE)")?.["busy"], 0);
    }
  },
};

for (const [title, intrude] of Object.entries(intrusions)) {
  test(`nothing is lost when, in the moment without the read lock, ${title}`, async () => {
    await using application = new Application();
    using workspace = new Workspace();
    const replica = new ReplicaImage();
    {
      using reader = new LaterReader(workspace.path);
      let isArmed = false;
      const open: OpenConnection = (options) => {
        const connection = openConnection(options);
        if (!isArmed || options.readOnly !== true) return connection;
        isArmed = false;
        intrude(workspace.path, reader.connection);
        return connection;
      };
      await using engine = new Engine(workspace, replica, { checkpoint: always }, open);
      await startScene(application, workspace, engine, () => reader.begin());
      isArmed = true;
      await engine.database.rest();
      assert.equal(isArmed, false, "the lock was renewed");
      await engine.database.tick();
      await application.sql("INSERT INTO t (x) VALUES (randomblob(3000))");
      await engine.database.tick();
    }
    await application.ask({ kind: "flatten" });
    replica.assertEquals(workspace.path, "at the end");
  });
}

/** A reader whose transaction begins when it is told to. */
class LaterReader implements Disposable {
  readonly #path: string;
  #connection: SQLiteConnection | null = null;

  constructor(path: string) {
    this.#path = path;
  }

  get connection(): SQLiteConnection {
    assert.ok(this.#connection);
    return this.#connection;
  }

  begin(): void {
    this.#connection = openConnection({ path: this.#path });
    this.#connection.exec("BEGIN");
    this.#connection.get("SELECT count(*) FROM t");
  }

  [Symbol.dispose](): void {
    this.#connection?.close();
  }
}

/** A commit on pages that no other one changes. */
function insert(connection: SQLiteConnection): void {
  connection.exec("PRAGMA wal_autocheckpoint = 0; INSERT INTO t (x) VALUES (randomblob(9000))");
}

function descriptorsBelow(folder: string): number {
  const links = readdirSync("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return "";
    }
  });
  return links.filter((link) => link.startsWith(folder)).length;
}
