import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import type { LTXFileInfo } from "../storage/replica-client.ts";
import { planRestore } from "./restore-plan.ts";
import { restorePoints } from "./restore-points.ts";

function file(level: number, min: number, max: number, seconds = max): LTXFileInfo {
  const createdAt = new Date(1_700_000_000_000 + seconds * 1_000);
  return { level, minTXID: BigInt(min), maxTXID: BigInt(max), sizeBytes: 100, createdAt };
}

function restorable(files: readonly LTXFileInfo[]): number[] {
  return restorePoints(files)
    .filter((end) => end.restorable)
    .map((end) => Number(end.txid));
}

test("restorePoints() names every end of an unbroken level 0", () => {
  assert.deepEqual(restorable([file(0, 1, 1), file(0, 2, 2), file(0, 3, 3)]), [1, 2, 3]);
});

test("restorePoints() leaves out what a gap cuts off, and goes on at the next snapshot", () => {
  const files = [file(0, 1, 1), file(0, 3, 3), file(9, 1, 4), file(0, 5, 5)];
  assert.deepEqual(restorable(files), [1, 4, 5]);
});

test("restorePoints() leaves out level-0 files whose beginning was retired", () => {
  assert.deepEqual(restorable([file(0, 4, 4), file(9, 1, 5), file(0, 6, 6)]), [5, 6]);
});

test("restorePoints() gives each end once, with its levels and earliest time", () => {
  const [end] = restorePoints([file(1, 1, 2, 9), file(0, 1, 2, 4), file(9, 1, 2, 12)]);
  assert.deepEqual(end, {
    txid: 2n,
    createdAt: new Date(1_700_000_004_000),
    levels: [0, 1, 9],
    restorable: true,
  });
});

test("restorePoints() agrees with planRestore() for every end of any listing", () => {
  const anyFile = fc
    .tuple(fc.constantFrom(0, 0, 0, 1, 2, 9), fc.integer({ min: 1, max: 14 }), fc.nat(5))
    .map(([level, min, length]) => file(level, level === 9 ? 1 : min, min + length));
  fc.assert(
    fc.property(fc.array(anyFile, { maxLength: 25 }), (files) => {
      for (const { txid, restorable: answer } of restorePoints(files)) {
        const plan = planRestore(files, { kind: "txid", txid });
        assert.equal(answer, plan.kind === "restore", `TXID ${txid}`);
      }
    }),
    { numRuns: 500 },
  );
});
