/** Which of several replicas to restore from: the one that reaches furthest. */
import type { ReplicaConfig } from "../config/config.ts";
import { RestoreError } from "../engine/restore-error.ts";
import { readRestorePlan } from "../engine/restore-listing.ts";
import type { RestorePlan, RestoreTarget } from "../engine/restore-plan.ts";
import { formatError, type Logger } from "../service/logger.ts";
import type { ReplicaClient } from "../storage/replica-client.ts";
import { UsageError } from "./errors.ts";

/** An open replica. */
export interface OpenReplica {
  readonly replica: ReplicaConfig;
  readonly client: ReplicaClient;
}

/** The replica named `name`, or all of them. Throws UsageError when there is none of that name. */
export function selectReplicas(
  replicas: readonly ReplicaConfig[],
  name: string | undefined,
): readonly ReplicaConfig[] {
  if (name === undefined || name === "") return replicas;
  const found = replicas.filter((replica) => replica.name === name);
  if (found.length > 0) return found;
  const names = replicas.map((replica) => replica.name).join(", ");
  throw new UsageError(`replica not found in config: ${name}`, { hint: `It lists ${names}` });
}

/**
 * The replica whose plan reaches the newest state; of equal ones the first. A replica that cannot be read is a warning
 * as long as another has a backup: silence never passes for "no backup".
 */
export async function newestReplica(
  open: readonly OpenReplica[],
  target: RestoreTarget,
  logger: Logger,
  signal: AbortSignal | undefined,
): Promise<OpenReplica> {
  const [only] = open;
  if (only === undefined) throw new TypeError("No replica to choose from");
  if (open.length === 1) return only;
  const answers = await Promise.allSettled(
    open.map((entry) =>
      readRestorePlan(entry.client, target, signal === undefined ? {} : { signal }),
    ),
  );
  signal?.throwIfAborted();
  let best: { readonly entry: OpenReplica; readonly txid: bigint } | undefined;
  for (const [index, answer] of answers.entries()) {
    const entry = open[index];
    if (entry === undefined || answer.status === "rejected") continue;
    if (answer.value.kind !== "restore") continue;
    const { txid } = answer.value.reached;
    if (best === undefined || txid > best.txid) best = { entry, txid };
  }
  for (const [index, answer] of answers.entries()) {
    if (answer.status === "fulfilled") continue;
    if (best === undefined) throw answer.reason;
    const replica = open[index]?.replica.name;
    logger.warn("cannot read replica", { replica, error: formatError(answer.reason) });
  }
  // None has a way to the target: the first that is not simply empty knows best why.
  if (best !== undefined) return best.entry;
  const telling = answers.findIndex(
    (answer) =>
      answer.status === "fulfilled" &&
      answer.value.kind === "refused" &&
      answer.value.reason !== "no-backup",
  );
  return open[Math.max(0, telling)] ?? only;
}

/** The error a refused plan means. */
export function refusalError(plan: Extract<RestorePlan, { kind: "refused" }>): RestoreError {
  return new RestoreError(plan.reason, plan.message, plan);
}
