/** The database file under construction: takes pages newest first, each once. */
import type { PageBatch } from "../formats/ltx/decoder.ts";
import { FormatError } from "../formats/format-error.ts";
import { dataPageCount, lockPgno } from "../formats/sqlite-header.ts";

/** Writes bytes [start, end) of `bytes` at a position of the database file. */
export type WriteAt = (bytes: Uint8Array, start: number, end: number, position: number) => void;

/**
 * Which pages of a database have been written, one bit each. Files come newest first, so a page that is there already is
 * newer than any that follows. The lock page stays zero: no file holds it.
 */
export class DatabasePages {
  readonly #write: WriteAt;
  readonly pageSize: number;
  /** Size of the database in pages. */
  readonly commit: number;
  readonly #written: Uint8Array;
  #missing: number;

  /** `write` puts bytes into a file of `commit` zero pages. */
  constructor(write: WriteAt, pageSize: number, commit: number) {
    this.#write = write;
    this.pageSize = pageSize;
    this.commit = commit;
    this.#written = new Uint8Array((commit >>> 3) + 1);
    this.#missing = dataPageCount(commit, pageSize);
  }

  /** Pages that no file has given yet. */
  get missingCount(): number {
    return this.#missing;
  }

  /** The first of them. */
  firstMissing(): number | undefined {
    const lock = lockPgno(this.pageSize);
    for (let pgno = 1; pgno <= this.commit; pgno++) {
      if (pgno !== lock && !this.#has(pgno)) return pgno;
    }
    return undefined;
  }

  /** Writes the pages of a batch that are wanted and not there yet, neighbours in one piece. */
  write({ count, pgnos, pages }: PageBatch): void {
    let start = 0;
    for (let index = 0; index < count; index++) {
      const pgno = pgnos[index] ?? 0;
      if (pgno <= this.commit && !this.#has(pgno)) {
        this.#written[pgno >>> 3] = (this.#written[pgno >>> 3] ?? 0) | (1 << (pgno & 7));
        this.#missing -= 1;
        if (index > start && pgno !== (pgnos[index - 1] ?? 0) + 1) {
          this.#writeRun(pages, start, index, pgnos[start] ?? 0);
          start = index;
        }
      } else {
        this.#writeRun(pages, start, index, pgnos[start] ?? 0);
        start = index + 1;
      }
    }
    this.#writeRun(pages, start, count, pgnos[start] ?? 0);
  }

  #has(pgno: number): boolean {
    return ((this.#written[pgno >>> 3] ?? 0) & (1 << (pgno & 7))) !== 0;
  }

  /** Writes pages [start, end) of a batch, which are neighbours from `pgno` on. */
  #writeRun(pages: Uint8Array, start: number, end: number, pgno: number): void {
    if (start === end) return;
    this.#write(pages, start * this.pageSize, end * this.pageSize, (pgno - 1) * this.pageSize);
  }
}

/**
 * Whether a file that makes the database larger holds all the pages it adds. If not, a page cut off by an earlier
 * transaction would come back with its old content (formats §5).
 */
export class GrowthCheck {
  readonly #lock: number;
  readonly #commit: number;
  /** Where the run of neighbouring pages that ends with the last page seen begins. */
  #runStart = 0;
  #next = 0;

  constructor(pageSize: number, commit: number) {
    this.#lock = lockPgno(pageSize);
    this.#commit = commit;
  }

  add({ count, pgnos }: PageBatch): void {
    for (let index = 0; index < count; index++) {
      const pgno = pgnos[index] ?? 0;
      if (pgno !== this.#next) this.#runStart = pgno;
      this.#next = this.#after(pgno);
    }
  }

  /** FormatError "missing-page" unless every page after `previousCommit` has been added. */
  prove(previousCommit: number): void {
    const first = this.#after(previousCommit);
    if (first > this.#commit) return;
    const reachesEnd = this.#next > this.#commit;
    if (reachesEnd && this.#runStart <= first) return;
    throw new FormatError(
      "missing-page",
      `It grows the database from ${previousCommit} to ${this.#commit} pages but lacks new ones`,
    );
  }

  #after(pgno: number): number {
    return pgno + 1 === this.#lock ? pgno + 2 : pgno + 1;
  }
}
