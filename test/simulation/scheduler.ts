/**
 * The one place where things happen: virtual time, and every wait of the engine as a job that a seeded random picks. Nothing
 * runs on its own, so a seed gives the same order again.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import type { Clock } from "../../src/engine/clock.ts";
import type { Random } from "../harness/random.ts";

/** One life of the engine, from its start to its stop or its death. What belongs to a dead one never goes on. */
export interface Life {
  readonly machine: string;
  alive: boolean;
}

/** Which life the running code belongs to. */
export const currentLife: AsyncLocalStorage<Life> = new AsyncLocalStorage<Life>();

interface Job {
  readonly life: Life | undefined;
  readonly run: () => void;
}

interface Timer extends Job {
  readonly dueMs: number;
  readonly order: number;
}

/** Jobs in a row without time passing after which something must be spinning. */
const MAX_JOBS = 200_000;

const realImmediate = globalThis.setImmediate;

export class Scheduler {
  readonly random: Random;
  /** Called between two jobs: the world may let the application act, or kill the engine. */
  between: () => void = () => {};
  #elapsedMs = 0;
  #order = 0;
  #ready: Job[] = [];
  readonly #timers = new Set<Timer>();
  #jobs = 0;

  constructor(random: Random) {
    this.random = random;
  }

  get elapsedMs(): number {
    return this.#elapsedMs;
  }

  /** Runs `run` some time later, in an order that the seed decides, unless its life has ended by then. */
  post(run: () => void): void {
    this.#ready.push({ life: currentLife.getStore(), run });
  }

  /** One turn: what an fsync, a request or a pause of the event loop takes at least. */
  turn(): Promise<void> {
    return new Promise((resolve) => this.post(resolve));
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(signal.reason);
        return;
      }
      const timer: Timer = {
        life: currentLife.getStore(),
        dueMs: this.#elapsedMs + Math.max(0, ms),
        order: this.#order++,
        run: () => {
          signal?.removeEventListener("abort", onAbort);
          resolve();
        },
      };
      const onAbort = (): void => {
        this.#timers.delete(timer);
        reject(signal?.reason);
      };
      signal?.addEventListener("abort", onAbort, { once: true });
      this.#timers.add(timer);
    });
  }

  /** Runs jobs until nothing is left that can run without time passing. */
  async settle(): Promise<void> {
    for (;;) {
      await drain();
      this.between();
      const index = this.#ready.length < 2 ? 0 : this.random.integer(0, this.#ready.length - 1);
      const [job] = this.#ready.splice(index, 1);
      if (job === undefined) return;
      if (++this.#jobs > MAX_JOBS)
        throw new Error("The engine spins: time must pass for it to go on");
      // Work takes time: a loop that waits for a deadline reaches it.
      this.#elapsedMs += 0.01;
      if (job.life?.alive !== false) job.run();
    }
  }

  /** Lets time pass; every sleeper wakes at its moment. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#elapsedMs + ms;
    for (;;) {
      await this.settle();
      const next = this.#earliest(endMs);
      if (next === undefined) break;
      this.#elapsedMs = Math.max(this.#elapsedMs, next.dueMs);
      this.#jobs = 0;
      this.#timers.delete(next);
      if (next.life?.alive !== false) next.run();
    }
    this.#elapsedMs = Math.max(this.#elapsedMs, endMs);
  }

  /**
   * Drives the world until `promise` is settled. Undefined: the life that was to settle it has ended. Fails when nothing happened
   * in `limitMs` of virtual time.
   */
  async drive<T>(life: Life, promise: Promise<T>, limitMs: number): Promise<T | undefined> {
    let settled = false;
    const done = (): void => void (settled = true);
    promise.then(done, done);
    for (let waited = 0; !settled; waited += 100) {
      await this.settle();
      if (settled) break;
      if (!life.alive) return undefined;
      if (waited > limitMs) throw new Error(`Nothing came of it in ${limitMs} ms`);
      await this.advance(100);
    }
    return await promise;
  }

  /** Forgets the sleepers of dead lives. */
  bury(): void {
    for (const timer of this.#timers) if (timer.life?.alive === false) this.#timers.delete(timer);
    this.#ready = this.#ready.filter(({ life }) => life?.alive !== false);
  }

  #earliest(endMs: number): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.dueMs > endMs) continue;
      if (first === undefined || timer.dueMs < first.dueMs) first = timer;
    }
    return first;
  }
}

/** A machine's clock: the world's time, plus what its wall clock is off. */
export class MachineClock implements Clock {
  readonly #scheduler: Scheduler;
  offMs = 0;

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler;
  }

  now(): number {
    return Math.floor(Date.UTC(2026, 0, 1) + this.#scheduler.elapsedMs + this.offMs);
  }

  monotonic(): number {
    return this.#scheduler.elapsedMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return this.#scheduler.sleep(ms, signal);
  }
}

/** Lets all promises settle that need nothing from outside. */
export function drain(): Promise<void> {
  return new Promise((resolve) => realImmediate(resolve));
}
