/** What was written of one database and may still be missing in a replica: how old it is, and how much. */
import type { TXID } from "../formats/ltx/txid.ts";

export interface Lag {
  /** Level-0 files the replica lacks. */
  readonly files: number;
  readonly bytes: number;
  /** Epoch ms at which the oldest of them was written. */
  readonly sinceMs: number;
}

interface Entry {
  readonly maxTXID: TXID;
  readonly atMs: number;
  readonly files: number;
  readonly bytes: number;
}

/** A replica that is away for days costs so many entries at most: neighbours are told together then. */
const MAX_ENTRIES = 1024;

export class Backlog {
  #entries: Entry[] = [];

  /** A level-0 file was written. */
  add(txid: TXID, bytes: number, atMs: number): void {
    this.#entries.push({ maxTXID: txid, atMs, files: 1, bytes });
    if (this.#entries.length > MAX_ENTRIES) this.#merge();
  }

  /** Every replica has everything up to `txid`. */
  drop(txid: TXID): void {
    const keep = this.#entries.findIndex(({ maxTXID }) => maxTXID > txid);
    if (keep !== 0) this.#entries = keep < 0 ? [] : this.#entries.slice(keep);
  }

  /** What a replica at `position` lacks; undefined: nothing that was written since the start. */
  lag(position: TXID): Lag | undefined {
    let lag: Lag | undefined;
    for (const { maxTXID, atMs, files, bytes } of this.#entries) {
      if (maxTXID <= position) continue;
      lag = {
        files: (lag?.files ?? 0) + files,
        bytes: (lag?.bytes ?? 0) + bytes,
        sinceMs: lag?.sinceMs ?? atMs,
      };
    }
    return lag;
  }

  #merge(): void {
    const merged: Entry[] = [];
    for (let at = 0; at < this.#entries.length; at += 2) {
      const [first, second] = this.#entries.slice(at, at + 2);
      if (first === undefined) break;
      merged.push(
        second === undefined
          ? first
          : {
              maxTXID: second.maxTXID,
              atMs: first.atMs,
              files: first.files + second.files,
              bytes: first.bytes + second.bytes,
            },
      );
    }
    this.#entries = merged;
  }
}
