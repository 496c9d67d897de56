/** Runs something again and again until stopped, with growing pauses after failures. */
import type { Clock } from "../engine/clock.ts";

/** Longest pause between two attempts. */
const MAX_BACKOFF_MS = 5 * 60_000;
const MIN_BACKOFF_MS = 100;

export interface RunLoopOptions {
  readonly clock: Clock;
  /** Pause after the first failure; doubles with each further one up to 5 minutes. */
  readonly intervalMs: number;
  readonly onFailed: (error: unknown, consecutiveErrors: number, backoffMs: number) => void;
  /** Called after the first success that follows failures. */
  readonly onRecovered: (consecutiveErrors: number) => void;
}

/** Calls `step` until `signal` is aborted; resolves then. `step` itself waits for work. */
export async function runLoop(
  step: (signal: AbortSignal) => Promise<void>,
  options: RunLoopOptions,
  signal: AbortSignal,
): Promise<void> {
  let consecutiveErrors = 0;
  while (!signal.aborted) {
    try {
      await step(signal);
      if (consecutiveErrors > 0) options.onRecovered(consecutiveErrors);
      consecutiveErrors = 0;
    } catch (error) {
      if (signal.aborted) return;
      consecutiveErrors++;
      const backoffMs = backoff(options.intervalMs, consecutiveErrors);
      options.onFailed(error, consecutiveErrors, backoffMs);
      await sleepUnlessAborted(options.clock, backoffMs, signal);
    }
  }
}

/** Doubles from the interval to five minutes. */
export function backoff(intervalMs: number, consecutiveErrors: number): number {
  const doublings = Math.min(consecutiveErrors - 1, 32);
  return Math.min(MAX_BACKOFF_MS, Math.max(MIN_BACKOFF_MS, intervalMs) * 2 ** doublings);
}

/** Sleeps; being aborted ends it early and is not an error. */
export async function sleepUnlessAborted(
  clock: Clock,
  ms: number,
  signal: AbortSignal,
): Promise<void> {
  try {
    await clock.sleep(ms, signal);
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
