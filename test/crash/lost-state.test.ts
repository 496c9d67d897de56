/** E2, E5, E16, ER5, F8, UP3: local state, remote files or the whole volume are lost or come back from an older time. */
import { cpSync, rmSync, writeFileSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Application } from "../harness/application.ts";
import { newestTXID, listNames } from "../harness/replica-folder.ts";
import { filePlace, Replication } from "../harness/replication.ts";
import { restore } from "../harness/restored.ts";
import { scenario } from "../harness/scenario.ts";
import { until } from "../harness/wait.ts";

/** With few checkpoints the WAL keeps what it has. */
const longWAL = { "min-checkpoint-page-count": 1000, "checkpoint-interval": "0s" };

for (const [what, peer] of [
  ["lost", "passes"],
  ["rolled back", { varies: "depends on the WAL" }],
] as const) {
  scenario(`E5 UP3 the local state is ${what}`, { peer }, async ({ program, scratch }) => {
    const replication = new Replication({ program, scratch, settings: longWAL });
    await using application = await replication.application();
    await application.transact(10);
    await replication.once();
    cpSync(replication.metaFolder, scratch.path("old-state"), { recursive: true });
    await application.transact(10);
    await replication.once();
    rmSync(replication.metaFolder, { recursive: true });
    if (what === "rolled back")
      cpSync(scratch.path("old-state"), replication.metaFolder, { recursive: true });
    for (let round = 0; round < 3; round++) {
      await application.transact(5);
      await replication.once();
      await replication.assertRestoreEqualsSource();
    }
  });
}

for (const metaToo of [true, false]) {
  scenario(
    `E5 every level-0 file expired remotely, only a snapshot is left${metaToo ? ", and the local state is lost" : ""}`,
    {
      peer: metaToo
        ? { fails: "it starts again at TXID 1 and restores stay stale" }
        : { varies: "depends on what is left locally" },
    },
    async ({ program, scratch }) => {
      const left = resolve(import.meta.dirname, "../fixtures/11-takeover-clean");
      cpSync(join(left, "state"), scratch.path("state"), { recursive: true });
      const place = filePlace(scratch.path("replica"));
      cpSync(join(left, "replica"), scratch.path("replica"), { recursive: true });
      const replication = new Replication({
        program,
        scratch,
        place,
        database: scratch.path("state", "app.db"),
        settings: longWAL,
      });
      await using application = await Application.start(replication.database);
      await application.execute("INSERT INTO account (name, email) VALUES ('before', 'expiry')");
      rmSync(scratch.path("replica/ltx/0"), { recursive: true });
      if (metaToo) rmSync(replication.metaFolder, { recursive: true });
      const before = newestTXID(scratch.path("replica"));
      for (let round = 0; round < 3; round++) {
        await application.execute(`INSERT INTO account (name, email) VALUES ('round', '${round}')`);
        await replication.once();
        await replication.assertRestoreEqualsSource();
      }
      const after = newestTXID(scratch.path("replica"));
      if (after <= before)
        throw new Error(`TXID ${after} after ${before}: numbering must continue`);
    },
  );
}

for (const [id, fullSized] of [
  ["E16", false],
  ["E16c", true],
] as const) {
  scenario(
    `${id} the volume is rolled back and the WAL then grows past the old position${fullSized ? ", database file full-sized" : ""}`,
    { peer: { fails: "it trusts an offset of a WAL that is no more" } },
    async ({ program, scratch }) => {
      const replication = new Replication({
        program,
        scratch,
        database: scratch.inFolder("volume", "app.db"),
        settings: longWAL,
      });
      const volume = scratch.path("volume");
      {
        // It stays open meanwhile, or the program would checkpoint the WAL as the last one to close.
        await using application = await replication.application();
        await application.transact(20);
        if (fullSized) await application.checkpoint("TRUNCATE");
        await application.transact(5);
        await replication.once();
        copyVolume(volume, scratch.path("snapshot"));
        await application.transact(10);
        await replication.once();
        await application.kill();
      }
      rmSync(volume, { recursive: true });
      copyVolume(scratch.path("snapshot"), volume);
      // The oracle knows nothing of rollbacks: its numbers begin again, with another content.
      await using application = await replication.application({ seed: 99 });
      await application.transact(40);
      await replication.once();
      await replication.assertRestoreEqualsSource();
      await application.transact(2);
      await replication.once();
      await replication.assertRestoreEqualsSource();
    },
  );
}

scenario(
  "E2 ER5 the newest local file is damaged under the running program, auto-recover on",
  { peer: { fails: "numbering starts again at 1" } },
  async ({ program, scratch }) => {
    const replicaFolder = scratch.path("replica");
    const place = {
      url: `file://${replicaFolder}`,
      yaml: { type: "file", path: replicaFolder, "auto-recover": true },
      env: {},
    };
    const replication = new Replication({ program, scratch, place });
    await using application = await replication.application();
    await using replicator = replication.start();
    await until(() => listNames(replicaFolder, 0).length > 0, {
      what: "the first file",
      timeoutMs: 10_000,
    });
    await application.transact(10);
    replicator.signal("SIGSTOP");
    await damageNewestLocalFile(replication);
    await application.transact(10);
    replicator.signal("SIGCONT");
    await application.transact(1);
    await sleep(500);
    await replicator.stop();
    await replication.once();
    await replication.assertRestoreEqualsSource();
  },
);

scenario(
  "ER5 the newest local file is damaged while the program is down, auto-recover on",
  { peer: { varies: "it may refuse" } },
  async ({ program, scratch }) => {
    const replicaFolder = scratch.path("replica");
    const place = {
      url: `file://${replicaFolder}`,
      yaml: { type: "file", path: replicaFolder, "auto-recover": true },
      env: {},
    };
    const replication = new Replication({ program, scratch, place });
    await using application = await replication.application();
    await application.transact(10);
    await replication.once();
    await application.transact(10);
    await replication.once();
    await damageNewestLocalFile(replication);
    await application.transact(10);
    await using replicator = replication.start();
    await application.transact(1);
    await until(() => replicator.output.includes("replicating to"), {
      what: "the start",
      timeoutMs: 10_000,
    });
    await replication.assertRestoreEqualsSource().catch(() => undefined);
    await replicator.stop();
    await replication.once();
    await replication.assertRestoreEqualsSource();
  },
);

scenario(
  "F8 restore, replicate, write, wipe, again and again: no row is lost",
  { peer: { varies: "stale local state" } },
  async ({ program, scratch, random }) => {
    const replication = new Replication({
      program,
      scratch,
      database: scratch.inFolder("host", "app.db"),
    });
    const strangers = new Replication({
      program,
      scratch,
      database: scratch.inFolder("other", "app.db"),
      id: "other",
    });
    {
      await using other = await strangers.application({ seed: 5 });
      await other.transact(12);
      await strangers.once();
    }
    let last = 0;
    for (let round = 0; round < 6; round++) {
      if (round > 0) {
        for (const suffix of ["", "-wal", "-shm"])
          rmSync(replication.database + suffix, { force: true });
        const meta = random.pick(["kept", "removed", "another's"]);
        if (meta !== "kept") rmSync(replication.metaFolder, { recursive: true });
        if (meta === "another's")
          cpSync(strangers.metaFolder, replication.metaFolder, { recursive: true });
        await restore({ program, from: replication.place.url, output: replication.database });
      }
      await using application = await replication.application({ seed: round + 1 });
      const n = await application.transact(random.integer(1, 15));
      if (n <= last)
        throw new Error(`Round ${round}: transaction ${n} after ${last}: rows were lost`);
      last = n;
      await replication.once();
      await replication.assertRestoreEqualsSource();
    }
  },
);

function copyVolume(from: string, to: string): void {
  execFileSync("cp", ["-a", from, to]);
}

async function damageNewestLocalFile(replication: Replication): Promise<void> {
  const newest = await until(() => listNames(replication.metaFolder, 0).at(-1), {
    what: "a local file",
    timeoutMs: 10_000,
  });
  writeFileSync(join(replication.metaFolder, "ltx/0", newest), Buffer.alloc(300, 7));
}
