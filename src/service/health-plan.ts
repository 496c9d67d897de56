/** Decides from how the databases stand whether the service is healthy and ready. Pure. */
import type { DatabaseObservation, ReplicaObservation } from "./observation.ts";

/** A failure that lasts this long is not a passing one. */
const MAX_FAILING_MS = 5 * 60_000;

/** What keeps a database from being safe for longer than `maxFailingMs`, in words; empty: nothing. */
export function planHealth(
  databases: readonly DatabaseObservation[],
  nowMs: number,
  maxFailingMs: number = MAX_FAILING_MS,
): readonly string[] {
  return databases.flatMap(({ path, ticks, replicas }) => {
    const troubles: string[] = [];
    if (isLong(ticks.failingSinceMs, nowMs, maxFailingMs))
      troubles.push(`${path}: capturing changes fails`);
    for (const { name, state, failingSinceMs: since } of replicas) {
      if (state === "conflict") troubles.push(`${path}: replica ${name} has a second writer`);
      else if (isLong(since, nowMs, maxFailingMs))
        troubles.push(`${path}: uploads to replica ${name} fail`);
    }
    return troubles;
  });
}

/** What is not open or was never uploaded yet; empty: everything was. */
export function planReadiness(databases: readonly DatabaseObservation[]): readonly string[] {
  return databases.flatMap(({ path, isStopped, isOpen, replicas }) => {
    if (isStopped) return [];
    if (!isOpen) return [`${path}: not open`];
    return replicas
      .filter(({ syncedAtMs }) => syncedAtMs === undefined)
      .map(({ name }) => `${path}: replica ${name} was not uploaded yet`);
  });
}

/**
 * Why a heartbeat may not be sent now: upstream's rule, that every database had a successful pass within the interval. A replica that has
 * everything needs no pass. Undefined: it may.
 */
export function planHeartbeatHealth(
  databases: readonly DatabaseObservation[],
  nowMs: number,
  intervalMs: number,
): string | undefined {
  if (!databases.some(({ isOpen }) => isOpen)) return "no database is open";
  for (const { path, isStopped, isOpen, ticks, replicas } of databases) {
    if (isStopped) continue;
    if (!isOpen) return `${path} is not open`;
    if (isLong(ticks.failingSinceMs, nowMs, intervalMs))
      return `capturing changes of ${path} fails`;
    const late = replicas.find((replica) => !isCurrent(replica, nowMs, intervalMs));
    if (late !== undefined) return `replica ${late.name} of ${path} lacks changes`;
  }
  return undefined;
}

function isCurrent(replica: ReplicaObservation, nowMs: number, intervalMs: number): boolean {
  if (replica.state === "conflict" || replica.syncedAtMs === undefined) return false;
  if (replica.state === "running" && replica.pendingFiles === 0) return true;
  return nowMs - replica.syncedAtMs <= intervalMs;
}

function isLong(sinceMs: number | undefined, nowMs: number, maxMs: number): boolean {
  return sinceMs !== undefined && nowMs - sinceMs > maxMs;
}
