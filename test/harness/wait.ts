/** Waiting for something another process does. */
import { setTimeout as sleep } from "node:timers/promises";

export interface UntilOptions {
  /** What is waited for, as it should read in "Waited 5000 ms in vain for …". */
  readonly what: string;
  readonly timeoutMs: number;
  readonly everyMs?: number;
}

/** Asks again and again until `probe` gives something other than false or undefined, and returns that. */
export async function until<T>(
  probe: () => T | false | undefined | Promise<T | false | undefined>,
  { what, timeoutMs, everyMs = 10 }: UntilOptions,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > deadline) throw new Error(`Waited ${timeoutMs} ms in vain for ${what}`);
    await sleep(everyMs);
  }
}

/** Rejects when `promise` has not settled in time. */
export async function within<T>(timeoutMs: number, what: string, promise: Promise<T>): Promise<T> {
  using timer = startTimer(timeoutMs, what);
  return await Promise.race([promise, timer.passed]);
}

function startTimer(
  timeoutMs: number,
  what: string,
): Disposable & { readonly passed: Promise<never> } {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    reject(new Error(`${what} took longer than ${timeoutMs} ms`));
  }, timeoutMs);
  return {
    passed: promise,
    [Symbol.dispose]() {
      clearTimeout(timer);
    },
  };
}
