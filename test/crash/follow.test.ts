/** FO2, FO6: a follower among readers, and one that is killed again and again. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { FollowScene, SheetWriter } from "../harness/follow-scene.ts";
import { programUnderTest } from "../harness/program.ts";
import { Random } from "../harness/random.ts";
import { Scratch } from "../harness/scratch.ts";
import { until } from "../harness/wait.ts";

const cycles = 25;

test(
  "FO6 short, kept and long readers see committed states only, and the follower gets its turn",
  { timeout: 120_000 },
  async (context) => {
    using scratch = new Scratch("follow-readers");
    const scene = new FollowScene(programUnderTest(), scratch);
    await using writer = new SheetWriter(scene.replication.database, new Random(1));
    writer.commit();
    await using source = scene.replication.start();
    await until(() => existsSync(scene.replication.replicaFolder), {
      what: "replica",
      timeoutMs: 10_000,
    });
    await sleep(500);
    await using follower = scene.follow(programUnderTest());
    await scene.untilCopyHas(writer.n);
    await using stack = new AsyncDisposableStack();
    const readers = (["short", "kept", "kept", "long", "long"] as const).map((mode) =>
      stack.use(scene.read(mode)),
    );
    writer.start(40);
    await sleep(10_000);
    await writer.stop();
    const reports = await Promise.all(readers.map((reader) => reader.stop()));
    await scene.untilCopyHas(writer.n);
    for (const report of reports) {
      context.diagnostic(JSON.stringify(report));
      assert.deepEqual(report.mistakes, []);
      assert.ok(report.states > 5, JSON.stringify(report));
    }
    const outcome = await follower.stop();
    assert.equal(outcome.code, 0, outcome.stderr);
    assert.match(outcome.stderr, /msg="follow: applied updates"/);
    assert.match(outcome.stderr, /msg="follow mode stopped"/);
    const summary = JSON.parse(outcome.stdout) as Record<string, unknown>;
    assert.equal(summary["state"], "current");
    assert.equal(summary["lag_ms"], 0);
    await source.stop();
    await scene.assertCopyIsAtItsPosition();
  },
);

test(
  "FO2 a follower that is killed at any moment leaves a committed state, and goes on",
  { timeout: 240_000 },
  async (context) => {
    using scratch = new Scratch("follow-kill");
    const random = new Random(7);
    const scene = new FollowScene(programUnderTest(), scratch);
    await using writer = new SheetWriter(scene.replication.database, random);
    writer.commit();
    await using source = scene.replication.start();
    await sleep(700);
    {
      await using follower = scene.follow(programUnderTest());
      await scene.untilCopyHas(writer.n);
      await follower.kill();
    }
    await using reader = scene.read("short");
    let journals = 0;
    let before = 0;
    for (let cycle = 0; cycle < cycles; cycle++) {
      writer.start(15);
      const follower = scene.follow(programUnderTest(), 5);
      await sleep(random.integer(250, 900));
      await follower.kill();
      await writer.stop();
      if (existsSync(`${scene.copy}-journal`)) journals += 1;
      const n = scene.readCopy();
      assert.ok(n >= before, `${before} was followed by ${n}`);
      before = n;
    }
    const report = await reader.stop();
    context.diagnostic(`${journals} of ${cycles} left a journal; ${JSON.stringify(report)}`);
    assert.deepEqual(report.mistakes, []);
    assert.ok(before > 5);
    await using follower = scene.follow(programUnderTest());
    await scene.untilCopyHas(writer.n);
    await follower.stop();
    await source.stop();
    await scene.assertCopyIsAtItsPosition();
  },
);
