/** Snapshots read from a live database: exactly the TXID they name, whatever writers and checkpoints do meanwhile. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import type { SnapshotView } from "../../src/engine/snapshot.ts";
import { LTXDecoder } from "../../src/formats/ltx/decoder.ts";
import { Application, Engine, ReplicaImage, Workspace } from "./fixture.ts";

const insert = (rows: number, bytes = 2_000): string =>
  `INSERT INTO t (x) WITH RECURSIVE n (k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n WHERE k < ${rows}) SELECT randomblob(${bytes}) FROM n`;
const update = "UPDATE t SET x = randomblob(length(x))";
const often = { minFrames: 20, intervalMs: 0, reportFrames: 0 };
const never = { minFrames: 1_000_000, intervalMs: 0, reportFrames: 0 };
const signal = new AbortController().signal;

async function create(
  application: Application,
  workspace: Workspace,
  pageSize = 4096,
): Promise<void> {
  await application.ask({ kind: "create", path: workspace.path, pageSize, autoVacuum: 0 });
  await application.sql("PRAGMA wal_autocheckpoint = 0");
  // A checkpoint that has to wait for the pin is as good as one that gives up.
  await application.sql("PRAGMA busy_timeout = 0");
}

/** Reads a snapshot to its end; `between` runs after each chunk. */
async function read(
  view: SnapshotView,
  between: () => Promise<unknown> = async () => {},
): Promise<Buffer> {
  const decoder = new LTXDecoder();
  const { commit, pageSize } = view.header;
  const image = Buffer.alloc(commit * pageSize);
  for await (const chunk of view.chunks(signal)) {
    decoder.push(chunk);
    for (let batch = decoder.read(); batch !== null; batch = decoder.read())
      for (let i = 0; i < batch.count; i++)
        image.set(
          batch.pages.subarray(i * pageSize, (i + 1) * pageSize),
          ((batch.pgnos[i] ?? 0) - 1) * pageSize,
        );
    await between();
  }
  assert.deepEqual(decoder.end().header, view.header);
  return image;
}

function assertSame(actual: Buffer, expected: Buffer, message: string): void {
  assert.equal(actual.length, expected.length, `${message}: size`);
  for (let offset = 0; offset < actual.length; offset += 512)
    if (!actual.subarray(offset, offset + 512).equals(expected.subarray(offset, offset + 512)))
      assert.fail(`${message}: differs at ${offset}`);
}

function descriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

async function openView(engine: Engine): Promise<SnapshotView> {
  const view = await engine.database.view();
  assert.ok(view !== null);
  return view;
}

for (const pageSize of [512, 4096, 65_536]) {
  test(`SN1, SN2: a snapshot is the database at its TXID, page size ${pageSize}`, async () => {
    await using application = new Application();
    using workspace = new Workspace();
    const replica = new ReplicaImage();
    await create(application, workspace, pageSize);
    await application.sql(insert(20));
    await using engine = new Engine(workspace, replica, { checkpoint: never });
    await engine.database.tick();
    // Not copied by a tick: the view copies it first, and then knows its TXID.
    await application.sql(insert(20));
    using view = await openView(engine);
    assert.equal(view.txid, engine.database.txid);
    const expected = Buffer.from(replica.image);
    await application.sql(update);
    assertSame(await read(view), expected, "snapshot");
    assert.equal(view.header.minTXID, 1n);
    assert.equal(view.header.maxTXID, view.txid);
  });
}

for (const [name, settings] of [
  ["our checkpoints", often],
  ["no checkpoints of ours", never],
] as const) {
  test(`SN5, SN6: writes and checkpoints between any two chunks, ${name}`, async () => {
    await using application = new Application();
    using workspace = new Workspace();
    const replica = new ReplicaImage();
    await create(application, workspace);
    await application.sql(insert(2_000));
    await using engine = new Engine(workspace, replica, { checkpoint: settings });
    await engine.database.tick();
    const modes = ["PASSIVE", "FULL", "RESTART", "TRUNCATE"];
    for (let round = 0; round < 4; round++) {
      // With everything backfilled the view lands on read slot 0, else on a mark.
      if (round % 2 === 0) await engine.database.tick();
      else await application.sql(insert(40));
      using view = await openView(engine);
      const expected = Buffer.from(replica.image);
      const txid = view.txid;
      let step = 0;
      const image = await read(view, async () => {
        await application.sql(step % 3 === 0 ? update : insert(30));
        await engine.database.tick();
        await application.sql(`PRAGMA wal_checkpoint(${modes[step % 4] ?? ""})`);
        step++;
      });
      assert.ok(step > 3, `only ${step} chunks`);
      assert.equal(view.txid, txid);
      assertSame(image, expected, `round ${round}`);
    }
  });
}

test("a view on read slot 0 survives the restart of the WAL it was mapped from", async () => {
  await using application = new Application();
  using workspace = new Workspace();
  const replica = new ReplicaImage();
  await create(application, workspace);
  await application.sql(insert(2_000));
  await using engine = new Engine(workspace, replica, { checkpoint: { ...often, minFrames: 400 } });
  await engine.database.tick();
  const walHeader = (): Buffer => readFileSync(`${workspace.path}-wal`).subarray(0, 32);
  using view = await openView(engine);
  const expected = Buffer.from(replica.image);
  const before = walHeader();
  let restarted = false;
  const image = await read(view, async () => {
    await application.sql(update);
    await application.sql(insert(300));
    restarted ||= !walHeader().equals(before);
  });
  assert.ok(restarted, "the WAL was not restarted: the test shows nothing");
  assertSame(image, expected, "snapshot");
});

test("SN4: a view that is left early gives everything back at once", async () => {
  await using application = new Application();
  using workspace = new Workspace();
  const replica = new ReplicaImage();
  await create(application, workspace);
  await application.sql(insert(2_000));
  await using engine = new Engine(workspace, replica, { checkpoint: often });
  await engine.database.tick();
  const leaveEarly = async (): Promise<number> => {
    using view = await openView(engine);
    for await (const _chunk of view.chunks(signal)) break;
    return descriptors();
  };
  // SQLite keeps a closed descriptor of a locked database, and uses it for the next connection.
  const open = await leaveEarly();
  for (let i = 0; i < 5; i++) assert.equal(await leaveEarly(), open);
  assert.ok(descriptors() < open, "descriptors stay open");
  await application.sql(insert(200));
  await engine.database.tick();
  await engine.database.tick();
  const last = engine.events.findLast((event) => event.type === "checkpointed");
  assert.ok(
    last?.type === "checkpointed" && last.walFrames === last.backfilledFrames,
    "the WAL is pinned",
  );
});

test("a view of a database that is closed fails instead of reading another file", async () => {
  await using application = new Application();
  using workspace = new Workspace();
  await create(application, workspace);
  await application.sql(insert(2_000));
  await using engine = new Engine(workspace, new ReplicaImage(), { checkpoint: often });
  await engine.database.tick();
  using view = await openView(engine);
  const chunks = view.chunks(signal);
  await chunks.next();
  await engine.database.close();
  await assert.rejects(async () => {
    for await (const _chunk of chunks);
  }, /the database was closed/);
});

test("SN7: a view needs no disk", async () => {
  await using application = new Application();
  using workspace = new Workspace();
  await create(application, workspace);
  await application.sql(insert(2_000));
  await using engine = new Engine(workspace, new ReplicaImage(), { checkpoint: often });
  await engine.database.tick();
  using view = await openView(engine);
  const files = (): string[] =>
    readdirSync(workspace.folder, { recursive: true }).map(String).toSorted();
  const before = files();
  await read(view, async () => assert.deepEqual(files(), before));
});

test("the image of a view opens as a database that passes its check", async () => {
  await using application = new Application();
  using workspace = new Workspace();
  await create(application, workspace);
  await application.sql(insert(500));
  await using engine = new Engine(workspace, new ReplicaImage(), { checkpoint: never });
  await engine.database.tick();
  using view = await openView(engine);
  const path = join(workspace.folder, "copy.db");
  writeFileSync(path, await read(view, () => application.sql(insert(5))));
  using database = new DatabaseSync(path);
  assert.equal(database.prepare("PRAGMA integrity_check").get()?.["integrity_check"], "ok");
  assert.equal(database.prepare("SELECT count(*) AS n FROM t").get()?.["n"], 500);
});
