/**
 * What the judge knows: every state that was ever committed, which of them each level-0 file may hold, and what was promised
 * to be in the store.
 */
import { NO_TABLES } from "./application.ts";
import type { TXID } from "../../src/formats/ltx/txid.ts";

/** A level-0 file of one machine. */
export interface Written {
  readonly machine: string;
  readonly txid: TXID;
  /** Digests of the states that it may hold: those that were current while it was made. */
  readonly candidates: ReadonlySet<string>;
  /** Index in the machine's history of the first of them. */
  readonly from: number;
  readonly atMs: number;
  readonly bytes: Uint8Array;
}

/** The states of one machine's database, one after another; a rollback of the disk makes an old one current again. */
export class History {
  readonly machine: string;
  readonly #states: string[] = [NO_TABLES];
  readonly written: Map<TXID, Written> = new Map();
  #last = 0;

  constructor(machine: string) {
    this.machine = machine;
  }

  /** Index of the present state. */
  get index(): number {
    return this.#states.length - 1;
  }

  get current(): string {
    return this.#states.at(-1) ?? "";
  }

  /** Index at which the state was last current; -1 if it never was. */
  lastIndexOf(digest: string): number {
    return this.#states.lastIndexOf(digest);
  }

  /** The database is in this state now. */
  push(digest: string): void {
    if (digest !== this.current) this.#states.push(digest);
  }

  /** A level-0 file was made of what the WAL held since `index`; `limited`: or of less. */
  write(file: {
    readonly txid: TXID;
    readonly index: number;
    readonly limited: boolean;
    readonly atMs: number;
    readonly bytes: Uint8Array;
  }): void {
    const { txid, index, atMs, bytes } = file;
    const from = Math.max(0, file.limited ? Math.min(index, this.#last) : index);
    const candidates = new Set(this.#states.slice(from));
    this.written.set(txid, { machine: this.machine, txid, candidates, from, atMs, bytes });
    this.#last = from;
  }

  /** Another machine begins with a copy of this one's disk. */
  copyTo(other: History): void {
    other.#states.splice(0, Infinity, ...this.#states);
    for (const [txid, written] of this.written) other.written.set(txid, written);
    other.#last = this.#last;
  }
}

/** What a replica said is in the store. */
export class Promises {
  readonly #promised = new Map<TXID, Written>();
  #greatest: TXID = 0n;

  get greatest(): TXID {
    return this.#greatest;
  }

  get(txid: TXID): Written | undefined {
    return this.#promised.get(txid);
  }

  all(): Written[] {
    return [...this.#promised.values()];
  }

  /** Whether this very file was promised, by this machine or by one with the same past. */
  isKnown(written: Written): boolean {
    return this.#promised.get(written.txid) === written;
  }

  /** Null, or what is wrong with it. */
  add(written: Written): string | null {
    const known = this.#promised.get(written.txid);
    if (known === undefined) {
      this.#promised.set(written.txid, written);
      if (written.txid > this.#greatest) this.#greatest = written.txid;
      return null;
    }
    // Two machines with the same disk may have made the very same file.
    if (Buffer.compare(known.bytes, written.bytes) === 0) return null;
    return `${known.machine} and ${written.machine} were both told that their TXID ${written.txid} is stored`;
  }
}
