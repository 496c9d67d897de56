import assert from "node:assert/strict";
import { mkdirSync, rmSync } from "node:fs";
import { test } from "node:test";
import { increment, owner, publish, publishRun } from "../../test/harness/local-files.ts";
import { Scratch } from "../../test/harness/scratch.ts";
import { SimulatedClock } from "../../test/harness/simulated-clock.ts";
import { LocalTrimLoop } from "../service/upkeep-loop.ts";
import type { EngineEvent } from "./events.ts";
import { LocalBacklog, planBacklog } from "./local-backlog.ts";
import { LocalLTX } from "./local-ltx.ts";
import { LocalTrim } from "./local-trim.ts";
import type { ReplicaNeed } from "./local-trim.ts";

const CHECK_MS = 15_000;
const RETENTION_MS = 60_000;

class Scene implements Disposable {
  readonly scratch = new Scratch("local-trim");
  readonly clock = new SimulatedClock();
  readonly local = LocalLTX.open(this.scratch.path("meta"), owner);
  readonly events: EngineEvent[] = [];
  replicas: ReplicaNeed[] = [];
  limitFiles = Number.POSITIVE_INFINITY;
  readonly trim = new LocalTrim({
    local: this.local,
    databasePath: "/app.db",
    clock: this.clock,
    emit: (event) => this.events.push(event),
    retentionMs: RETENTION_MS,
    checkIntervalMs: CHECK_MS,
    backlogLimitBytes: () => this.limitFiles * this.fileSize,
    replicas: () => this.replicas,
  });
  readonly fileSize = increment(9n).bytes.length;

  /** Writes up to `last`, lets everything grow old, and trims. */
  async age(last: bigint): Promise<number> {
    publishRun(this.local, last, this.local.newestTXID + 1n);
    this.trim.run();
    await this.clock.advance(RETENTION_MS);
    return this.trim.run();
  }

  get givenUp(): string[] {
    return this.events.flatMap((event) =>
      event.type === "backlog-given-up" ? [`${event.replica} ${event.fileCount}`] : [],
    );
  }

  [Symbol.dispose](): void {
    this.scratch[Symbol.dispose]();
  }
}

test("planBacklog() keeps the newest files that fit, and the newest always", () => {
  const cases: [string, number[], number, bigint][] = [
    ["none", [], 100, 10n],
    ["all fit", [10, 20, 30], 60, 10n],
    ["the oldest is too many", [10, 20, 30], 59, 11n],
    ["one fits", [10, 20, 30], 30, 12n],
    ["not even the newest fits", [10, 20, 30], 5, 12n],
    ["a large one stops what is before it", [1, 1, 100, 10], 50, 13n],
  ];
  for (const [name, sizes, limit, expected] of cases)
    assert.equal(planBacklog(sizes, 10n, limit), expected, name);
});

test("LocalBacklog follows a folder whose files come, go and begin anew", () => {
  using scratch = new Scratch("backlog");
  const local = LocalLTX.open(scratch.path("meta"), owner);
  const backlog = new LocalBacklog(local);
  const size = increment(9n).bytes.length;
  assert.equal(backlog.keepFrom(3 * size), 0n);
  publishRun(local, 9n);
  assert.equal(backlog.keepFrom(3 * size), 7n);
  local.trim(5n);
  publish(local, increment(10n));
  assert.equal(backlog.keepFrom(3 * size), 8n);
  assert.equal(backlog.keepFrom(1000 * size), 5n);
  local.reset();
  publish(local, increment(40n));
  assert.equal(backlog.keepFrom(3 * size), 40n);
});

test("files wait for a replica out of reach, up to the bound; then the oldest go, and that is told once", async () => {
  using scene = new Scene();
  scene.replicas = [
    { name: "near", neededFromTXID: 20n, isReachable: true },
    { name: "dead", neededFromTXID: 2n, isReachable: false },
  ];
  scene.limitFiles = 100;
  assert.equal(await scene.age(20n), CHECK_MS);
  assert.equal(scene.local.oldestTXID, 1n, "all may wait");
  scene.limitFiles = 5;
  scene.trim.run();
  assert.equal(scene.local.oldestTXID, 16n);
  assert.deepEqual(scene.givenUp, ["dead 15"]);
  publishRun(scene.local, 23n, 21n);
  scene.replicas[0] = { name: "near", neededFromTXID: 23n, isReachable: true };
  await scene.clock.advance(RETENTION_MS);
  scene.trim.run();
  await scene.clock.advance(RETENTION_MS);
  scene.trim.run();
  assert.equal(scene.local.oldestTXID, 19n);
  assert.deepEqual(scene.givenUp, ["dead 15"]);
});

test("a replica that uploads is waited for without a bound, and nobody looks again without a reason", async () => {
  using scene = new Scene();
  scene.replicas = [{ name: "slow", neededFromTXID: 2n, isReachable: true }];
  scene.limitFiles = 5;
  assert.equal(await scene.age(20n), Number.POSITIVE_INFINITY);
  assert.equal(scene.local.oldestTXID, 1n);
  assert.deepEqual(scene.givenUp, []);
});

test("what cannot be deleted is told, and tried again", async () => {
  using scene = new Scene();
  scene.replicas = [{ name: "near", neededFromTXID: 20n, isReachable: true }];
  publishRun(scene.local, 20n);
  scene.trim.run();
  // A folder in the place of a file: not even root can unlink it.
  rmSync(scene.local.path(3n));
  mkdirSync(scene.local.path(3n));
  const stop = new AbortController();
  await scene.clock.advance(RETENTION_MS);
  const loop = new LocalTrimLoop(scene.trim, {
    clock: scene.clock,
    databasePath: "/app.db",
    emit: (event) => scene.events.push(event),
  });
  const running = loop.run(stop.signal);
  await scene.clock.advance(500);
  assert.deepEqual(
    scene.events.map(({ type }) => type),
    ["local-trim-failed"],
  );
  rmSync(scene.local.path(3n), { recursive: true });
  await scene.clock.advance(1000);
  assert.equal(scene.local.oldestTXID, 16n);
  stop.abort();
  await running;
});
