/** D6: each program follows the other's replica and goes on with the other's follower. */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { FollowScene, SheetWriter } from "../harness/follow-scene.ts";
import { peer, programUnderTest } from "../harness/program.ts";
import type { Program } from "../harness/program.ts";
import { Random } from "../harness/random.ts";
import { Scratch } from "../harness/scratch.ts";
import { until } from "../harness/wait.ts";

/** Follows until the copy has everything that was written, with `work` done meanwhile. */
async function followFor(
  scene: FollowScene,
  program: Program,
  writer: SheetWriter,
): Promise<string> {
  await using follower = scene.follow(program);
  await scene.untilCopyHas(writer.n);
  for (let i = 0; i < 5; i++) {
    writer.commit();
    await sleep(50);
  }
  await scene.untilCopyHas(writer.n);
  const text = /(updates|following)/;
  await until(() => text.test(follower.output), { what: "a message", timeoutMs: 5000 });
  const outcome = await follower.stop();
  assert.equal(outcome.code, 0, outcome.stderr);
  return outcome.stdout + outcome.stderr;
}

for (const source of ["ours", "the peer"] as const) {
  test(
    `the peer follows a replica of ${source}, and we go on with its copy`,
    { timeout: 180_000 },
    async () => {
      using scratch = new Scratch("follow-interop");
      const mine = programUnderTest();
      const other = peer();
      // No snapshot but the first: upstream refuses to resume when the position is ahead of one.
      const scene = new FollowScene(source === "ours" ? mine : other, scratch, {
        snapshot: "{interval: 24h}",
      });
      await using writer = new SheetWriter(scene.replication.database, new Random(3));
      writer.commit();
      await using running = scene.replication.start();
      await sleep(1500);
      await followFor(scene, other, writer);
      await scene.assertCopyIsAtItsPosition();
      const ours = await followFor(scene, mine, writer);
      assert.match(ours, /follow: resuming/);
      await scene.assertCopyIsAtItsPosition();
      await scene.assertCopyIsAtItsPosition(other);
      await running.stop();
    },
  );
}

test("the peer resumes a follower of ours", { timeout: 180_000 }, async (context) => {
  using scratch = new Scratch("follow-interop");
  const scene = new FollowScene(programUnderTest(), scratch);
  await using writer = new SheetWriter(scene.replication.database, new Random(3));
  writer.commit();
  await using running = scene.replication.start();
  await sleep(1500);
  {
    await using follower = scene.follow(programUnderTest());
    await scene.untilCopyHas(writer.n);
    assert.equal((await follower.stop()).code, 0);
  }
  // A healthy follower is ahead of the newest snapshot; the peer resumes only at one (LS#1385).
  rmSync(`${scene.replication.replicaFolder}/ltx/9`, { recursive: true, force: true });
  await followFor(scene, peer(), writer);
  await scene.assertCopyIsAtItsPosition();
  await followFor(scene, programUnderTest(), writer);
  await running.stop();
  await scene.assertCopyIsAtItsPosition();
  context.diagnostic(`at ${scene.position()}`);
});
