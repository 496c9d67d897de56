/** D1, D5: after a life through levels each program restores random moments of the other's replica, and goes on with it. */
import assert from "node:assert/strict";
import { readFileSync, rmSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { Application } from "../harness/application.ts";
import { assertIntegrity, assertSamePages, readImage } from "../harness/database-image.ts";
import { ours, peer, run, succeed } from "../harness/program.ts";
import type { Program } from "../harness/program.ts";
import { Random } from "../harness/random.ts";
import { listLevel } from "../harness/replica-folder.ts";
import { filePlace, Replication } from "../harness/replication.ts";
import { restore } from "../harness/restored.ts";
import { Scratch } from "../harness/scratch.ts";

const globals = {
  levels: "[{interval: 1s}, {interval: 2s}, {interval: 4s}]",
  snapshot: "{interval: 4s, retention: 1h}",
  "l0-retention": "3s",
  "l0-retention-check-interval": "1s",
};
const LIFE_MS = Number(process.env["LIFE_MS"] ?? 15_000);
const TARGETS = Number(process.env["TARGETS"] ?? 50);

/** One of `points -json`. */
interface Point {
  readonly txid: string;
  readonly timestamp: string;
}

for (const writer of [ours(), peer()]) {
  const name = writer.isPeer ? "the real one's replica by ours" : "our replica by the real one";
  test(`random moments of ${name}`, { timeout: 180_000 }, async (context) => {
    const random = new Random(Number(process.env["SEED"] ?? Date.now()));
    context.diagnostic(`SEED=${random.seed}`);
    using scratch = new Scratch("random-restores");
    const folder = scratch.path("replica");
    const place = filePlace(folder);
    const common = { scratch, place, id: "shared", database: scratch.path("app.db"), globals };
    const written = new Replication({ ...common, program: writer });
    await using application = await written.application({
      seed: random.integer(1, 2 ** 31),
      cacheSize: 20,
    });
    await live(written, application, random);

    const counts = Array.from({ length: 10 }, (_, level) => listLevel(folder, level).length);
    assert.ok(
      [1, 2, 3, 9].every((level) => (counts[level] ?? 0) > 0),
      `Files by level: ${counts.join(" ")}`,
    );
    const points = await listPoints(place.url);
    const targets = drawTargets(points, random);
    const newest = points.at(-1);
    assert.ok(newest);
    const tally = await restoreEach(targets, place.url, scratch, newest);
    context.diagnostic(
      `files by level: ${counts.join(" ")}; ${points.length} points, ${targets.length} targets, ${JSON.stringify(tally)}`,
    );
    // Every target is at or behind a state that can be restored.
    assert.equal(tally.refused, 0, "Targets that both refuse");
    await assertNewest(written, "after its life");

    const other = new Replication({ ...common, program: writer.isPeer ? ours() : peer() });
    for (const replication of [other, written]) {
      await application.transact(4);
      await replication.once();
      await assertNewest(written, `continued by ${replication.program.name}`);
    }
  });
}

/** Growth, updates, deletes and VACUUM while the program compacts and takes snapshots. */
async function live(
  replication: Replication,
  application: Application,
  random: Random,
): Promise<void> {
  await using daemon = replication.start();
  await application.execute("CREATE TABLE ballast (body)");
  const end = performance.now() + LIFE_MS;
  for (let step = 0; performance.now() < end; step++) {
    await application.transact(random.integer(1, 4));
    if (random.chance(0.2))
      await application.execute(
        `INSERT INTO ballast SELECT randomblob(${random.integer(1, 60_000)})`,
      );
    if (step % 20 === 19) await application.execute("DELETE FROM ballast WHERE rowid % 2 = 0");
    if (step % 40 === 39) await application.execute("VACUUM");
    await sleep(random.integer(20, 180));
  }
  assert.equal((await daemon.stop()).code, 0, daemon.output);
  assert.doesNotMatch(daemon.output, /level=ERROR/);
}

async function listPoints(url: string): Promise<Point[]> {
  const args = ["points", "-json", "-exact-times", "-oldest-first", url];
  const { stdout } = await succeed(ours(), args);
  const points = JSON.parse(stdout) as Point[];
  assert.ok(points.length > 5, `Only ${points.length} states can be restored`);
  return points;
}

/** Flags of restore: half of them TXIDs, half of them moments from the first state to a little behind the last. */
function drawTargets(points: readonly Point[], random: Random): string[][] {
  const [first, last] = [points[0], points.at(-1)].map((point) =>
    Date.parse(point?.timestamp ?? ""),
  );
  assert.ok(first !== undefined && last !== undefined && last > first, JSON.stringify(points[0]));
  const txids = points.map(({ txid }) => txid);
  const targets: string[][] = [];
  while (targets.length < TARGETS / 2 && txids.length > 0) {
    const [txid] = txids.splice(random.integer(0, txids.length - 1), 1);
    if (txid !== undefined) targets.push(["-txid", txid]);
  }
  while (targets.length < TARGETS) {
    // A state counts when it is older than the moment asked for.
    const moment = new Date(random.integer(first + 1, last + 100));
    targets.push(["-timestamp", moment.toISOString()]);
  }
  return targets;
}

/** How often restoring a target did not give the same image at once. */
interface Tally {
  /** Both refuse. */
  refused: number;
  /** Ours refuses a moment whose files are partly retired. */
  stopped: number;
  /** The real one refuses a moment behind the newest file. */
  behind: number;
}

/** Restores each target with both programs. Fails where they do not agree, but for what is known of each. */
async function restoreEach(
  targets: readonly (readonly string[])[],
  url: string,
  scratch: Scratch,
  newest: Point,
): Promise<Tally> {
  const tally: Tally = { refused: 0, stopped: 0, behind: 0 };
  for (const flags of targets) {
    const outcomes = await Promise.all(
      [ours(), peer()].map(async (program) => await tryRestore(program, flags, url, scratch)),
    );
    let [byUs, byPeer] = outcomes;
    assert.ok(byUs !== undefined && byPeer !== undefined);
    const what = flags.join(" ");
    const said = `${what}: ours said ${byUs.said}; the real one said ${byPeer.said}`;
    if (byUs.image === undefined && byPeer.image === undefined) {
      tally.refused++;
      continue;
    }
    if (byUs.image === undefined) {
      // The real one stops before files that level 0 no longer holds, and says nothing. Ours names that state.
      const hinted = /non-contiguous LTX files[^]*with -txid ([0-9a-f]{16})/.exec(byUs.said)?.[1];
      assert.ok(flags[0] === "-timestamp" && hinted !== undefined, said);
      byUs = await tryRestore(ours(), ["-txid", hinted], url, scratch);
      tally.stopped++;
    }
    if (byPeer.image === undefined) {
      // The real one refuses moments behind the newest file; ours restores that.
      assert.match(byPeer.said, /timestamp does not exist/, said);
      assert.ok(Date.parse(flags[1] ?? "") > Date.parse(newest.timestamp), said);
      byPeer = await tryRestore(peer(), ["-txid", newest.txid], url, scratch);
      tally.behind++;
    }
    assert.ok(byUs.image !== undefined && byPeer.image !== undefined, said);
    assertSamePages(byUs.image, byPeer.image, said);
    assertIntegrity(scratch.path("by-us"));
  }
  return tally;
}

async function tryRestore(
  program: Program,
  flags: readonly string[],
  url: string,
  scratch: Scratch,
): Promise<{ readonly image: Buffer | undefined; readonly said: string }> {
  const output = scratch.path(program.isPeer ? "by-peer" : "by-us");
  for (const suffix of ["", "-wal", "-shm"]) rmSync(output + suffix, { force: true });
  const { code, stderr } = await run(program, ["restore", ...flags, "-o", output, url]);
  return { image: code === 0 ? readFileSync(output) : undefined, said: `${code}: ${stderr}` };
}

/** Both restore what the database holds now. */
async function assertNewest(
  { scratch, place, database }: Replication,
  when: string,
): Promise<void> {
  const expected = readImage(database, scratch.path("source"));
  for (const program of [ours(), peer()]) {
    const output = scratch.path("newest");
    const actual = await restore({ program, from: place.url, output });
    assertSamePages(actual, expected, `Restored by ${program.name} ${when}`);
    assertIntegrity(output);
  }
}
