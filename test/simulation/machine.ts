/** A computer with an application, its database, and at times an engine that replicates it. */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseRunner } from "../../src/service/database-runner.ts";
import { DirectoryWatch } from "../../src/service/directory-watch.ts";
import { CheckpointThread } from "../../src/sqlite/checkpoint-thread.ts";
import { checkpointPassive } from "../../src/sqlite/checkpoint.ts";
import type { CheckpointResult } from "../../src/sqlite/checkpoint.ts";
import type {
  OpenConnectionOptions,
  SQLiteConnection,
  SQLiteRow,
} from "../../src/sqlite/driver.ts";
import { openConnection } from "../../src/sqlite/node-sqlite.ts";
import type { EngineEvent } from "../../src/engine/events.ts";
import type { LevelSettings } from "../../src/engine/level-settings.ts";
import type { Replica } from "../../src/engine/replica.ts";
import { formatLTXName, parseLTXName } from "../../src/formats/ltx/layout.ts";
import type { TXID } from "../../src/formats/ltx/txid.ts";
import type { Random } from "../harness/random.ts";
import { Application } from "./application.ts";
import type { ApplicationHabits } from "./application.ts";
import { disk } from "./disk.ts";
import { History } from "./model.ts";
import type { Written } from "./model.ts";
import { currentLife, drain, MachineClock } from "./scheduler.ts";
import type { Life, Scheduler } from "./scheduler.ts";
import { SimulatedClient } from "./store.ts";
import type { SharedStore } from "./store.ts";

export interface EngineHabits {
  readonly monitorIntervalMs: number;
  readonly syncIntervalMs: number;
  readonly minCheckpointFrames: number;
  readonly checkpointIntervalMs: number;
  readonly maxSyncWALBytes: number;
  readonly levels: LevelSettings;
}

export interface MachineOptions {
  readonly name: string;
  readonly folder: string;
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly store: SharedStore;
  readonly habits: EngineHabits;
  readonly application: ApplicationHabits;
  readonly onEvent: (machine: Machine, event: EngineEvent) => void;
}

/** Virtual time in which everything that was asked of an engine must have come to an end. */
const PATIENCE_MS = 1_000_000;

/** One sync publishes one file at a time. */
const UNTOLD_FILES = 2;

interface Engine {
  readonly life: Life;
  readonly runner: DatabaseRunner;
  readonly connections: Set<SQLiteConnection>;
  readonly watch: SimulatedWatch;
  readonly thread: InThreadCheckpoints;
}

export class Machine {
  readonly name: string;
  readonly folder: string;
  readonly history: History;
  readonly application: Application;
  readonly clock: MachineClock;
  /** Where the machine's history stood when the engine last opened the WAL. */
  walOpenedAt = 0;
  readonly #options: MachineOptions;
  #engine: Engine | null = null;
  #writtenAtCopy: ReadonlyMap<TXID, Written> = new Map();

  constructor(options: MachineOptions) {
    const { name, folder, random, application } = options;
    this.name = name;
    this.folder = folder;
    this.#options = options;
    this.history = new History(name);
    this.clock = new MachineClock(options.scheduler);
    mkdirSync(folder, { recursive: true });
    this.application = new Application(
      join(folder, "app.db"),
      name,
      random,
      application,
      (digest) => this.history.push(digest),
    );
  }

  get metaPath(): string {
    return join(this.folder, ".app.db-litestream");
  }

  get isRunning(): boolean {
    return this.#engine !== null;
  }

  get replica(): Replica | undefined {
    return this.#engine?.runner.replicas[0];
  }

  get life(): Life | undefined {
    return this.#engine?.life;
  }

  /** Tells the engine's directory watch of what the application did. */
  announceWrite(): void {
    this.#engine?.watch.announce();
  }

  /** Starts the engine; its start-up goes on when the world goes on. */
  startEngine(): void {
    if (this.#engine !== null) return;
    const { store, habits, onEvent, scheduler } = this.#options;
    const life: Life = { machine: this.name, alive: true };
    const connections = new Set<SQLiteConnection>();
    const open = (options: OpenConnectionOptions): SQLiteConnection =>
      new WatchedConnection(options, life, connections);
    const watch = new SimulatedWatch();
    const thread = new InThreadCheckpoints(scheduler, open);
    const runner = new DatabaseRunner(
      {
        path: this.application.path,
        metaPath: this.metaPath,
        checkpoint: {
          minFrames: habits.minCheckpointFrames,
          intervalMs: habits.checkpointIntervalMs,
          reportFrames: 0,
        },
        maxSyncWALBytes: habits.maxSyncWALBytes,
        busyTimeoutMs: 20,
        autoRecover: true,
        monitorIntervalMs: habits.monitorIntervalMs,
        replicas: [
          {
            name: "simulated",
            client: new SimulatedClient(store),
            syncIntervalMs: habits.syncIntervalMs,
            maxSyncLTXFiles: 256,
          },
        ],
        levels: habits.levels,
        jitter: 0.3,
      },
      {
        openConnection: open,
        checkpointThread: thread,
        clock: this.clock,
        emit: (event) => {
          if (life.alive) onEvent(this, event);
        },
        watch,
      },
    );
    this.#engine = { life, runner, connections, watch, thread };
    currentLife.run(life, () => {
      const { signal } = new AbortController();
      // As Store does: a first copy that fails is tried again by the loops.
      void runner
        .start(signal)
        .catch(() => undefined)
        .then(() => runner.run());
    });
  }

  /** A final copy and upload, and a clean end. False: the upload failed, as it may. */
  async stopEngine(): Promise<boolean> {
    const engine = this.#engine;
    if (engine === null) return false;
    const { runner, life } = engine;
    const { scheduler } = this.#options;
    const stop = async (): Promise<boolean> => {
      await runner.stop();
      try {
        return await runner.sync(new AbortController().signal);
      } catch {
        return false;
      } finally {
        await runner.close();
      }
    };
    const stopping = currentLife.run(life, stop);
    const synced = await scheduler.drive(life, stopping, PATIENCE_MS);
    if (life.alive) this.#bury(engine);
    return synced === true;
  }

  /** The engine's process dies at once. */
  async killEngine(): Promise<void> {
    // At a moment when it waits for something: nothing of it is under way that could not be stopped.
    await drain();
    this.dropEngine();
  }

  /** As `killEngine`, where all promises have settled. */
  dropEngine(): void {
    if (this.#engine !== null) this.#bury(this.#engine);
  }

  /** Takes everything captured so far to the store; resolves to whether that succeeded. */
  async syncEngine(): Promise<boolean> {
    const engine = this.#engine;
    if (engine === null) return false;
    const { runner, life } = engine;
    const sync = currentLife.run(life, () => runner.sync(new AbortController().signal));
    const done = sync.catch(() => false);
    return (await this.#options.scheduler.drive(life, done, PATIENCE_MS)) === true;
  }

  async snapshot(): Promise<boolean> {
    const engine = this.#engine;
    if (engine === null) return false;
    const { runner, life } = engine;
    const snapshot = currentLife.run(life, () => runner.snapshot(new AbortController().signal));
    const taken = snapshot.then(
      () => true,
      () => false,
    );
    return (await this.#options.scheduler.drive(life, taken, PATIENCE_MS)) === true;
  }

  /** Power fails: application and engine die, and the disk loses some of what was not flushed. */
  cutPower(): string[] {
    const { random } = this.#options;
    this.dropEngine();
    this.application.close("killed");
    const lost = disk.cutPower(this.folder, random);
    if (random.chance(0.5)) lost.push(this.application.loseTail());
    return lost.map((line) => line.replaceAll(this.folder, this.name));
  }

  /** Copies the whole machine's disk, as a volume snapshot does. Everything must be stopped. */
  copyDisk(to: string): void {
    rmSync(to, { recursive: true, force: true });
    cpSync(this.folder, to, { recursive: true });
    this.#writtenAtCopy = new Map(this.history.written);
  }

  /** Brings a copy back. */
  restoreDisk(from: string): void {
    disk.forget(this.folder);
    rmSync(this.folder, { recursive: true, force: true });
    cpSync(from, this.folder, { recursive: true });
    for (const [txid, written] of this.#writtenAtCopy) this.history.written.set(txid, written);
  }

  /** The local files are lost. Everything must be stopped. */
  loseMeta(): void {
    disk.forget(this.folder);
    rmSync(this.metaPath, { recursive: true, force: true });
  }

  readLocal(txid: TXID): Uint8Array {
    return readFileSync(join(this.metaPath, "ltx", "0", formatLTXName(txid, txid)));
  }

  /** Level-0 files on the machine's disk. */
  localFiles(): string[] {
    const folder = join(this.metaPath, "ltx", "0");
    return existsSync(folder) ? readdirSync(folder) : [];
  }

  /** Level-0 files that were published, but whose maker died before it told of them. */
  #recordUntold(): void {
    for (const name of this.localFiles().toSorted().slice(-UNTOLD_FILES)) {
      const txid = parseLTXName(name)?.maxTXID;
      if (txid === undefined) continue;
      const bytes = this.readLocal(txid);
      const known = this.history.written.get(txid);
      if (known !== undefined && Buffer.compare(known.bytes, bytes) === 0) continue;
      const atMs = this.#options.scheduler.elapsedMs;
      this.history.write({ txid, index: this.walOpenedAt, limited: true, atMs, bytes });
    }
  }

  #bury(engine: Engine): void {
    this.#engine = null;
    engine.life.alive = false;
    this.#recordUntold();
    const { scheduler } = this.#options;
    scheduler.bury();
    // Writers first: the last one to leave must not be able to tidy up.
    engine.thread.abandon();
    for (const connection of engine.connections) if (!isReadOnly(connection)) connection.close();
    for (const connection of engine.connections) connection.close();
    disk.reap(engine.life);
  }
}

function isReadOnly(connection: SQLiteConnection): boolean {
  return connection instanceof WatchedConnection && connection.isReadOnly;
}

/** Tells the world before the engine uses SQLite. */
class WatchedConnection implements SQLiteConnection {
  readonly #inner: SQLiteConnection;
  readonly #life: Life;
  readonly #path: string;
  readonly #all: Set<SQLiteConnection>;
  readonly isReadOnly: boolean;

  constructor(options: OpenConnectionOptions, life: Life, all: Set<SQLiteConnection>) {
    if (!life.alive) throw new Error("This life is over");
    this.#inner = openConnection(options);
    this.#life = life;
    this.#path = options.path;
    this.#all = all;
    this.isReadOnly = options.readOnly === true;
    all.add(this);
  }

  exec(sql: string): void {
    disk.access(this.#life, "sql", this.#path);
    this.#inner.exec(sql);
  }

  get(sql: string): SQLiteRow | undefined {
    disk.access(this.#life, "sql", this.#path);
    return this.#inner.get(sql);
  }

  get inTransaction(): boolean {
    return this.#inner.inTransaction;
  }

  close(): void {
    this.#inner.close();
    this.#all.delete(this);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Checkpoints in this thread, when their turn comes. */
class InThreadCheckpoints extends CheckpointThread {
  readonly #scheduler: Scheduler;
  readonly #open: (options: OpenConnectionOptions) => SQLiteConnection;
  readonly #connections = new Map<string, SQLiteConnection>();

  constructor(scheduler: Scheduler, open: (options: OpenConnectionOptions) => SQLiteConnection) {
    super();
    this.#scheduler = scheduler;
    this.#open = open;
  }

  override async checkpoint(path: string): Promise<CheckpointResult> {
    await this.#scheduler.turn();
    let connection = this.#connections.get(path);
    if (connection === undefined) {
      connection = this.#open({ path });
      connection.exec("PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = NORMAL");
      this.#connections.set(path, connection);
    }
    const result = checkpointPassive(connection);
    await this.#scheduler.turn();
    return result;
  }

  override async flush(): Promise<void> {
    await this.#scheduler.turn();
  }

  override async release(path: string): Promise<void> {
    await this.#scheduler.turn();
    this.#connections.get(path)?.close();
    this.#connections.delete(path);
  }

  override async stopIfUnused(): Promise<void> {}

  abandon(): void {
    this.#connections.clear();
  }
}

/** A watch that hears of writes from the world. */
class SimulatedWatch extends DirectoryWatch {
  readonly #listeners = new Set<() => void>();

  override subscribe(_path: string, onChange: () => void): Disposable {
    this.#listeners.add(onChange);
    return { [Symbol.dispose]: () => void this.#listeners.delete(onChange) };
  }

  announce(): void {
    for (const listener of this.#listeners) listener();
  }
}
