/** One simulated life: a seed decides the habits, the steps and the order of everything; the judge looks after each step. */
import { copyFileSync, existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { EngineEvent } from "../../src/engine/events.ts";
import type { LevelSettings } from "../../src/engine/level-settings.ts";
import { Random } from "../harness/random.ts";
import { disk } from "./disk.ts";
import type { DiskObserver } from "./disk.ts";
import { FenceJudge } from "./fence-judge.ts";
import { Judge } from "./judge.ts";
import { Machine } from "./machine.ts";
import type { EngineHabits } from "./machine.ts";
import { Promises } from "./model.ts";
import { currentLife, Scheduler } from "./scheduler.ts";
import type { Life } from "./scheduler.ts";
import { LATE_MS, SharedStore } from "./store.ts";
import type { ApplicationHabits } from "./application.ts";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** What the application does between accesses of the engine within one step: an engine must be able to catch up. */
const MAX_ACTS_IN_BETWEEN = 12;

/** What a run met, so that nobody believes a green run that met nothing. */
export type Tally = Record<string, number>;

export interface RunResult {
  readonly seed: number;
  readonly trace: readonly string[];
  readonly tally: Tally;
  /** Why the seed failed, or null. */
  readonly failure: Error | null;
}

/** Runs one seed in `folder`, which must be empty. */
export async function runSeed(seed: number, folder: string): Promise<RunResult> {
  const world = new World(seed, folder);
  let failure: Error | null = null;
  try {
    await world.run();
  } catch (error) {
    failure = error instanceof Error ? error : new Error(String(error));
  } finally {
    world.end();
  }
  return { seed, trace: world.trace, tally: world.tally, failure };
}

class World implements DiskObserver {
  readonly trace: string[] = [];
  readonly tally: Tally = {};
  readonly #random: Random;
  readonly #scheduler: Scheduler;
  readonly #store: SharedStore;
  readonly #folder: string;
  readonly #promises = new Promises();
  readonly #judge: Judge;
  readonly #fence: FenceJudge;
  readonly #machines: Machine[] = [];
  readonly #engine: EngineHabits;
  readonly #application: ApplicationHabits;
  /** How often the application acts between two accesses of the engine. */
  readonly #interleaving: number;
  /** How often the engine dies between two jobs. */
  readonly #deathRate: number;
  readonly #isDouble: boolean;
  #isActing = false;
  #actsLeft = 0;
  #calm = false;
  /** Somebody's disk went back in time, or a clock jumped: what times mean is open. */
  #timesAreOpen = false;
  #failure: Error | null = null;
  #copies = 0;

  constructor(seed: number, folder: string) {
    this.#folder = folder;
    const random = new Random(seed);
    this.#random = random;
    this.#scheduler = new Scheduler(new Random(random.integer(0, 2 ** 31)));
    this.#isDouble = random.chance(0.25);
    const conditional = this.#isDouble || random.chance(0.8);
    this.#store = new SharedStore(new Random(random.integer(0, 2 ** 31)), this.#scheduler, {
      faultRate: random.pick([0, 0.02, 0.1, 0.3]),
      canCopy: random.chance(0.5),
      conditional,
      listsLateMs: conditional ? random.pick([0, 0, 0, 2_000]) : 0,
    });
    this.#interleaving = random.pick([0, 0.01, 0.05, 0.2]);
    this.#deathRate = random.pick([0, 0, 0.002, 0.01]);
    this.#engine = chooseEngine(random);
    this.#application = {
      pageSize: random.pick([512, 512, 1024, 4096]),
      autoVacuum: random.pick([0, 0, 1, 2] as const),
      autoCheckpointPages: random.pick([0, 0, 20, 100]),
      cachePages: random.pick([5, 100]),
    };
    this.#scheduler.between = () => this.#between();
    this.#fence = new FenceJudge(this.#store);
    this.#judge = new Judge({
      store: this.#store,
      promises: this.#promises,
      levels: this.#engine.levels,
      folder,
      random,
      note: (line) => this.#note(line),
      count: (what) => this.#count(what),
    });
    this.#addMachine();
  }

  async run(): Promise<void> {
    disk.attach(this.#scheduler, this);
    const [first] = this.#machines;
    if (first === undefined) return;
    first.application.open();
    first.startEngine();
    const steps = this.#random.integer(8, 30);
    for (let step = 0; step < steps; step++) {
      this.#actsLeft = MAX_ACTS_IN_BETWEEN;
      await this.#step(this.#pickMachine());
      await this.#scheduler.settle();
      this.#check();
      if (this.#random.chance(0.3)) await this.#judgeNow();
    }
    await this.#rest();
  }

  /** Whatever happened, nothing stays open. */
  end(): void {
    for (const machine of this.#machines) {
      machine.dropEngine();
      machine.application.close("closed");
    }
    disk.attach(null, null);
    disk.forget(this.#folder);
  }

  onAccess(life: Life, what: "wal-open" | "wal-read" | "sql", path: string): void {
    const machine = this.#machines.find(({ name }) => name === life.machine);
    if (machine === undefined || machine.life !== life) return;
    const mayAct = !this.#calm && !this.#isActing && this.#actsLeft > 0;
    if (mayAct && this.#random.chance(this.#interleaving)) {
      this.#actsLeft--;
      this.#act(machine, `during ${what} `);
    }
    if (what === "wal-open" && path === `${machine.application.path}-wal`)
      machine.walOpenedAt = machine.history.index;
  }

  // --- steps ---

  async #step(machine: Machine): Promise<void> {
    const what = this.#random.pick(STEPS);
    switch (what) {
      case "write":
        for (let count = this.#random.integer(1, 4); count > 0; count--) {
          this.#act(machine, "");
          if (this.#random.chance(0.5))
            await this.#scheduler.advance(this.#random.pick([10, 1_000]));
        }
        return;
      case "wait":
        return await this.#wait(this.#random.pick([100, SECOND, 5 * SECOND, 31 * SECOND]));
      case "wait-long":
        return await this.#wait(
          this.#random.pick([6 * MINUTE, 6 * MINUTE, HOUR + MINUTE, this.#longest()]),
        );
      case "application":
        return this.#restartApplication(machine);
      case "reader":
        this.#note(`${machine.name}: ${this.#outside(() => machine.application.toggleReader())}`);
        return;
      case "kill":
        await this.#kill(machine, "killed");
        return this.#startLater(machine);
      case "power":
        await machine.killEngine();
        this.#note(
          `${machine.name}: power cut: ${machine.cutPower().join("; ") || "nothing lost"}`,
        );
        this.#count("power cuts");
        this.#outside(() => machine.application.open());
        this.#timesAreOpen = true;
        return this.#startLater(machine);
      case "stop":
        return await this.#stop(machine);
      case "sync":
        return await this.#sync(machine);
      case "snapshot":
        this.#note(`${machine.name}: snapshot: ${await machine.snapshot()}`);
        return;
      case "lose-meta":
        await this.#kill(machine, "killed, local files lost");
        machine.loseMeta();
        await this.#letListingsCatchUp();
        this.#count("meta lost");
        return this.#startLater(machine);
      case "back-in-time":
        return await this.#goBack(machine);
      case "replace":
        this.#note(`${machine.name}: ${this.#outside(() => machine.application.replaceFile())}`);
        this.#count("files replaced");
        machine.announceWrite();
        return;
      case "page-size":
        await this.#changePageSize(machine);
        return this.#startLater(machine);
      case "clock":
        machine.clock.offMs += this.#random.pick([-10 * MINUTE, 10 * MINUTE, HOUR]);
        this.#note(`${machine.name}: clock is off by ${machine.clock.offMs} ms`);
        this.#timesAreOpen = true;
        return;
      case "second-writer":
        return await this.#addSecondWriter(machine);
      case "retry":
        machine.replica?.retry();
        return;
    }
  }

  #act(machine: Machine, when: string): void {
    if (!machine.application.isOpen) return;
    const index = machine.history.index;
    const what = this.#outside(() => machine.application.act());
    this.#note(
      `${machine.name}: ${when}${what}${machine.history.index > index ? ` → state ${machine.history.index}` : ""}`,
    );
    if (when === "") this.#count("application acts");
    else this.#count("acts in between");
    machine.announceWrite();
  }

  async #wait(ms: number): Promise<void> {
    this.#note(`wait ${ms} ms`);
    await this.#scheduler.advance(ms);
  }

  #restartApplication(machine: Machine): void {
    const { application } = machine;
    if (!application.isOpen) {
      this.#outside(() => application.open());
      this.#note(`${machine.name}: application opens`);
      machine.announceWrite();
      return;
    }
    const how = this.#random.pick(["closed", "killed"] as const);
    this.#outside(() => application.close(how));
    this.#note(`${machine.name}: application ${how}`);
  }

  /** What the application does while no engine runs, and the engine's next start. */
  #startLater(machine: Machine): void {
    for (let count = this.#random.integer(0, 4); count > 0; count--) this.#act(machine, "down: ");
    if (this.#random.chance(0.3)) this.#restartApplication(machine);
    if (this.#random.chance(0.3)) this.#restartApplication(machine);
    machine.startEngine();
    this.#note(`${machine.name}: engine starts`);
  }

  async #kill(machine: Machine, how: string): Promise<void> {
    await machine.killEngine();
    this.#killed(machine, how);
  }

  #killed(machine: Machine, how: string): void {
    this.#note(`${machine.name}: engine ${how}`);
    this.#count("kills");
  }

  async #stop(machine: Machine): Promise<void> {
    const before = machine.history.index;
    const synced = await machine.stopEngine();
    this.#note(`${machine.name}: engine stops, ${synced ? "synced" : "not synced"}`);
    if (synced && this.#machines.length === 1) await this.#judge.checkLatest(machine, before);
    this.#startLater(machine);
  }

  async #sync(machine: Machine): Promise<void> {
    const before = machine.history.index;
    const synced = await machine.syncEngine();
    this.#note(`${machine.name}: sync ${synced ? "done" : "failed"}`);
    if (synced && this.#machines.length === 1 && machine.replica?.status.state === "running")
      await this.#judge.checkLatest(machine, before);
  }

  /** The volume is set back to a copy taken a while ago, database and local files together. */
  async #goBack(machine: Machine): Promise<void> {
    const copy = join(this.#folder, `copy-${machine.name}`);
    await this.#kill(machine, "killed for the volume's sake");
    const wasOpen = machine.application.isOpen;
    this.#outside(() => machine.application.close("killed"));
    if (existsSync(copy)) {
      machine.restoreDisk(copy);
      await this.#letListingsCatchUp();
      this.#note(`${machine.name}: volume set back`);
      this.#count("volumes set back");
      machine.application.rename(`${machine.name}.${++this.#copies}`);
      this.#timesAreOpen = true;
    } else {
      machine.copyDisk(copy);
      this.#note(`${machine.name}: volume copied`);
    }
    this.#outside(() => {
      // Opened in any case: the judge must know which state is current now.
      machine.application.open();
      if (!wasOpen) machine.application.close("killed");
    });
    this.#startLater(machine);
  }

  async #changePageSize(machine: Machine): Promise<void> {
    await this.#kill(machine, "killed for a new page size");
    this.#outside(() => {
      machine.application.close("closed");
      machine.application.open();
    });
    this.#note(`${machine.name}: ${this.#outside(() => machine.application.changePageSize())}`);
  }

  /** Who has no local files depends on what a store lists: setting up a machine takes longer than listings are late. */
  async #letListingsCatchUp(): Promise<void> {
    await this.#scheduler.advance(2 * LATE_MS);
  }

  /** A copy of the machine comes up beside it, with the same replica. */
  async #addSecondWriter(machine: Machine): Promise<void> {
    if (!this.#isDouble || this.#machines.length > 1) return;
    const wasOpen = machine.application.isOpen;
    await this.#kill(machine, "killed to be copied");
    this.#outside(() => machine.application.close("killed"));
    const second = this.#addMachine();
    machine.copyDisk(second.folder);
    await this.#letListingsCatchUp();
    if (this.#random.chance(0.5)) second.loseMeta();
    machine.history.copyTo(second.history);
    this.#timesAreOpen = true;
    if (wasOpen) this.#outside(() => machine.application.open());
    this.#outside(() => second.application.open());
    this.#note(`${second.name}: a copy of ${machine.name} starts`);
    this.#store.isUnpunctual = true;
    this.#count("second writers");
    machine.startEngine();
    second.startEngine();
  }

  // --- the end ---

  /** Nothing fails any more: everything must come to rest, complete and equal. */
  async #rest(): Promise<void> {
    this.#calm = true;
    this.#store.calm = true;
    this.#note("everything is calm");
    for (const machine of this.#machines) {
      this.#outside(() => {
        machine.application.leaveReader();
        machine.application.open();
      });
      machine.startEngine();
      this.#outside(() => machine.application.do("small"));
      machine.announceWrite();
    }
    await this.#wait(12 * MINUTE);
    this.#check();
    await this.#judgeNow();
    const [first] = this.#machines;
    if (first === undefined || this.#isAnyConflict()) return;
    if (this.#machines.length > 1) return;
    this.#outside(() => first.application.do("small"));
    await this.#wait(this.#longest());
    this.#check();
    await this.#judgeNow();
    this.#judge.checkLocal(first);
    first.startEngine();
    const before = first.history.index;
    const synced = await first.stopEngine();
    if (!synced) throw new Error("The final sync failed although nothing fails any more");
    await this.#judge.checkLatest(first, before);
    await this.#comparePages(first);
  }

  /** The restored file and the source, page for page. */
  async #comparePages(machine: Machine): Promise<void> {
    this.#outside(() => machine.application.close("closed"));
    const copy = join(this.#folder, "source.db");
    for (const suffix of ["", "-wal"]) {
      rmSync(`${copy}${suffix}`, { force: true });
      const from = `${machine.application.path}${suffix}`;
      if (existsSync(from)) copyFileSync(from, `${copy}${suffix}`);
    }
    {
      using database = new DatabaseSync(copy);
      database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    }
    const restored = await this.#judge.restoreLatest();
    if (Buffer.compare(readFileSync(copy), readFileSync(restored)) !== 0)
      throw new Error("The restored database differs from its source in some page");
    this.#count("sources compared");
  }

  // --- watching ---

  #onEvent(machine: Machine, event: EngineEvent): void {
    this.#note(`${machine.name}: ${describe(event)}`);
    this.#count(event.type);
    switch (event.type) {
      case "ltx-written": {
        const limited = this.#engine.maxSyncWALBytes > 0 && event.image === undefined;
        machine.history.write({
          txid: event.txid,
          index: machine.walOpenedAt,
          limited,
          atMs: this.#scheduler.elapsedMs,
          bytes: machine.readLocal(event.txid),
        });
        return;
      }
      case "replica-opened":
        this.#fence.onOpened(machine, this.#scheduler.elapsedMs);
        return;
      case "ltx-uploaded":
        if (event.level === 0)
          this.#hold(() =>
            this.#fence.onUploaded(machine, event.maxTXID, this.#scheduler.elapsedMs),
          );
        return;
      case "replica-synced":
        this.#hold(() => this.#judge.onSynced(machine, event.txid));
        return;
      default:
    }
  }

  /** Between two jobs of the engine: it may die, the application may act. */
  #between(): void {
    if (this.#calm) return;
    for (const machine of this.#machines) {
      if (machine.isRunning && this.#random.chance(this.#deathRate)) {
        machine.dropEngine();
        this.#killed(machine, "killed in the midst of it");
        if (this.#random.chance(0.3)) {
          this.#note(`${machine.name}: and the power fails: ${machine.cutPower().join("; ")}`);
          this.#outside(() => machine.application.open());
          this.#timesAreOpen = true;
        }
      }
    }
  }

  async #judgeNow(): Promise<void> {
    await this.#judge.check({
      timesAreOpen: this.#timesAreOpen,
      isDouble: this.#machines.length > 1,
    });
  }

  #check(): void {
    if (this.#failure !== null) throw this.#failure;
    const [violation] = this.#store.violations;
    if (violation !== undefined) throw new Error(violation);
    for (const machine of this.#machines)
      if (!machine.isRunning && this.#random.chance(0.7)) this.#startLater(machine);
  }

  #isAnyConflict(): boolean {
    return this.#machines.some(({ replica }) => replica?.status.state === "conflict");
  }

  /** What is found wrong while the engine runs comes up at the next look. */
  #hold(look: () => void): void {
    try {
      look();
    } catch (error) {
      this.#failure ??= error as Error;
    }
  }

  /** Runs the application, which is no part of the engine's life. */
  #outside<T>(action: () => T): T {
    this.#isActing = true;
    try {
      return currentLife.exit(action);
    } finally {
      this.#isActing = false;
    }
  }

  #addMachine(): Machine {
    const name = this.#machines.length === 0 ? "A" : "B";
    const machine = new Machine({
      name,
      folder: join(this.#folder, name),
      random: this.#random,
      scheduler: this.#scheduler,
      store: this.#store,
      habits: this.#engine,
      application: this.#application,
      onEvent: (from, event) => this.#onEvent(from, event),
    });
    this.#machines.push(machine);
    return machine;
  }

  #pickMachine(): Machine {
    const [first, ...others] = this.#machines;
    if (first === undefined) throw new Error("There is no machine");
    return this.#random.pick([first, ...others]);
  }

  /** A database that is polled every few seconds would take long over days. */
  #longest(): number {
    return this.#engine.monitorIntervalMs >= 30 * SECOND ? 7 * HOUR : HOUR;
  }

  #note(line: string): void {
    this.trace.push(`${this.#scheduler.elapsedMs.toFixed(2)} ${line}`);
  }

  #count(what: string): void {
    this.tally[what] = (this.tally[what] ?? 0) + 1;
  }
}

const STEPS = [
  "write",
  "write",
  "write",
  "write",
  "write",
  "write",
  "wait",
  "wait",
  "wait",
  "wait-long",
  "wait-long",
  "application",
  "reader",
  "kill",
  "kill",
  "power",
  "stop",
  "stop",
  "sync",
  "sync",
  "snapshot",
  "lose-meta",
  "back-in-time",
  "replace",
  "page-size",
  "clock",
  "second-writer",
  "second-writer",
  "retry",
] as const;

function chooseEngine(random: Random): EngineHabits {
  const levels: LevelSettings = {
    levelIntervalsMs: random.pick([
      [30 * SECOND, 5 * MINUTE, HOUR],
      [5 * SECOND, 30 * SECOND],
    ]),
    snapshotIntervalMs: random.pick([10 * MINUTE, 6 * HOUR]),
    snapshotRetentionMs: random.pick([20 * MINUTE, 12 * HOUR]),
    l0RetentionMs: random.pick([45 * SECOND, 5 * MINUTE]),
    l0RetentionCheckIntervalMs: 15 * SECOND,
    retentionEnabled: random.chance(0.9),
    verifyCompaction: random.chance(0.3),
    validationIntervalMs: random.pick([0, HOUR]),
    auditIntervalMs: random.pick([10 * MINUTE, HOUR]),
  };
  return {
    monitorIntervalMs: random.pick([SECOND, 30 * SECOND, 60 * SECOND]),
    syncIntervalMs: random.pick([100, SECOND]),
    minCheckpointFrames: random.pick([10, 40, 1_000]),
    checkpointIntervalMs: random.pick([0, MINUTE]),
    maxSyncWALBytes: random.pick([0, 0, 20_000]),
    levels,
  };
}

/** An event in one line, without what differs between machines. */
function describe(event: EngineEvent): string {
  const { type, ...details } = event;
  const words = Object.entries(details)
    .filter(([key, value]) => value !== undefined && key !== "database" && key !== "replica")
    .map(([key, value]) => `${key}=${value instanceof Error ? value.message : String(value)}`);
  // Checksums depend on the WAL's salts, which SQLite draws by itself.
  return `${type} ${words.join(" ")}`.replaceAll(/checksum [0-9a-f]{16}/g, "checksum …");
}
