/** R3: after lost continuity only pages that differ travel, and what the files add up to is the source, page by page. */
import assert from "node:assert/strict";
import { copyFileSync, existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { pageHashesPath } from "../../src/engine/page-hashes.ts";
import { Application, Engine, ReplicaImage, Workspace } from "./fixture.ts";

const fill = (rows: number): string =>
  `INSERT INTO t (x) WITH RECURSIVE n (k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n WHERE k < ${rows}) SELECT randomblob(3000) FROM n`;

interface Scene {
  readonly application: Application;
  readonly workspace: Workspace;
  readonly replica: ReplicaImage;
}

/** A database of some 400 pages, copied once. */
async function withScene(act: (scene: Scene) => Promise<void>): Promise<void> {
  await using application = new Application();
  using workspace = new Workspace();
  const replica = new ReplicaImage();
  await application.ask({ kind: "create", path: workspace.path, pageSize: 4096, autoVacuum: 0 });
  await application.sql("PRAGMA wal_autocheckpoint = 0");
  await application.sql(fill(300));
  assert.equal(await run({ application, workspace, replica }), "image");
  await act({ application, workspace, replica });
}

/** Starts the engine for one tick; returns what its first file was. */
async function run({ workspace, replica }: Scene): Promise<"image" | "difference" | "changes"> {
  await using engine = new Engine(workspace, replica);
  await engine.database.tick();
  const first = engine.results[0];
  assert.ok(first);
  if (first.image !== undefined) return "image";
  return first.difference === undefined ? "changes" : "difference";
}

async function assertEqual(
  { application, workspace, replica }: Scene,
  what: string,
): Promise<void> {
  await application.ask({ kind: "flatten" });
  replica.assertEquals(workspace.path, what);
}

/** Makes continuity unprovable: the WAL starts anew more than once. */
async function loseContinuity({ application }: Scene): Promise<void> {
  for (let round = 0; round < 2; round++) {
    await application.sql("PRAGMA wal_checkpoint(TRUNCATE)");
    await application.sql("UPDATE t SET x = randomblob(3000) WHERE i = 7");
  }
}

const downtimes: readonly (readonly [string, readonly string[]])[] = [
  ["one page changes", []],
  ["VACUUM", ["DELETE FROM t WHERE i % 2 = 0", "VACUUM"]],
  ["shrinks", ["DELETE FROM t WHERE i > 100", "VACUUM"]],
  ["shrinks and grows", ["DELETE FROM t WHERE i > 20", "VACUUM", fill(400)]],
  ["grows", [fill(500)]],
];

for (const [what, statements] of downtimes) {
  test(`image as difference: ${what} during downtime`, async () => {
    await withScene(async (scene) => {
      for (const sql of statements) await scene.application.sql(sql);
      await loseContinuity(scene);
      assert.equal(await run(scene), "difference");
      await assertEqual(scene, what);
      // And goes on from there, again by a difference.
      await scene.application.sql(fill(5));
      await run(scene);
      await loseContinuity(scene);
      assert.equal(await run(scene), "difference");
      await assertEqual(scene, `${what}, second time`);
    });
  });
}

test("image as difference: shrinks and grows while the hashes are kept, then continuity is lost", async () => {
  await withScene(async (scene) => {
    await scene.application.sql("DELETE FROM t WHERE i > 20");
    await scene.application.sql("VACUUM");
    await run(scene);
    await scene.application.sql(fill(400));
    await loseContinuity(scene);
    assert.equal(await run(scene), "difference");
    await assertEqual(scene, "shrunk, then grown");
  });
});

test("image as difference: nothing is written when no page differs", async () => {
  await withScene(async (scene) => {
    const { application, workspace, replica } = scene;
    // The WAL is lost, what it held is not: as after a close of the last connection.
    await application.ask({ kind: "flatten" });
    await using engine = new Engine(workspace, replica);
    const before = replica.files;
    await engine.database.tick();
    // One commit of ours makes the WAL anew: its page differs, no other.
    assert.equal(replica.fullImages, 1);
    assert.equal(replica.files, before + 1);
  });
});

for (const damage of ["torn record", "torn table", "missing", "of another file"] as const) {
  test(`image as difference: page hashes ${damage}`, async () => {
    await withScene(async (scene) => {
      const { application, workspace } = scene;
      const path = pageHashesPath(workspace.metaPath);
      const saved = `${workspace.folder}/saved`;
      copyFileSync(path, saved);
      await application.sql("UPDATE t SET x = randomblob(3000) WHERE i = 9");
      await run(scene);
      const bytes = readFileSync(path);
      if (damage === "torn record") writeFileSync(path, bytes.subarray(0, bytes.length - 3));
      if (damage === "torn table") {
        bytes[1000] = (bytes[1000] ?? 0) ^ 1;
        writeFileSync(path, bytes);
      }
      if (damage === "missing") rmSync(path);
      if (damage === "of another file") {
        // The table as it was before the last file, and claiming the checksum of another.
        const old = readFileSync(saved);
        old[16] = (old[16] ?? 0) ^ 1;
        writeFileSync(path, old);
      }
      await loseContinuity(scene);
      // A torn record is read again from the local file that it belongs to.
      assert.equal(await run(scene), damage === "torn record" ? "difference" : "image");
      await assertEqual(scene, damage);
      assert.ok(existsSync(path));
    });
  });
}

test("image as difference: killed between a level-0 file and its record, at every step", async () => {
  await withScene(async (scene) => {
    const { application, workspace } = scene;
    const path = pageHashesPath(workspace.metaPath);
    for (let step = 0; step < 3; step++) {
      const before = readFileSync(path);
      await application.sql(`UPDATE t SET x = randomblob(3000) WHERE i = ${step + 20}`);
      await run(scene);
      const after = readFileSync(path);
      // Nothing, half or all of the record had been written when it died.
      const written = [0, (after.length - before.length) >> 1, Infinity][step] ?? 0;
      const length = before.length + written;
      writeFileSync(path, after.subarray(0, Math.min(after.length, length)));
      await loseContinuity(scene);
      assert.equal(await run(scene), "difference");
      await assertEqual(scene, `step ${step}`);
    }
  });
});

test("image as difference: pages that were cut off and came back the same are written", async () => {
  await using application = new Application();
  using workspace = new Workspace();
  const replica = new ReplicaImage();
  const scene = { application, workspace, replica };
  await application.ask({ kind: "create", path: workspace.path, pageSize: 4096, autoVacuum: 1 });
  await application.sql("PRAGMA wal_autocheckpoint = 0");
  const tail = "INSERT INTO t (i, x) VALUES (900, printf('%.*c', 40000, 'x'))";
  await application.sql(fill(50));
  await run(scene);
  // Behind our own tables, so that it is what a shrink cuts off.
  await application.sql(tail);
  await run(scene);
  await application.sql("DELETE FROM t WHERE i = 900");
  await run(scene);
  await application.sql(tail);
  await loseContinuity(scene);
  assert.equal(await run(scene), "difference");
  await assertEqual(scene, "cut off and back");
});
