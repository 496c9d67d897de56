/** When level-0 files appear in a file replica, and so when each commit was there. */
import fs from "node:fs";
import path from "node:path";
import { newestTick } from "./ticks.ts";

/** One commit of a timed writer: its number and the monotonic time when it returned. */
export interface Commit {
  readonly tick: number;
  readonly atNs: bigint;
}

/** Notes the monotonic time at which each level-0 file of one replica appears under its final name. */
export class Arrivals implements Disposable {
  readonly #folder: string;
  readonly #watcher: fs.FSWatcher;
  readonly #arrivedAt = new Map<string, bigint>();

  /** The level-0 folder must exist: wait for the first copy before. */
  constructor(replicaFolder: string) {
    this.#folder = path.join(replicaFolder, "ltx/0");
    this.#watcher = fs.watch(this.#folder, (_event, name) => {
      if (name?.endsWith(".ltx") && !this.#arrivedAt.has(name)) {
        this.#arrivedAt.set(name, process.hrtime.bigint());
      }
    });
  }

  [Symbol.dispose](): void {
    this.#watcher.close();
  }

  /** Waits until a file that contains the commit `tick` is there; returns the time of its appearance. */
  async reached(tick: number, limitMs: number): Promise<bigint> {
    let checked = 0;
    let atNs: bigint | undefined;
    await until(`commit ${tick} in "${this.#folder}"`, limitMs, () => {
      const entries = [...this.#arrivedAt].slice(checked);
      checked += entries.length;
      atNs = entries.find(([name]) => newestTick(path.join(this.#folder, name)) >= tick)?.[1];
      return atNs !== undefined;
    });
    return atNs ?? 0n;
  }

  /** Milliseconds from the return of each commit until a file that contains it was in the replica. */
  lags(commits: readonly Commit[]): number[] {
    const files = [...this.#arrivedAt].map(([name, atNs]) => ({
      atNs,
      tick: newestTick(path.join(this.#folder, name)),
    }));
    return commits.map(({ tick, atNs }) => {
      const file = files.find((candidate) => candidate.tick >= tick);
      if (!file) throw new Error(`Commit ${tick} never appeared in "${this.#folder}"`);
      return Number(file.atNs - atNs) / 1e6;
    });
  }
}

/** Waits until a replica holds its first level-0 file. */
export async function firstCopyDone(replicaFolder: string, limitMs: number): Promise<void> {
  const folder = path.join(replicaFolder, "ltx/0");
  await until(`a first copy in "${replicaFolder}"`, limitMs, () => {
    if (!fs.existsSync(folder)) return false;
    return fs.readdirSync(folder).some((name) => name.endsWith(".ltx"));
  });
}

/** Polls `condition` until it is true; an error once `limitMs` have passed. */
export async function until(
  what: string,
  limitMs: number,
  condition: () => boolean,
): Promise<void> {
  const endsAt = performance.now() + limitMs;
  while (!condition()) {
    if (performance.now() > endsAt) throw new Error(`Waited ${limitMs} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
