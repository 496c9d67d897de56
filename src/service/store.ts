/** The set of replicated databases of one process, over time: they come and go while it runs. */
import type { Clock } from "../engine/clock.ts";
import type { EmitEvent } from "../engine/events.ts";
import { CheckpointThread } from "../sqlite/checkpoint-thread.ts";
import { assertSafeSQLite, openConnection } from "../sqlite/node-sqlite.ts";
import { DatabaseRunner } from "./database-runner.ts";
import type { DatabaseStatus } from "./database-status.ts";
import { DirectoryWatch } from "./directory-watch.ts";
import { FinalSyncTimeout } from "./final-sync.ts";
import { ManagedDatabase } from "./managed-database.ts";
import type { DatabaseObservation } from "./observation.ts";
import { PathQueue } from "./path-queue.ts";
import { sleepUnlessAborted } from "./run-loop.ts";
import { Slots } from "./slots.ts";
import { StoreError } from "./store-error.ts";
import { runnerOptions } from "./store-options.ts";
import type {
  AddedDatabase,
  ClosedDatabase,
  CloseReport,
  DatabaseOptions,
  StoreOptions,
} from "./store-options.ts";
import { systemClock } from "./system-clock.ts";

/** Databases that are opened and copied for the first time together: more would only wait for disk and network. */
const PARALLEL_DATABASES = 50;

export class Store implements AsyncDisposable {
  readonly #options: StoreOptions;
  readonly #clock: Clock;
  readonly #thread = new CheckpointThread();
  readonly #watch = new DirectoryWatch();
  readonly #databases = new Map<string, ManagedDatabase>();
  readonly #queue = new PathQueue();
  readonly #slots = new Slots(PARALLEL_DATABASES);
  /** Aborted when there is no more time for a final sync. */
  readonly #deadline = new AbortController();
  #closing = false;

  constructor(options: StoreOptions) {
    assertSafeSQLite();
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    for (const database of options.databases) this.#manage(database).prepare();
  }

  /** Paths of all databases, in the order in which they came. */
  get paths(): readonly string[] {
    return [...this.#databases.keys()];
  }

  has(path: string): boolean {
    return this.#databases.has(path);
  }

  /** The settings a database was added with. */
  options(path: string): DatabaseOptions {
    return this.#require(path).options;
  }

  status(path: string): DatabaseStatus {
    return this.#require(path).status;
  }

  /** The status of every database. */
  list(): readonly DatabaseStatus[] {
    return [...this.#databases.values()].map(({ status }) => status);
  }

  /** How every database stands, for metrics and health. */
  observe(): readonly DatabaseObservation[] {
    return [...this.#databases.values()].map(({ observation }) => observation);
  }

  /**
   * Opens every database that exists and copies it once, then keeps all of them replicated. A database that fails is
   * tried again by its own loop; only being aborted rejects.
   */
  async open(signal: AbortSignal): Promise<void> {
    const databases = [...this.#databases.values()].filter(({ isStopped }) => !isStopped);
    await Promise.all(
      databases.map((database) => this.#slots.run(() => database.copyFirst(signal), signal)),
    );
    for (const database of databases) if (!database.isStopped) database.run();
  }

  /** Resolves when each database was uploaded once, or failed once, or after a while. */
  async firstSync(signal: AbortSignal): Promise<void> {
    const running = [...this.#databases.values()].filter(({ isStopped }) => !isStopped);
    await Promise.all(
      running.map((database) =>
        database.use(signal, (runner, within) => runner.firstUpload(within)),
      ),
    );
  }

  /** Takes one more database into care; resolves when it is known. With `start` false it stays stopped. */
  async add(
    options: DatabaseOptions,
    { start = true }: { readonly start?: boolean } = {},
  ): Promise<AddedDatabase> {
    return await this.#inTurn(options.path, async () => {
      const known = this.#databases.get(options.path);
      if (known !== undefined) return { added: false, options: known.options };
      return this.#take(options, start);
    });
  }

  /**
   * Goes on with other settings: final sync, then opened anew, nothing is copied twice. Unknown: as `add`.
   * The report is of the old one; a failed final sync does not keep the new settings from being used.
   */
  async replace(options: DatabaseOptions, signal: AbortSignal): Promise<ClosedDatabase> {
    return await this.#inTurn(options.path, async () => {
      const known = this.#databases.get(options.path);
      const start = known?.isStopped !== true;
      const closed = await this.#letGo(options.path, signal);
      // The store began to shut down meanwhile: what is opened now would never be closed.
      if (!this.#closing) this.#take(options, start);
      else await options.resources?.[Symbol.asyncDispose]();
      return closed;
    });
  }

  /** Lets go of a database: final sync until `signal` is aborted, then it is closed and forgotten. Its events end here. */
  async remove(path: string, signal: AbortSignal): Promise<ClosedDatabase> {
    return await this.#inTurn(path, async () => {
      this.#require(path);
      return await this.#letGo(path, signal);
    });
  }

  /** Opens a stopped database. False: it was not stopped. Rejects when it cannot be opened; then it stays stopped. */
  async start(path: string): Promise<boolean> {
    return await this.#inTurn(path, async () => {
      const database = this.#require(path);
      if (!database.isStopped) return false;
      await database.start();
      return true;
    });
  }

  /**
   * Final sync until `signal` is aborted, then the database is closed, and stays known. Undefined: it was stopped
   * already. Never rejects because of the sync: the report tells.
   */
  async stop(path: string, signal: AbortSignal): Promise<ClosedDatabase | undefined> {
    return await this.#inTurn(path, async () => {
      const database = this.#require(path);
      if (database.isStopped) return undefined;
      return await database.stop(this.#within(signal));
    });
  }

  /** Does something with the runner of a database that is not stopped; ends with the database. */
  async use<T>(
    path: string,
    signal: AbortSignal,
    action: (runner: DatabaseRunner, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    return await this.#require(path).use(signal, action);
  }

  /** Copies and uploads everything of one database, without starting its loops. */
  async sync(path: string, signal: AbortSignal): Promise<void> {
    await explained(`sync database ${path}`, async () => {
      if (!(await this.use(path, signal, (runner, within) => runner.sync(within))))
        throw new Error("no position, waiting for data");
    });
  }

  /** Writes a snapshot of one database to each of its replicas. */
  async snapshot(path: string, signal: AbortSignal): Promise<void> {
    await explained(`snapshot ${path}`, () =>
      this.use(path, signal, (runner, within) => runner.snapshot(within)),
    );
  }

  /** Deletes what retention lets go from the replicas of one database. */
  async enforceRetention(path: string, signal: AbortSignal): Promise<void> {
    await explained(`enforce retention for ${path}`, () =>
      this.use(path, signal, (runner, within) => runner.enforceRetention(within)),
    );
  }

  /**
   * Stops, copies and uploads what is left, and closes everything. Uploads are tried again until the timeout, or until
   * `skipFinalSync` is aborted. Whatever is asked for from now on is refused. Never rejects: the report tells.
   */
  async close(options: { readonly skipFinalSync?: AbortSignal } = {}): Promise<CloseReport> {
    this.#closing = true;
    const { skipFinalSync } = options;
    const done = new AbortController();
    const giveUp = (): void => this.#deadline.abort(skipFinalSync?.reason);
    if (skipFinalSync?.aborted === true) giveUp();
    else skipFinalSync?.addEventListener("abort", giveUp, { once: true, signal: done.signal });
    const timeoutMs = this.#options.shutdownSyncTimeoutMs;
    const timer =
      timeoutMs > 0
        ? sleepUnlessAborted(this.#clock, timeoutMs, done.signal).then(() => {
            if (!done.signal.aborted) this.#deadline.abort(new FinalSyncTimeout("timeout"));
          })
        : Promise.resolve();
    const closed = await Promise.all(
      [...this.#databases.values()].map((database) =>
        this.#queue.run(database.path, () => this.#closeOne(database)),
      ),
    );
    await this.#queue.idle();
    done.abort();
    await timer;
    this.#watch[Symbol.dispose]();
    await this.#thread[Symbol.asyncDispose]();
    return { databases: closed.filter((report) => report !== undefined) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Undefined: it was removed while this waited for its turn. */
  async #closeOne(database: ManagedDatabase): Promise<ClosedDatabase | undefined> {
    if (this.#databases.get(database.path) !== database) return undefined;
    const report = await database.stop(this.#deadline.signal);
    return await releasing(database, report);
  }

  #take(options: DatabaseOptions, start: boolean): AddedDatabase {
    const database = this.#manage(options);
    this.#options.emit({
      type: "database-added",
      database: options.path,
      isReplicating: start,
    });
    if (!start) return { added: true, copied: Promise.resolve() };
    database.prepare();
    return { added: true, copied: this.#copyThenRun(database) };
  }

  /** Never rejects: a database that was stopped meanwhile is simply not copied. */
  async #copyThenRun(database: ManagedDatabase): Promise<void> {
    const signal = database.life;
    try {
      await this.#slots.run(() => database.copyFirst(signal), signal);
    } catch (error) {
      if (!signal.aborted) throw error;
    }
    if (!signal.aborted) database.run();
  }

  async #letGo(path: string, signal: AbortSignal): Promise<ClosedDatabase> {
    const database = this.#databases.get(path);
    if (database === undefined) return { path, synced: true, txid: 0n };
    const report = await database.stop(this.#within(signal));
    this.#databases.delete(path);
    this.#options.emit({ type: "database-removed", database: path });
    return await releasing(database, report);
  }

  #within(signal: AbortSignal): AbortSignal {
    return AbortSignal.any([signal, this.#deadline.signal]);
  }

  /** Refused before and after the wait for its turn. */
  async #inTurn<T>(path: string, action: () => Promise<T>): Promise<T> {
    this.#refuseWhileClosing();
    return await this.#queue.run(path, () => {
      this.#refuseWhileClosing();
      return action();
    });
  }

  #refuseWhileClosing(): void {
    if (this.#closing) throw new StoreError("closing", "litestream is shutting down");
  }

  #require(path: string): ManagedDatabase {
    const database = this.#databases.get(path);
    if (database === undefined) throw new StoreError("unknown", `database not found: ${path}`);
    return database;
  }

  #manage(options: DatabaseOptions): ManagedDatabase {
    const database = new ManagedDatabase(options, {
      clock: this.#clock,
      emit: this.#options.emit,
      finalSync: this.#options,
      createRunner: (own, emit) => this.#createRunner(own, emit),
    });
    this.#databases.set(options.path, database);
    return database;
  }

  #createRunner(database: DatabaseOptions, emit: EmitEvent): DatabaseRunner {
    return new DatabaseRunner(runnerOptions(database), {
      openConnection,
      checkpointThread: this.#thread,
      clock: this.#clock,
      emit,
      watch: this.#watch,
    });
  }
}

/** Lets go of its clients too; failing at that is the failure only when there is no other. */
async function releasing(
  database: ManagedDatabase,
  report: ClosedDatabase,
): Promise<ClosedDatabase> {
  try {
    await database.release();
    return report;
  } catch (error) {
    return { ...report, error: report.error ?? error };
  }
}

/** Puts what was being done before the message of a failure. */
async function explained(what: string, action: () => Promise<unknown>): Promise<void> {
  try {
    await action();
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new Error(`${what}: ${detail}`, { cause: error });
  }
}
