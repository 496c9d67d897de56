/** A clock that stands still until the test moves it. */
import { setImmediate as immediate } from "node:timers/promises";
import type { Clock } from "../../src/engine/clock.ts";

interface Timer {
  readonly dueMs: number;
  readonly fire: () => void;
}

export class SimulatedClock implements Clock {
  readonly #startMs = Date.UTC(2026, 0, 1);
  #elapsedMs = 0;
  readonly #timers = new Set<Timer>();

  now(): number {
    return this.#startMs + this.#elapsedMs;
  }

  monotonic(): number {
    return this.#elapsedMs;
  }

  /** Sleeps that are under way. */
  get timerCount(): number {
    return this.#timers.size;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer: Timer = { dueMs: this.#elapsedMs + ms, fire: resolve };
    const onAbort = (): void => reject(signal?.reason);
    this.#timers.add(timer);
    signal?.addEventListener("abort", onAbort, { once: true });
    try {
      await promise;
    } finally {
      this.#timers.delete(timer);
      signal?.removeEventListener("abort", onAbort);
    }
  }

  /** Lets everything run that can run without time passing. Real I/O is not waited for. */
  async settle(): Promise<void> {
    for (let i = 0; i < 5; i++) await immediate();
  }

  /** Moves time on, waking every sleeper at its moment. */
  async advance(ms: number): Promise<void> {
    const endMs = this.#elapsedMs + ms;
    await this.settle();
    for (;;) {
      const next = this.#earliest(endMs);
      if (next === undefined) break;
      this.#elapsedMs = Math.max(this.#elapsedMs, next.dueMs);
      this.#timers.delete(next);
      next.fire();
      await this.settle();
    }
    this.#elapsedMs = endMs;
    await this.settle();
  }

  #earliest(endMs: number): Timer | undefined {
    let earliest: Timer | undefined;
    for (const timer of this.#timers) {
      if (timer.dueMs <= endMs && timer.dueMs < (earliest?.dueMs ?? Infinity)) earliest = timer;
    }
    return earliest;
  }
}
