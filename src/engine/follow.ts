/** Keeps a restored database current with its replica until stopped. */
import * as fs from "node:fs/promises";
import type { TXID } from "../formats/ltx/txid.ts";
import type { LTXFileInfo, ReplicaClient } from "../storage/replica-client.ts";
import type { Clock } from "./clock.ts";
import { fetchPages, ImageNeededError, pagesOfImage } from "./follow-pages.ts";
import type { FollowPages } from "./follow-pages.ts";
import { followLag, planFollow } from "./follow-plan.ts";
import type { FollowFacts, FollowLag, FollowPlan } from "./follow-plan.ts";
import {
  announcePosition,
  confirmPosition,
  readFollowPosition,
  startOver,
  syncFolderOf,
} from "./follow-position.ts";
import type { FollowPosition } from "./follow-position.ts";
import {
  DatabaseBusyError,
  FollowedDatabase,
  ForeignWriteError,
  leaveWALMode,
} from "./followed-database.ts";
import type { IntegrityCheck } from "./integrity-check.ts";
import { ChainFileError, describeFile } from "./restore-chain.ts";
import { RestoreError } from "./restore-error.ts";
import { acquireRestoreLock, statOrNull } from "./restore-lock.ts";
import { checkRestoreOutput } from "./restore-output.ts";
import { restore } from "./restore.ts";
import type { RestoreProgress, RestoreSummary } from "./restore.ts";

/** With nothing new at level 0, the other levels are looked at this often. */
const fullLookMs = 30_000;
/** Longest pause after a failure or while stalled. */
const maxPauseMs = 30_000;
/** Pauses between attempts to get the lock. */
const minLockPauseMs = 20;
const maxLockPauseMs = 500;
/** Without the lock for this long, an attempt lets no new readers in for a moment. */
const insistAfterMs = 500;
/** Damaged files one step may find before it is given up. */
const maxBadFiles = 100;
const allLevels = [9, 0, 1, 2, 3, 4, 5, 6, 7, 8];

export interface FollowOptions {
  /** The database to keep current; restored first when it is not there. */
  readonly outputPath: string;
  /** Pause between two looks at the replica. */
  readonly intervalMs: number;
  /** Requests to the storage at a time. */
  readonly parallelism: number;
  /** Made of the database when it is restored, not at each update. */
  readonly integrityCheck: IntegrityCheck;
  /** Bring a database up to date from scratch whose position is not known. */
  readonly force: boolean;
  readonly clock: Clock;
  /** Ends the following. */
  readonly signal: AbortSignal;
  readonly onEvent: (event: FollowEvent) => void;
  readonly onProgress?: (progress: RestoreProgress) => void;
}

export type FollowState =
  /** Everything the replica has is applied: the source writes nothing. */
  | "current"
  /** The replica has more, or has changed, and there is no way on. */
  | "stalled"
  /** Readers or another program hold the database. */
  | "blocked"
  /** The replica cannot be read or the database not be written. */
  | "failing";

export type FollowEvent =
  | { readonly type: "follow-restored"; readonly summary: RestoreSummary }
  | { readonly type: "follow-resumed"; readonly txid: TXID }
  | {
      readonly type: "follow-applied";
      readonly fromTXID: TXID;
      readonly txid: TXID;
      readonly fileCount: number;
      readonly pageCount: number;
      readonly durationMs: number;
      readonly lag: FollowLag;
      /** Why the whole state was read again; undefined when it was updated page by page. */
      readonly reseeded: string | undefined;
    }
  | { readonly type: "follow-file-damaged"; readonly error: ChainFileError }
  /** Emitted after every look at the replica, and for every attempt to get the lock that fails. */
  | {
      readonly type: "follow-state";
      readonly state: FollowState;
      readonly lag: FollowLag;
      /** Since when the state is this one, as Clock.now(). */
      readonly sinceMs: number;
      readonly reason: string | undefined;
      readonly error: unknown;
    };

export interface FollowSummary {
  readonly txid: TXID;
  readonly lag: FollowLag;
  readonly state: FollowState;
  readonly updates: number;
  readonly durationMs: number;
}

/**
 * Follows until the signal is aborted, and resolves then. Rejects when the following cannot begin: a RestoreError or
 * StorageError of the restore, or why a database that is there cannot be followed. Later failures are events, and tried again.
 */
export async function follow(
  client: ReplicaClient,
  options: FollowOptions,
): Promise<FollowSummary> {
  const lock = await acquireRestoreLock(`${options.outputPath}-follow-lock`, options.outputPath);
  try {
    const position = await begin(client, options);
    using follower = new Follower(client, options, position);
    return await follower.run();
  } finally {
    await lock.release();
  }
}

/** Where the database is, which is restored when it is not there. */
async function begin(client: ReplicaClient, options: FollowOptions): Promise<FollowPosition> {
  const { outputPath, onEvent } = options;
  const stats = await statOrNull(outputPath);
  if (stats === null || stats.size === 0) {
    const summary = await restoreFirst(client, options);
    onEvent({ type: "follow-restored", summary });
    return { txid: summary.txid, atLeast: summary.txid };
  }
  if (!stats.isFile()) await checkRestoreOutput({ outputPath, force: false });
  const position = options.force ? undefined : await readFollowPosition(outputPath);
  if (position !== undefined) {
    onEvent({ type: "follow-resumed", txid: position.txid });
    return position;
  }
  if (options.force) return { txid: 0n, atLeast: 0n };
  throw new RestoreError(
    "output-exists",
    `cannot resume follow mode: no saved TXID found in ${outputPath}-txid, delete database to re-restore: ${outputPath}`,
    { hint: startOver },
  );
}

/** The position is written before the database appears: a database without one could not be followed. */
async function restoreFirst(
  client: ReplicaClient,
  options: FollowOptions,
): Promise<RestoreSummary> {
  const { outputPath } = options;
  await checkRestoreOutput({ outputPath, force: false });
  const seedPath = seedPathOf(outputPath);
  try {
    const summary = await restoreSeed(client, options);
    await leaveWALMode(seedPath);
    await announcePosition(outputPath, summary.txid);
    await confirmPosition(outputPath);
    await checkRestoreOutput({ outputPath, force: false });
    await fs.rename(seedPath, outputPath);
    await syncFolderOf(outputPath);
    return summary;
  } finally {
    await fs.rm(seedPath, { force: true });
  }
}

function restoreSeed(client: ReplicaClient, options: FollowOptions): Promise<RestoreSummary> {
  return restore(client, {
    target: { kind: "latest" },
    outputPath: seedPathOf(options.outputPath),
    parallelism: options.parallelism,
    integrityCheck: options.integrityCheck,
    force: true,
    signal: options.signal,
    ...(options.onProgress === undefined ? {} : { onProgress: options.onProgress }),
  });
}

function seedPathOf(outputPath: string): string {
  return `${outputPath}-seed`;
}

class Follower implements Disposable {
  readonly #client: ReplicaClient;
  readonly #options: FollowOptions;
  #position: FollowPosition;
  #database: FollowedDatabase | undefined;
  #lag: FollowLag;
  #state: FollowState = "current";
  #stateSinceMs: number;
  #nextFullLookMs = 0;
  /** The obstacle that the last complete listing showed. */
  #obstacle: string | undefined;
  #failures = 0;
  #updates = 0;

  constructor(client: ReplicaClient, options: FollowOptions, position: FollowPosition) {
    this.#client = client;
    this.#options = options;
    this.#position = position;
    this.#lag = { position: position.txid, newest: position.txid, lagMs: 0 };
    this.#stateSinceMs = options.clock.now();
  }

  async run(): Promise<FollowSummary> {
    const { clock, signal, intervalMs } = this.#options;
    const startedAt = clock.monotonic();
    while (!signal.aborted) {
      const pauseMs = await this.#attempt();
      try {
        await clock.sleep(pauseMs ?? intervalMs, signal);
      } catch (error) {
        if (!signal.aborted) throw error;
      }
    }
    return {
      txid: this.#position.txid,
      lag: this.#lag,
      state: this.#state,
      updates: this.#updates,
      durationMs: clock.monotonic() - startedAt,
    };
  }

  [Symbol.dispose](): void {
    this.#database?.[Symbol.dispose]();
    this.#database = undefined;
  }

  /** One look at the replica; gives the pause after it where that is not the interval. */
  async #attempt(): Promise<number | undefined> {
    try {
      const stalled = await this.#step();
      if (stalled === undefined) {
        this.#failures = 0;
        this.#tell("current", undefined);
        return undefined;
      }
      this.#tell("stalled", stalled);
    } catch (error) {
      if (this.#options.signal.aborted) return undefined;
      // Whatever it was: the next attempt opens the database anew, which undoes what was interrupted.
      this[Symbol.dispose]();
      const isBusy = error instanceof DatabaseBusyError;
      this.#tell(isBusy ? "blocked" : "failing", messageOf(error), error);
      if (isBusy) return undefined;
    }
    this.#failures += 1;
    return Math.min(maxPauseMs, this.#options.intervalMs * 2 ** Math.min(this.#failures - 1, 16));
  }

  /** Goes on as far as the replica leads; gives what is in the way where it leads no further. */
  async #step(): Promise<string | undefined> {
    const database = this.#openDatabase();
    const bad = new Map<string, ChainFileError>();
    for (;;) {
      const plan = await this.#plan(bad);
      try {
        switch (plan.kind) {
          case "current":
            // What is damaged shows that there is more.
            return bad.size === 0 ? undefined : damageFirst(bad, "no other file covers it");
          case "look-further":
            throw new Error("A plan from all levels asks for more");
          case "stalled":
            return damageFirst(bad, plan.reason);
          case "re-seed":
            await this.#reseed(database, plan.reason);
            return undefined;
          case "apply":
            await this.#update(database, plan.files, plan.reached);
            return undefined;
        }
      } catch (error) {
        if (error instanceof ImageNeededError || error instanceof ForeignWriteError) {
          await this.#reseed(database, error.message);
          return undefined;
        }
        if (!(error instanceof ChainFileError) || bad.size >= maxBadFiles) throw error;
        bad.set(describeFile(error.file), error);
        this.#options.onEvent({ type: "follow-file-damaged", error });
      }
    }
  }

  #openDatabase(): FollowedDatabase {
    if (this.#database?.isCurrent() === false) this[Symbol.dispose]();
    this.#database ??= new FollowedDatabase(this.#options.outputPath);
    return this.#database;
  }

  async #plan(bad: ReadonlyMap<string, ChainFileError>): Promise<FollowPlan> {
    const { txid, atLeast } = this.#position;
    const { clock } = this.#options;
    const keep = (file: LTXFileInfo): boolean => !bad.has(describeFile(file));
    const facts = (listed: FollowFacts["listed"], files: readonly LTXFileInfo[]): FollowFacts => ({
      position: txid,
      atLeast,
      listed,
      files: files.filter(keep),
      confirmed: this.#obstacle !== undefined,
    });
    if (bad.size === 0 && txid > 0n) {
      const files = await this.#list(0, txid + 1n);
      this.#lag = followLag(txid, files, clock.now());
      const plan = planFollow(facts("level-0", files));
      const mayRest = plan.kind === "current" && clock.monotonic() < this.#nextFullLookMs;
      if ((plan.kind === "apply" || mayRest) && this.#obstacle === undefined) return plan;
    }
    const files: LTXFileInfo[] = [];
    for (const level of allLevels) files.push(...(await this.#list(level)));
    this.#nextFullLookMs = clock.monotonic() + fullLookMs;
    this.#lag = followLag(txid, files, clock.now());
    const plan = planFollow(facts("all", files));
    this.#obstacle = plan.kind === "stalled" ? plan.reason : undefined;
    return plan;
  }

  async #list(level: number, from?: TXID): Promise<LTXFileInfo[]> {
    const { signal } = this.#options;
    const files: LTXFileInfo[] = [];
    const options = from === undefined ? { signal } : { signal, from };
    for await (const file of this.#client.list(level, options)) files.push(file);
    return files;
  }

  async #update(
    database: FollowedDatabase,
    files: readonly LTXFileInfo[],
    reached: TXID,
  ): Promise<void> {
    const { outputPath, parallelism, signal } = this.#options;
    database.proveOurs();
    const { pageSize, pageCount } = database;
    const options = { path: `${outputPath}-follow`, pageSize, pageCount, parallelism, signal };
    using pages = await fetchPages(this.#client, files, options);
    await this.#apply(database, pages, { reached, fileCount: files.length, reseeded: undefined });
  }

  /** Reads the whole state beside the database, then changes the pages that differ, in one transaction. */
  async #reseed(database: FollowedDatabase, reason: string): Promise<void> {
    const summary = await restoreSeed(this.#client, this.#options);
    using pages = pagesOfImage(seedPathOf(this.#options.outputPath));
    database.acceptContent();
    const { txid: reached, files: fileCount } = summary;
    await this.#apply(database, pages, { reached, fileCount, reseeded: reason });
    this.#obstacle = undefined;
  }

  async #apply(
    database: FollowedDatabase,
    pages: FollowPages,
    { reached, fileCount, reseeded }: Update,
  ): Promise<void> {
    const { outputPath, clock, onEvent, signal } = this.#options;
    const startedAt = clock.monotonic();
    const update = await database.prepare(pages, signal);
    // Before the change: whoever resumes must know how far it may have gone.
    await announcePosition(outputPath, reached);
    const fromTXID = this.#position.txid;
    this.#position = { txid: fromTXID, atLeast: reached };
    await this.#untilUnlocked((insist) => database.apply(update, insist));
    await confirmPosition(outputPath);
    this.#position = { txid: reached, atLeast: reached };
    this.#updates += 1;
    const { newest, lagMs } = this.#lag;
    const isCurrent = newest <= reached;
    this.#lag = {
      position: reached,
      newest: isCurrent ? reached : newest,
      lagMs: isCurrent ? 0 : lagMs,
    };
    onEvent({
      type: "follow-applied",
      fromTXID,
      txid: reached,
      fileCount,
      pageCount: update.changedCount,
      durationMs: clock.monotonic() - startedAt,
      lag: this.#lag,
      reseeded,
    });
  }

  /** SQLite never waits: between two attempts the process is free, and can be stopped. */
  async #untilUnlocked(attempt: (insist: boolean) => Promise<void>): Promise<void> {
    const { clock, signal } = this.#options;
    const startedAt = clock.monotonic();
    for (let pauseMs = minLockPauseMs; ; pauseMs = Math.min(maxLockPauseMs, pauseMs * 2)) {
      signal.throwIfAborted();
      try {
        return await attempt(clock.monotonic() - startedAt > insistAfterMs);
      } catch (error) {
        if (!(error instanceof DatabaseBusyError)) throw error;
        this.#tell("blocked", error.message, error);
      }
      await clock.sleep(pauseMs, signal);
    }
  }

  #tell(state: FollowState, reason: string | undefined, error?: unknown): void {
    const now = this.#options.clock.now();
    if (state !== this.#state) {
      this.#state = state;
      this.#stateSinceMs = now;
    }
    // What has been in the way for some time has kept the follower behind at least as long, whatever can be listed.
    const inTheWayMs = state === "current" ? 0 : now - this.#stateSinceMs;
    this.#lag = { ...this.#lag, lagMs: Math.max(this.#lag.lagMs, inTheWayMs) };
    const sinceMs = this.#stateSinceMs;
    this.#options.onEvent({ type: "follow-state", state, lag: this.#lag, sinceMs, reason, error });
  }
}

interface Update {
  readonly reached: TXID;
  readonly fileCount: number;
  readonly reseeded: string | undefined;
}

function damageFirst(bad: ReadonlyMap<string, ChainFileError>, reason: string): string {
  const [first] = bad.values();
  return first === undefined ? reason : `${first.message}; ${reason}`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
