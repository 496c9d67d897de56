/** A WAL whose chain of checksums breaks while connections are open: SQLite shows commits that no scan of the file finds. */
import assert from "node:assert/strict";
import { closeSync, openSync, readSync, statSync, writeSync } from "node:fs";
import { test } from "node:test";
import { Application, Engine, ReplicaImage, Workspace } from "./fixture.ts";

const FRAME_SIZE = 24 + 4096;

/** Changes the checksum in a frame's header: readers never look at it while the index in shared memory is there. */
function breakChain(path: string, frame: number): void {
  const fd = openSync(`${path}-wal`, "r+");
  const bytes = new Uint8Array(1);
  const offset = 32 + frame * FRAME_SIZE + 20;
  readSync(fd, bytes, 0, 1, offset);
  bytes[0] = (bytes[0] ?? 0) ^ 0xff;
  writeSync(fd, bytes, 0, 1, offset);
  closeSync(fd);
}

interface Scene {
  readonly application: Application;
  readonly workspace: Workspace;
  readonly replica: ReplicaImage;
}

/** An application whose WAL broke behind what is copied, and which goes on committing. */
async function withBrokenWAL(act: (scene: Scene, engine: Engine) => Promise<void>): Promise<void> {
  await using application = new Application();
  using workspace = new Workspace();
  const replica = new ReplicaImage();
  await application.ask({ kind: "create", path: workspace.path, pageSize: 4096, autoVacuum: 0 });
  await application.sql("PRAGMA wal_autocheckpoint = 0");
  await application.sql("INSERT INTO t (x) VALUES (randomblob(10))");
  await using engine = new Engine(workspace, replica);
  await engine.database.tick();
  const frame = Math.floor((statSync(`${workspace.path}-wal`).size - 32) / FRAME_SIZE);
  await application.sql("INSERT INTO t (x) VALUES (randomblob(9000))");
  breakChain(workspace.path, frame);
  for (let commit = 0; commit < 5; commit++)
    await application.sql("INSERT INTO t (x) VALUES (randomblob(9000))");
  await act({ application, workspace, replica }, engine);
}

function types(engine: Engine): string[] {
  return engine.events.map(({ type }) => type).filter((type) => type.startsWith("wal-chain"));
}

test("a broken chain is noticed, repaired by an image through SQLite, and replication goes on", async () => {
  await withBrokenWAL(async ({ application, workspace, replica }, engine) => {
    await engine.database.tick();
    assert.deepEqual(types(engine), ["wal-chain-broken", "wal-chain-repaired"]);
    for (let commit = 0; commit < 3; commit++) {
      await application.sql("INSERT INTO t (x) VALUES (randomblob(5000))");
      await engine.database.tick();
    }
    assert.equal(types(engine).length, 2);
    await engine.database.close();
    await application.ask({ kind: "flatten" });
    replica.assertEquals(workspace.path, "after the repair");
  });
});

test("a broken chain behind a reader is an error until the reader ends", async () => {
  await withBrokenWAL(async ({ application, workspace, replica }, engine) => {
    await using reader = new Application();
    await reader.ask({ kind: "attach", path: workspace.path });
    await reader.sql("BEGIN");
    await reader.sql("SELECT count(*) FROM t");
    await application.sql("INSERT INTO t (x) VALUES (randomblob(9000))");
    await assert.rejects(engine.database.tick(), /broken chain of checksums/);
    await reader.sql("COMMIT");
    await engine.database.tick();
    assert.deepEqual(types(engine), ["wal-chain-broken", "wal-chain-repaired"]);
    await reader.ask({ kind: "close" });
    await engine.database.close();
    await application.ask({ kind: "flatten" });
    replica.assertEquals(workspace.path, "after the reader ended");
  });
});

test("a chain that broke before a restart of the engine is repaired at the start", async () => {
  await withBrokenWAL(async ({ application, workspace, replica }, engine) => {
    await engine.database.close();
    await using later = new Engine(workspace, replica);
    await later.database.tick();
    assert.deepEqual(types(later), ["wal-chain-broken", "wal-chain-repaired"]);
    await later.database.close();
    await application.ask({ kind: "flatten" });
    replica.assertEquals(workspace.path, "after a restart");
  });
});

test("a chain that broke, and a WAL that was restarted since: an image", async () => {
  await withBrokenWAL(async ({ application, workspace, replica }, engine) => {
    await engine.database.close();
    // Restarts the WAL, with less than was copied of it.
    await application.sql("PRAGMA wal_checkpoint(PASSIVE)");
    await application.sql("UPDATE t SET x = 1 WHERE i = 1");
    await using later = new Engine(workspace, replica);
    await later.database.tick();
    await later.database.close();
    await application.ask({ kind: "flatten" });
    replica.assertEquals(workspace.path, "restarted");
  });
});

test("a snapshot of a broken WAL is taken after the repair", async () => {
  await withBrokenWAL(async (_scene, engine) => {
    using view = await engine.database.view();
    assert.ok(view);
    assert.deepEqual(types(engine), ["wal-chain-broken", "wal-chain-repaired"]);
    assert.equal(view.txid, engine.database.txid);
  });
});

test("a long transaction with spilled pages, open or rolled back, is no broken chain", async () => {
  await using application = new Application();
  using workspace = new Workspace();
  const replica = new ReplicaImage();
  await application.ask({ kind: "create", path: workspace.path, pageSize: 4096, autoVacuum: 0 });
  await application.sql("PRAGMA wal_autocheckpoint = 0");
  await using engine = new Engine(workspace, replica);
  await engine.database.tick();
  await application.sql("BEGIN");
  for (let row = 0; row < 60; row++) {
    await application.sql("INSERT INTO t (x) VALUES (randomblob(3000))");
    if (row % 10 === 9) await engine.database.tick();
  }
  assert.ok((await engine.database.tick()).uncommittedFrames > 0);
  await application.sql("ROLLBACK");
  await application.sql("INSERT INTO t (x) VALUES (1)");
  for (let tick = 0; tick < 3; tick++) await engine.database.tick();
  assert.deepEqual(types(engine), []);
  assert.equal(replica.fullImages, 1);
  await engine.database.close();
  await application.ask({ kind: "flatten" });
  replica.assertEquals(workspace.path, "spilled");
});
