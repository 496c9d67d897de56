/** Applies a changed configuration file to a running service; databases that did not change are not interrupted. */
import { changedForNextStart, changesEveryDatabase, diffDatabases } from "../config/config-diff.ts";
import type { Config, DatabaseConfig } from "../config/config.ts";
import { findConflicts } from "../config/destinations.ts";
import { formatError, type Logger } from "../service/logger.ts";
import type { DatabaseOptions } from "../service/store-options.ts";
import type { Store } from "../service/store.ts";
import { scanDirectories, watchDirectories } from "./directory-service.ts";
import type { ScannedDirectory } from "./directory-service.ts";

export interface ReloaderOptions {
  readonly config: Config;
  readonly directories: readonly ScannedDirectory[];
  readonly store: Store;
  readonly logger: Logger;
  /** Reads the file again; undefined when the service was started without one. */
  readonly read: (() => Promise<Config>) | undefined;
  readonly createDatabase: (config: Config, database: DatabaseConfig) => Promise<DatabaseOptions>;
  readonly stop: AbortSignal;
}

export class Reloader implements AsyncDisposable {
  readonly #options: ReloaderOptions;
  readonly #databases = new Map<string, DatabaseConfig>();
  /** Being added by what watches the folders. */
  readonly #adding = new Map<string, DatabaseConfig>();
  #config: Config;
  #watch: AsyncDisposable;
  #work: Promise<void> = Promise.resolve();
  #isAsked = false;

  constructor(options: ReloaderOptions) {
    this.#options = options;
    this.#config = options.config;
    const found = options.directories.flatMap((directory) => directory.found.databases);
    for (const database of [...options.config.databases, ...found])
      this.#databases.set(database.path, database);
    this.#watch = this.#follow(options.directories);
  }

  /** Reads the file and applies it, after what is being applied already. Asking again before that begins is one reload. */
  request(): void {
    if (this.#isAsked) return;
    this.#isAsked = true;
    this.#work = this.#work.then(async () => {
      this.#isAsked = false;
      const { stop, logger } = this.#options;
      if (stop.aborted) return;
      try {
        await this.#reload();
      } catch (error) {
        if (!stop.aborted)
          logger.error("cannot reload configuration, the old one stays", {
            error: formatError(error),
          });
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#work;
    await this.#watch[Symbol.asyncDispose]();
  }

  async #reload(): Promise<void> {
    const { read, logger, store } = this.#options;
    if (read === undefined) {
      logger.warn("there is no configuration file to reload");
      return;
    }
    const config = await read();
    const refused = config.notYet.find(({ refuse }) => refuse);
    if (refused !== undefined) throw new Error(refused.message);
    const taken = new Set(config.databases.map(({ path }) => path));
    const open = new Set(store.paths);
    const scanned = await scanDirectories(config.directories, taken, logger, open);
    // From here on nothing fails as a whole: each database is told of by itself.
    await this.#watch[Symbol.asyncDispose]();
    const before = [...this.#databases.values()].filter(({ path }) => store.has(path));
    const visible = scanned.map((directory) => keepHidden(directory, before));
    const directories = this.#withoutConflicts(config.databases, visible);
    const found = directories.flatMap((directory) => directory.found.databases);
    const changesAll = changesEveryDatabase(this.#config, config);
    const diff = diffDatabases(before, [...config.databases, ...found], changesAll);
    const later = changedForNextStart(this.#config, config);
    this.#config = config;
    await Promise.all([
      ...diff.remove.map((path) => this.#apply(path, () => this.#remove(path))),
      ...diff.replace.map((database) => this.#apply(database.path, () => this.#replace(database))),
      ...diff.add.map((database) => this.#apply(database.path, () => this.#add(database))),
    ]);
    this.#watch = this.#follow(directories);
    if (later.length > 0)
      logger.warn("settings that change only with a restart", { keys: later.join(" ") });
    logger.info("configuration reloaded", {
      added: diff.add.length,
      changed: diff.replace.length,
      removed: diff.remove.length,
    });
  }

  #follow(directories: readonly ScannedDirectory[]): AsyncDisposable {
    const { store, logger, stop } = this.#options;
    const removeTimeoutMs = this.#options.config.shutdownSyncTimeoutMs;
    const createDatabase = async (database: DatabaseConfig): Promise<DatabaseOptions> => {
      const made = await this.#create(database);
      this.#databases.set(database.path, database);
      return made;
    };
    const claim = this.#claim.bind(this);
    const options = { store, logger, createDatabase, claim, removeTimeoutMs };
    return watchDirectories(directories, options, stop);
  }

  /** Leaves out what would share a place with a database before it; of folders that are watched their watcher tells. */
  #withoutConflicts(
    databases: readonly DatabaseConfig[],
    directories: readonly ScannedDirectory[],
  ): readonly ScannedDirectory[] {
    const all = directories.flatMap(({ found }) => found.databases);
    const conflicts = findConflicts([...databases, ...all]);
    const messages = new Map(conflicts.map(({ path, message }) => [path, message]));
    return directories.map(({ entry, found }) => {
      const free = found.databases.filter(({ path }) => {
        const error = messages.get(path);
        if (error === undefined) return true;
        if (!entry.watch) this.#options.logger.error("cannot add database", { path, error });
        return false;
      });
      return { entry, found: { ...found, databases: free } };
    });
  }

  #claim(database: DatabaseConfig, made: DatabaseOptions): Disposable {
    const message = this.#conflictOf(database, made);
    if (message !== undefined) throw new Error(message);
    this.#adding.set(database.path, database);
    return { [Symbol.dispose]: () => this.#adding.delete(database.path) };
  }

  #conflictOf(database: DatabaseConfig, made: DatabaseOptions): string | undefined {
    const { store } = this.#options;
    const { path } = database;
    const known = [...this.#databases.values()].filter(
      (other) => other.path !== path && (store.has(other.path) || this.#adding.has(other.path)),
    );
    const conflicts = findConflicts([...known, database]);
    const conflict = conflicts.find((found) => found.path === path);
    if (conflict !== undefined) return conflict.message;
    // Of those that were registered over the control socket only the clients tell where they are.
    const own = new Set(known.map((other) => other.path));
    const places = new Set(made.replicas.map(({ client }) => client.description));
    const other = store.paths.find(
      (one) =>
        one !== path &&
        !own.has(one) &&
        store.options(one).replicas.some(({ client }) => places.has(client.description)),
    );
    return other && `Databases "${other}" and "${path}" have the same destination`;
  }

  async #apply(path: string, action: () => Promise<void>): Promise<void> {
    const { stop, logger } = this.#options;
    try {
      await action();
    } catch (error) {
      if (!stop.aborted)
        logger.error("cannot apply configuration to database", { path, error: formatError(error) });
    }
  }

  async #add(database: DatabaseConfig): Promise<void> {
    const made = await this.#create(database);
    const result = await this.#options.store.add(made);
    if (!result.added) {
      await made.resources?.[Symbol.asyncDispose]();
      throw new Error("it was registered over the control socket");
    }
    this.#databases.set(database.path, database);
    await result.copied;
  }

  async #replace(database: DatabaseConfig): Promise<void> {
    const made = await this.#create(database);
    const closed = await this.#options.store.replace(made, this.#patience());
    this.#databases.set(database.path, database);
    this.#reportUnsynced(closed);
  }

  async #remove(path: string): Promise<void> {
    const closed = await this.#options.store.remove(path, this.#patience());
    this.#databases.delete(path);
    this.#reportUnsynced(closed);
  }

  #reportUnsynced({ path, error }: { readonly path: string; readonly error?: unknown }): void {
    if (error === undefined) return;
    this.#options.logger.error("failed to close database", { path, error: formatError(error) });
  }

  #create(database: DatabaseConfig): Promise<DatabaseOptions> {
    return this.#options.createDatabase(this.#config, database);
  }

  /** How long the final sync of one database may take. */
  #patience(): AbortSignal {
    const { stop, config } = this.#options;
    const { shutdownSyncTimeoutMs } = config;
    if (shutdownSyncTimeoutMs <= 0) return stop;
    return AbortSignal.any([stop, AbortSignal.timeout(shutdownSyncTimeoutMs)]);
  }
}

/** What is in a folder that cannot be read just now goes on as it was. */
function keepHidden(
  { entry, found }: ScannedDirectory,
  before: readonly DatabaseConfig[],
): ScannedDirectory {
  const hidden = before.filter(({ path }) =>
    found.unreadable.some((folder) => path.startsWith(`${folder.path}/`)),
  );
  return { entry, found: { ...found, databases: [...found.databases, ...hidden] } };
}
