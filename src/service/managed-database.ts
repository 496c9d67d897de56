/** One database of the store: stopped, or with a runner; never opened again by somebody who comes too late. */
import type { Clock } from "../engine/clock.ts";
import type { EmitEvent } from "../engine/events.ts";
import type { DatabaseRunner } from "./database-runner.ts";
import { StatusReader } from "./database-status.ts";
import type { DatabaseStatus } from "./database-status.ts";
import { finalSync } from "./final-sync.ts";
import type { FinalSyncSettings } from "./final-sync.ts";
import { observeDatabase } from "./observation.ts";
import type { DatabaseObservation } from "./observation.ts";
import { StoreError } from "./store-error.ts";
import type { ClosedDatabase, DatabaseOptions } from "./store-options.ts";

export interface ManagedDatabaseDependencies {
  readonly clock: Clock;
  readonly emit: EmitEvent;
  readonly finalSync: FinalSyncSettings;
  readonly createRunner: (options: DatabaseOptions, emit: EmitEvent) => DatabaseRunner;
}

export class ManagedDatabase {
  readonly options: DatabaseOptions;
  readonly #deps: ManagedDatabaseDependencies;
  readonly #status: StatusReader;
  readonly #emit: EmitEvent;
  #runner: DatabaseRunner | null = null;
  /** Aborted when the runner goes: whoever uses it ends first. */
  #life = new AbortController();
  readonly #uses = new Set<Promise<unknown>>();

  constructor(options: DatabaseOptions, deps: ManagedDatabaseDependencies) {
    this.options = options;
    this.#deps = deps;
    this.#status = new StatusReader(options.path, options.replicas, () => deps.clock.now());
    this.#emit = (event) => {
      this.#status.read(event);
      deps.emit(event);
    };
  }

  get path(): string {
    return this.options.path;
  }

  get isStopped(): boolean {
    return this.#runner === null;
  }

  /** Aborted as soon as the database is being stopped. */
  get life(): AbortSignal {
    return this.#life.signal;
  }

  /** How it stands, for metrics and health. */
  get observation(): DatabaseObservation {
    return observeDatabase(this.status, this.options, this.#runner, this.#deps.clock.now());
  }

  get status(): DatabaseStatus {
    return this.#status.report(this.#runner);
  }

  /** Makes the runner; nothing is opened yet. */
  prepare(): void {
    if (this.#runner !== null) return;
    this.#life = new AbortController();
    this.#runner = this.#deps.createRunner(this.options, this.#emit);
  }

  /** Opens and copies the database once. A failure is told, and the loops try again; only being aborted rejects. */
  async copyFirst(signal: AbortSignal): Promise<void> {
    await this.use(signal, async (runner, within) => {
      try {
        await runner.start(within);
      } catch (error) {
        within.throwIfAborted();
        this.#emit({
          type: "sync-failed",
          database: this.path,
          error,
          consecutiveErrors: 1,
          backoffMs: 0,
        });
      }
    });
  }

  /** Opens the database, if there is one, and starts the loops; they copy it. Rejects, and stays stopped, when it cannot be opened. */
  async start(): Promise<void> {
    this.prepare();
    const runner = this.#requireRunner();
    try {
      await runner.open();
    } catch (error) {
      await this.#end(runner);
      throw error;
    }
    this.run();
  }

  /** Starts the loops. */
  run(): void {
    const runner = this.#requireRunner();
    if (!runner.isRunning) runner.run();
  }

  /** Does something with the runner. Rejects with a StoreError when the database is stopped, before or meanwhile. */
  async use<T>(
    signal: AbortSignal,
    action: (runner: DatabaseRunner, signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    const runner = this.#requireRunner();
    this.#life.signal.throwIfAborted();
    const work = action(runner, AbortSignal.any([signal, this.#life.signal]));
    this.#uses.add(work);
    try {
      return await work;
    } finally {
      this.#uses.delete(work);
    }
  }

  /** Final sync until `stop` is aborted, then the database is closed in any case. Never rejects: the report tells. */
  async stop(stop: AbortSignal): Promise<ClosedDatabase> {
    const runner = this.#runner;
    if (runner === null) return { path: this.path, synced: true, txid: this.status.txid };
    this.#life.abort(new StoreError("stopped", `database is being stopped: ${this.path}`));
    // Those who used it hear of its end themselves.
    await Promise.allSettled(this.#uses);
    const failures: unknown[] = [];
    try {
      await runner.stop();
      await finalSync(runner, this.#deps.finalSync, { ...this.#deps, emit: this.#emit }, stop);
    } catch (error) {
      failures.push(error);
    }
    try {
      await this.#end(runner);
    } catch (error) {
      failures.push(error);
    }
    const { txid } = this.status;
    return failures.length === 0
      ? { path: this.path, synced: true, txid }
      : { path: this.path, synced: false, error: failures[0], txid };
  }

  /** Disposes of what its replicas need: to be called once, when nobody uses it any more. */
  async release(): Promise<void> {
    await this.options.resources?.[Symbol.asyncDispose]();
  }

  async #end(runner: DatabaseRunner): Promise<void> {
    try {
      await runner.stop();
      await runner.close();
    } finally {
      this.#runner = null;
    }
  }

  #requireRunner(): DatabaseRunner {
    if (this.#runner === null) throw new StoreError("stopped", `database not open: ${this.path}`);
    return this.#runner;
  }
}
