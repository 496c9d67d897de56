/** Deletes files of a replica with patience: what is to go is marked first, and what a store keeps in spite of its word is left alone. */
import type { TXID } from "../formats/ltx/txid.ts";
import type { Clock } from "./clock.ts";
import { nameOf } from "./replica-inventory.ts";
import type { LTXFileInfo } from "../storage/replica-client.ts";

/** Files in one request to delete, and so what an abort leaves half done. */
export const MAX_DELETE_FILES = 1_000;

/** Remembers since when files are to go, so that whatever was planned on them has had some time. */
export class Condemned {
  readonly #clock: Clock;
  #since = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#since.size;
  }

  /** Of the files that are to go now: those that were so for `graceMs`. What is not named any more is forgotten. */
  sift(files: readonly LTXFileInfo[], graceMs: number): LTXFileInfo[] {
    const now = this.#clock.monotonic();
    const since = new Map<string, number>();
    const ripe: LTXFileInfo[] = [];
    for (const file of files) {
      const name = nameOf(file);
      const at = this.#since.get(name) ?? now;
      since.set(name, at);
      if (now - at >= graceMs) ripe.push(file);
    }
    this.#since = since;
    return ripe;
  }
}

/** The first pause after a store turned out to keep what it was told to delete; it doubles up to a day. */
const FIRST_PAUSE_MS = 3_600_000;
const MAX_PAUSE_MS = 86_400_000;

interface Suspension {
  readonly count: number;
  readonly until: number;
}

/** Remembers what was deleted since the last listing, and finds out from the next one what the store has kept. */
export class DeletionLedger {
  readonly #clock: Clock;
  readonly #sent = new Set<string>();
  /** Level 0 goes from the oldest on, and there is much of it: one number is enough. */
  #sentLevel0: TXID = 0n;
  readonly #suspended = new Map<number, Suspension>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether the store lately kept files of this level: then nothing is deleted from it for a while. */
  isSuspended(level: number): boolean {
    return (this.#suspended.get(level)?.until ?? 0) > this.#clock.monotonic();
  }

  /** The store said that these are gone. */
  sent(files: readonly LTXFileInfo[]): void {
    for (const file of files) {
      if (file.level > 0) this.#sent.add(nameOf(file));
      else if (file.maxTXID > this.#sentLevel0) this.#sentLevel0 = file.maxTXID;
    }
  }

  /** Compares with a listing that began after the deletions. Returns the files that are still there. */
  audit(listed: readonly LTXFileInfo[]): LTXFileInfo[] {
    const kept = listed.filter((file) =>
      file.level === 0 ? file.maxTXID <= this.#sentLevel0 : this.#sent.has(nameOf(file)),
    );
    const wasUsed = new Set([...this.#sent].map((name) => Number(name[0])));
    if (this.#sentLevel0 > 0n) wasUsed.add(0);
    for (const level of wasUsed) {
      if (kept.some((file) => file.level === level)) this.#suspend(level);
      else this.#suspended.delete(level);
    }
    this.#sent.clear();
    this.#sentLevel0 = 0n;
    return kept;
  }

  #suspend(level: number): void {
    const count = (this.#suspended.get(level)?.count ?? 0) + 1;
    const pauseMs = Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (count - 1));
    this.#suspended.set(level, { count, until: this.#clock.monotonic() + pauseMs });
  }
}
