/** Serves the control socket of a `replicate` process, and makes the databases that are registered over it. */
import { join } from "node:path";
import type { Config, DatabaseConfig } from "../config/config.ts";
import { expandPath } from "../config/expand-path.ts";
import { parseConfigTree, readConfigText } from "../config/load.ts";
import { registeredDatabase } from "../config/registered-database.ts";
import { SOCKET_SETTINGS } from "../config/settings.ts";
import type { YAMLNode } from "../config/yaml-tree.ts";
import type { ReplicaRequest } from "../service/control/context.ts";
import { ControlServer } from "../service/control/control-server.ts";
import type { EventHub } from "../service/event-hub.ts";
import { formatError, type Logger } from "../service/logger.ts";
import type { DatabaseOptions } from "../service/store-options.ts";
import type { Store } from "../service/store.ts";
import { UsageError } from "./errors.ts";
import type { CommandIO } from "./io.ts";
import { readVersion } from "./version.ts";

export interface ControlSocketOptions {
  readonly config: Config;
  readonly store: Store;
  readonly hub: EventHub;
  readonly io: CommandIO;
  readonly logger: Logger;
  /** The settings of a database with clients that `owned` disposes of. */
  readonly createDatabase: (
    config: Config,
    database: DatabaseConfig,
    owned: AsyncDisposableStack,
  ) => Promise<DatabaseOptions>;
}

/**
 * Binds the socket when the configuration says so; to be called before the first database is opened. UsageError when it cannot be bound,
 * unless `bind-failure` says to go on without.
 */
export async function startControlSocket(
  options: ControlSocketOptions,
): Promise<AsyncDisposable | undefined> {
  const { config, io, logger } = options;
  if (!config.socket.enabled) return undefined;
  const root = await readRoot(config, io);
  try {
    const server = await listen(options, root);
    logger.info("control socket listening", { path: server.path });
    return server;
  } catch (error) {
    const message = `cannot start control socket: ${formatError(error)}`;
    if (config.bindFailure === "warn") {
      logger.warn("failed to start control socket", { error: formatError(error) });
      return undefined;
    }
    throw new UsageError(message, {
      hint: 'Set "socket.path" to a place that can be written to, or "bind-failure: warn" to go on without',
      cause: error,
    });
  }
}

/** The default place may be out of reach: then the user's own runtime folder is the place, where our commands look too. */
async function listen(
  options: ControlSocketOptions,
  root: YAMLNode | undefined,
): Promise<ControlServer> {
  const { config, io } = options;
  const { path, mode } = config.socket;
  const own = io.env["XDG_RUNTIME_DIR"];
  try {
    return await ControlServer.listen({ ...context(options, root), path, mode });
  } catch (error) {
    if (path !== SOCKET_SETTINGS.path.default || own === undefined || own === "") throw error;
    const fallback = join(own, "litestream.sock");
    return await ControlServer.listen({ ...context(options, root), path: fallback, mode });
  }
}

function context(
  { store, hub, io, createDatabase }: ControlSocketOptions,
  root: YAMLNode | undefined,
): Omit<Parameters<typeof ControlServer.listen>[0], "path" | "mode"> {
  return {
    store,
    hub,
    version: readVersion(),
    startedAtMs: Date.now(),
    resolvePath: (path) => expandPath(path, io.cwd),
    createDatabase: async (path, request) => {
      const whole = registeredDatabase(root, path, keysOf(request), { env: io.env, cwd: io.cwd });
      const [database] = whole.databases;
      if (database === undefined) throw new TypeError(`No database of path "${path}"`);
      await using owned = new AsyncDisposableStack();
      const made = await createDatabase(whole, database, owned);
      return { ...made, resources: owned.move() };
    },
  };
}

function keysOf(request: ReplicaRequest): Readonly<Record<string, unknown>> {
  return "url" in request ? { url: request.url } : request.replica;
}

/** What the file said when the program started: registered databases inherit its defaults. */
async function readRoot({ file }: Config, io: CommandIO): Promise<YAMLNode | undefined> {
  if (file === undefined) return undefined;
  return parseConfigTree(await readConfigText(file), file, { env: io.env, cwd: io.cwd }).root;
}
