/** F9, X6: two programs on one replica. At most one may go on publishing, and the other must say why it stopped. */
import assert from "node:assert/strict";
import { cpSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { RunningProgram } from "../harness/program.ts";
import { newestTXID } from "../harness/replica-folder.ts";
import { filePlace, Replication } from "../harness/replication.ts";
import { assertCommittedState, restore } from "../harness/restored.ts";
import { scenario } from "../harness/scenario.ts";

const conflict =
  /conflict|another (program|writer|process)|second writer|not (written|made) by|someone else/i;
const verdict = { fails: "both publish into one chain, and the restored database is a mixture" };

scenario(
  "F9 X6 two databases on one replica: one goes on, the other says why it stops",
  { peer: verdict },
  async ({ program, scratch }) => {
    const place = filePlace(scratch.path("replica"));
    const first = new Replication({
      program,
      scratch,
      place,
      database: scratch.inFolder("a", "app.db"),
      id: "a",
    });
    const second = new Replication({
      program,
      scratch,
      place,
      database: scratch.inFolder("b", "app.db"),
      id: "b",
    });
    await contend(first, second, scratch.path("replica"));
  },
);

scenario(
  "F9 X6 the same database failed over twice: one goes on, the other says why it stops",
  { peer: verdict },
  async ({ program, scratch }) => {
    const place = filePlace(scratch.path("replica"));
    const first = new Replication({
      program,
      scratch,
      place,
      database: scratch.inFolder("a", "app.db"),
      id: "a",
    });
    const second = new Replication({
      program,
      scratch,
      place,
      database: scratch.path("b", "app.db"),
      id: "b",
    });
    {
      await using application = await first.application();
      await application.transact(10);
      await first.once();
      await application.exit();
    }
    cpSync(scratch.path("a"), scratch.path("b"), { recursive: true });
    cpSync(first.journal, second.journal);
    await contend(first, second, scratch.path("replica"));
  },
);

async function contend(first: Replication, second: Replication, folder: string): Promise<void> {
  const replications = [first, second];
  await using firstApplication = await first.application({ seed: 1 });
  await using secondApplication = await second.application({ seed: 2 });
  await firstApplication.transact(5);
  await secondApplication.transact(30);
  await using firstProgram = first.start();
  await sleep(300);
  await using secondProgram = second.start();
  await firstApplication.run(20);
  await secondApplication.run(20);
  await sleep(3_000);
  await firstApplication.pause();
  await secondApplication.pause();
  await sleep(500);

  await assertStateOfOne(first, second);
  const programs: readonly RunningProgram[] = [firstProgram, secondProgram];
  const stopped = programs.filter(({ output }) => conflict.test(output));
  assert.equal(stopped.length, 1, `${stopped.length} of 2 programs reported a conflict`);
  const winner = programs.findIndex((program) => !stopped.includes(program));

  // Only the winner's writes still arrive.
  const applications = [firstApplication, secondApplication];
  const before = newestTXID(folder);
  await applications[1 - winner]?.transact(5);
  await sleep(700);
  assert.equal(newestTXID(folder), before, "The stopped program published something");
  await applications[winner]?.transact(5);
  await programs[winner]?.stop();
  await stopped[0]?.stop();
  await replications[winner]?.assertRestoreEqualsSource();
}

/** What is restored must be a committed state of one of the two databases, never of both. */
async function assertStateOfOne(first: Replication, second: Replication): Promise<void> {
  const output = first.scratch.path("contended.db");
  await restore({ program: first.program, from: first.place.url, output });
  try {
    assertCommittedState(output, first.journal);
  } catch {
    assertCommittedState(output, second.journal);
  }
}
