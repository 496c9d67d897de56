import assert from "node:assert/strict";
import { test } from "node:test";
import { durable } from "./durability.ts";
import type { DurableReplica } from "./durability.ts";

/** A replica that gets there, or fails, when told. */
function replica(
  name: string,
): DurableReplica & { done(): void; fail(error: Error): void; readonly waiting: () => boolean } {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let waiting = false;
  return {
    name,
    done: resolve,
    fail: reject,
    waiting: () => waiting,
    async waitFor(_txid, signal) {
      waiting = true;
      signal.addEventListener("abort", () => reject(signal.reason));
      try {
        await promise;
      } finally {
        waiting = false;
      }
    },
  };
}

async function outcome(promise: Promise<void>): Promise<() => string> {
  let state = "pending";
  promise.then(
    () => (state = "done"),
    (error: unknown) => (state = error instanceof Error ? error.message : String(error)),
  );
  return () => state;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const never = new AbortController().signal;

test('durable("all") waits for the slowest replica', async () => {
  const [a, b] = [replica("a"), replica("b")];
  const state = await outcome(durable([a, b], 5n, "all", never));
  a.done();
  await turn();
  assert.equal(state(), "pending");
  b.done();
  await turn();
  assert.equal(state(), "done");
});

test('durable("any") takes the first and lets the others go', async () => {
  const [a, b] = [replica("a"), replica("b")];
  const state = await outcome(durable([a, b], 5n, "any", never));
  b.done();
  await turn();
  assert.deepEqual([state(), a.waiting()], ["done", false]);
});

test("durable() with a conflict fails at once for all, and only with the last one for any", async () => {
  const [a, b, c, d] = [replica("a"), replica("b"), replica("c"), replica("d")];
  const all = await outcome(durable([a, b], 5n, "all", never));
  const any = await outcome(durable([c, d], 5n, "any", never));
  a.fail(new Error("conflict a"));
  c.fail(new Error("conflict c"));
  await turn();
  assert.deepEqual([all(), b.waiting(), any()], ["conflict a", false, "pending"]);
  d.fail(new Error("conflict d"));
  await turn();
  assert.match(any(), /All promises were rejected/);
});

for (const level of ["all", "any"] as const) {
  test(`durable("${level}") rejects with the signal's reason`, async () => {
    const stop = new AbortController();
    const a = replica("a");
    const waiting = durable([a], 5n, level, stop.signal);
    const reason = new Error("too slow");
    stop.abort(reason);
    await assert.rejects(waiting, reason);
    await assert.rejects(durable([a], 5n, level, stop.signal), reason);
  });
}

test("durable() without a replica is a mistake of the caller", async () => {
  await assert.rejects(durable([], 1n, "all", never), RangeError);
});
