/**
 * Wakes databases when their `-wal` file changes. One watcher per directory, shared by the databases in it: the file itself
 * may be deleted and made again, its directory stays. Watching is a hint, never relied on: where it does not work (NFS,
 * some container mounts) the poll finds the change.
 */
import { watch } from "node:fs";
import type { FSWatcher } from "node:fs";
import { basename, dirname } from "node:path";

export class DirectoryWatch implements Disposable {
  readonly #directories = new Map<string, WatchedDirectory>();

  /** Calls `onChange` after writes to the file at `path` until the result is disposed of. */
  subscribe(path: string, onChange: () => void): Disposable {
    const directory = dirname(path);
    let watched = this.#directories.get(directory);
    if (watched === undefined) {
      watched = new WatchedDirectory(directory);
      this.#directories.set(directory, watched);
    }
    const name = basename(path);
    watched.add(name, onChange);
    return {
      [Symbol.dispose]: () => {
        watched.remove(name, onChange);
        if (watched.size > 0) return;
        watched.close();
        this.#directories.delete(directory);
      },
    };
  }

  [Symbol.dispose](): void {
    for (const watched of this.#directories.values()) watched.close();
    this.#directories.clear();
  }
}

class WatchedDirectory {
  readonly #watcher: FSWatcher | null;
  readonly #listeners = new Map<string, Set<() => void>>();

  constructor(directory: string) {
    this.#watcher = startWatcher(directory, (name) => {
      for (const listener of this.#listeners.get(name) ?? []) listener();
    });
  }

  get size(): number {
    return this.#listeners.size;
  }

  add(name: string, listener: () => void): void {
    const listeners = this.#listeners.get(name) ?? new Set();
    listeners.add(listener);
    this.#listeners.set(name, listeners);
  }

  remove(name: string, listener: () => void): void {
    const listeners = this.#listeners.get(name);
    listeners?.delete(listener);
    if (listeners?.size === 0) this.#listeners.delete(name);
  }

  close(): void {
    this.#watcher?.close();
  }
}

/** Null when the directory cannot be watched: the poll does it alone then. */
function startWatcher(directory: string, onChange: (name: string) => void): FSWatcher | null {
  try {
    const watcher = watch(directory, { persistent: false }, (_event, name) => {
      if (name !== null) onChange(name);
    });
    // The directory may vanish with the database in it; the poll tells.
    watcher.on("error", () => watcher.close());
    return watcher;
  } catch {
    return null;
  }
}
