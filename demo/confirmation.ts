/** Confirms orders to their customers, once they stand in the replica. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Machine } from "./machine.ts";
import type { ReplicaView } from "./replica-view.ts";

const LOOK_EVERY_MS = 5;

export interface Confirmations {
  /** The orders 1 … count have been confirmed. */
  readonly count: number;
  /** From commit to confirmation, of the orders that did not wait for the first copy of the whole database. */
  readonly lagsMs: readonly number[];
}

/**
 * Waits for the first order in the replica, then goes on for `durationMs`. After each look at the replica, everything
 * it contains is confirmed and `onProgress` is told. An error when nothing arrives within `limitMs`.
 */
export async function confirmOrders(
  machine: Machine,
  view: ReplicaView,
  durationMs: number,
  limitMs: number,
  onProgress: (confirmed: number) => void,
): Promise<Confirmations> {
  const lagsMs: number[] = [];
  let count = 0;
  let endsAt = performance.now() + limitMs;
  let firstCopy = false;
  while (performance.now() < endsAt) {
    machine.assertAlive();
    await view.update();
    const nowNs = process.hrtime.bigint();
    for (; count < Math.min(view.newestOrder, machine.committed.length); count++) {
      const committed = machine.committed[count];
      if (firstCopy && committed) lagsMs.push(Number(nowNs - committed.atNs) / 1e6);
    }
    if (count > 0 && !firstCopy) {
      firstCopy = true;
      endsAt = performance.now() + durationMs;
    }
    onProgress(count);
    await sleep(LOOK_EVERY_MS);
  }
  if (count === 0) throw new Error(`No order was in the replica after ${limitMs / 1000} s`);
  return { count, lagsMs };
}
