/**
 * One destination of one database: sends the level-0 files it lacks, in order, several in flight, and knows up to which TXID everything is there.
 *
 * Life: `start` compares local files with the store and says whether they continue it; `run` is the loop that uploads after every `notify`;
 * `flush` is one attempt for shutdown. When a full image is needed first, uploads wait until the database has written it and called `rebase`.
 */
import type { TXID } from "../formats/ltx/txid.ts";
import type { LTXFileInfo, ReplicaClient } from "../storage/replica-client.ts";
import type { Clock } from "./clock.ts";
import type { EmitEvent } from "./events.ts";
import { isLocalHistoryBroken } from "./local-disk-error.ts";
import type { LocalDiskError } from "./local-disk-error.ts";
import type { LocalLTX } from "./local-ltx.ts";
import { ReplicaChain } from "./replica-chain.ts";
import { Sleeper } from "./sleeper.ts";
import { TokenBucket } from "./token-bucket.ts";
import { checkSoleWriter, ReplicaConflictError } from "./upload.ts";
import { hasV3Objects } from "./v3-inventory.ts";
import { greatestTXID, isImageRequest, MAX_IN_FLIGHT, nextBackoffMs } from "./upload-plan.ts";
import type { ImageRequest, StartPlan } from "./upload-plan.ts";

/** What a replica needs of its database. */
export interface ReplicaSource {
  /** Absolute path of the database, for events. */
  readonly databasePath: string;
  readonly local: LocalLTX;
  /**
   * Local files cannot go on from what the store holds. The database takes a full image numbered at least `request.nextTXID`
   * and then calls `replica.rebase`. Called from `run` and `flush`; `start` returns its plan to the caller instead.
   */
  onImageNeeded(replica: Replica, request: ImageRequest): void;
  /**
   * A local file is missing or corrupt. True: the database discards its local files, takes a full image and calls `rebase`
   * (the auto-recover option). False: the replica goes on failing with the error's hint.
   */
  onLocalHistoryBroken(replica: Replica, error: LocalDiskError): boolean;
}

export interface ReplicaOptions {
  /** As in messages and events. */
  readonly name: string;
  /** Stays the caller's: the replica does not close it. */
  readonly client: ReplicaClient;
  readonly source: ReplicaSource;
  readonly clock: Clock;
  readonly emit: EmitEvent;
  /** The first pause after an error, and how often a round is due at most: see `paceIntervalMs`. */
  readonly syncIntervalMs: number;
  /** On average at most one upload round in this time. Default: the sync interval. 0: no pacing. */
  readonly paceIntervalMs?: number;
  /** A long backlog is reported as synced after each so many files; 0 = at its end only. */
  readonly maxBatchFiles?: number;
  /** Rounds that may follow each other at once after quiet. Default 8. */
  readonly burst?: number;
  /** Level-0 uploads in flight together, 1 … 4. Default 4. */
  readonly maxInFlight?: number;
  /**
   * The store is looked at again for a second writer after this time without a conditional write that succeeded. Not more than level-0 files stay in the
   * store. Default 30 s.
   */
  readonly soleWriterCheckMs?: number;
  /** Told of every file of ours that got into the store, or was found there. */
  readonly onStored?: (file: LTXFileInfo) => void;
}

export type ReplicaState =
  /** The store was not listed yet. */
  | "starting"
  /** Waits for a full image from the database. */
  | "waiting"
  /** Uploads, or has nothing to upload. */
  | "running"
  /** The last attempt failed; another one follows. */
  | "failing"
  /** A second writer was found: nothing happens until `retry`. */
  | "conflict";

export interface ReplicaStatus {
  readonly state: ReplicaState;
  /** Everything up to here is in the store. */
  readonly position: TXID;
  /** Newest local file. */
  readonly localTXID: TXID;
  /** Last failure, while `state` is "failing" or "conflict". */
  readonly error: unknown;
  readonly consecutiveErrors: number;
  /** Epoch ms at which the replica last was known to hold everything; 0 = never. */
  readonly syncedAtMs: number;
  /** Epoch ms of the first failure since the last success. */
  readonly failingSinceMs: number | undefined;
}

interface Waiter {
  readonly txid: TXID;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** See `ReplicaOptions.soleWriterCheckMs`. */
export const SOLE_WRITER_CHECK_MS = 30_000;
const DEFAULT_BURST = 8;

export class Replica {
  readonly name: string;
  readonly client: ReplicaClient;
  readonly #source: ReplicaSource;
  readonly #clock: Clock;
  readonly #emit: EmitEvent;
  readonly #syncIntervalMs: number;
  readonly #maxBatchFiles: number;
  readonly #soleWriterCheckMs: number;
  readonly #chain: ReplicaChain;
  readonly #pace: TokenBucket;
  readonly #sleeper: Sleeper;

  #started = false;
  #startCount = 0;
  #rebaseCount = 0;
  #remoteMaxTXID: TXID | undefined;
  #imageRequest: ImageRequest | undefined;
  #conflict: ReplicaConflictError | undefined;

  #busy: Promise<void> | undefined;
  /** Somebody began to wait since the last attempt. */
  #hurry = false;
  readonly #waiters = new Set<Waiter>();
  #error: unknown;
  #consecutiveErrors = 0;
  #backoffMs = 0;
  #syncedAtMs = 0;
  #failingSinceMs: number | undefined;
  #checkedAt = 0;

  constructor(options: ReplicaOptions) {
    const { name, client, source, clock, emit, maxInFlight = MAX_IN_FLIGHT } = options;
    this.name = name;
    this.client = client;
    this.#source = source;
    this.#clock = clock;
    this.#emit = emit;
    this.#syncIntervalMs = options.syncIntervalMs;
    this.#maxBatchFiles = options.maxBatchFiles ?? 0;
    this.#soleWriterCheckMs = options.soleWriterCheckMs ?? SOLE_WRITER_CHECK_MS;
    this.#chain = new ReplicaChain({
      client,
      clock,
      emit,
      local: source.local,
      database: source.databasePath,
      replica: name,
      maxInFlight,
      onAdvance: () => this.#answerWaiters(),
      onStored: options.onStored ?? (() => {}),
    });
    this.#pace = new TokenBucket({
      capacity: options.burst ?? DEFAULT_BURST,
      intervalMs: options.paceIntervalMs ?? options.syncIntervalMs,
      now: clock.monotonic(),
    });
    this.#sleeper = new Sleeper(clock);
  }

  /** Everything up to this TXID is in the store; it only moves in order. */
  get position(): TXID {
    return this.#chain.position;
  }

  /** Greatest TXID any level of the store was seen to hold; undefined before the first listing. New numbers must lie above. */
  get remoteMaxTXID(): TXID | undefined {
    return this.#remoteMaxTXID;
  }

  /** Local files from this TXID on are still needed here: for uploading, and the last one to compare after a restart. */
  get neededFromTXID(): TXID {
    return this.#started ? this.#chain.neededFromTXID : 0n;
  }

  /** Local files above this TXID were sent by this process: they are byte for byte the store's. */
  get provenAboveTXID(): TXID {
    return this.#chain.provenAboveTXID;
  }

  /** How often the store was compared from the beginning: what was known of it before may be wrong. */
  get startCount(): number {
    return this.#startCount;
  }

  /** Changes whenever the store's chain may have been found, or begun, anew: what was read of the database before belongs to the old one. */
  get chainCount(): number {
    return this.#startCount + this.#rebaseCount;
  }

  /** What the database still owes this replica. */
  get imageRequest(): ImageRequest | undefined {
    return this.#imageRequest;
  }

  get status(): ReplicaStatus {
    return {
      state: this.#state(),
      position: this.position,
      localTXID: this.#source.local.newestTXID,
      error: this.#error,
      consecutiveErrors: this.#consecutiveErrors,
      syncedAtMs: this.#syncedAtMs,
      failingSinceMs: this.#failingSinceMs,
    };
  }

  /**
   * Lists the store and compares. Of the plans, "behind", "diverged" and "gap" mean that a full image numbered at least `nextTXID` must be
   * written and announced by `rebase`. Rejects when the store cannot be asked; `run` then tries again by itself.
   */
  async start(signal: AbortSignal): Promise<StartPlan> {
    return await this.#exclusively(() => this.#start(signal));
  }

  /** The database wrote the full image `txid` because this replica asked for one: the chain in the store starts anew with it. */
  rebase(txid: TXID): void {
    this.#imageRequest = undefined;
    this.#rebaseCount++;
    this.#chain.rebase(txid);
    this.notify();
  }

  /** There is a new local file. Cheap: call it after every one. */
  notify(): void {
    this.#sleeper.wake(this.#isUrgent());
  }

  /** Tries again after a conflict: compares with the store from the beginning, so a full image may be asked for. */
  retry(): void {
    this.#conflict = undefined;
    this.#started = false;
    this.#sleeper.wake(true);
  }

  /** Resolves when everything up to `txid` is in the store; asks for a round at once. Rejects on a conflict or with the signal's reason. */
  async waitFor(txid: TXID, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#started && this.position >= txid) return;
    if (this.#conflict) throw this.#conflict;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter: Waiter = { txid, resolve, reject };
    const onAbort = (): void => reject(signal.reason);
    this.#waiters.add(waiter);
    this.#hurry = true;
    signal.addEventListener("abort", onAbort, { once: true });
    this.#sleeper.wake(this.#isUrgent());
    try {
      await promise;
    } finally {
      this.#waiters.delete(waiter);
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** Uploads until aborted; resolves then. Costs nothing while there is nothing to upload: no timer, no request. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#waitForWork(signal);
      if (signal.aborted) return;
      try {
        await this.#attempt(signal);
      } catch {
        // `#attempt` has told everybody who wants to know.
        await this.#pauseAfterError(signal);
      }
    }
  }

  /** One attempt to upload everything, now; a round that is under way is awaited first. Rejects when the store lacks something afterwards. */
  async flush(signal: AbortSignal): Promise<void> {
    await this.#attempt(signal);
    if (this.#imageRequest) {
      throw new Error(
        `Cannot upload to replica "${this.name}": a full image is needed first: ${this.#imageRequest.reason}`,
      );
    }
  }

  async #start(signal: AbortSignal): Promise<StartPlan> {
    await this.client.open(signal);
    const { plan, remoteMaxTXID } = await this.#chain.start(signal);
    this.#remoteMaxTXID = greatestTXID([this.#remoteMaxTXID ?? 0n, remoteMaxTXID]);
    if (remoteMaxTXID === 0n && this.#startCount === 0 && (await hasV3Objects(this.client, signal)))
      this.#emit({ type: "v3-backups-found", ...this.#names() });
    this.#imageRequest = isImageRequest(plan) ? plan : undefined;
    this.#started = true;
    this.#startCount++;
    this.#checkedAt = this.#clock.monotonic();
    this.#emit({ type: "replica-opened", ...this.#names(), txid: this.position });
    return plan;
  }

  /** A round and its consequences for the status. */
  async #attempt(signal: AbortSignal): Promise<void> {
    if (this.#conflict) throw this.#conflict;
    try {
      await this.#exclusively(() => this.#round(signal));
    } catch (error) {
      // Being stopped is not a failure; an unfinished write is recognised by the next attempt.
      if (!signal.aborted) this.#failed(error);
      throw error;
    }
    this.#succeeded();
  }

  async #round(signal: AbortSignal): Promise<void> {
    this.#hurry = false;
    if (this.#imageRequest) return;
    if (!this.#started) {
      const plan = await this.#start(signal);
      if (isImageRequest(plan)) this.#source.onImageNeeded(this, plan);
    }
    if (this.#imageRequest || !this.#chain.hasPending) return;
    const ifAbsent = await this.client.conditionalWrites(signal);
    await this.#checkSoleWriter(ifAbsent, signal);
    // What is written meanwhile belongs to the next round, or pacing would mean nothing.
    const until = this.#source.local.newestTXID;
    do {
      const request = await this.#chain.extend(this.#batchEnd(until), ifAbsent, signal);
      if (request !== undefined) {
        this.#imageRequest = request;
        this.#source.onImageNeeded(this, request);
        return;
      }
      if (ifAbsent) this.#checkedAt = this.#clock.monotonic();
      this.#emit({ type: "replica-synced", ...this.#names(), txid: this.position });
    } while (this.position < until);
  }

  /** Last file of the next batch. */
  #batchEnd(until: TXID): TXID {
    const end = this.position + BigInt(this.#maxBatchFiles);
    return this.#maxBatchFiles > 0 && end < until ? end : until;
  }

  /**
   * Looks for a second writer. Creating a name is proof enough where the store can do that, but only while the other's files of
   * these numbers are still there: after a pause they may be compacted and retired, and the names free again. Its newest file never is.
   */
  async #checkSoleWriter(ifAbsent: boolean, signal: AbortSignal): Promise<void> {
    const now = this.#clock.monotonic();
    const isProven = ifAbsent || this.#consecutiveErrors === 0;
    if (isProven && now - this.#checkedAt < this.#soleWriterCheckMs) return;
    await checkSoleWriter(
      this.client,
      this.#source.local,
      this.position,
      MAX_IN_FLIGHT + 1,
      signal,
    );
    this.#checkedAt = now;
  }

  async #waitForWork(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      if (!this.#hasWork()) {
        await this.#sleeper.sleep(signal);
        continue;
      }
      const now = this.#clock.monotonic();
      const isUrgent = this.#isUrgent();
      const ms = isUrgent ? this.#pace.waitForcedMs(now) : this.#pace.waitMs(now);
      if (ms > 0) {
        await this.#sleeper.sleep(signal, { ms, urgentOnly: true });
        continue;
      }
      if (isUrgent) this.#pace.force(now);
      else this.#pace.take(now);
      return;
    }
  }

  async #pauseAfterError(signal: AbortSignal): Promise<void> {
    const failedAt = this.#clock.monotonic();
    while (!signal.aborted) {
      if (this.#conflict) {
        await this.#sleeper.sleep(signal, { urgentOnly: true });
        continue;
      }
      // Somebody who has just begun to wait gets one attempt ahead of time; who still waits does not get another one.
      const pauseMs = this.#hurry ? nextBackoffMs(0, this.#syncIntervalMs) : this.#backoffMs;
      const ms = failedAt + Math.min(pauseMs, this.#backoffMs) - this.#clock.monotonic();
      if (ms <= 0) return;
      await this.#sleeper.sleep(signal, { ms, urgentOnly: true });
    }
  }

  #failed(error: unknown): void {
    this.#error = error;
    this.#consecutiveErrors++;
    this.#failingSinceMs ??= this.#clock.now();
    if (error instanceof ReplicaConflictError) {
      this.#conflict = error;
      this.#emit({ type: "replica-conflict", ...this.#names(), error });
      for (const waiter of this.#waiters) waiter.reject(error);
      return;
    }
    const isTakenOver =
      isLocalHistoryBroken(error) && this.#source.onLocalHistoryBroken(this, error);
    this.#backoffMs = isTakenOver ? 0 : nextBackoffMs(this.#backoffMs, this.#syncIntervalMs);
    this.#emit({
      type: "replica-failed",
      ...this.#names(),
      error,
      consecutiveErrors: this.#consecutiveErrors,
      backoffMs: this.#backoffMs,
    });
    if (isTakenOver) {
      const nextTXID =
        greatestTXID([this.#remoteMaxTXID ?? 0n, this.#source.local.reservedTXID]) + 1n;
      this.#imageRequest ??= { kind: "gap", nextTXID, reason: error.message };
    }
  }

  #succeeded(): void {
    // Nothing was tried: what failed before has not recovered yet.
    if (this.#imageRequest) return;
    const consecutiveErrors = this.#consecutiveErrors;
    this.#error = undefined;
    this.#consecutiveErrors = 0;
    this.#failingSinceMs = undefined;
    this.#backoffMs = 0;
    if (!this.#chain.hasPending) this.#syncedAtMs = this.#clock.now();
    if (consecutiveErrors > 0)
      this.#emit({ type: "replica-recovered", ...this.#names(), consecutiveErrors });
  }

  #answerWaiters(): void {
    for (const waiter of this.#waiters) if (waiter.txid <= this.position) waiter.resolve();
  }

  #hasWork(): boolean {
    if (this.#conflict || this.#imageRequest) return false;
    return !this.#started || this.#chain.hasPending;
  }

  /** Whether somebody waits for what could be uploaded now. */
  #isUrgent(): boolean {
    const { newestTXID } = this.#source.local;
    return this.#waiters.values().some((waiter) => waiter.txid <= newestTXID);
  }

  #state(): ReplicaState {
    if (this.#conflict) return "conflict";
    if (this.#imageRequest) return "waiting";
    if (this.#consecutiveErrors > 0) return "failing";
    return this.#started ? "running" : "starting";
  }

  #names(): { readonly database: string; readonly replica: string } {
    return { database: this.#source.databasePath, replica: this.name };
  }

  /** One at a time; the others wait for their turn. */
  async #exclusively<T>(work: () => Promise<T>): Promise<T> {
    while (this.#busy) await this.#busy;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#busy = promise;
    try {
      return await work();
    } finally {
      this.#busy = undefined;
      resolve();
    }
  }
}
