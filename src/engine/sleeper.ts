/** One loop's sleep: until a time has passed, or until somebody wakes it. No timer runs while it waits without a time. */
import type { Clock } from "./clock.ts";

export interface SleepOptions {
  /** Default: until woken. */
  readonly ms?: number;
  /** Only an urgent wake ends the sleep. */
  readonly urgentOnly?: boolean;
}

export class Sleeper {
  readonly #clock: Clock;
  #sleep: { readonly end: () => void; readonly urgentOnly: boolean } | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Ends a sleep that is under way; without one it does nothing, so look at the facts before going to sleep. */
  wake(urgent: boolean): void {
    if (this.#sleep && (urgent || !this.#sleep.urgentOnly)) this.#sleep.end();
  }

  /** Resolves after the time, when woken, or when aborted; never rejects. One sleep at a time. */
  async sleep(signal: AbortSignal, options: SleepOptions = {}): Promise<void> {
    if (this.#sleep) throw new Error("A sleep is already under way");
    if (signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = new AbortController();
    this.#sleep = { end: resolve, urgentOnly: options.urgentOnly ?? false };
    signal.addEventListener("abort", () => resolve(), { once: true, signal: timer.signal });
    // The timer rejects only because it is stopped below.
    if (options.ms !== undefined)
      void this.#clock.sleep(options.ms, timer.signal).then(resolve, () => resolve());
    try {
      await promise;
    } finally {
      this.#sleep = undefined;
      // A reason of our own: without one an exception with a stack is made for each sleep.
      timer.abort("awake");
    }
  }
}
