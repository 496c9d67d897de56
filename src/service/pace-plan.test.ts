import assert from "node:assert/strict";
import { test } from "node:test";
import { planLook, planPace } from "./pace-plan.ts";

test("planPace() turns busy on many frames in little time only", () => {
  const quiet = { mode: "quiet", quietLooks: 0 } as const;
  assert.equal(planPace({ ...quiet, frames: 900, elapsedMs: 10 }).mode, "busy");
  assert.equal(planPace({ ...quiet, frames: 900, elapsedMs: 1_000 }).mode, "quiet");
  assert.equal(planPace({ ...quiet, frames: 5, elapsedMs: 1 }).mode, "quiet");
});

test("planPace() stays busy until three looks in a row find little", () => {
  let state = planPace({ mode: "quiet", quietLooks: 0, frames: 900, elapsedMs: 10 });
  for (const expected of ["busy", "busy", "quiet"]) {
    state = planPace({ ...state, frames: 0, elapsedMs: 10 });
    assert.equal(state.mode, expected);
  }
  const busy = planPace({ mode: "busy", quietLooks: 2, frames: 900, elapsedMs: 10 });
  assert.deepEqual(busy, { mode: "busy", quietLooks: 0 });
});

test("planLook() waits for a token unless it is asked, or much is waiting", () => {
  const facts = { reason: "write", tokenWaitMs: 300, pendingVolume: false } as const;
  assert.deepEqual(planLook(facts), { kind: "wait", ms: 300 });
  assert.deepEqual(planLook({ ...facts, tokenWaitMs: 0 }), { kind: "copy" });
  assert.deepEqual(planLook({ ...facts, pendingVolume: true }), { kind: "copy" });
  assert.deepEqual(planLook({ ...facts, reason: "request" }), { kind: "copy" });
});
