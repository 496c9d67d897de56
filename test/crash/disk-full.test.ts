/** M3, ER1, ER2: no room left where the database lives, or where the replica lives. Needs root for a small tmpfs. */
import assert from "node:assert/strict";
import { rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Application } from "../harness/application.ts";
import { filePlace, Replication } from "../harness/replication.ts";
import { scenario } from "../harness/scenario.ts";
import { whyNoMount } from "../harness/scratch.ts";
import { until } from "../harness/wait.ts";

const skip = whyNoMount();
const MiB = 1 << 20;

scenario(
  "ER1 ER2 the database's own disk is full: it heals when there is room again",
  { peer: "passes", skip },
  async ({ program, scratch }) => {
    const disk = scratch.mount("disk", 8 * MiB);
    const replication = new Replication({ program, scratch, database: join(disk, "app.db") });
    await using application = await replication.application();
    await using replicator = replication.start();
    await replication.untilReplicated(await application.transact(10));

    for (const leaveBytes of [0, 20_000, 60_000]) {
      fill(disk, leaveBytes);
      const committed = await writeUntilFull(application);
      await until(
        () => /no space left|disk full|ENOSPC|database or disk is full/i.test(replicator.output),
        {
          what: "a message about the full disk",
          timeoutMs: 10_000,
        },
      ).catch((error: unknown) => {
        // With a little room left the application may fail while the program still finds what it needs.
        if (leaveBytes === 0) throw error;
      });
      assert.ok(replicator.isRunning, `The program ended: ${replicator.output}`);
      rmSync(join(disk, "ballast"));
      const n = await application.transact(3);
      assert.ok(n >= committed);
      await replication.untilReplicated(n, 20_000);
    }
    assert.equal((await replicator.stop()).code, 0);
    await replication.assertRestoreEqualsSource();
  },
);

scenario(
  "ER1 F6 the replica's disk is full: the application goes on, and all of it arrives later",
  { peer: "passes", skip },
  async ({ program, scratch }) => {
    const disk = scratch.mount("replica-disk", 4 * MiB);
    const folder = join(disk, "replica");
    const replication = new Replication({ program, scratch, place: filePlace(folder) });
    await using application = await replication.application();
    await using replicator = replication.start();
    await until(() => replicator.output.includes("replicating to"), {
      what: "the start",
      timeoutMs: 10_000,
    });
    await application.transact(10);
    await sleep(500);
    fill(disk, 0);
    await application.run(2);
    await until(() => /no space left|disk full|ENOSPC/i.test(replicator.output), {
      what: "a message about the full disk",
      timeoutMs: 10_000,
    });
    await sleep(500);
    const { busyErrors } = await application.pause();
    assert.equal(busyErrors, 0, "The application saw SQLITE_BUSY");
    assert.ok(replicator.isRunning, `The program ended: ${replicator.output}`);
    rmSync(join(disk, "ballast"));
    await until(
      async () =>
        (await replication.restoredState().catch(() => -1)) >= (await application.transact(1)) - 3,
      {
        what: "the backlog to arrive",
        timeoutMs: 20_000,
        everyMs: 200,
      },
    );
    assert.equal((await replicator.stop()).code, 0);
    await replication.assertRestoreEqualsSource();
  },
);

/** Leaves only that much room. */
function fill(disk: string, leaveBytes: number): void {
  const { bavail, bsize } = statfsSync(disk);
  try {
    writeFileSync(join(disk, "ballast"), Buffer.alloc(Math.max(0, bavail * bsize - leaveBytes), 1));
  } catch (error) {
    // The program may take the last pages between the question and the write.
    if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
  }
}

/** Number of the last transaction that SQLite accepted. */
async function writeUntilFull(application: Application): Promise<number> {
  let last = 0;
  for (;;) {
    try {
      last = await application.transact(1);
    } catch (error) {
      assert.match(String(error), /full|disk I\/O error|ENOSPC/);
      return last;
    }
  }
}
