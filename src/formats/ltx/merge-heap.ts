/** Which input of a merge has the next page. */
import type { MergeSource } from "./merge-source.ts";

/** Binary heap of inputs by the page they are at; of inputs at the same page the newest comes first. */
export class MergeHeap {
  readonly #items: MergeSource[] = [];

  constructor(sources: readonly MergeSource[]) {
    for (const source of sources) this.push(source);
  }

  /** Page of the first input, or infinity when none is left. */
  peekPgno(): number {
    return this.#items[0]?.pgno ?? Number.POSITIVE_INFINITY;
  }

  /** Adds an input, unless it has come to its end. */
  push(source: MergeSource): void {
    if (source.isEmpty()) return;
    const items = this.#items;
    let at = items.length;
    items.push(source);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const other = items[parent] as MergeSource;
      if (!isBefore(source, other)) break;
      items[at] = other;
      at = parent;
    }
    items[at] = source;
  }

  pop(): MergeSource | undefined {
    const items = this.#items;
    const first = items[0];
    const last = items.pop();
    if (first === undefined || last === undefined || items.length === 0) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      const right = items[child + 1];
      if (right && isBefore(right, items[child] as MergeSource)) child++;
      const other = items[child] as MergeSource;
      if (!isBefore(other, last)) break;
      items[at] = other;
      at = child;
    }
    items[at] = last;
    return first;
  }
}

function isBefore(a: MergeSource, b: MergeSource): boolean {
  return a.pgno < b.pgno || (a.pgno === b.pgno && a.order > b.order);
}
