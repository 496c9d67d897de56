/** The engine beside a live application: checkpoints, lost locks, replaced files, idle time. */
import assert from "node:assert/strict";
import {
  copyFileSync,
  existsSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { DatabaseError } from "../../src/engine/database-error.ts";
import { Application, Engine, ReplicaImage, Workspace } from "./fixture.ts";

const insert = (rows: number, bytes = 2000): string =>
  `INSERT INTO t (x) WITH RECURSIVE n (k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n WHERE k < ${rows}) SELECT randomblob(${bytes}) FROM n`;

const always = { minFrames: 10, intervalMs: 0, reportFrames: 1 };
const never = { minFrames: 1_000_000, intervalMs: 0, reportFrames: 0 };

async function create(application: Application, workspace: Workspace): Promise<void> {
  await application.ask({ kind: "create", path: workspace.path, pageSize: 4096, autoVacuum: 0 });
  await application.sql("PRAGMA wal_autocheckpoint = 0");
}

async function isCheckpointBusy(application: Application, mode: string): Promise<boolean> {
  await application.sql("PRAGMA busy_timeout = 50");
  const row = (await application.sql(`PRAGMA wal_checkpoint(${mode})`)) as {
    readonly busy: number;
  };
  return row.busy === 1;
}

async function assertReplicaEqualsSource(
  application: Application,
  workspace: Workspace,
  replica: ReplicaImage,
): Promise<void> {
  await application.ask({ kind: "flatten" });
  replica.assertEquals(workspace.path, "at the end");
}

test("CK4: many checkpoint cycles take one image, and what they write is what changed", async () => {
  await using application = new Application();
  using workspace = new Workspace();
  const replica = new ReplicaImage();
  await create(application, workspace);
  {
    await using engine = new Engine(workspace, replica, { checkpoint: always });
    for (let cycle = 0; cycle < 60; cycle++) {
      await application.sql(insert(3));
      await engine.database.tick();
    }
    const checkpoints = engine.events.filter(({ type }) => type === "checkpointed");
    assert.ok(checkpoints.length >= 5, `only ${checkpoints.length} checkpoints`);
    assert.equal(replica.fullImages, 1);
    assert.ok(replica.files <= 62, `${replica.files} files for 60 commits`);
  }
  await assertReplicaEqualsSource(application, workspace, replica);
});

test("CK2: nothing is written while nothing changes, after a checkpoint too", async () => {
  await using application = new Application();
  using workspace = new Workspace();
  const replica = new ReplicaImage();
  await create(application, workspace);
  await using engine = new Engine(workspace, replica, { checkpoint: { ...always, intervalMs: 1 } });
  await application.sql(insert(50));
  await engine.database.tick();
  await engine.database.tick();
  const before = {
    txid: replica.txid,
    meta: folderState(workspace.metaPath),
    wal: statSync(`${workspace.path}-wal`).mtimeMs,
  };
  for (let round = 0; round < 20; round++) await engine.database.tick();
  const after = {
    txid: replica.txid,
    meta: folderState(workspace.metaPath),
    wal: statSync(`${workspace.path}-wal`).mtimeMs,
  };
  assert.deepEqual(after, before);
});

test("CK7: a reader that pins the WAL is told, not hammered; its end lets the WAL be reused", async () => {
  await using application = new Application();
  await using reader = new Application();
  using workspace = new Workspace();
  const replica = new ReplicaImage();
  await create(application, workspace);
  await using engine = new Engine(workspace, replica, { checkpoint: always });
  await application.sql(insert(1));
  await engine.database.tick();
  await reader.ask({ kind: "attach", path: workspace.path });
  await reader.sql("BEGIN");
  await reader.sql("SELECT count(*) FROM t");
  await application.sql(insert(30));
  for (let round = 0; round < 20; round++) await engine.database.tick();
  const pinned = engine.events.filter(({ type }) => type === "wal-pinned");
  assert.equal(pinned.length, 1, "one attempt per plateau");
  await reader.sql("COMMIT");
  await application.sql(insert(150));
  await engine.database.tick();
  const last = engine.events.findLast(({ type }) => type === "checkpointed");
  assert.ok(last?.type === "checkpointed" && last.backfilledFrames === last.walFrames);
  assert.equal(replica.fullImages, 1);
});

test("R5: nobody else can end a WAL generation while the read lock is held", async () => {
  await using application = new Application();
  using workspace = new Workspace();
  const replica = new ReplicaImage();
  await create(application, workspace);
  {
    await using engine = new Engine(workspace, replica, { checkpoint: never });
    await application.sql(insert(5));
    await engine.database.tick();
    await application.sql(insert(5));
    assert.equal(await isCheckpointBusy(application, "TRUNCATE"), true);
    // Reading and closing the WAL, and the level-0 files, has dropped no lock.
    await engine.database.tick();
    await application.sql(insert(5));
    assert.equal(await isCheckpointBusy(application, "RESTART"), true);
    await engine.database.tick();
    assert.equal(replica.fullImages, 1);
  }
  await assertReplicaEqualsSource(application, workspace, replica);
});

test("the WAL stays in place when the engine closes the database last", async () => {
  await using application = new Application();
  using workspace = new Workspace();
  const replica = new ReplicaImage();
  await create(application, workspace);
  {
    await using engine = new Engine(workspace, replica);
    await application.sql(insert(5));
    await engine.database.tick();
    await application.ask({ kind: "close" });
    await engine.database.tick();
  }
  assert.ok(statSync(`${workspace.path}-wal`).size > 0);
  {
    await using engine = new Engine(workspace, replica);
    await engine.database.tick();
  }
  assert.equal(replica.files, 1, "nothing new, so nothing written");
});

for (const suffix of ["-wal", "-shm"] as const) {
  test(`ER11: ${suffix} removed under the running engine`, async () => {
    await using application = new Application();
    using workspace = new Workspace();
    const replica = new ReplicaImage();
    await create(application, workspace);
    {
      await using engine = new Engine(workspace, replica);
      await application.sql(insert(5));
      await engine.database.tick();
      await application.ask({ kind: "close" });
      rmSync(`${workspace.path}${suffix}`);
      await engine.database.tick();
      await application.sql(insert(5));
      await engine.database.tick();
      assert.ok(engine.events.some(({ type }) => type === "database-replaced"));
      await application.sql(insert(5));
      await engine.database.tick();
    }
    await assertReplicaEqualsSource(application, workspace, replica);
  });
}

for (const rows of [1, 500]) {
  test(`E4: database file replaced by one with ${rows} rows`, async () => {
    await using application = new Application();
    await using other = new Application();
    using workspace = new Workspace();
    using elsewhere = new Workspace();
    const replica = new ReplicaImage();
    await create(application, workspace);
    await create(other, elsewhere);
    await other.sql(insert(rows));
    await other.ask({ kind: "flatten" });
    {
      await using engine = new Engine(workspace, replica);
      await application.sql(insert(50));
      await engine.database.tick();
      await application.ask({ kind: "close" });
      renameSync(elsewhere.path, workspace.path);
      for (const suffix of ["-wal", "-shm"]) rmSync(`${workspace.path}${suffix}`, { force: true });
      await engine.database.tick();
      await application.sql(insert(2));
      await engine.database.tick();
    }
    await assertReplicaEqualsSource(application, workspace, replica);
  });
}

test("a deleted database is closed and waited for; one of that name is taken up with an image above", async () => {
  await using application = new Application();
  using workspace = new Workspace();
  const replica = new ReplicaImage();
  await create(application, workspace);
  await using engine = new Engine(workspace, replica);
  await application.sql(insert(5));
  await engine.database.tick();
  await application.ask({ kind: "close" });
  for (const suffix of ["", "-wal", "-shm"]) rmSync(`${workspace.path}${suffix}`);
  assert.equal((await engine.database.tick()).state, "waiting");
  assert.ok(!existsSync(workspace.path), "waiting must not make a file");
  await create(application, workspace);
  await application.sql(insert(1));
  assert.equal((await engine.database.tick()).state, "open");
  assert.equal(replica.fullImages, 2);
  assert.equal(replica.txid, 2n);
});

test("ER7: what is no database is said to be none", async () => {
  using workspace = new Workspace();
  writeFileSync(workspace.path, "x".repeat(8192));
  await using engine = new Engine(workspace, new ReplicaImage());
  await assert.rejects(engine.database.tick(), (error) => {
    assert.ok(error instanceof DatabaseError);
    assert.equal(error.kind, "not-a-database");
    assert.match(error.hint ?? "", /encrypted/);
    return true;
  });
});

test("E6: a page size changed while nobody looked starts with an image", async () => {
  await using application = new Application();
  using workspace = new Workspace();
  const replica = new ReplicaImage();
  await create(application, workspace);
  {
    await using engine = new Engine(workspace, replica);
    await application.sql(insert(20));
    await engine.database.tick();
  }
  await application.sql("PRAGMA journal_mode = delete");
  await application.sql("PRAGMA page_size = 8192");
  await application.sql("VACUUM");
  await application.ask({ kind: "close" });
  {
    await using engine = new Engine(workspace, replica);
    await engine.database.tick();
    await application.sql(insert(3));
    await engine.database.tick();
    const converted = engine.events.find(({ type }) => type === "database-converted-to-wal");
    assert.ok(converted);
  }
  assert.equal(replica.fullImages, 2);
  await assertReplicaEqualsSource(application, workspace, replica);
});

test("E16: a rolled-back volume with a WAL that grew past the copied offset gets an image", async () => {
  await using application = new Application();
  using workspace = new Workspace();
  const replica = new ReplicaImage();
  await create(application, workspace);
  const saved = join(workspace.folder, "saved");
  {
    await using engine = new Engine(workspace, replica);
    await application.sql(insert(5));
    await engine.database.tick();
  }
  for (const suffix of ["", "-wal"])
    copyFileSync(`${workspace.path}${suffix}`, `${saved}${suffix}`);
  {
    await using engine = new Engine(workspace, replica);
    await application.sql(insert(5));
    await engine.database.tick();
  }
  await application[Symbol.asyncDispose]();
  rmSync(`${workspace.path}-shm`);
  for (const suffix of ["", "-wal"])
    copyFileSync(`${saved}${suffix}`, `${workspace.path}${suffix}`);
  await using later = new Application();
  await later.ask({ kind: "attach", path: workspace.path });
  await later.sql("PRAGMA wal_autocheckpoint = 0");
  await later.sql(insert(30));
  {
    await using engine = new Engine(workspace, replica);
    await engine.database.tick();
  }
  // The image is a difference: the pages that are as the newest file left them are not written again.
  assert.equal(replica.fullImages, 1);
  assert.ok(replica.files > 2);
  await assertReplicaEqualsSource(later, workspace, replica);
});

/** Names, sizes and times of everything in a folder. */
function folderState(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).map((entry) => {
    const path = join(entry.parentPath, entry.name);
    const { size, mtimeMs } = statSync(path);
    return `${path} ${size} ${mtimeMs}`;
  });
}
