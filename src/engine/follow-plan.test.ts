import assert from "node:assert/strict";
import { test } from "node:test";
import type { LTXFileInfo } from "../storage/replica-client.ts";
import { followLag, planFollow } from "./follow-plan.ts";
import type { FollowFacts } from "./follow-plan.ts";

/** "L1 3-7" at second 7. */
function file(text: string): LTXFileInfo {
  const match = /^L(\d) (\d+)-(\d+)$/.exec(text);
  assert.ok(match, text);
  const [, level, min = "", max = ""] = match;
  return {
    level: Number(level),
    minTXID: BigInt(min),
    maxTXID: BigInt(max),
    sizeBytes: 1000,
    createdAt: new Date(Number(max) * 1000),
  };
}

function outcome(listing: readonly string[], facts: Partial<FollowFacts> = {}): string {
  const plan = planFollow({
    position: 5n,
    atLeast: facts.position ?? 5n,
    listed: "all",
    confirmed: false,
    ...facts,
    files: listing.map(file),
  });
  switch (plan.kind) {
    case "apply":
      return plan.files.map((f) => `${f.level}:${f.minTXID}-${f.maxTXID}`).join(" ");
    case "re-seed":
      return `re-seed to ${plan.reached}`;
    default:
      return plan.kind;
  }
}

test("planFollow() takes level-0 files that follow the position", () => {
  const facts = { listed: "level-0" } as const;
  assert.equal(outcome([], facts), "current");
  assert.equal(outcome(["L0 6-6", "L0 7-9"], facts), "0:6-6 0:7-9");
  assert.equal(outcome(["L0 7-7"], facts), "look-further");
  assert.equal(outcome(["L0 6-6", "L0 8-8"], facts), "look-further");
  assert.equal(outcome([], { ...facts, atLeast: 7n }), "look-further");
  assert.equal(outcome(["L0 6-6"], { ...facts, atLeast: 7n }), "look-further");
});

test("planFollow() bridges gaps with files of any level", () => {
  assert.equal(outcome(["L9 1-3", "L1 4-7", "L0 8-8"]), "1:4-7 0:8-8");
  assert.equal(outcome(["L9 1-3", "L3 1-9", "L1 4-7"]), "3:1-9");
  assert.equal(outcome(["L9 1-5", "L0 4-4", "L0 5-5"]), "current");
});

test("planFollow() counts level 9: what was pruned is read again as a whole", () => {
  assert.equal(outcome(["L9 1-9"]), "re-seed to 9");
  assert.equal(outcome(["L9 1-9", "L0 10-10"]), "re-seed to 10");
  assert.equal(outcome(["L9 1-9", "L0 6-6", "L0 10-10"]), "re-seed to 10");
});

test("planFollow() goes as far as files lead when nothing leads to the end", () => {
  assert.equal(outcome(["L9 1-5", "L0 6-6", "L0 8-8"]), "0:6-6");
  assert.equal(outcome(["L9 1-5", "L0 8-8"]), "stalled");
  assert.equal(outcome(["L0 8-8"]), "stalled");
});

test("planFollow() tells a replica that ends before the position from one that is late", () => {
  assert.equal(outcome([]), "stalled");
  assert.equal(outcome([], { confirmed: true }), "stalled");
  assert.equal(outcome(["L9 1-3"]), "stalled");
  assert.equal(outcome(["L9 1-3"], { confirmed: true }), "re-seed to 3");
  assert.equal(outcome(["L0 2-3"], { confirmed: true }), "stalled");
});

test("planFollow() never applies less than an interrupted update may have applied", () => {
  const facts = { atLeast: 8n };
  assert.equal(outcome(["L9 1-5", "L0 6-6"], facts), "stalled");
  assert.equal(outcome(["L9 1-5", "L0 6-6"], { ...facts, confirmed: true }), "re-seed to 6");
  assert.equal(outcome(["L9 1-5", "L0 6-6", "L0 8-8"], facts), "stalled");
  assert.equal(outcome(["L9 1-5", "L0 6-6", "L0 7-8"], facts), "0:6-6 0:7-8");
});

test("followLag() is the age of the oldest state that is missing", () => {
  const files = ["L0 5-5", "L0 6-6", "L0 7-7"].map(file);
  assert.deepEqual(followLag(5n, files, 10_000), { position: 5n, newest: 7n, lagMs: 4000 });
  assert.deepEqual(followLag(7n, files, 10_000), { position: 7n, newest: 7n, lagMs: 0 });
});
