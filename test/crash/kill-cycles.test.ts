/**
 * M1: kill -9 at random moments, again and again, with an fsynced journal as oracle. After every kill the replica must
 * restore to a committed state no older than what was restorable before; at a clean end it must equal the source.
 *
 *   node test/crash/kill-cycles.test.ts --cycles 1000 --seed 7
 */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { Application, CheckpointMode } from "../harness/application.ts";
import type { RunningProgram } from "../harness/program.ts";
import { Random } from "../harness/random.ts";
import { fingerprints } from "../harness/replica-folder.ts";
import { Replication } from "../harness/replication.ts";
import { scenario, seed as defaultSeed } from "../harness/scenario.ts";
import type { ScenarioContext } from "../harness/scenario.ts";

const { values } = parseArgs({
  options: { cycles: { type: "string" }, seed: { type: "string" } },
  strict: false,
});
const cycleCount = Number(values.cycles ?? process.env["CYCLES"] ?? 200);
const runSeed = Number(values.seed ?? defaultSeed);
const cyclesBetweenCleanEnds = 5;
const checkpointModes: readonly [CheckpointMode, ...CheckpointMode[]] = [
  "PASSIVE",
  "FULL",
  "RESTART",
  "TRUNCATE",
];

type Victim = "replicator" | "application" | "both" | "frozen replicator";

const victims: readonly [Victim, ...Victim[]] = [
  "replicator",
  "replicator",
  "application",
  "both",
  "frozen replicator",
];

scenario(
  `M1 ${cycleCount} kills of replicator, application or both, with checkpoints and VACUUM during downtime, seed ${runSeed}`,
  {
    peer: { fails: "it does not notice checkpoints made while it was dead" },
    timeoutMs: 60_000 + cycleCount * 5_000,
  },
  async (context) => {
    const lanes = [50, 1000].map(async (minCheckpointPages, lane) => {
      await using killLane = new KillLane(context, runSeed + lane, {
        checkpointsWhileDown: true,
        minCheckpointPages,
      });
      await killLane.run(Math.ceil(cycleCount / 2));
    });
    // Both lanes end before the first failure is told, or the other one would outlive the test.
    const failed = (await Promise.allSettled(lanes)).find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  },
);

scenario(
  `M1 20 kills while the application never checkpoints, seed ${runSeed}`,
  { peer: "passes", timeoutMs: 160_000 },
  async (context) => {
    await using killLane = new KillLane(context, runSeed + 100, {
      checkpointsWhileDown: false,
      minCheckpointPages: 50,
    });
    await killLane.run(20);
  },
);

interface LaneOptions {
  readonly checkpointsWhileDown: boolean;
  /** Low: the program checkpoints all the time. High: the WAL is long when a downtime begins. */
  readonly minCheckpointPages: number;
}

/** One database with its application and replicator, being killed over and over. */
class KillLane implements AsyncDisposable {
  readonly #random: Random;
  readonly #replication: Replication;
  readonly #options: LaneOptions;
  readonly #pageSize: number;
  /** Lives from cycle to cycle unless it is killed. */
  #application: Application | null = null;
  #published = new Map<string, string>();
  /** The newest transaction that a restore gave back so far. */
  #restorable = 0;

  constructor({ program, scratch }: ScenarioContext, seed: number, options: LaneOptions) {
    this.#random = new Random(seed);
    this.#options = options;
    this.#pageSize = this.#random.pick([1024, 4096]);
    const database = scratch.path(`lane-${seed}.db`);
    const settings = { "min-checkpoint-page-count": options.minCheckpointPages };
    this.#replication = new Replication({ program, scratch, database, settings });
  }

  async run(cycles: number): Promise<void> {
    let cycle = 0;
    try {
      while (cycle < cycles) {
        await this.#cycle();
        cycle++;
        if (cycle % cyclesBetweenCleanEnds === 0 || cycle === cycles) await this.#cleanEnd();
      }
    } catch (error) {
      const message = `Cycle ${cycle} of seed ${this.#random.seed}: ${(error as Error).message}`;
      throw new Error(message, { cause: error });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#application?.[Symbol.asyncDispose]();
  }

  /** Runs both for a while, kills, checks what can be restored, and lets the application go on alone. */
  async #cycle(): Promise<void> {
    let application = await this.#running();
    await using replicator = this.#replication.start();
    // Half of the time it catches up first; otherwise it starts into full traffic.
    if (this.#random.chance(0.5)) await sleep(this.#random.integer(100, 250));
    await application.run(this.#random.integer(0, 4));
    await sleep(this.#random.integer(5, 250));

    const victim = this.#random.pick<Victim>(victims);
    await this.#strike(victim, replicator);
    if (victim === "application") {
      // The replicator sees the application die in the middle of a transaction and come back.
      application = await this.#running();
      await application.transact(this.#random.integer(1, 10));
      await sleep(this.#random.integer(0, 60));
      await replicator.kill();
    }
    await this.#checkReplica();
    if (victim !== "both") await this.#downtime(await this.#running());
  }

  async #strike(victim: Victim, replicator: RunningProgram): Promise<void> {
    const killsApplication = victim === "application" || victim === "both";
    if (victim === "frozen replicator") {
      replicator.signal("SIGSTOP");
      await sleep(this.#random.integer(5, 100));
    }
    if (victim !== "application") replicator.signal("SIGKILL");
    if (killsApplication) await this.#killApplication();
    if (victim !== "application") await replicator.kill();
    if (!killsApplication) await this.#pause();
  }

  async #pause(): Promise<void> {
    const statistics = await (await this.#running()).pause();
    assert.equal(statistics.busyErrors, 0, "SQLITE_BUSY in spite of a busy timeout of 5 s");
  }

  /** What is there must be a committed state, nothing published may have changed, and nothing may have got lost. */
  async #checkReplica(): Promise<void> {
    if (!this.#replication.hasFiles()) return;
    const published = fingerprints(this.#replication.replicaFolder);
    for (const [name, hash] of this.#published) {
      const now = published.get(name);
      if (now !== undefined) assert.equal(now, hash, `Published file ${name} was rewritten`);
    }
    this.#published = published;
    const n = await this.#replication.restoredState();
    const lost = `Restored transaction ${n}, but ${this.#restorable} was there before`;
    assert.ok(n >= this.#restorable, lost);
    this.#restorable = n;
  }

  async #downtime(application: Application): Promise<void> {
    for (let step = this.#random.integer(0, 3); step > 0; step--) await this.#act(application);
  }

  async #act(application: Application): Promise<void> {
    const what = this.#random.next();
    if (what < 0.3) await application.transact(this.#random.integer(1, 12));
    else if (what < 0.4) await application.rollBackSpill();
    else if (!this.#options.checkpointsWhileDown) await application.transact(1);
    else if (what < 0.9) {
      await application.transact(this.#random.integer(0, 4));
      await application.checkpoint(this.#random.pick(checkpointModes));
      await application.transact(this.#random.integer(0, 2));
    } else await application.execute("VACUUM");
  }

  /** Everything at rest: the replica must hold exactly what the source holds. */
  async #cleanEnd(): Promise<void> {
    const application = await this.#running();
    await application.transact(this.#random.integer(0, 5));
    await using replicator = this.#replication.start();
    await this.#replication.untilReplicated(await application.transact(this.#random.integer(1, 5)));
    // Closing checkpoints the WAL and deletes it, killing leaves everything as it is.
    const closes = this.#options.checkpointsWhileDown && this.#random.chance(0.3);
    if (closes) await application.exit();
    if (closes || this.#random.chance(0.3)) await this.#killApplication();
    const { code } = await replicator.stop();
    assert.equal(code, 0, `The replicator ended with ${code}: ${replicator.output}`);
    await this.#replication.assertRestoreEqualsSource();
    this.#restorable = await this.#replication.restoredState();
  }

  async #killApplication(): Promise<void> {
    await this.#application?.[Symbol.asyncDispose]();
    this.#application = null;
  }

  async #running(): Promise<Application> {
    this.#application ??= await this.#replication.application({
      seed: this.#random.integer(1, 2 ** 31),
      pageSize: this.#pageSize,
      cacheSize: 20,
      autoCheckpoint: this.#options.checkpointsWhileDown ? this.#random.pick([0, 0, 30, 1000]) : 0,
    });
    return this.#application;
  }
}
