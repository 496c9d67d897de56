/** WL13, E1: whatever happens to the WAL while nobody replicates, the next copy adds up to the source exactly. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Application, Engine, ReplicaImage, Workspace } from "./fixture.ts";

const trials = Number(process.env["CONTINUITY_TRIALS"] ?? 240);
const firstSeed = Number(process.env["CONTINUITY_SEED"] ?? 1);
const pageSizes = [512, 1024, 4096, 65_536];

for (const pageSize of pageSizes) {
  test(`WL13: random downtimes, page size ${pageSize}`, async (t) => {
    await using application = new Application();
    let incremental = 0;
    let images = 0;
    for (let trial = 0; trial < trials / pageSizes.length; trial++) {
      const seed = firstSeed * 1_000_003 + trial * 7919 + pageSize;
      using workspace = new Workspace();
      const replica = new ReplicaImage();
      await application.ask({
        kind: "create",
        path: workspace.path,
        pageSize,
        autoVacuum: seed % 2,
      });
      await application.ask({ kind: "work", seed, steps: 3, downtime: false });
      const rounds = 1 + (seed % 3);
      for (let round = 0; round < rounds; round++) {
        {
          await using engine = new Engine(workspace, replica, {
            checkpoint: { minFrames: 20, intervalMs: 0, reportFrames: 0 },
          });
          const before = replica.fullImages;
          await engine.database.tick();
          if (round > 0) {
            if (replica.fullImages > before) images++;
            else incremental++;
          }
          await application.ask({
            kind: "work",
            seed: seed + round,
            steps: 1 + (seed % 3),
            downtime: false,
          });
          await engine.database.tick();
        }
        await application.ask({
          kind: "work",
          seed: seed ^ (round + 1),
          steps: seed % 6,
          downtime: true,
        });
      }
      {
        await using engine = new Engine(workspace, replica);
        await engine.database.tick();
      }
      await application.ask({ kind: "flatten" });
      replica.assertEquals(workspace.path, `seed ${seed}`);
    }
    t.diagnostic(`${incremental} incremental starts, ${images} full images`);
    assert.ok(incremental > 0, "no start was incremental: the test shows nothing");
  });
}

const insert = (rows: number, bytes: number): string =>
  `INSERT INTO t (x) WITH RECURSIVE n (k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n WHERE k < ${rows}) SELECT randomblob(${bytes}) FROM n`;

for (const mode of ["PASSIVE", "FULL", "RESTART", "TRUNCATE"]) {
  for (const rounds of [1, 2, 3]) {
    for (const [amount, rows] of [
      ["fewer", 1],
      ["equal", 20],
      ["more", 200],
    ] as const) {
      test(`E1: ${rounds} × (commits, ${mode} checkpoint, ${amount} frames than before) during downtime`, async () => {
        await using application = new Application();
        using workspace = new Workspace();
        const replica = new ReplicaImage();
        await application.ask({
          kind: "create",
          path: workspace.path,
          pageSize: 4096,
          autoVacuum: 0,
        });
        {
          await using engine = new Engine(workspace, replica);
          await application.sql("PRAGMA wal_autocheckpoint = 0");
          for (let commit = 0; commit < 20; commit++) await application.sql(insert(1, 3000));
          await engine.database.tick();
        }
        await application.sql(insert(20, 3000));
        for (let round = 0; round < rounds; round++) {
          await application.sql(`PRAGMA wal_checkpoint(${mode})`);
          await application.sql(insert(rows, 10));
        }
        {
          await using engine = new Engine(workspace, replica);
          await engine.database.tick();
          await application.sql(insert(2, 10));
          await engine.database.tick();
        }
        await application.ask({ kind: "flatten" });
        replica.assertEquals(workspace.path, `${mode} ${rounds} ${amount}`);
      });
    }
  }
}
