import assert from "node:assert/strict";
import { test } from "node:test";
import { TokenBucket } from "./token-bucket.ts";

test("TokenBucket lets a burst of its capacity through after quiet, then one per interval", () => {
  const bucket = new TokenBucket({ capacity: 3, intervalMs: 1_000, now: 0 });
  assert.deepEqual(
    [bucket.take(0), bucket.take(0), bucket.take(0), bucket.take(0)],
    [true, true, true, false],
  );
  assert.equal(bucket.waitMs(0), 1_000);
  assert.equal(bucket.waitMs(400), 600);
  assert.equal(bucket.take(999), false);
  assert.equal(bucket.take(1_000), true);
  assert.equal(bucket.take(1_000), false);
});

test("TokenBucket never holds more than its capacity, however long the quiet", () => {
  const bucket = new TokenBucket({ capacity: 2, intervalMs: 10, now: 0 });
  const now = 86_400_000;
  assert.deepEqual([bucket.take(now), bucket.take(now), bucket.take(now)], [true, true, false]);
});

test("TokenBucket.force draws ahead, but only as far as its debt may go", () => {
  const bucket = new TokenBucket({ capacity: 2, intervalMs: 100, now: 0, maxDebt: 3 });
  const forced = Array.from({ length: 6 }, () => bucket.force(0));
  assert.deepEqual(forced, [true, true, true, true, true, false]);
  assert.equal(bucket.waitForcedMs(0), 100);
  assert.equal(bucket.waitMs(0), 400, "the debt of 3 is paid back first");
  assert.equal(bucket.take(400), true);
});

test("TokenBucket averages at most one per interval over any long time, forced or not", () => {
  const bucket = new TokenBucket({ capacity: 8, intervalMs: 1_000, now: 0 });
  let count = 0;
  for (let now = 0; now <= 3_600_000; now += 37) if (bucket.force(now)) count++;
  assert.ok(count <= 3_600 + 8 + 8, `${count} in an hour`);
  assert.ok(count >= 3_600, `${count} in an hour`);
});

test("TokenBucket waits long enough for fractional clocks, and survives one that goes back", () => {
  const bucket = new TokenBucket({ capacity: 1, intervalMs: 333, now: 0.5 });
  assert.equal(bucket.take(0.7), true);
  const waitMs = bucket.waitMs(1.1);
  assert.ok(Number.isInteger(waitMs));
  assert.equal(bucket.take(1.1 + waitMs), true);
  assert.equal(bucket.take(-5_000), false);
  assert.equal(bucket.take(-5_000 + 333), true);
});

test("TokenBucket without an interval never waits", () => {
  const bucket = new TokenBucket({ capacity: 1, intervalMs: 0, now: 0 });
  for (let i = 0; i < 100; i++) assert.equal(bucket.take(0), true);
  assert.equal(bucket.waitMs(0), 0);
});

test("TokenBucket refuses a capacity below one", () => {
  assert.throws(() => new TokenBucket({ capacity: 0, intervalMs: 1, now: 0 }), RangeError);
});
