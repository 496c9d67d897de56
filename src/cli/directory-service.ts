/** Replicates what is in the folders of `dir` entries: at the start, and with `watch` whatever comes and goes later. */
import type { DatabaseConfig, DirectoryConfig } from "../config/config.ts";
import { findDirectoryDatabases, isSidecar } from "../config/directory-databases.ts";
import type { FoundDatabases } from "../config/directory-databases.ts";
import { planDirectory } from "../service/directory-plan.ts";
import { FolderWatch } from "../service/folder-watch.ts";
import { formatError, type Logger } from "../service/logger.ts";
import { sleepUnlessAborted } from "../service/run-loop.ts";
import type { DatabaseOptions } from "../service/store-options.ts";
import type { Store } from "../service/store.ts";
import { systemClock } from "../service/system-clock.ts";
import { UsageError } from "./errors.ts";

/** A burst of changes is looked at together. */
const DEBOUNCE_MS = 250;
/** A look is due after this long even when nothing was heard. */
const RESCAN_MS = 30_000;

/** A `dir` entry with what was found in it at the start. */
export interface ScannedDirectory {
  readonly entry: DirectoryConfig;
  readonly found: FoundDatabases;
}

/** Looks into every folder. UsageError when one is not there, or holds nothing and is not watched. `taken`: paths of other entries; `open`: of databases that are replicated already. */
export async function scanDirectories(
  entries: readonly DirectoryConfig[],
  taken: ReadonlySet<string>,
  logger: Logger,
  open: ReadonlySet<string> = new Set(),
): Promise<readonly ScannedDirectory[]> {
  const scanned: ScannedDirectory[] = [];
  const known = new Set(taken);
  for (const entry of entries) {
    const { dir, pattern, watch } = entry;
    const all = await findDirectoryDatabases(entry, open);
    for (const { path, error } of all.unreadable) {
      if (path === dir) {
        throw new UsageError(`cannot read directory ${dir}: ${formatError(error)}`, {
          cause: error,
        });
      }
      logger.warn("cannot read folder", { path, error: formatError(error) });
    }
    if (all.databases.length === 0 && !watch) {
      throw new UsageError(
        `no SQLite databases found in directory ${dir} with pattern ${pattern}`,
        {
          hint: 'Set "watch: true" to wait for databases',
        },
      );
    }
    logger.info("found databases in directory", { dir, count: all.databases.length, watch });
    const databases = all.databases.filter(({ path }) => !known.has(path));
    for (const { path } of databases) known.add(path);
    scanned.push({ entry, found: { ...all, databases } });
  }
  return scanned;
}

export interface DirectoryServiceOptions {
  readonly store: Store;
  readonly logger: Logger;
  /** The settings of a database, with clients it disposes of. */
  readonly createDatabase: (database: DatabaseConfig) => Promise<DatabaseOptions>;
  /** Keeps the database's places from others while it is added. Throws when another database has one of them. */
  readonly claim: (database: DatabaseConfig, made: DatabaseOptions) => Disposable;
  /** How long a vanished database is given for its final sync; 0 is without limit. */
  readonly removeTimeoutMs: number;
}

/** Follows the entries with `watch` until the result is disposed of, or `stop` is aborted. */
export function watchDirectories(
  directories: readonly ScannedDirectory[],
  options: DirectoryServiceOptions,
  stop: AbortSignal,
): AsyncDisposable {
  const end = new AbortController();
  const signal = AbortSignal.any([stop, end.signal]);
  const running = directories
    .filter(({ entry }) => entry.watch)
    .map((directory) => new WatchedEntry(directory, options).run(signal));
  return {
    [Symbol.asyncDispose]: async () => {
      end.abort();
      await Promise.all(running);
    },
  };
}

class WatchedEntry {
  readonly #entry: DirectoryConfig;
  readonly #options: DirectoryServiceOptions;
  readonly #own: Set<string>;
  readonly #removals = new Set<Promise<void>>();
  #complaints = new Set<string>();
  /** What was said last of each database that cannot be added. */
  readonly #refusals = new Map<string, string>();
  #heard = new AbortController();

  constructor({ entry, found }: ScannedDirectory, options: DirectoryServiceOptions) {
    this.#entry = entry;
    this.#options = options;
    this.#own = new Set(found.databases.map(({ path }) => path));
    this.#complaints = new Set(found.unreadable.map(({ path }) => path));
  }

  async run(signal: AbortSignal): Promise<void> {
    const { logger } = this.#options;
    const { dir } = this.#entry;
    using watch = new FolderWatch({
      onChange: (path, isRename) => {
        // Checkpoints write databases all the time: only their coming and going matters.
        if (!isSidecar(path) && (isRename || !this.#own.has(path))) this.#heard.abort();
      },
      onUnavailable: (path, error) =>
        logger.warn("cannot watch directory, looking every 30 seconds instead", {
          dir: path,
          error: formatError(error),
        }),
    });
    while (!signal.aborted) {
      this.#heard = new AbortController();
      try {
        await this.#look(watch, signal);
      } catch (error) {
        if (!signal.aborted)
          logger.error("cannot look for databases", { dir, error: formatError(error) });
      }
      const woken = AbortSignal.any([signal, this.#heard.signal]);
      await sleepUnlessAborted(systemClock, RESCAN_MS, woken);
      await sleepUnlessAborted(systemClock, DEBOUNCE_MS, signal);
    }
    await Promise.all(this.#removals);
  }

  async #look(watch: FolderWatch, signal: AbortSignal): Promise<void> {
    const { store } = this.#options;
    const found = await findDirectoryDatabases(this.#entry, new Set(store.paths));
    // What came into a new folder before it was watched is seen by one more look.
    if (watch.follow(found.folders)) this.#heard.abort();
    this.#complain(found);
    const plan = planDirectory({
      found: found.databases.map(({ path }) => path),
      unreadable: found.unreadable.map(({ path }) => path),
      own: this.#own,
      isReplicated: (path) => store.has(path),
    });
    for (const path of plan.remove) this.#remove(path, signal);
    const wanted = new Set(plan.add);
    for (const path of this.#refusals.keys()) if (!wanted.has(path)) this.#refusals.delete(path);
    for (const database of found.databases) {
      if (wanted.has(database.path)) await this.#add(database, signal);
    }
  }

  async #add(database: DatabaseConfig, signal: AbortSignal): Promise<void> {
    const { store, logger, createDatabase, claim } = this.#options;
    const { path } = database;
    const report = (error: unknown): void => {
      if (!signal.aborted) logger.error("cannot add database", { path, error: formatError(error) });
    };
    if (signal.aborted) return;
    let made: DatabaseOptions | undefined;
    try {
      made = await createDatabase(database);
      using _claim = claim(database, made);
      const result = await store.add(made);
      if (!result.added) {
        await made.resources?.[Symbol.asyncDispose]();
        return;
      }
      this.#own.add(path);
      result.copied.catch(report);
    } catch (error) {
      await made?.resources?.[Symbol.asyncDispose]();
      // It is tried again with every look, and told of once.
      const text = formatError(error);
      if (this.#refusals.get(path) !== text) report(error);
      this.#refusals.set(path, text);
    }
  }

  /** Goes on beside: the final sync of one database must not keep others from being found. */
  #remove(path: string, signal: AbortSignal): void {
    this.#own.delete(path);
    const { store, logger, removeTimeoutMs } = this.#options;
    if (!store.has(path)) return;
    const within =
      removeTimeoutMs > 0
        ? AbortSignal.any([signal, AbortSignal.timeout(removeTimeoutMs)])
        : signal;
    const removal = store.remove(path, within).then(
      ({ synced, error }) => {
        if (!synced && error !== undefined)
          logger.error("failed to close database", { path, error: formatError(error) });
      },
      (error: unknown) => {
        if (!signal.aborted)
          logger.error("cannot remove database", { path, error: formatError(error) });
      },
    );
    const tracked = removal.finally(() => {
      this.#removals.delete(tracked);
      // It may be back already.
      this.#heard.abort();
    });
    this.#removals.add(tracked);
  }

  /** Once for each folder that cannot be read, again when it was readable meanwhile. */
  #complain({ unreadable }: FoundDatabases): void {
    for (const { path, error } of unreadable) {
      if (!this.#complaints.has(path))
        this.#options.logger.warn("cannot read folder", { path, error: formatError(error) });
    }
    this.#complaints = new Set(unreadable.map(({ path }) => path));
  }
}
