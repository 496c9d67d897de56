/** Pacing: work that may come in bursts after quiet, but on average only once per interval. Pure: time is passed in. */

export interface TokenBucketOptions {
  /** Tokens a rested bucket holds: how many rounds in a row are free of waiting. At least 1. */
  readonly capacity: number;
  /** One token comes back per interval. 0 or less: no pacing at all. */
  readonly intervalMs: number;
  /** The present, in the same monotonic milliseconds that the methods are given. */
  readonly now: number;
  /** How far `force` may draw ahead, in tokens. Default: `capacity`. */
  readonly maxDebt?: number;
}

/** Starts full. A round takes one token; somebody waiting for durability may draw future tokens, within a bound. */
export class TokenBucket {
  readonly capacity: number;
  readonly intervalMs: number;
  readonly maxDebt: number;
  /** Tokens × intervalMs: sums of whole milliseconds stay exact. */
  #creditMs: number;
  #refilledAt: number;

  constructor(options: TokenBucketOptions) {
    if (!(options.capacity >= 1))
      throw new RangeError(`Capacity must be at least 1: ${options.capacity}`);
    this.capacity = options.capacity;
    this.intervalMs = options.intervalMs;
    this.maxDebt = options.maxDebt ?? options.capacity;
    this.#creditMs = options.capacity * Math.max(0, options.intervalMs);
    this.#refilledAt = options.now;
  }

  /** Milliseconds until `take` succeeds; 0 = now. */
  waitMs(now: number): number {
    return this.#waitFor(1, now);
  }

  /** Milliseconds until `force` succeeds; 0 = now. */
  waitForcedMs(now: number): number {
    return this.#waitFor(1 - this.maxDebt, now);
  }

  /** Takes a token if there is one. */
  take(now: number): boolean {
    return this.#draw(1, now);
  }

  /** Takes a token, a future one if need be. False when the debt is at its bound. */
  force(now: number): boolean {
    return this.#draw(1 - this.maxDebt, now);
  }

  #draw(minimum: number, now: number): boolean {
    if (this.#waitFor(minimum, now) > 0) return false;
    if (this.intervalMs > 0) this.#creditMs -= this.intervalMs;
    return true;
  }

  #waitFor(minimum: number, now: number): number {
    if (this.intervalMs <= 0) return 0;
    // A clock that went back gives nothing and takes nothing.
    const elapsedMs = Math.max(0, now - this.#refilledAt);
    this.#refilledAt = now;
    this.#creditMs = Math.min(this.capacity * this.intervalMs, this.#creditMs + elapsedMs);
    // Rounded up, so that a sleep of the returned length is enough.
    return Math.max(0, Math.ceil(minimum * this.intervalMs - this.#creditMs));
  }
}
