/** Says whether a machine goes on writing where another one has taken over: it must notice soon. */
import { parseLTXName } from "../../src/formats/ltx/layout.ts";
import type { TXID } from "../../src/formats/ltx/txid.ts";
import { SOLE_WRITER_CHECK_MS } from "../../src/engine/replica.ts";
import type { Machine } from "./machine.ts";
import type { SharedStore } from "./store.ts";

/** What a look and the write after it may take. */
const GRACE_MS = 5_000;

export class FenceJudge {
  readonly #store: SharedStore;
  /** When each machine last wrote, or looked, and nobody else's file stood above. */
  readonly #provenAtMs = new Map<Machine, number>();

  constructor(store: SharedStore) {
    this.#store = store;
  }

  /** The machine has compared itself with the store. */
  onOpened(machine: Machine, nowMs: number): void {
    this.#provenAtMs.set(machine, nowMs);
  }

  /** A level-0 file of the machine has got into the store. */
  onUploaded(machine: Machine, txid: TXID, nowMs: number): void {
    const above = this.#othersAbove(machine, txid);
    if (above === undefined) {
      this.#provenAtMs.set(machine, nowMs);
      return;
    }
    const sinceMs = nowMs - (this.#provenAtMs.get(machine) ?? nowMs);
    // What is listed late cannot be noticed.
    if (sinceMs > SOLE_WRITER_CHECK_MS + GRACE_MS && !this.#store.isUnpunctual)
      throw new Error(
        `${machine.name} writes ${txid} below another's ${above}, ${sinceMs} ms after it last was alone`,
      );
  }

  /** A level-0 file above `txid` that the machine has not written. */
  #othersAbove(machine: Machine, txid: TXID): string | undefined {
    for (const [key, { bytes }] of this.#store.objects) {
      const [, level = "", name = ""] = key.split("/");
      const parsed = parseLTXName(name);
      if (level !== "0" || parsed === null || parsed.maxTXID <= txid) continue;
      const own = machine.history.written.get(parsed.maxTXID)?.bytes;
      if (own === undefined || Buffer.compare(own, bytes) !== 0) return key;
    }
    return undefined;
  }
}
