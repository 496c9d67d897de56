/** R3: the difference that ours writes after lost continuity is an ordinary level-0 file to the real one, which goes on from it. */
import assert from "node:assert/strict";
import { statSync } from "node:fs";
import { test } from "node:test";
import type { Application } from "../harness/application.ts";
import { assertIntegrity, assertSamePages, readImage } from "../harness/database-image.ts";
import { peer, programUnderTest } from "../harness/program.ts";
import type { RunningProgram } from "../harness/program.ts";
import { isFullImage, listLevel, newestTXID } from "../harness/replica-folder.ts";
import { filePlace, Replication } from "../harness/replication.ts";
import { restore } from "../harness/restored.ts";
import { Scratch } from "../harness/scratch.ts";
import { until } from "../harness/wait.ts";

const downtimes: readonly (readonly [string, readonly string[]])[] = [
  ["a few pages change", []],
  ["the database grows", ["INSERT INTO ballast SELECT randomblob(30000)"]],
  ["pages are cut off", ["DELETE FROM ballast WHERE rowid = 2", "PRAGMA incremental_vacuum"]],
];

for (const [what, statements] of downtimes) {
  test(`a difference after a downtime in which ${what}`, { timeout: 90_000 }, async (context) => {
    using scratch = new Scratch("difference-interop");
    const folder = scratch.path("replica");
    const common = {
      scratch,
      place: filePlace(folder),
      id: "shared",
      database: scratch.path("app.db"),
      settings: { "min-checkpoint-page-count": 1000, "checkpoint-interval": "0s" },
    };
    const mine = new Replication({ ...common, program: programUnderTest() });
    await using application = await mine.application({ autoVacuum: "INCREMENTAL" });
    await application.transact(20);
    await application.execute("CREATE TABLE ballast (body)");
    // The second row lies at the end, so that cutting its pages off moves few others. (VACUUM may move them all.)
    await application.execute("INSERT INTO ballast VALUES (randomblob(900000))");
    await application.execute("INSERT INTO ballast VALUES (randomblob(100000))");
    await mine.once();
    {
      await using daemon = mine.start();
      await untilCopied(daemon, mine, application);
      await daemon.kill();
    }
    const before = newestTXID(folder);
    const pagesBefore = listLevel(folder, 0).at(-1)?.commit ?? 0;

    await application.execute(...statements);
    await loseContinuity(application);

    {
      await using daemon = mine.start();
      await until(() => daemon.output.includes("image as difference"), {
        what: "the line about the difference",
        timeoutMs: 15_000,
      });
      await untilCopied(daemon, mine, application);
      assert.equal((await daemon.stop()).code, 0, daemon.output);
      assert.doesNotMatch(daemon.output, /level=ERROR/);
    }
    const added = listLevel(folder, 0).filter(({ minTXID }) => minTXID > before);
    assert.equal(added[0]?.minTXID, before + 1, "The chain goes on");
    const growth = (added[0]?.commit ?? 0) - pagesBefore;
    if (what.includes("cut off")) assert.ok(growth < 0, `Grew by ${growth} pages`);
    for (const file of added) {
      const size = statSync(file.path).size;
      const of = `TXID ${file.minTXID}: ${file.pageCount} of ${file.commit} pages, ${size} bytes`;
      context.diagnostic(of);
      assert.ok(!isFullImage(file), of);
      assert.ok(file.pageCount < file.commit / 3, of);
      assert.ok(size < (file.commit * file.pageSize) / 3, of);
    }
    await assertBothRestore(mine, "after the difference");

    const theirs = new Replication({ ...common, program: peer() });
    const ended = newestTXID(folder);
    await application.transact(3);
    await theirs.once();
    assert.ok(newestTXID(folder) > ended, "The real one wrote nothing");
    for (const file of listLevel(folder, 0).filter(({ minTXID }) => minTXID > ended))
      assert.ok(!isFullImage(file), `TXID ${file.minTXID} of the real one is a full image`);
    await assertBothRestore(mine, "continued by the real one");

    await application.transact(3);
    await mine.once();
    await assertBothRestore(mine, "continued by ours");
  });
}

/** Commits once more and waits until a file with that is in the replica. */
async function untilCopied(
  daemon: RunningProgram,
  replication: Replication,
  application: Application,
): Promise<void> {
  const n = await application.transact(1);
  await until(
    async () => {
      assert.ok(daemon.isRunning, daemon.output);
      return (await replication.restoredState()) >= n;
    },
    { what: `transaction ${n} in the replica`, timeoutMs: 15_000, everyMs: 50 },
  ).catch((error: unknown) => {
    throw new Error(daemon.output, { cause: error });
  });
}

/** The WAL starts anew twice: nothing tells any more what lay between. */
async function loseContinuity(application: Application): Promise<void> {
  for (let round = 0; round < 2; round++) {
    const { busy } = await application.checkpoint("TRUNCATE");
    assert.equal(busy, 0, "The checkpoint was held up");
    await application.transact(1);
  }
}

async function assertBothRestore(
  { place, scratch, database }: Replication,
  when: string,
): Promise<void> {
  const expected = readImage(database, scratch.path("source"));
  for (const program of [programUnderTest(), peer()]) {
    const output = scratch.path(`by-${program.isPeer ? "peer" : "us"}`);
    const actual = await restore({ program, from: place.url, output });
    assertSamePages(actual, expected, `Restored by ${program.name} ${when}`);
    assertIntegrity(output);
  }
}
