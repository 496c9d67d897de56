/** The life of a `replicate` process: restore what is missing, open, run, final sync, exit code. */
import { stat } from "node:fs/promises";
import type { Config, DatabaseConfig } from "../config/config.ts";
import { formatProblem } from "../config/config-error.ts";
import { findConflicts } from "../config/destinations.ts";
import { EventHub } from "../service/event-hub.ts";
import { logEvents } from "../service/event-log.ts";
import { formatError, type Logger } from "../service/logger.ts";
import { MetaLocks } from "../service/meta-lock.ts";
import type { Metrics } from "../service/metrics/metrics.ts";
import type { StorageOperation } from "../storage/decorators/observe.ts";
import type { CloseReport, DatabaseOptions } from "../service/store-options.ts";
import { Store } from "../service/store.ts";
import { isStorageError, type ReplicaClient } from "../storage/replica-client.ts";
import { announceSchedules } from "./announce-schedules.ts";
import {
  childExitCode,
  describeChildEnd,
  startChild,
  type ChildEnd,
  type ExecChild,
} from "./child-process.ts";
import type { ReplicateRequest } from "./commands/replicate.ts";
import { startControlSocket } from "./control-socket.ts";
import { scanDirectories } from "./directory-service.ts";
import { UsageError } from "./errors.ts";
import type { CommandIO } from "./io.ts";
import { levelSettings, replicaLevelSettings } from "./level-settings.ts";
import { createCommandLogger, logConfigWarnings } from "./logging.ts";
import { loadMetrics, startObservability } from "./observability.ts";
import { openReplicas } from "./open-replicas.ts";
import { Reloader } from "./reload.ts";
import { restoreIfMissing } from "./restore-missing.ts";
import { ServiceManager } from "./service-manager.ts";
import { Shutdown } from "./shutdown.ts";
import { findStoredDatabases } from "./stored-databases.ts";
import { readVersion } from "./version.ts";

/** Databases whose replicas are opened at the same time. */
const PARALLEL_OPENS = 50;
/** How long the start waits for a place to answer. */
const OPEN_WAIT_MS = 10_000;
/** What closing takes beside the final sync. */
const CLOSE_MS = 10_000;

/** Runs until a signal, the child's end or, with `-once`, the end of one pass; resolves to the exit code. */
export async function replicate(request: ReplicateRequest, io: CommandIO): Promise<number> {
  const { config } = request;
  const { logger, levelName } = createCommandLogger(config.logging, io, {
    levelFlag: request.levelFlag,
    stream: "stdout",
  });
  logger.info("litestream", { version: readVersion(), log_level: levelName });
  logConfigWarnings(logger, config.warnings, config.file);
  refuseOrWarn(request, logger);
  // Databases may still be registered over the socket.
  const hasNone = config.databases.length === 0 && config.directories.length === 0;
  if (hasNone && config.socket.enabled && !request.once)
    logger.error("no databases specified in configuration");
  else if (hasNone) {
    throw new UsageError("no databases specified in configuration", {
      hint: `Add a database under "dbs"${config.file === undefined ? "" : ` in ${config.file}`}`,
    });
  }
  const manager = new ServiceManager(io.env, logger);
  using _awake = stayAwake();
  using shutdown = new Shutdown(io, logger);
  await using clients = new AsyncDisposableStack();
  const { restoreMissing } = request;
  await restoreIfMissing(config.databases, restoreMissing, io, logger, shutdown.stop);
  const stored = await findStoredDatabases(config, restoreMissing, io, logger, shutdown.stop);
  await restoreIfMissing(stored, true, io, logger, shutdown.stop);
  const taken = new Set(config.databases.map(({ path }) => path));
  const directories = await scanDirectories(config.directories, taken, logger);
  const metrics = await loadMetrics(config, () => store.observe());
  const databases: DatabaseOptions[] = [];
  const createOwned = async (whole: Config, database: DatabaseConfig): Promise<DatabaseOptions> => {
    await using owned = new AsyncDisposableStack();
    const made = await createDatabase(whole, database, owned, io, logger, metrics);
    return { ...made, resources: owned.move() };
  };
  const found = directories.flatMap((directory) => directory.found.databases);
  refuseConflicts([...config.databases, ...found]);
  for (const database of [...config.databases, ...found]) {
    const made = await createOwned(config, database);
    // Until the store has it; afterwards there is nothing left to dispose of.
    clients.use(made.resources);
    databases.push(made);
  }
  await openClients(databases, logger, shutdown);
  const metaPathOf = (path: string): string => store.options(path).metaPath;
  using locks = new MetaLocks(metaPathOf, (path) =>
    logger.warn("another process replicates this database", { path }),
  );
  const hub = new EventHub();
  hub.subscribe(locks.read);
  hub.subscribe(logEvents(logger));
  if (metrics !== undefined) hub.subscribe((event) => metrics.read(event));
  const store: Store = new Store({
    databases,
    emit: hub.emit,
    shutdownSyncTimeoutMs: config.shutdownSyncTimeoutMs,
    shutdownSyncIntervalMs: config.shutdownSyncIntervalMs,
  });
  await using _servers = await startObservability(
    config,
    () => store.observe(),
    metrics,
    io,
    logger,
  );
  await using _socket = await startControlSocket({
    config,
    store,
    hub,
    io,
    logger,
    createDatabase: (whole, database, owned) =>
      createDatabase(whole, database, owned, io, logger, metrics),
  });
  await using reloader = new Reloader({
    config,
    directories: request.once ? [] : directories,
    store,
    logger,
    read: request.readConfig,
    createDatabase: createOwned,
    stop: shutdown.stop,
  });
  if (!request.once) shutdown.onReload = () => reloader.request();
  const service = new ReplicateService(request, store, databases, logger, io, shutdown, manager);
  try {
    return await service.run();
  } finally {
    logger.info("litestream shut down");
  }
}

class ReplicateService {
  readonly #request: ReplicateRequest;
  readonly #store: Store;
  readonly #databases: readonly DatabaseOptions[];
  readonly #logger: Logger;
  readonly #io: CommandIO;
  readonly #shutdown: Shutdown;
  readonly #manager: ServiceManager;

  constructor(
    request: ReplicateRequest,
    store: Store,
    databases: readonly DatabaseOptions[],
    logger: Logger,
    io: CommandIO,
    shutdown: Shutdown,
    manager: ServiceManager,
  ) {
    this.#manager = manager;
    this.#request = request;
    this.#store = store;
    this.#databases = databases;
    this.#logger = logger;
    this.#io = io;
    this.#shutdown = shutdown;
  }

  async run(): Promise<number> {
    if (this.#request.once) return this.#runOnce();
    const starting = this.#startSignal();
    let child: ChildEnd | undefined;
    let failure: unknown;
    try {
      await this.#store.open(starting);
      this.#announce();
      announceSchedules(this.#request.config, this.#logger);
      await this.#manager.ready(this.#store.paths.length);
      if (this.#request.exec === undefined) await untilAborted(this.#shutdown.stop);
      else child = await this.#runChild(this.#request.exec, starting);
    } catch (error) {
      // Being told to stop while starting is no failure: the final sync does what the start did not.
      if (!starting.aborted) failure = error;
    }
    await this.#manager.stopping(this.#request.config.shutdownSyncTimeoutMs + CLOSE_MS);
    const report = await this.#store.close({ skipFinalSync: this.#shutdown.hurry });
    const synced = this.#reportClosed(report);
    if (failure !== undefined) throw failure;
    return this.#exitCode(child, synced);
  }

  async #runOnce(): Promise<number> {
    this.#announce();
    const { stop } = this.#shutdown;
    try {
      for (const { path } of this.#databases) await this.#syncOnce(path, stop);
    } catch (error) {
      await this.#store.close({ skipFinalSync: AbortSignal.abort(new Error("sync failed")) });
      if (error instanceof UsageError) throw error;
      throw new UsageError(`cannot replicate: ${formatError(error)}`, hintOf(error));
    }
    this.#logger.info("one-shot replication complete");
    this.#logger.info("replication complete, litestream shutting down");
    const report = await this.#store.close({ skipFinalSync: this.#shutdown.hurry });
    return this.#reportClosed(report) ? 0 : 1;
  }

  async #syncOnce(path: string, stop: AbortSignal): Promise<void> {
    this.#logger.info("syncing database", { path });
    await requireDatabase(path);
    await this.#store.sync(path, stop);
    if (this.#request.forceSnapshot) {
      this.#logger.info("taking snapshot", { path });
      await this.#store.snapshot(path, stop);
    }
    if (this.#request.enforceRetention) {
      this.#logger.info("enforcing retention", { path });
      await this.#store.enforceRetention(path, stop);
    }
  }

  /** Aborts the start when it takes longer, after a first signal, than a final sync may; or at the second. */
  #startSignal(): AbortSignal {
    const { stop, hurry } = this.#shutdown;
    const patience = new AbortController();
    const { shutdownSyncTimeoutMs } = this.#request.config;
    stop.addEventListener(
      "abort",
      () => {
        const timeout = AbortSignal.timeout(shutdownSyncTimeoutMs);
        timeout.addEventListener("abort", () => patience.abort(timeout.reason), { once: true });
      },
      { once: true },
    );
    return AbortSignal.any([hurry, patience.signal]);
  }

  #announce(): void {
    for (const { path, replicas } of this.#databases) {
      this.#logger.info("initialized db", { path });
      for (const { client, name, syncIntervalMs } of replicas) {
        this.#logger.info("replicating to", {
          type: client.type,
          "sync-interval": { durationMs: syncIntervalMs },
          ...client.attributes,
          ...(name === client.type ? {} : { replica: name }),
        });
      }
    }
  }

  async #runChild(words: readonly string[], starting: AbortSignal): Promise<ChildEnd | undefined> {
    await this.#store.firstSync(starting);
    if (this.#shutdown.stop.aborted) return undefined;
    const { env, cwd, hasTerminal } = this.#io;
    const child = await startChild({ words, env, cwd, ownGroup: hasTerminal });
    this.#shutdown.onSignal = (signal) => child.forward(signal);
    this.#shutdown.onExit = () => child.forward("SIGKILL");
    // A signal that came while the child was being started has not reached it.
    if (this.#shutdown.stop.aborted) child.forward("SIGTERM");
    try {
      return await this.#waitForChild(child);
    } finally {
      this.#shutdown.onSignal = undefined;
      this.#shutdown.onExit = undefined;
    }
  }

  async #waitForChild(child: ExecChild): Promise<ChildEnd> {
    const { stop } = this.#shutdown;
    const end = await Promise.race([child.ended, untilAborted(stop)]);
    if (end !== undefined) {
      this.#logger.info("subprocess exited, litestream shutting down");
      return end;
    }
    const { execKillTimeoutMs } = this.#request.config;
    const patience = AbortSignal.timeout(execKillTimeoutMs);
    const last = await Promise.race([child.ended, untilAborted(patience)]);
    if (last !== undefined) return last;
    this.#logger.error("subprocess did not end in time, killing it", {
      timeout: { durationMs: execKillTimeoutMs },
    });
    child.forward("SIGKILL");
    return child.ended;
  }

  /** One ERROR per database that is not whole in every replica; false when there is one. */
  #reportClosed(report: CloseReport): boolean {
    for (const { path, synced, error } of report.databases) {
      if (!synced)
        this.#logger.error("failed to close database", { path, error: formatError(error) });
    }
    return report.databases.every(({ synced }) => synced);
  }

  #exitCode(child: ChildEnd | undefined, synced: boolean): number {
    if (child === undefined || this.#endedAsAsked(child)) return synced ? 0 : 1;
    if (!this.#request.execExitCode) throw new UsageError(describeChildEnd(child));
    return childExitCode(child);
  }

  /** Success, or death by the signal that was passed on. */
  #endedAsAsked({ code, signal }: ChildEnd): boolean {
    if (code === 0) return true;
    return this.#shutdown.stop.aborted && signal !== null && signal !== "SIGKILL";
  }
}

/** Says what is asked for and not there; refuses where that would replicate less than was asked. */
function refuseOrWarn({ config }: ReplicateRequest, logger: Logger): void {
  const refused = config.notYet.find((problem) => problem.refuse);
  if (refused !== undefined) {
    throw new UsageError(refused.upstream?.text ?? refused.message, {
      hint: formatProblem(refused, config.file),
    });
  }
  logConfigWarnings(logger, config.notYet, config.file);
}

/** Two databases in one place would overwrite each other's files. */
function refuseConflicts(databases: readonly DatabaseConfig[]): void {
  const [conflict] = findConflicts(databases);
  if (conflict === undefined) return;
  throw new UsageError(`cannot replicate: ${conflict.message}`, { hint: conflict.hint });
}

async function createDatabase(
  config: Config,
  database: DatabaseConfig,
  clients: AsyncDisposableStack,
  io: CommandIO,
  logger: Logger,
  metrics: Metrics | undefined,
): Promise<DatabaseOptions> {
  const onOperation = metrics && ((operation: StorageOperation) => metrics.operated(operation));
  const open = await openReplicas(database.replicas, clients, io, logger, onOperation);
  const replicas = open.map(({ replica, client }) => {
    const { name, syncIntervalMs, maxSyncLTXFiles, autoRecover } = replica;
    const levels = replicaLevelSettings(replica);
    return { name, client, syncIntervalMs, maxSyncLTXFiles, autoRecover, levels };
  });
  return { ...database, replicas, levels: levelSettings(config, database) };
}

/** A place that is misconfigured stops the start, as upstream; one that does not answer is tried again by its loop. */
async function openClients(
  databases: readonly DatabaseOptions[],
  logger: Logger,
  { stop }: Shutdown,
): Promise<void> {
  const queue = databases.values();
  const worker = async (): Promise<void> => {
    for (const { path, replicas } of queue) {
      for (const { client } of replicas) await openClient(path, client, logger, stop);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL_OPENS }, worker));
}

async function openClient(
  path: string,
  client: ReplicaClient,
  logger: Logger,
  stop: AbortSignal,
): Promise<void> {
  try {
    await client.open(AbortSignal.any([stop, AbortSignal.timeout(OPEN_WAIT_MS)]));
  } catch (error) {
    if (stop.aborted) return;
    if (isStorageError(error, "misconfigured") || isStorageError(error, "denied")) {
      throw new UsageError(
        `cannot open store: initialize replica client for ${JSON.stringify(path)}: ${formatError(error)}`,
        hintOf(error),
      );
    }
    logger.warn("replica does not answer, trying again", {
      path,
      replica: client.description,
      error: formatError(error),
    });
  }
}

async function requireDatabase(path: string): Promise<void> {
  try {
    await stat(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    throw new UsageError(`sync replica for ${path}: no position, waiting for data`, {
      hint: `There is no database at ${path}`,
    });
  }
}

function hintOf(error: unknown): { readonly hint?: string; readonly cause: unknown } {
  const hint = error instanceof Error && "hint" in error ? error.hint : undefined;
  return { ...(typeof hint === "string" ? { hint } : {}), cause: error };
}

/** Resolves once `signal` is aborted. */
function untilAborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });
}

/** Keeps the process alive while only a signal can end it: signal handlers alone do not. */
function stayAwake(): Disposable {
  const timer = setInterval(() => undefined, 0x7fff_ffff);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}
