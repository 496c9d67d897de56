import assert from "node:assert/strict";
import { test } from "node:test";
import { SimulatedClock } from "../../test/harness/simulated-clock.ts";
import { Sleeper } from "./sleeper.ts";

/** What has happened to a sleep so far. */
function watch(sleep: Promise<void>): { done: boolean } {
  const state = { done: false };
  void sleep.then(() => (state.done = true));
  return state;
}

test("Sleeper sleeps its time, and leaves no timer when it is woken before", async () => {
  const clock = new SimulatedClock();
  const sleeper = new Sleeper(clock);
  const { signal } = new AbortController();
  const first = watch(sleeper.sleep(signal, { ms: 100 }));
  await clock.advance(99);
  assert.equal(first.done, false);
  await clock.advance(1);
  assert.equal(first.done, true);
  const second = watch(sleeper.sleep(signal, { ms: 100 }));
  await clock.settle();
  sleeper.wake(false);
  await clock.settle();
  assert.deepEqual([second.done, clock.timerCount], [true, 0]);
});

test("Sleeper without a time runs no timer and waits for a wake of the right kind", async () => {
  const clock = new SimulatedClock();
  const sleeper = new Sleeper(clock);
  const sleep = watch(sleeper.sleep(new AbortController().signal, { urgentOnly: true }));
  sleeper.wake(false);
  await clock.advance(1_000_000);
  assert.deepEqual([sleep.done, clock.timerCount], [false, 0]);
  sleeper.wake(true);
  await clock.settle();
  assert.equal(sleep.done, true);
});

test("Sleeper ends when aborted, without an error, and does not begin afterwards", async () => {
  const clock = new SimulatedClock();
  const sleeper = new Sleeper(clock);
  const stop = new AbortController();
  const sleep = sleeper.sleep(stop.signal, { ms: 100 });
  stop.abort();
  await sleep;
  await sleeper.sleep(stop.signal, { ms: 100 });
  await clock.settle();
  assert.equal(clock.timerCount, 0);
});

test("Sleeper refuses a second sleep at a time", async () => {
  const sleeper = new Sleeper(new SimulatedClock());
  const stop = new AbortController();
  const sleep = sleeper.sleep(stop.signal);
  await assert.rejects(sleeper.sleep(stop.signal), /already under way/);
  stop.abort();
  await sleep;
});
