import assert from "node:assert/strict";
import { test } from "node:test";
import { checkpointThreshold, planCheckpoint } from "./checkpoint-plan.ts";
import type { CheckpointFacts } from "./checkpoint-plan.ts";

const settings = { minFrames: 1000, intervalMs: 60_000, reportFrames: 100_000 };
const facts: CheckpointFacts = {
  copiedFrames: 10,
  framesPerMs: 0,
  complete: false,
  syncedSinceLast: true,
  sinceLastMs: 1_000,
  blocked: null,
};

const table: {
  readonly what: string;
  readonly facts: Partial<CheckpointFacts>;
  readonly intervalMs?: number;
  readonly expected: string;
}[] = [
  { what: "little copied, not long ago", facts: {}, expected: "none" },
  { what: "enough frames", facts: { copiedFrames: 1000 }, expected: "frames" },
  { what: "one frame less", facts: { copiedFrames: 999 }, expected: "none" },
  {
    what: "enough frames, all backfilled already",
    facts: { copiedFrames: 1000, complete: true },
    expected: "none",
  },
  { what: "the interval is over", facts: { sinceLastMs: 60_000 }, expected: "interval" },
  {
    what: "the interval is over, nothing copied since",
    facts: { sinceLastMs: 60_000, syncedSinceLast: false },
    expected: "none",
  },
  {
    what: "the interval is over, no frames in this generation",
    facts: { sinceLastMs: 60_000, copiedFrames: 0 },
    expected: "none",
  },
  {
    what: "interval 0 never checkpoints by time",
    facts: { sinceLastMs: 1e9 },
    intervalMs: 0,
    expected: "none",
  },
  {
    what: "a fast writer raises the threshold",
    facts: { copiedFrames: 2000, framesPerMs: 60 },
    expected: "none",
  },
  {
    what: "but at most fourfold",
    facts: { copiedFrames: 4000, framesPerMs: 500 },
    expected: "frames",
  },
  {
    what: "a reader stopped the last one just now",
    facts: { copiedFrames: 1500, blocked: { frames: 1400, sinceMs: 100 } },
    expected: "none",
  },
  {
    what: "… and the WAL has grown by a threshold since",
    facts: { copiedFrames: 2400, blocked: { frames: 1400, sinceMs: 100 } },
    expected: "frames",
  },
  {
    what: "… or some seconds have passed",
    facts: { copiedFrames: 1500, blocked: { frames: 1400, sinceMs: 5_000 } },
    expected: "frames",
  },
];

for (const row of table) {
  test(`planCheckpoint(): ${row.what} → ${row.expected}`, () => {
    const plan = planCheckpoint(
      { ...settings, intervalMs: row.intervalMs ?? settings.intervalMs },
      { ...facts, ...row.facts },
    );
    assert.equal(plan.kind === "none" ? "none" : plan.reason, row.expected);
  });
}

test("checkpointThreshold() is what the writer makes in 50 ms, within one and four times the minimum", () => {
  assert.equal(checkpointThreshold(settings, 0), 1000);
  assert.equal(checkpointThreshold(settings, 50), 2500);
  assert.equal(checkpointThreshold(settings, 1e6), 4000);
});
