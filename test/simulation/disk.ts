/**
 * Stands between the engine and the file system. To be imported before anything of the engine: it replaces functions of
 * `node:fs` and `node:timers/promises`. Flushes become jobs of the scheduler and are remembered instead of made, so that
 * a power cut can take back what was not flushed; every access to the WAL is a chance for the application to act.
 */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import timers from "node:timers/promises";
import { dirname } from "node:path";
import type { Random } from "../harness/random.ts";
import { currentLife } from "./scheduler.ts";
import type { Life, Scheduler } from "./scheduler.ts";

export interface DiskObserver {
  /** The engine is about to read a database's WAL or to use SQLite. */
  onAccess(life: Life, what: "wal-open" | "wal-read" | "sql", path: string): void;
}

/** What a power cut may undo, by the folder whose flush makes it last. */
type Undo =
  | { readonly kind: "rename"; readonly from: string; readonly to: string }
  | { readonly kind: "unlink"; readonly path: string; readonly bytes: Uint8Array };

const real = { ...fs };
const realTimers = { ...timers };

class Disk {
  #scheduler: Scheduler | null = null;
  #observer: DiskObserver | null = null;
  readonly #open = new Map<number, { readonly path: string; readonly life: Life }>();
  readonly #undo = new Map<string, Undo[]>();
  /** Files with content that was never flushed. */
  readonly #unflushed = new Set<string>();

  /** From now on the scheduler decides; null gives everything back to the real system. */
  attach(scheduler: Scheduler | null, observer: DiskObserver | null): void {
    this.#scheduler = scheduler;
    this.#observer = observer;
  }

  /** What to do with a step of the running code: null where it is none of the simulation. */
  get active(): { readonly scheduler: Scheduler; readonly life: Life } | null {
    const life = currentLife.getStore();
    return this.#scheduler === null || life === undefined
      ? null
      : { scheduler: this.#scheduler, life };
  }

  /** Runs `work` as if there were no simulation. */
  async idle<T>(work: () => Promise<T>): Promise<T> {
    const scheduler = this.#scheduler;
    this.#scheduler = null;
    try {
      return await work();
    } finally {
      this.#scheduler = scheduler;
    }
  }

  access(life: Life, what: "wal-open" | "wal-read" | "sql", path: string): void {
    this.#observer?.onAccess(life, what, path);
  }

  opened(fd: number, path: string, life: Life): void {
    this.#open.set(fd, { path, life });
  }

  pathOf(fd: number): string | undefined {
    return this.#open.get(fd)?.path;
  }

  closed(fd: number): void {
    this.#open.delete(fd);
  }

  written(path: string): void {
    this.#unflushed.add(path);
  }

  renamed(from: string, to: string): void {
    if (this.#unflushed.delete(from)) this.#unflushed.add(to);
    this.#remember(dirname(to), { kind: "rename", from, to });
  }

  unlinked(path: string): void {
    if (!path.endsWith(".ltx")) return;
    try {
      this.#remember(dirname(path), { kind: "unlink", path, bytes: real.readFileSync(path) });
    } catch {
      // It is not there: nothing is undone.
    }
  }

  flushed(path: string): void {
    this.#unflushed.delete(path);
    this.#undo.delete(path);
  }

  /** Closes what a life left open. */
  reap(life: Life): void {
    for (const [fd, file] of this.#open) {
      if (file.life !== life) continue;
      this.#open.delete(fd);
      real.closeSync(fd);
    }
  }

  /** Takes back, below `folder`, some of what was not flushed. */
  cutPower(folder: string, random: Random): string[] {
    const lost: string[] = [];
    for (const [parent, steps] of this.#undo) {
      if (!parent.startsWith(folder)) continue;
      this.#undo.delete(parent);
      // Later steps go first: a folder is written in order, or not at all.
      const kept = random.integer(0, steps.length);
      for (const step of steps.slice(kept).toReversed()) lost.push(undo(step));
    }
    for (const path of this.#unflushed) {
      if (!path.startsWith(folder)) continue;
      this.#unflushed.delete(path);
      if (!real.existsSync(path) || random.chance(0.4)) continue;
      // A share, not a length: lengths depend on the WAL's salts, which SQLite draws by itself.
      const share = random.pick([0, 0.3, 0.7, 0.99]);
      real.truncateSync(path, Math.floor(share * real.statSync(path).size));
      lost.push(`only ${share} of ${path} is left`);
    }
    return lost;
  }

  /** Nothing is lost any more below `folder`. */
  forget(folder: string): void {
    for (const path of this.#unflushed) if (path.startsWith(folder)) this.#unflushed.delete(path);
    for (const path of this.#undo.keys()) if (path.startsWith(folder)) this.#undo.delete(path);
  }

  #remember(folder: string, step: Undo): void {
    const steps = this.#undo.get(folder);
    if (steps === undefined) this.#undo.set(folder, [step]);
    else steps.push(step);
  }
}

export const disk: Disk = new Disk();

function undo(step: Undo): string {
  if (step.kind === "unlink") {
    if (!real.existsSync(step.path)) real.writeFileSync(step.path, step.bytes);
    return `not unlinked ${step.path}`;
  }
  if (real.existsSync(step.to)) real.renameSync(step.to, step.from);
  return `not renamed ${step.to}`;
}

type AnyFunction = (...args: never[]) => unknown;

function replace(module: object, name: string, by: AnyFunction): void {
  (module as Record<string, unknown>)[name] = by;
}

replace(fs, "openSync", (path: string, flags: string, mode?: number): number => {
  const { active } = disk;
  if (active !== null && path.endsWith("-wal")) disk.access(active.life, "wal-open", path);
  const fd = real.openSync(path, flags, mode);
  if (active !== null) {
    disk.opened(fd, path, active.life);
    if (flags === "w+") disk.written(path);
  }
  return fd;
});
replace(fs, "closeSync", (fd: number): void => {
  disk.closed(fd);
  real.closeSync(fd);
});
replace(fs, "readSync", (fd: number, ...rest: never[]): number => {
  const { active } = disk;
  const path = active === null ? undefined : disk.pathOf(fd);
  if (active !== null && path?.endsWith("-wal") === true)
    disk.access(active.life, "wal-read", path);
  return (real.readSync as unknown as (fd: number, ...rest: never[]) => number)(fd, ...rest);
});
replace(fs, "renameSync", (from: string, to: string): void => {
  real.renameSync(from, to);
  if (disk.active !== null) disk.renamed(from, to);
});
replace(fs, "unlinkSync", (path: string): void => {
  if (disk.active !== null) disk.unlinked(path);
  real.unlinkSync(path);
});
replace(fs, "writeFileSync", (path: string, content: string): void => {
  real.writeFileSync(path, content);
  if (disk.active !== null) disk.written(path);
});
replace(fs, "fsyncSync", (fd: number): void => {
  const path = disk.pathOf(fd);
  if (path !== undefined) disk.flushed(path);
});
replace(fs, "fsync", (fd: number, callback: (error: Error | null) => void): void => {
  const path = disk.pathOf(fd);
  const done = (): void => {
    if (path !== undefined) disk.flushed(path);
    callback(null);
  };
  const { active } = disk;
  if (active === null) setImmediate(done);
  else active.scheduler.post(done);
});
replace(timers, "setImmediate", (value?: never): Promise<unknown> => {
  const { active } = disk;
  return active === null ? realTimers.setImmediate(value) : active.scheduler.turn();
});
syncBuiltinESMExports();
