/** Tells outside services that replication is healthy: a GET to a URL, for all databases together and for single ones. */
import type { Clock } from "../engine/clock.ts";
import { planHeartbeatHealth } from "./health-plan.ts";
import { planHeartbeat } from "./heartbeat-plan.ts";
import { formatError, type Logger } from "./logger.ts";
import type { DatabaseObservation } from "./observation.ts";
import { sleepUnlessAborted } from "./run-loop.ts";

export interface HeartbeatOptions {
  /** For all databases together. */
  readonly url: string | undefined;
  readonly failureURL: string | undefined;
  readonly intervalMs: number;
  readonly observe: () => readonly DatabaseObservation[];
  readonly clock: Clock;
  readonly logger: Logger;
  /** What may be shown of a URL: its path is a secret. */
  readonly redactURL: (url: string) => string;
}

/** As upstream: how often it is looked whether a ping is due, and how long one may take. */
const CHECK_MS = 15_000;
const PING_TIMEOUT_MS = 30_000;
/** Pings in flight together. */
const MAX_PINGS = 16;

/** One URL pair and what it stands for: "" = everything, otherwise the path of a database. */
interface Beat {
  readonly name: string;
  readonly url: string | undefined;
  readonly failureURL: string | undefined;
  readonly databases: readonly DatabaseObservation[];
}

/** Sends heartbeats until aborted; resolves then. */
export async function runHeartbeats(options: HeartbeatOptions, signal: AbortSignal): Promise<void> {
  const { clock, intervalMs, logger, redactURL, url } = options;
  logger.info("starting heartbeat monitor", {
    ...(url === undefined ? {} : { url: redactURL(url) }),
    interval: { durationMs: intervalMs },
  });
  const triedAt = new Map<string, number>();
  while (!signal.aborted) {
    await sleepUnlessAborted(clock, Math.min(CHECK_MS, intervalMs), signal);
    if (!signal.aborted) await checkHeartbeats(options, triedAt, signal);
  }
}

/** Sends what is due. `triedAt` remembers when, by the path of the database; "" for all. */
export async function checkHeartbeats(
  options: HeartbeatOptions,
  triedAt: Map<string, number>,
  signal: AbortSignal,
): Promise<void> {
  const { intervalMs, clock, observe } = options;
  const nowMs = clock.now();
  const pings: (() => Promise<void>)[] = [];
  for (const { name, url, failureURL, databases } of beats(options, observe())) {
    const trouble = planHeartbeatHealth(databases, nowMs, intervalMs);
    const triedAtMs = triedAt.get(name);
    const plan = planHeartbeat({ nowMs, intervalMs, triedAtMs, url, failureURL, trouble });
    if (plan.kind === "wait") continue;
    if (plan.kind === "silent") {
      options.logger.debug("heartbeat skipped", { ...scope(name), reason: plan.reason });
      continue;
    }
    triedAt.set(name, nowMs);
    const reason = plan.kind === "failure-ping" ? { reason: plan.reason } : {};
    pings.push(() => ping(options, plan.url, { ...scope(name), ...reason }, signal));
  }
  const queue = pings.values();
  const worker = async (): Promise<void> => {
    for (const send of queue) await send();
  };
  await Promise.all(Array.from({ length: Math.min(MAX_PINGS, pings.length) }, worker));
}

function beats(options: HeartbeatOptions, databases: readonly DatabaseObservation[]): Beat[] {
  const { url, failureURL } = options;
  const all =
    url === undefined && failureURL === undefined ? [] : [{ name: "", url, failureURL, databases }];
  const own = databases
    .filter(
      (database) =>
        database.heartbeatURL !== undefined || database.heartbeatFailureURL !== undefined,
    )
    .map((database) => ({
      name: database.path,
      url: database.heartbeatURL,
      failureURL: database.heartbeatFailureURL,
      databases: [database],
    }));
  return [...all, ...own];
}

async function ping(
  { logger, redactURL }: HeartbeatOptions,
  url: string,
  attributes: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<void> {
  const shown = { ...attributes, url: redactURL(url) };
  try {
    const within = AbortSignal.any([signal, AbortSignal.timeout(PING_TIMEOUT_MS)]);
    const response = await fetch(url, { signal: within, redirect: "follow" });
    await response.body?.cancel();
    if (!response.ok) throw new Error(`unexpected status code: ${response.status}`);
    logger.debug("heartbeat ping sent", shown);
  } catch (error) {
    if (signal.aborted) return;
    logger.error("heartbeat ping failed", { ...shown, error: describe(error) });
  }
}

/** What `fetch` says is "fetch failed"; why stands in its cause. The URL stands in neither. */
function describe(error: unknown): string {
  const cause = error instanceof Error ? error.cause : undefined;
  return cause instanceof Error
    ? `${formatError(error)}: ${formatError(cause)}`
    : formatError(error);
}

function scope(name: string): Readonly<Record<string, string>> {
  return name === "" ? {} : { path: name };
}
