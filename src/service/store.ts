/** The set of replicated databases of one process, over time. */
import type { DatabaseOptions as EngineOptions } from "../engine/database.ts";
import type { Clock } from "../engine/clock.ts";
import type { EmitEvent } from "../engine/events.ts";
import type { LevelSettings } from "../engine/replica-levels.ts";
import { CheckpointThread } from "../sqlite/checkpoint-thread.ts";
import { assertSafeSQLite, openConnection } from "../sqlite/node-sqlite.ts";
import { DatabaseRunner } from "./database-runner.ts";
import type { ReplicaEntry as RunnerReplica } from "./database-runner.ts";
import { DirectoryWatch } from "./directory-watch.ts";
import { sleepUnlessAborted } from "./run-loop.ts";
import { systemClock } from "./system-clock.ts";

export interface ReplicaEntry extends RunnerReplica {
  /** Discard broken local files and go on with a full image. */
  readonly autoRecover: boolean;
}

export interface DatabaseOptions {
  readonly path: string;
  readonly metaPath: string;
  readonly monitorIntervalMs: number;
  readonly checkpointIntervalMs: number;
  readonly busyTimeoutMs: number;
  readonly minCheckpointPageCount: number;
  readonly truncatePageCount: number;
  readonly maxSyncWALBytes: number;
  readonly replicas: readonly ReplicaEntry[];
  /** Compaction, snapshots and retention; upstream's defaults where nothing is said. */
  readonly levels?: Partial<LevelSettings>;
}

export interface StoreOptions {
  readonly databases: readonly DatabaseOptions[];
  readonly emit: EmitEvent;
  readonly clock?: Clock;
  /** How long the final sync may take, for all databases together; 0 = one attempt. */
  readonly shutdownSyncTimeoutMs: number;
  readonly shutdownSyncIntervalMs: number;
}

/** What became of one database at shutdown. */
export interface ClosedDatabase {
  readonly path: string;
  /** Everything committed is in every replica. */
  readonly synced: boolean;
  readonly error?: unknown;
}

export interface CloseReport {
  readonly databases: readonly ClosedDatabase[];
}

/** Databases that are opened, or closed, at the same time. */
const PARALLEL_DATABASES = 50;

export class Store implements AsyncDisposable {
  readonly #options: StoreOptions;
  readonly #clock: Clock;
  readonly #thread = new CheckpointThread();
  readonly #watch = new DirectoryWatch();
  readonly #runners: readonly DatabaseRunner[];

  constructor(options: StoreOptions) {
    assertSafeSQLite();
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#runners = options.databases.map((database) => this.#createRunner(database));
  }

  /**
   * Opens every database that exists and copies it once, then keeps all of them replicated. A database that fails is
   * tried again by its own loop; only being aborted rejects.
   */
  async open(signal: AbortSignal): Promise<void> {
    await forEachLimited(this.#runners, PARALLEL_DATABASES, async (runner) => {
      try {
        await runner.start(signal);
      } catch (error) {
        signal.throwIfAborted();
        this.#options.emit({
          type: "sync-failed",
          database: runner.path,
          error,
          consecutiveErrors: 1,
          backoffMs: 0,
        });
      }
    });
    for (const runner of this.#runners) runner.run();
  }

  /** Resolves when each database was uploaded once, or failed once, or after a while. */
  async firstSync(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#runners.map((runner) => runner.firstUpload(signal)));
  }

  /** Copies and uploads everything of one database, without starting its loops. */
  async sync(path: string, signal: AbortSignal): Promise<void> {
    await explained(`sync database ${path}`, async () => {
      if (!(await this.#runner(path).sync(signal)))
        throw new Error("no position, waiting for data");
    });
  }

  /** Writes a snapshot of one database to each of its replicas. */
  async snapshot(path: string, signal: AbortSignal): Promise<void> {
    await explained(`snapshot ${path}`, () => this.#runner(path).snapshot(signal));
  }

  /** Deletes what retention lets go from the replicas of one database. */
  async enforceRetention(path: string, signal: AbortSignal): Promise<void> {
    await explained(`enforce retention for ${path}`, () =>
      this.#runner(path).enforceRetention(signal),
    );
  }

  /**
   * Stops, copies and uploads what is left, and closes everything. Uploads are tried again until the timeout, or until
   * `skipFinalSync` is aborted. Never rejects: the report tells.
   */
  async close(options: { readonly skipFinalSync?: AbortSignal } = {}): Promise<CloseReport> {
    const { skipFinalSync } = options;
    const deadline = new AbortController();
    const timeoutMs = this.#options.shutdownSyncTimeoutMs;
    const stop =
      skipFinalSync === undefined
        ? deadline.signal
        : AbortSignal.any([deadline.signal, skipFinalSync]);
    const timer =
      timeoutMs > 0
        ? sleepUnlessAborted(this.#clock, timeoutMs, stop).then(() =>
            deadline.abort(new Error("timeout")),
          )
        : Promise.resolve();
    const databases = await Promise.all(
      this.#runners.map((runner) => this.#closeRunner(runner, stop)),
    );
    deadline.abort();
    await timer;
    this.#watch[Symbol.dispose]();
    await this.#thread[Symbol.asyncDispose]();
    return { databases };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #runner(path: string): DatabaseRunner {
    const runner = this.#runners.find((candidate) => candidate.path === path);
    if (runner === undefined) throw new RangeError(`No such database: ${path}`);
    return runner;
  }

  #createRunner(database: DatabaseOptions): DatabaseRunner {
    const engine: EngineOptions = {
      path: database.path,
      metaPath: database.metaPath,
      checkpoint: {
        minFrames: database.minCheckpointPageCount,
        intervalMs: database.checkpointIntervalMs,
        reportFrames: database.truncatePageCount,
      },
      maxSyncWALBytes: database.maxSyncWALBytes,
      busyTimeoutMs: database.busyTimeoutMs,
      autoRecover: database.replicas.some((replica) => replica.autoRecover),
    };
    return new DatabaseRunner(
      {
        ...engine,
        monitorIntervalMs: database.monitorIntervalMs,
        replicas: database.replicas,
        ...(database.levels === undefined ? {} : { levels: database.levels }),
      },
      {
        openConnection,
        checkpointThread: this.#thread,
        clock: this.#clock,
        emit: this.#options.emit,
        watch: this.#watch,
      },
    );
  }

  async #closeRunner(runner: DatabaseRunner, stop: AbortSignal): Promise<ClosedDatabase> {
    const failures: unknown[] = [];
    try {
      await runner.stop();
      await this.#finalSync(runner, stop);
    } catch (error) {
      failures.push(error);
    }
    try {
      await runner.close();
    } catch (error) {
      failures.push(error);
    }
    return failures.length === 0
      ? { path: runner.path, synced: true }
      : { path: runner.path, synced: false, error: failures[0] };
  }

  async #finalSync(runner: DatabaseRunner, stop: AbortSignal): Promise<void> {
    const { shutdownSyncTimeoutMs, shutdownSyncIntervalMs, emit } = this.#options;
    for (let attempt = 1; ; attempt++) {
      try {
        await runner.sync(stop);
        if (await runner.database.leaveFrame(stop)) await runner.sync(stop);
        return;
      } catch (error) {
        if (stop.aborted) throw finalSyncError(stop, attempt, error);
        if (shutdownSyncTimeoutMs <= 0) throw error;
        emit({ type: "final-sync-failed", database: runner.path, error, attempt });
        await sleepUnlessAborted(this.#clock, shutdownSyncIntervalMs, stop);
        if (stop.aborted) throw finalSyncError(stop, attempt, error);
      }
    }
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

function finalSyncError(stop: AbortSignal, attempts: number, cause: unknown): Error {
  const timedOut = stop.reason instanceof Error && stop.reason.message === "timeout";
  const what = timedOut ? "timeout" : "skipped";
  const detail =
    cause === stop.reason ? "no answer" : cause instanceof Error ? cause.message : String(cause);
  return new Error(`shutdown sync ${what} after ${attempts} attempts: ${detail}`, { cause });
}

async function forEachLimited<T>(
  items: readonly T[],
  limit: number,
  action: (item: T) => Promise<void>,
): Promise<void> {
  const queue = items.values();
  const worker = async (): Promise<void> => {
    for (const item of queue) await action(item);
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, worker));
}
