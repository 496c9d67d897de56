import assert from "node:assert/strict";
import { test } from "node:test";
import { planParts } from "./multipart-plan.ts";

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;
const settings = { partSizeBytes: 5 * MIB, concurrency: 5, equalParts: false };

test("planParts() lets parts grow with the body", () => {
  const rows: [number, number][] = [
    [1, 5],
    [5_000 * MIB, 5],
    [5_001 * MIB, 6],
    [10 * GIB, 11],
    [62 * GIB, 64],
    [100 * GIB, 64],
    [640 * GIB, 66],
    [5_000 * GIB, 512],
  ];
  for (const [sizeBytes, partMIB] of rows) {
    const plan = planParts(sizeBytes, settings);
    assert.equal(plan.sizeOfPart(1), partMIB * MIB, `${sizeBytes / MIB} MiB`);
    assert.ok(
      Math.ceil(sizeBytes / plan.sizeOfPart(1)) <= (sizeBytes <= 62 * GIB ? 1_000 : 10_000),
    );
  }
  assert.equal(planParts(GIB, { ...settings, partSizeBytes: 100 * MIB }).sizeOfPart(1), 100 * MIB);
});

test("planParts() keeps the parts in flight small in memory", () => {
  for (const [sizeBytes, inFlight] of [
    [1, 5],
    [20 * GIB, 4],
    [62 * GIB, 1],
    [5_000 * GIB, 1],
  ] as const)
    assert.equal(planParts(sizeBytes, settings).inFlight, inFlight);
  assert.equal(planParts(1, { ...settings, concurrency: 2 }).inFlight, 2);
});

test("planParts() doubles the parts of a body of unknown size, unless they must be equal", () => {
  const { sizeOfPart } = planParts(undefined, settings);
  assert.deepEqual(
    [1, 1_000, 1_001, 2_001, 9_000, 10_000].map((number) => sizeOfPart(number) / MIB),
    [5, 5, 10, 20, 320, 320],
  );
  const equal = planParts(undefined, { ...settings, equalParts: true });
  assert.equal(equal.sizeOfPart(9_999), 5 * MIB);
});
