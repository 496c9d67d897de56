/** Tells that something changed in folders whose set changes. A hint, never relied on: a periodic look is the truth. */
import { watch } from "node:fs";
import type { FSWatcher } from "node:fs";
import { join } from "node:path";

export interface FolderWatchOptions {
  /** `isRename`: something of this path came or went; otherwise it was written. */
  readonly onChange: (path: string, isRename: boolean) => void;
  /** Called once, when the first folder cannot be watched. */
  readonly onUnavailable: (folder: string, error: unknown) => void;
}

export class FolderWatch implements Disposable {
  readonly #options: FolderWatchOptions;
  readonly #watchers = new Map<string, FSWatcher>();
  #isUnavailable = false;

  constructor(options: FolderWatchOptions) {
    this.#options = options;
  }

  /** Watches exactly `folders`. True: there are some that were not watched before, so a look into them is due. */
  follow(folders: readonly string[]): boolean {
    const wanted = new Set(folders);
    for (const folder of this.#watchers.keys()) if (!wanted.has(folder)) this.#end(folder);
    let hasNew = false;
    for (const folder of wanted) {
      if (!this.#watchers.has(folder)) hasNew = this.#begin(folder) || hasNew;
    }
    return hasNew;
  }

  [Symbol.dispose](): void {
    for (const folder of this.#watchers.keys()) this.#end(folder);
  }

  #begin(folder: string): boolean {
    try {
      const watcher = watch(folder, { persistent: false }, (event, name) => {
        this.#options.onChange(name === null ? folder : join(folder, name), event === "rename");
      });
      watcher.on("error", () => this.#end(folder));
      this.#watchers.set(folder, watcher);
      return true;
    } catch (error) {
      // A folder that is gone is no reason to believe that watching does not work.
      if ((error as NodeJS.ErrnoException).code === "ENOENT" || this.#isUnavailable) return false;
      this.#isUnavailable = true;
      this.#options.onUnavailable(folder, error);
      return false;
    }
  }

  #end(folder: string): void {
    this.#watchers.get(folder)?.close();
    this.#watchers.delete(folder);
  }
}
