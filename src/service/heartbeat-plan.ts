/** Decides when a heartbeat is sent, and which. Pure. */

export interface HeartbeatFacts {
  readonly nowMs: number;
  readonly intervalMs: number;
  /** When a ping was last tried, whether it arrived or not; undefined: never. */
  readonly triedAtMs: number | undefined;
  readonly url: string | undefined;
  /** Gets a ping instead while something is wrong. */
  readonly failureURL: string | undefined;
  /** Why replication is not healthy; undefined: it is. */
  readonly trouble: string | undefined;
}

export type HeartbeatPlan =
  | { readonly kind: "wait" }
  /** Due, but not deserved: whoever watches the URL is to notice the silence. */
  | { readonly kind: "silent"; readonly reason: string }
  | { readonly kind: "ping"; readonly url: string }
  | { readonly kind: "failure-ping"; readonly url: string; readonly reason: string };

export function planHeartbeat(facts: HeartbeatFacts): HeartbeatPlan {
  const { nowMs, intervalMs, triedAtMs, url, failureURL, trouble } = facts;
  if (triedAtMs !== undefined && nowMs - triedAtMs < intervalMs) return { kind: "wait" };
  if (trouble === undefined) return url === undefined ? { kind: "wait" } : { kind: "ping", url };
  if (failureURL === undefined) return { kind: "silent", reason: trouble };
  return { kind: "failure-ping", url: failureURL, reason: trouble };
}
