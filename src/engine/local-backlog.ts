/** How much disk the local level-0 files take that wait for a replica, and which of them are too many. */
import { statSync } from "node:fs";
import type { TXID } from "../formats/ltx/txid.ts";
import type { LocalLTX } from "./local-ltx.ts";

/** At least so much waits for a replica that does not answer, however small the database is. */
export const MIN_BACKLOG_BYTES: number = 1 << 30;

/**
 * From which TXID on files stay when those that wait may take `limitBytes` at most: the newest ones, and the newest always. `sizes` are those of the files
 * from `oldestTXID` on. Pure.
 */
export function planBacklog(sizes: readonly number[], oldestTXID: TXID, limitBytes: number): TXID {
  let keep = sizes.length;
  let total = 0;
  while (keep > 0) {
    total += sizes[keep - 1] ?? 0;
    if (total > limitBytes && keep < sizes.length) break;
    keep--;
  }
  return oldestTXID + BigInt(keep);
}

/** The sizes of a folder's files; each is asked for once. */
export class LocalBacklog {
  readonly #local: LocalLTX;
  #oldestTXID: TXID = 0n;
  #sizes: number[] = [];

  constructor(local: LocalLTX) {
    this.#local = local;
  }

  /** As `planBacklog`, for the files that are there now. */
  keepFrom(limitBytes: number): TXID {
    this.#measure();
    return planBacklog(this.#sizes, this.#oldestTXID, limitBytes);
  }

  /** Forgets the sizes: nobody waits any more. */
  forget(): void {
    this.#oldestTXID = 0n;
    this.#sizes = [];
  }

  #measure(): void {
    const { oldestTXID, newestTXID } = this.#local;
    const end = this.#oldestTXID + BigInt(this.#sizes.length);
    if (oldestTXID < this.#oldestTXID || oldestTXID > end) this.#sizes = [];
    else this.#sizes.splice(0, Number(oldestTXID - this.#oldestTXID));
    this.#oldestTXID = oldestTXID;
    if (oldestTXID === 0n) return;
    for (let txid = oldestTXID + BigInt(this.#sizes.length); txid <= newestTXID; txid++) {
      const stat = statSync(this.#local.path(txid), { throwIfNoEntry: false });
      this.#sizes.push(stat?.size ?? 0);
    }
  }
}
