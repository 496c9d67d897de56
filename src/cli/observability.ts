/** What makes a running service visible: metrics, health, heartbeats and MCP. Each is loaded only when the configuration asks for it. */
import type { Config } from "../config/config.ts";
import { redactHeartbeatURL } from "../config/redact.ts";
import { formatError, type Logger } from "../service/logger.ts";
import type { Metrics } from "../service/metrics/metrics.ts";
import type { DatabaseObservation } from "../service/observation.ts";
import { systemClock } from "../service/system-clock.ts";
import { UsageError } from "./errors.ts";
import type { CommandIO } from "./io.ts";

export type Observe = () => readonly DatabaseObservation[];

/** The metrics, when they are served at all. */
export async function loadMetrics(config: Config, observe: Observe): Promise<Metrics | undefined> {
  if (config.addr === undefined) return undefined;
  const { Metrics: LoadedMetrics } = await import("../service/metrics/metrics.ts");
  return new LoadedMetrics({ observe });
}

/**
 * Starts what the configuration asks for; to be called before the first database is opened. UsageError when an address is not to be had,
 * unless `bind-failure` says to go on without.
 */
export async function startObservability(
  config: Config,
  observe: Observe,
  metrics: Metrics | undefined,
  io: CommandIO,
  logger: Logger,
): Promise<AsyncDisposable> {
  const parts = new AsyncDisposableStack();
  try {
    if (config.mcpAddr !== undefined) await startMCP(config, config.mcpAddr, parts, io, logger);
    if (config.addr !== undefined && metrics !== undefined)
      await startMetrics(config, config.addr, { observe, metrics }, parts, logger);
    await startHeartbeats(config, observe, parts, logger);
  } catch (error) {
    await parts.disposeAsync();
    throw error;
  }
  return parts;
}

async function startMetrics(
  config: Config,
  address: string,
  options: { readonly observe: Observe; readonly metrics: Metrics },
  parts: AsyncDisposableStack,
  logger: Logger,
): Promise<void> {
  const { startHTTPServer } = await import("../service/http-server.ts");
  await orWarn(config, logger, `metrics on ${JSON.stringify(address)}`, async () => {
    const server = parts.use(await startHTTPServer({ address, ...options }));
    logger.info("serving metrics on", { url: `${server.url}/metrics` });
  });
}

async function startMCP(
  config: Config,
  address: string,
  parts: AsyncDisposableStack,
  io: CommandIO,
  logger: Logger,
): Promise<void> {
  const { startMCPServer } = await import("./mcp-server.ts");
  await orWarn(config, logger, `MCP on ${JSON.stringify(address)}`, async () => {
    const { mcpToken: token, file: configPath } = config;
    const server = parts.use(await startMCPServer({ address, token, configPath, io }));
    logger.info("Starting MCP Streamable HTTP server", { addr: server.url });
  });
}

async function startHeartbeats(
  config: Config,
  observe: Observe,
  parts: AsyncDisposableStack,
  logger: Logger,
): Promise<void> {
  const owners = [config, ...config.databases, ...config.directories];
  const isAsked = ({ heartbeatURL, heartbeatFailureURL }: (typeof owners)[number]): boolean =>
    heartbeatURL !== undefined || heartbeatFailureURL !== undefined;
  if (!owners.some(isAsked)) return;
  const { runHeartbeats } = await import("../service/heartbeat.ts");
  const stop = new AbortController();
  const running = runHeartbeats(
    {
      url: config.heartbeatURL,
      failureURL: config.heartbeatFailureURL,
      intervalMs: config.heartbeatIntervalMs,
      observe,
      clock: systemClock,
      logger,
      redactURL: redactHeartbeatURL,
    },
    stop.signal,
  );
  parts.defer(async () => {
    stop.abort();
    await running;
  });
}

async function orWarn(
  config: Config,
  logger: Logger,
  what: string,
  start: () => Promise<void>,
): Promise<void> {
  try {
    await start();
  } catch (error) {
    const message = `cannot serve ${what}: ${formatError(error)}`;
    if (config.bindFailure === "error") {
      const hint = "Choose another address, or set bind-failure: warn to replicate without it";
      throw new UsageError(message, { hint, cause: error });
    }
    logger.warn(message);
  }
}
