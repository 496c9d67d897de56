/** Waiting between attempts. */
import { setTimeout as delay } from "node:timers/promises";

export interface Backoff {
  /** Attempts in all, the first included. */
  readonly attempts: number;
  readonly baseMs: number;
  readonly capMs: number;
  /** Waits; rejects with the signal's reason once aborted. For tests. */
  readonly sleep?: (ms: number, signal: AbortSignal | undefined) => Promise<void>;
  /** 0 ≤ x < 1. For tests. */
  readonly random?: () => number;
}

/** How long to wait before attempt `attempt` + 1: exponential, capped, with half of it left to chance. */
export function backoffMs(attempt: number, backoff: Backoff): number {
  const fullMs = Math.min(backoff.capMs, backoff.baseMs * 2 ** (attempt - 1));
  const random = backoff.random ?? Math.random;
  return Math.round(fullMs / 2 + (fullMs / 2) * random());
}

/** Waits `ms`; rejects with the signal's reason when it is aborted before. */
export async function sleepFor(ms: number, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  try {
    await delay(ms, undefined, signal === undefined ? {} : { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}

/**
 * Calls `act` until it succeeds, fails for good, or the attempts are used up. `act` gets the number of the attempt,
 * counted from 1; the last error is thrown.
 */
export async function withAttempts<T>(
  backoff: Backoff,
  act: (attempt: number) => Promise<T>,
  isRetryable: (error: unknown, attempt: number) => boolean,
  signal?: AbortSignal,
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await act(attempt);
    } catch (error) {
      signal?.throwIfAborted();
      if (attempt >= backoff.attempts || !isRetryable(error, attempt)) throw error;
    }
    await (backoff.sleep ?? sleepFor)(backoffMs(attempt, backoff), signal);
  }
}
