/** CK, WL11, ER, F10, F11: other processes that checkpoint, pin the WAL or wait for locks beside a running replicator. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { Application } from "../harness/application.ts";
import { Replication } from "../harness/replication.ts";
import { scenario } from "../harness/scenario.ts";
import { framesInGeneration } from "../harness/wal-file.ts";

scenario(
  "CK9 F1 a hostile process checkpoints in a loop, in every mode, beside a busy writer",
  { peer: "passes" },
  async (context) => {
    const replication = new Replication(context);
    await using writer = await replication.application({ cacheSize: 20, autoCheckpoint: 1000 });
    // Without a busy timeout of its own: a RESTART that waits for readers would hold the write lock meanwhile.
    await using hostile = await Application.start(replication.database, { busyTimeoutMs: 0 });
    {
      await using replicator = replication.start();
      await writer.run(1);
      await hostile.checkpointForever(["PASSIVE", "FULL", "RESTART", "TRUNCATE"], 3);
      for (let look = 0; look < 6; look++) {
        await sleep(500);
        if (replication.hasFiles()) await replication.restoredState();
      }
      const { checkpoints } = await hostile.pause();
      assert.ok(checkpoints > 100, `The hostile process made only ${checkpoints} checkpoints`);
      const { busyErrors, committed } = await writer.pause();
      assert.equal(busyErrors, 0, "The writer saw SQLITE_BUSY in spite of its busy timeout of 5 s");
      assert.ok(committed > 100, `The writer made only ${committed} transactions`);
      assert.equal((await replicator.stop()).code, 0);
    }
    await replication.assertRestoreEqualsSource();
  },
);

for (const mode of ["TRUNCATE", "RESTART"] as const) {
  for (const own of ["0s", "100ms"] as const) {
    const words = own === "0s" ? "" : " beside its own checkpoints";
    scenario(
      `E17 ER8 the lock rule: ${mode} from another process takes nothing away${words}`,
      { peer: "passes" },
      async (context) => {
        const settings = { "min-checkpoint-page-count": 1000, "checkpoint-interval": own };
        const replication = new Replication({ ...context, settings });
        await using writer = await replication.application();
        await using other = await Application.start(replication.database, { busyTimeoutMs: 0 });
        await using replicator = replication.start();
        await replication.untilReplicated(await writer.transact(20));
        for (let round = 0; round < 12; round++) {
          // After a checkpoint of its own, and only then, the program permits one restart: of a WAL it has copied.
          const { busy } = await other.checkpoint(mode);
          if (own === "0s")
            assert.equal(
              busy,
              1,
              `Round ${round}: another process could ${mode} the WAL under the program`,
            );
          await writer.transact(3);
          await other.checkpoint(mode);
          await sleep(round * 10);
        }
        await replication.untilReplicated(await writer.transact(1));
        assert.equal((await replicator.stop()).code, 0);
        await replication.assertRestoreEqualsSource();
      },
    );
  }
}

scenario(
  "CK7 F11 a reader pins the WAL: writers go on, and the WAL is reused when it leaves",
  { peer: "passes" },
  async (context) => {
    const replication = new Replication(context);
    await using writer = await replication.application();
    await using replicator = replication.start();
    await replication.untilReplicated(await writer.transact(5));

    await using reader = await Application.start(replication.database);
    await reader.execute("BEGIN", "SELECT count(*) FROM item");
    await replication.untilReplicated(await writer.transact(150));
    const pinnedFrames = framesInGeneration(replication.database);
    await reader.execute("COMMIT");

    await replication.untilReplicated(await writer.transact(40));
    await sleep(1_500);
    await writer.transact(60);
    const frames = framesInGeneration(replication.database);
    assert.ok(
      frames < pinnedFrames,
      `${frames} frames in the WAL, ${pinnedFrames} while it was pinned: it was never reused`,
    );
    await replicator.stop();
    await replication.assertRestoreEqualsSource();
  },
);

scenario(
  "F10 a reader pins an oversized WAL: the application never sees SQLITE_BUSY",
  { peer: { fails: "its TRUNCATE checkpoint holds the write lock while it waits for the reader" } },
  async (context) => {
    const settings = { "truncate-page-n": 100, "busy-timeout": "3s" };
    const replication = new Replication({ ...context, settings });
    await using writer = await replication.application({ busyTimeoutMs: 1_000 });
    await using replicator = replication.start();
    await replication.untilReplicated(await writer.transact(5));
    await using reader = await Application.start(replication.database);
    await reader.execute("BEGIN", "SELECT count(*) FROM item");
    await writer.run(4);
    await sleep(5_000);
    const { busyErrors, longestCommitMs } = await writer.pause();
    assert.equal(
      busyErrors,
      0,
      `${busyErrors} times SQLITE_BUSY after 1 s, longest commit ${Math.round(longestCommitMs)} ms`,
    );
    assert.ok(longestCommitMs < 900, `Longest commit ${Math.round(longestCommitMs)} ms`);
    await reader.execute("COMMIT");
    await replicator.stop();
    await replication.assertRestoreEqualsSource();
  },
);

scenario(
  "WL11 F4 a restarted WAL of exactly the old size is noticed",
  { peer: "passes" },
  async (context) => {
    const replication = new Replication({ ...context, settings: { "checkpoint-interval": "0s" } });
    await using writer = await replication.application();
    await writer.execute("CREATE TABLE tick (n INTEGER)", "INSERT INTO tick VALUES (0)");
    await using replicator = replication.start();
    await replication.untilReplicated(await writer.transact(1));
    const tick = (): Promise<void> => writer.execute("UPDATE tick SET n = n + 1"); // one frame
    for (let round = 0; round < 3; round++) {
      // The checkpoint at 50 pages restarts the WAL, then single frames fill it up to its old length.
      let frames = framesInGeneration(replication.database);
      const target = Math.min(frames, 45);
      for (
        let previous = -1;
        frames > previous;
        frames = framesInGeneration(replication.database)
      ) {
        previous = frames;
        await tick();
        if (frames > 48) await sleep(30);
      }
      while (framesInGeneration(replication.database) < target) await tick();
      await replication.untilReplicated(await writer.transact(1));
    }
    await replicator.stop();
    await replication.assertRestoreEqualsSource();
  },
);
