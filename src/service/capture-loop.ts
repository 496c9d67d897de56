/** Looks at one database whenever something may have been written, and paces the copies. */
import type { Clock } from "../engine/clock.ts";
import type { Database, TickReport } from "../engine/database.ts";
import { Sleeper } from "../engine/sleeper.ts";
import { TokenBucket } from "../engine/token-bucket.ts";
import type { DirectoryWatch } from "./directory-watch.ts";
import { BUSY_PACE_MS, planLook, planPace } from "./pace-plan.ts";
import type { LookReason, PaceMode } from "./pace-plan.ts";
import { sleepUnlessAborted } from "./run-loop.ts";

/** Copies that may follow each other at once after quiet. */
const BURST = 10;
/** From a watch event to the look: a commit's frames are written one by one. */
const SETTLE_MS = 1;
/** A scan that found only uncommitted frames is not repeated sooner than this many times its duration. */
const RESCAN_RATIO = 10;
/** Polls in a row without news after which a database gives back what only a busy one needs. */
const RESTING_POLLS = 2;

export interface CaptureLoopOptions {
  readonly database: Database;
  readonly clock: Clock;
  readonly watch: DirectoryWatch;
  readonly monitorIntervalMs: number;
  /** Frames that are copied whatever the pace. */
  readonly volumeFrames: number;
  /** Called when nothing happened for a while. */
  readonly onResting: () => Promise<void>;
}

export class CaptureLoop implements Disposable {
  readonly #options: CaptureLoopOptions;
  readonly #sleeper: Sleeper;
  readonly #bucket: TokenBucket;
  #subscription: { readonly path: string; readonly end: Disposable } | null = null;
  #mode: PaceMode = "quiet";
  #quietLooks = 0;
  #quietPolls = 0;
  #lookedAt: number;
  #written = false;
  #requested = false;
  #notBefore = 0;

  constructor(options: CaptureLoopOptions) {
    const { clock, monitorIntervalMs } = options;
    this.#options = options;
    this.#sleeper = new Sleeper(clock);
    this.#lookedAt = clock.monotonic();
    this.#bucket = new TokenBucket({
      capacity: BURST,
      intervalMs: monitorIntervalMs,
      now: this.#lookedAt,
      maxDebt: 0,
    });
  }

  /** Asks for a look at once, whatever the pace. */
  request(): void {
    this.#requested = true;
    this.#sleeper.wake(true);
  }

  /** Waits until there is reason to look, and looks once. Rejects with what the look found wrong. */
  async step(signal: AbortSignal): Promise<void> {
    const reason = await this.#waitForReason(signal);
    if (signal.aborted || !(await this.#waitForPace(reason, signal))) return;
    await this.#look(reason, signal);
  }

  async #waitForReason(signal: AbortSignal): Promise<LookReason> {
    const { clock, monitorIntervalMs } = this.#options;
    if (this.#mode === "busy") {
      this.#unsubscribe();
      const elapsed = clock.monotonic() - this.#lookedAt;
      await this.#sleeper.sleep(signal, {
        ms: Math.max(1, BUSY_PACE_MS - elapsed),
        urgentOnly: true,
      });
      return this.#takeReason("write");
    }
    this.#subscribe();
    if (!this.#written && !this.#requested)
      await this.#sleeper.sleep(signal, { ms: monitorIntervalMs });
    const reason = this.#takeReason("poll");
    if (reason === "write") await sleepUnlessAborted(clock, SETTLE_MS, signal);
    return reason;
  }

  #takeReason(otherwise: LookReason): LookReason {
    const reason = this.#requested ? "request" : this.#written ? "write" : otherwise;
    this.#requested = false;
    this.#written = false;
    return reason;
  }

  /** False: there is nothing worth a look after all. */
  async #waitForPace(reason: LookReason, signal: AbortSignal): Promise<boolean> {
    const { clock, database, volumeFrames } = this.#options;
    for (;;) {
      const now = clock.monotonic();
      if (reason !== "request" && now < this.#notBefore) {
        await this.#sleeper.sleep(signal, { ms: this.#notBefore - now, urgentOnly: true });
      }
      const tokenWaitMs = this.#bucket.waitMs(clock.monotonic());
      const plan = planLook({
        reason,
        tokenWaitMs,
        pendingVolume: tokenWaitMs > 0 && database.hasPending(volumeFrames),
      });
      if (plan.kind === "copy") return true;
      if (this.#mode === "busy") return this.#passBusyLook();
      // Each further write is a chance to see that enough of them have come together.
      await this.#sleeper.sleep(signal, { ms: plan.ms });
      if (signal.aborted) return false;
      if (this.#requested) reason = this.#takeReason(reason);
      if (this.#written) await sleepUnlessAborted(clock, BUSY_PACE_MS, signal);
      this.#written = false;
    }
  }

  /** A busy database of which too little is waiting: the end of its busy time copies what is left. */
  #passBusyLook(): boolean {
    const { clock } = this.#options;
    const now = clock.monotonic();
    const pace = planPace({
      mode: this.#mode,
      frames: 0,
      elapsedMs: now - this.#lookedAt,
      quietLooks: this.#quietLooks,
    });
    this.#lookedAt = now;
    this.#mode = pace.mode;
    this.#quietLooks = pace.quietLooks;
    return this.#mode === "quiet";
  }

  async #look(reason: LookReason, signal: AbortSignal): Promise<void> {
    const { clock, database, onResting } = this.#options;
    const startedAt = clock.monotonic();
    const report = await database.tick(signal);
    const now = clock.monotonic();
    for (let file = 0; file < report.files; file++) this.#bucket.take(now);
    const elapsedMs = Math.max(1, startedAt - this.#lookedAt);
    const pace = planPace({
      mode: this.#mode,
      frames: report.frames,
      elapsedMs,
      quietLooks: this.#quietLooks,
    });
    this.#mode = pace.mode;
    this.#quietLooks = pace.quietLooks;
    this.#lookedAt = now;
    this.#notBefore = isWaste(report) ? now + RESCAN_RATIO * (now - startedAt) : 0;
    if (report.files > 0 || reason !== "poll") this.#quietPolls = 0;
    else this.#quietPolls++;
    if (this.#quietPolls < RESTING_POLLS) return;
    // Each time: a poll may have found a checkpoint due.
    await database.rest();
    await onResting();
  }

  #subscribe(): void {
    const { database, watch } = this.#options;
    const path = `${database.watchPath}-wal`;
    if (this.#subscription?.path === path) return;
    this.#unsubscribe();
    const end = watch.subscribe(path, () => {
      this.#written = true;
      this.#sleeper.wake(false);
    });
    this.#subscription = { path, end };
    // What was written while nobody watched.
    this.#written = true;
  }

  #unsubscribe(): void {
    this.#subscription?.end[Symbol.dispose]();
    this.#subscription = null;
  }

  [Symbol.dispose](): void {
    this.#unsubscribe();
  }
}

function isWaste(report: TickReport): boolean {
  return report.files === 0 && report.uncommittedFrames > 0;
}
