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
const lanes = 2;
const cyclesBetweenCleanEnds = 5;
const checkpointModes: readonly [CheckpointMode, ...CheckpointMode[]] = [
  "PASSIVE",
  "FULL",
  "RESTART",
  "TRUNCATE",
];

type Victim = "replicator" | "application" | "both" | "frozen replicator";

scenario(
  `M1 ${cycleCount} kills of replicator, application or both, with checkpoints and VACUUM during downtime, seed ${runSeed}`,
  {
    peer: { fails: "it does not notice checkpoints made while it was dead" },
    timeoutMs: 60_000 + cycleCount * 5_000,
  },
  async (context) => {
    const runs = Array.from({ length: lanes }, (_, lane) =>
      new KillLane(context, runSeed + lane, { checkpointsWhileDown: true }).run(
        Math.ceil(cycleCount / lanes),
      ),
    );
    // Both lanes end before the first failure is told, or the other one would outlive the test.
    const failed = (await Promise.allSettled(runs)).find((result) => result.status === "rejected");
    if (failed !== undefined) throw failed.reason;
  },
);

scenario(
  `M1 20 kills while the application never checkpoints, seed ${runSeed}`,
  { peer: "passes", timeoutMs: 160_000 },
  async (context) => {
    await new KillLane(context, runSeed + 100, { checkpointsWhileDown: false }).run(20);
  },
);

/** One database with its application and replicator, being killed over and over. */
class KillLane {
  readonly #random: Random;
  readonly #replication: Replication;
  readonly #checkpointsWhileDown: boolean;
  #published = new Map<string, string>();
  /** The newest transaction that a restore gave back so far. */
  #restorable = 0;

  constructor(
    { program, scratch }: ScenarioContext,
    seed: number,
    { checkpointsWhileDown }: { checkpointsWhileDown: boolean },
  ) {
    this.#random = new Random(seed);
    this.#checkpointsWhileDown = checkpointsWhileDown;
    this.#replication = new Replication({
      program,
      scratch,
      database: scratch.path(`lane-${seed}.db`),
    });
  }

  async run(cycles: number): Promise<void> {
    let cycle = 0;
    try {
      while (cycle < cycles) cycle = await this.#untilCleanEnd(cycle, cycles);
    } catch (error) {
      throw new Error(`Cycle ${cycle}… of seed ${this.#random.seed}: ${(error as Error).message}`, {
        cause: error,
      });
    }
  }

  async #untilCleanEnd(first: number, cycles: number): Promise<number> {
    const last = Math.min(first + cyclesBetweenCleanEnds, cycles);
    for (let cycle = first; cycle < last; cycle++) await this.#cycle();
    await this.#cleanEnd();
    return last;
  }

  /** Runs both for a while, kills, checks what can be restored, and lets the application go on alone. */
  async #cycle(): Promise<void> {
    await using application = await this.#startApplication();
    await using replicator = this.#replication.start();
    await application.run(this.#random.integer(0, 4));
    await sleep(this.#random.integer(5, 450));

    const victim = this.#random.pick<Victim>([
      "replicator",
      "replicator",
      "application",
      "both",
      "frozen replicator",
    ]);
    await this.#strike(victim, application, replicator);
    await this.#checkReplica();
    if (victim === "replicator" || victim === "frozen replicator")
      await this.#downtime(application);
  }

  async #strike(
    victim: Victim,
    application: Application,
    replicator: RunningProgram,
  ): Promise<void> {
    if (victim === "frozen replicator") {
      replicator.signal("SIGSTOP");
      await sleep(this.#random.integer(5, 150));
    }
    if (victim !== "application") replicator.signal("SIGKILL");
    if (victim === "both" || victim === "application") application.signal("SIGKILL");
    if (victim !== "application") await replicator.kill();
    if (victim === "application") await sleep(this.#random.integer(0, 60));
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
    assert.ok(
      n >= this.#restorable,
      `Restored transaction ${n}, but ${this.#restorable} was there before`,
    );
    this.#restorable = n;
  }

  async #downtime(application: Application): Promise<void> {
    const statistics = await application.pause();
    assert.equal(
      statistics.busyErrors,
      0,
      "The application saw SQLITE_BUSY in spite of its busy timeout of 5 s",
    );
    for (let step = this.#random.integer(0, 4); step > 0; step--) await this.#act(application);
  }

  async #act(application: Application): Promise<void> {
    const what = this.#random.next();
    if (what < 0.45) await application.transact(this.#random.integer(1, 12));
    else if (what < 0.6) await application.rollBackSpill();
    else if (!this.#checkpointsWhileDown) await application.transact(1);
    else if (what < 0.9) await application.checkpoint(this.#random.pick(checkpointModes));
    else await application.execute("VACUUM");
  }

  /** Everything at rest: the replica must hold exactly what the source holds. */
  async #cleanEnd(): Promise<void> {
    {
      await using application = await this.#startApplication();
      await application.transact(this.#random.integer(0, 5));
      await using replicator = this.#replication.start();
      await application.transact(this.#random.integer(1, 5));
      await this.#replication.untilReplicated(await application.transact(1));
      // Closing checkpoints the WAL and deletes it, killing leaves everything as it is.
      if (this.#checkpointsWhileDown && this.#random.chance(0.5)) await application.exit();
      else await application.kill();
      const { code } = await replicator.stop();
      assert.equal(code, 0, `The replicator ended with ${code}: ${replicator.output}`);
    }
    await this.#replication.assertRestoreEqualsSource();
    this.#restorable = await this.#replication.restoredState();
  }

  async #startApplication(): Promise<Application> {
    return await this.#replication.application({
      seed: this.#random.integer(1, 2 ** 31),
      cacheSize: 20,
      autoCheckpoint: this.#checkpointsWhileDown ? this.#random.pick([0, 30, 1000]) : 0,
    });
  }
}
