/** One database with its replicas over time: start, run, final sync. */
import { Database } from "../engine/database.ts";
import type { DatabaseDependencies, DatabaseOptions } from "../engine/database.ts";
import { DatabaseError } from "../engine/database-error.ts";
import { Replica, SOLE_WRITER_CHECK_MS } from "../engine/replica.ts";
import type { LevelSettings } from "../engine/level-settings.ts";
import type { ReplicaLevels } from "../engine/replica-levels.ts";
import type { ReplicaSource } from "../engine/replica.ts";
import type { SyncResult } from "../engine/sync.ts";
import type { ImageRequest, StartPlan } from "../engine/upload-plan.ts";
import { FIFOLock } from "../engine/fifo-lock.ts";
import { isBusy } from "../sqlite/driver.ts";
import type { TXID } from "../formats/ltx/txid.ts";
import type { ReplicaClient } from "../storage/replica-client.ts";
import { CaptureLoop } from "./capture-loop.ts";
import { DatabaseUpkeep } from "./database-upkeep.ts";
import type { DirectoryWatch } from "./directory-watch.ts";
import { runLoop, sleepUnlessAborted } from "./run-loop.ts";

export interface ReplicaEntry {
  /** As in messages, events and metrics. */
  readonly name: string;
  readonly client: ReplicaClient;
  readonly syncIntervalMs: number;
  /** See `ReplicaOptions.maxBatchFiles`. */
  readonly maxSyncLTXFiles: number;
  /** Where it differs from the database's. */
  readonly levels?: Partial<LevelSettings>;
}

export interface RunnerOptions extends DatabaseOptions {
  readonly monitorIntervalMs: number;
  readonly replicas: readonly ReplicaEntry[];
  /** Compaction, snapshots and retention; upstream's defaults where nothing is said. */
  readonly levels?: Partial<LevelSettings>;
  /** See `DatabaseUpkeepOptions.jitter`. */
  readonly jitter?: number;
}

export interface RunnerDependencies extends Omit<DatabaseDependencies, "onWritten"> {
  readonly watch: DirectoryWatch;
}

/** How long the first copy waits for a store to say what it holds, and a start for the first upload. */
const START_WAIT_MS = 10_000;
/** Between two attempts on a database that is locked. */
const BUSY_RETRY_MS = 20;
/** The checkpoint thread ends when no database used it for this long. */
const THREAD_UNUSED_MS = 10_000;

export class DatabaseRunner {
  readonly database: Database;
  readonly #options: RunnerOptions;
  readonly #deps: RunnerDependencies;
  readonly #loop: CaptureLoop;
  readonly #stop = new AbortController();
  readonly #beginning = new FIFOLock();
  #replicas: Replica[] | null = null;
  #upkeep: DatabaseUpkeep | null = null;
  #running: Promise<unknown>[] = [];
  #isRunning = false;
  #replicasRun = false;
  #lookedAtMs = 0;

  constructor(options: RunnerOptions, deps: RunnerDependencies) {
    this.#options = options;
    this.#deps = deps;
    this.database = new Database(options, {
      ...deps,
      onWritten: (result) => this.#announce(result),
    });
    this.#loop = new CaptureLoop({
      database: this.database,
      clock: deps.clock,
      watch: deps.watch,
      monitorIntervalMs: options.monitorIntervalMs,
      volumeFrames: options.checkpoint.minFrames,
      onResting: () => deps.checkpointThread.stopIfUnused(deps.clock.monotonic(), THREAD_UNUSED_MS),
    });
  }

  get path(): string {
    return this.database.path;
  }

  /** The replicas; none before the database file was there for the first time. */
  get replicas(): readonly Replica[] {
    return this.#replicas ?? [];
  }

  /** Whether the loops run. */
  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** Epoch ms of the last look at the database that found nothing wrong; 0 before the first. */
  get lookedAtMs(): number {
    return this.#lookedAtMs;
  }

  /** The upkeep of a replica; undefined before the database file was there for the first time. */
  levelsOf(replica: string): ReplicaLevels | undefined {
    return this.#upkeep?.levelsOf(replica);
  }

  /** Opens the database if there is a file, and no more. Rejects with what keeps it from being opened. */
  async open(): Promise<void> {
    await this.database.open();
  }

  /**
   * Opens the database if it exists, asks the stores what they hold, and copies once. Rejects when that fails; `run` tries
   * again all the same. True: there is a database.
   */
  async start(signal: AbortSignal): Promise<boolean> {
    return (await this.#copyPatiently(signal)) === "open";
  }

  /** Starts the loops. */
  run(): void {
    const { clock, emit } = this.#deps;
    const { signal } = this.#stop;
    const database = this.path;
    this.#isRunning = true;
    const capture = runLoop(
      async (stop) => {
        await this.#loop.step(stop);
        this.#lookedAtMs = clock.now();
        if (!this.#replicasRun) await this.#beginRunning(stop);
      },
      {
        clock,
        intervalMs: this.#options.monitorIntervalMs,
        onFailed: (error, consecutiveErrors, backoffMs) =>
          emit({ type: "sync-failed", database, error, consecutiveErrors, backoffMs }),
        onRecovered: (consecutiveErrors) =>
          emit({ type: "sync-recovered", database, consecutiveErrors }),
      },
      signal,
    );
    this.#running.push(capture);
    if (this.#replicas !== null) this.#runReplicas();
  }

  /** Copies everything committed so far; who wants to know when it is uploaded asks the replicas. "waiting": there is no database. */
  copy(signal: AbortSignal): Promise<"open" | "waiting"> {
    return this.#copyPatiently(signal);
  }

  /** Copies and uploads everything committed so far. Rejects with what failed first. False: there is no database. */
  async sync(signal: AbortSignal): Promise<boolean> {
    const state = await this.#copyPatiently(signal);
    await Promise.all(this.replicas.map((replica) => this.#flush(replica, signal)));
    return state === "open";
  }

  /** Resolves when everything captured so far is uploaded, when an upload failed, or after a while. */
  async firstUpload(signal: AbortSignal): Promise<void> {
    const limit = new AbortController();
    const within = AbortSignal.any([signal, limit.signal]);
    const uploads = Promise.allSettled(
      this.replicas.map((replica) => this.#flush(replica, within)),
    );
    const late = sleepUnlessAborted(this.#deps.clock, START_WAIT_MS, within).then(() =>
      limit.abort(),
    );
    await uploads;
    limit.abort();
    await late;
  }

  /** Writes a snapshot of the present state to every replica. Resolves to its TXID. */
  async snapshot(signal: AbortSignal): Promise<TXID> {
    if (!(await this.#begin(signal)) || this.#upkeep === null)
      throw new Error(`Cannot take a snapshot of "${this.path}": there is no database file`);
    return await this.#upkeep.snapshot(signal);
  }

  /** Deletes at once what retention lets go, in every replica. */
  async enforceRetention(signal: AbortSignal): Promise<void> {
    if ((await this.#begin(signal)) && this.#upkeep !== null)
      await this.#upkeep.enforceRetention(signal);
  }

  /** Ends the loops; what is in flight is given up. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#running);
    this.#running = [];
    this.#isRunning = false;
    this.#loop[Symbol.dispose]();
  }

  close(): Promise<void> {
    return this.database.close();
  }

  /** Opens the database and copies it; a lock that somebody holds is waited for as long as `busy-timeout` says. */
  async #copyPatiently(signal: AbortSignal): Promise<"open" | "waiting"> {
    const { clock } = this.#deps;
    const startedAt = clock.monotonic();
    for (;;) {
      const isLate = clock.monotonic() - startedAt >= this.#options.busyTimeoutMs;
      try {
        if (!(await this.#begin(signal))) return "waiting";
        const { state } = await this.database.tick(signal);
        this.#lookedAtMs = clock.now();
        if (state !== "busy") return state;
        if (isLate) throw new Error(`Cannot copy database "${this.path}": database is locked`);
      } catch (error) {
        if (isLate || !isLocked(error)) throw error;
      }
      await clock.sleep(BUSY_RETRY_MS, signal);
    }
  }

  /** One attempt; a replica that needs a full image first gets it. */
  async #flush(replica: Replica, signal: AbortSignal): Promise<void> {
    await replica.flush(signal).catch(async (error: unknown) => {
      if (replica.imageRequest === undefined) throw error;
      await this.database.tick(signal);
      await replica.flush(signal);
    });
  }

  /** Opens the database and, the first time it is there, makes its replicas. False: there is no database file. */
  #begin(signal: AbortSignal): Promise<boolean> {
    // Whoever comes second must not copy before the first knows what the stores hold.
    return this.#beginning.run(() => this.#beginOnce(signal));
  }

  async #beginOnce(signal: AbortSignal): Promise<boolean> {
    if ((await this.database.open()) === "waiting") return false;
    if (this.#replicas !== null) return true;
    const { local } = this.database;
    if (local === null)
      throw new Error(`Database "${this.path}" was opened without its local folder`);
    const source: ReplicaSource = {
      databasePath: this.path,
      local,
      onImageNeeded: (_replica, request) => this.#startOverLater(request),
      onLocalHistoryBroken: (_replica, error) => {
        if (!this.#options.autoRecover) return false;
        const nextTXID = local.reservedTXID + 1n;
        const request = { kind: "diverged", nextTXID, reason: error.message } as const;
        this.#startOverLater(request, error.txid);
        return true;
      },
    };
    const { clock, emit } = this.#deps;
    const { levels = {}, jitter } = this.#options;
    const upkeep = new DatabaseUpkeep({
      database: this.database,
      local,
      clock,
      emit,
      levels,
      ...(jitter === undefined ? {} : { jitter }),
    });
    this.#upkeep = upkeep;
    this.#replicas = this.#options.replicas.map((entry) => {
      const replica = this.#createReplica(entry, source, upkeep);
      upkeep.add(replica, entry.levels);
      return replica;
    });
    const plans = await Promise.all(
      this.#replicas.map((replica) => this.#startReplica(replica, signal)),
    );
    const requests = plans.filter((plan) => plan !== null).filter(isImageRequest);
    if (requests.length > 0) await this.#startOver(requests);
    return true;
  }

  async #beginRunning(signal: AbortSignal): Promise<void> {
    if (!(await this.#begin(signal))) return;
    this.#runReplicas();
    this.#loop.request();
  }

  #runReplicas(): void {
    const { signal } = this.#stop;
    this.#replicasRun = true;
    for (const replica of this.replicas) this.#running.push(replica.run(signal));
    if (this.#upkeep !== null) this.#running.push(this.#upkeep.run(signal));
  }

  #createReplica(entry: ReplicaEntry, source: ReplicaSource, upkeep: DatabaseUpkeep): Replica {
    const { clock, emit } = this.#deps;
    const { monitorIntervalMs } = this.#options;
    return new Replica({
      name: entry.name,
      client: entry.client,
      source,
      clock,
      emit: (event) => {
        emit(event);
        upkeep.observe(event);
      },
      onStored: (file) => upkeep.stored(entry.name, file),
      syncIntervalMs: entry.syncIntervalMs,
      maxBatchFiles: entry.maxSyncLTXFiles,
      soleWriterCheckMs: this.#soleWriterCheckMs(),
      // Every file is one request whenever it is sent, and copies are paced already: only a longer interval is worth waiting for.
      paceIntervalMs: entry.syncIntervalMs > monitorIntervalMs ? entry.syncIntervalMs : 0,
    });
  }

  /** Names of level 0 prove a sole writer only as long as the other's files would still be there. */
  #soleWriterCheckMs(): number {
    const l0RetentionMs = this.#options.levels?.l0RetentionMs ?? 0;
    return l0RetentionMs > 0 ? Math.min(l0RetentionMs, SOLE_WRITER_CHECK_MS) : SOLE_WRITER_CHECK_MS;
  }

  /** Null when the store did not answer in time: the replica's own loop asks again, and numbering moves above it then. */
  async #startReplica(replica: Replica, signal: AbortSignal): Promise<StartPlan | null> {
    const limit = new AbortController();
    const within = AbortSignal.any([signal, limit.signal]);
    const late = sleepUnlessAborted(this.#deps.clock, START_WAIT_MS, within).then(() =>
      limit.abort(),
    );
    try {
      return await replica.start(within);
    } catch (error) {
      signal.throwIfAborted();
      this.#deps.emit({
        type: "replica-failed",
        database: this.path,
        replica: replica.name,
        error,
        consecutiveErrors: 1,
        backoffMs: 0,
      });
      return null;
    } finally {
      limit.abort();
      await late;
    }
  }

  #startOverLater(request: ImageRequest, brokenTXID?: TXID): void {
    // The image is wanted even when the old local files cannot be removed: the failure is only told.
    this.#startOver([request], brokenTXID).catch((error: unknown) =>
      this.#deps.emit({
        type: "sync-failed",
        database: this.path,
        error,
        consecutiveErrors: 1,
        backoffMs: 0,
      }),
    );
  }

  /** A full image above everything the requests name; local files that are another history go. */
  async #startOver(requests: readonly ImageRequest[], brokenTXID?: TXID): Promise<void> {
    const nextTXID = requests.reduce(
      (next, request) => (request.nextTXID > next ? request.nextTXID : next),
      1n,
    );
    const reason = requests.map((request) => request.reason).join("; ");
    // Only what is there now: an image that another request brings meanwhile must not go before it is uploaded.
    const newestTXID = brokenTXID ?? this.database.local?.newestTXID ?? 0n;
    const isAnotherHistory = requests.some((request) => request.kind !== "gap");
    await this.database.startOver(reason, nextTXID - 1n, isAnotherHistory ? newestTXID : 0n);
    this.#loop.request();
  }

  #announce(result: SyncResult): void {
    this.#deps.emit({
      type: "ltx-written",
      database: this.path,
      level: 0,
      txid: result.txid,
      pageCount: result.pageCount,
      walBytes: result.walBytes,
      sizeBytes: result.sizeBytes,
      durationMs: result.durationMs,
      image: result.image,
      difference: result.difference,
    });
    for (const replica of this.replicas) {
      const { imageRequest } = replica;
      const answers =
        imageRequest !== undefined &&
        result.image !== undefined &&
        result.txid >= imageRequest.nextTXID;
      if (answers) replica.rebase(result.txid);
      else replica.notify();
    }
  }
}

function isLocked(error: unknown): boolean {
  return isBusy(error) || (error instanceof DatabaseError && error.kind === "busy");
}

function isImageRequest(plan: StartPlan): plan is ImageRequest {
  return plan.kind === "behind" || plan.kind === "diverged" || plan.kind === "gap";
}
