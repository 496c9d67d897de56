/** E4, E4b, ER11, F8: the database file, its WAL or its shared memory are exchanged under the program or while it is down. */
import { renameSync, rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { Application } from "../harness/application.ts";
import { Replication } from "../harness/replication.ts";
import { scenario } from "../harness/scenario.ts";
import type { ScenarioContext } from "../harness/scenario.ts";
import { until } from "../harness/wait.ts";

/** What the new database is made of. */
interface Replacement {
  readonly rows: number;
  /** Whether its frames are still in a WAL of its own, which moves with it. */
  readonly withWAL: boolean;
}

const larger: Replacement = { rows: 200, withWAL: false };
const smaller: Replacement = { rows: 1, withWAL: false };

/** Whether the real one recovers depends on the new file having a WAL whose header tells it apart. */
const fails = { fails: "it goes on with the old file" };
const varies = { varies: "it goes on with the old file unless the new WAL makes it take an image" };

for (const [id, words, replacement, peer] of [
  ["E4", "larger one", larger, fails],
  ["E4b", "smaller one", smaller, fails],
  ["E4", "larger one with its own WAL", { ...larger, withWAL: true }, varies],
] as const) {
  scenario(`${id} a running database is replaced by a ${words}`, { peer }, async (context) => {
    const replication = new Replication(context);
    await using replicator = replication.start();
    await fillAndLeave(replication, 60);
    await replace(context, replication.database, replacement);
    await untilRestoreEqualsSource(replication);
    await using application = await Application.start(replication.database);
    await application.execute("INSERT INTO replacement (body) VALUES (randomblob(700))");
    await untilRestoreEqualsSource(replication);
    await replicator.stop();
    await replication.assertRestoreEqualsSource();
  });

  scenario(
    `${id} a database is replaced by a ${words} while the program is down`,
    { peer: { varies: "depends on the WAL" } },
    async (context) => {
      const replication = new Replication(context);
      {
        await using replicator = replication.start();
        await fillAndLeave(replication, 60);
        await replicator.stop();
      }
      await replace(context, replication.database, replacement);
      await replication.once();
      await replication.assertRestoreEqualsSource();
      await using application = await Application.start(replication.database);
      await application.execute("INSERT INTO replacement (body) VALUES (randomblob(700))");
      await replication.once();
      await replication.assertRestoreEqualsSource();
    },
  );
}

scenario(
  "E4 X16 a running database is deleted and created anew",
  { peer: varies },
  async (context) => {
    const replication = new Replication(context);
    await using replicator = replication.start();
    await fillAndLeave(replication, 60);
    remove(replication.database);
    await using application = await Application.start(replication.database);
    await application.execute(
      "CREATE TABLE anew (body BLOB)",
      "INSERT INTO anew VALUES (randomblob(3000))",
    );
    await untilRestoreEqualsSource(replication);
    await replicator.stop();
    await replication.assertRestoreEqualsSource();
  },
);

scenario(
  "ER11 -shm is removed while the program runs",
  { peer: { varies: "its read lock is gone unnoticed" } },
  async (context) => {
    const replication = new Replication(context);
    await using replicator = replication.start();
    await fillAndLeave(replication, 60);
    rmSync(`${replication.database}-shm`);
    await using application = await replication.application();
    // Without the other's locks this could end a generation that was not copied.
    await application.transact(30);
    await application.checkpoint("TRUNCATE");
    await application.transact(3);
    await untilRestoreEqualsSource(replication);
    await application.transact(30);
    await replicator.stop();
    await replication.assertRestoreEqualsSource();
  },
);

scenario(
  "E4 -wal and -shm are removed while the program runs",
  { peer: { varies: "it may take the new WAL for the old" } },
  async (context) => {
    const replication = new Replication(context);
    {
      // Everything is in the database file before the program starts: its WAL can go without loss.
      await using application = await replication.application();
      await application.transact(40);
    }
    await replication.once();
    {
      await using application = await replication.application();
      await application.checkpoint("TRUNCATE");
      await application.exit();
    }
    await using replicator = replication.start();
    await until(() => replicator.output.includes("replicating to"), {
      what: "the start",
      timeoutMs: 10_000,
    });
    await sleep(300);
    rmSync(`${replication.database}-wal`, { force: true });
    rmSync(`${replication.database}-shm`, { force: true });
    await using application = await replication.application();
    await application.transact(30);
    await untilRestoreEqualsSource(replication);
    await replicator.stop();
    await replication.assertRestoreEqualsSource();
  },
);

async function fillAndLeave(replication: Replication, transactions: number): Promise<void> {
  await using application = await replication.application();
  await replication.untilReplicated(await application.transact(transactions));
  await application.exit();
}

/** Makes another database and moves it to the place of the first, as a deployment script would. */
async function replace(
  { scratch }: ScenarioContext,
  database: string,
  { rows, withWAL }: Replacement,
): Promise<void> {
  const fresh = scratch.path("fresh.db");
  await using application = await Application.start(fresh);
  await application.execute("CREATE TABLE replacement (id INTEGER PRIMARY KEY, body BLOB)");
  const bodies = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${rows})`;
  await application.execute(
    `${bodies} INSERT INTO replacement (body) SELECT randomblob(3000) FROM n`,
  );
  if (withWAL) await application.kill();
  else await application.exit();
  for (const suffix of ["-wal", "-shm"]) rmSync(database + suffix, { force: true });
  if (withWAL) renameSync(`${fresh}-wal`, `${database}-wal`);
  renameSync(fresh, database);
}

function remove(database: string): void {
  for (const suffix of ["", "-wal", "-shm"]) rmSync(database + suffix, { force: true });
}

/** The writer rests: at some moment soon the replica must hold what the source holds. */
async function untilRestoreEqualsSource(replication: Replication): Promise<void> {
  let last: unknown;
  await until(
    async () => {
      try {
        await replication.assertRestoreEqualsSource();
        return true;
      } catch (error) {
        last = error;
        return false;
      }
    },
    { what: "the restore to equal the source", timeoutMs: 8_000, everyMs: 100 },
  ).catch((error: unknown) => {
    throw new Error(`${(error as Error).message}: ${(last as Error).message}`, { cause: last });
  });
}
