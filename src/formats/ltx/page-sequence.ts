/** Which page numbers may follow each other in an LTX file (formats §1.2). */
import { FormatError } from "../format-error.ts";
import { lockPgno } from "../sqlite-header.ts";
import type { LTXHeader } from "./header.ts";

/** Checks the page numbers of one file as they come: the same rules for writing and for reading. */
export class PageSequence {
  readonly #commit: number;
  readonly #lockPgno: number;
  readonly #isSnapshot: boolean;
  #last = 0;
  #count = 0;

  constructor(header: LTXHeader) {
    this.#commit = header.commit;
    this.#lockPgno = lockPgno(header.pageSize);
    this.#isSnapshot = header.minTXID === 1n;
  }

  get count(): number {
    return this.#count;
  }

  /** FormatError "page-order", "page-out-of-range", "lock-page" or "missing-page". */
  next(pgno: number, offset?: number): void {
    if (pgno <= this.#last) {
      throw new FormatError("page-order", `Page ${pgno} follows page ${this.#last}`, offset);
    }
    if (pgno > this.#commit) {
      throw new FormatError(
        "page-out-of-range",
        `Page ${pgno} is beyond the ${this.#commit} pages of the database`,
        offset,
      );
    }
    if (pgno === this.#lockPgno) {
      throw new FormatError(
        "lock-page",
        `Page ${pgno} is the lock page, which holds no data`,
        offset,
      );
    }
    if (this.#isSnapshot && pgno !== this.#successor()) {
      throw new FormatError(
        "missing-page",
        `Snapshot lacks page ${this.#successor()}: page ${pgno} follows page ${this.#last}`,
        offset,
      );
    }
    this.#last = pgno;
    this.#count++;
  }

  /** After the last page: a snapshot must have come to its end. FormatError "missing-page". */
  end(offset?: number): void {
    if (this.#isSnapshot && this.#successor() <= this.#commit) {
      throw new FormatError(
        "missing-page",
        `Snapshot lacks page ${this.#successor()}: it ends after page ${this.#last} of ${this.#commit}`,
        offset,
      );
    }
  }

  #successor(): number {
    return this.#last + 1 === this.#lockPgno ? this.#last + 2 : this.#last + 1;
  }
}
