/** Durability over several replicas: in all of them, or in the first that has it. */
import type { TXID } from "../formats/ltx/txid.ts";

/** What is asked of a replica; `Replica` has it. */
export interface DurableReplica {
  readonly name: string;
  waitFor(txid: TXID, signal: AbortSignal): Promise<void>;
}

export type DurabilityLevel = "all" | "any";

/**
 * Resolves when everything up to `txid` is in every replica ("all") or in at least one ("any"). Rejects with the signal's reason; with "all" as soon as
 * one replica cannot get there by itself (a conflict), with "any" when none can: the first one's error, or an AggregateError of several.
 * Waiting draws the replicas' next uploads ahead; when the answer is known, nobody waits any longer.
 */
export async function durable(
  replicas: readonly DurableReplica[],
  txid: TXID,
  level: DurabilityLevel,
  signal: AbortSignal,
): Promise<void> {
  if (replicas.length === 0) throw new RangeError("Cannot be durable without a replica");
  signal.throwIfAborted();
  const answered = new AbortController();
  const stop = AbortSignal.any([signal, answered.signal]);
  const waits = replicas.map((replica) => replica.waitFor(txid, stop));
  try {
    await (level === "all" ? Promise.all(waits) : firstOf(waits, signal));
  } finally {
    answered.abort(new Error("The answer is known"));
    // The others end because nobody needs them any more: how, does not matter.
    await Promise.allSettled(waits);
  }
}

async function firstOf(waits: readonly Promise<void>[], signal: AbortSignal): Promise<void> {
  try {
    await Promise.any(waits);
  } catch (error) {
    signal.throwIfAborted();
    const errors: readonly unknown[] = error instanceof AggregateError ? error.errors : [error];
    throw errors.length === 1 ? errors[0] : error;
  }
}
