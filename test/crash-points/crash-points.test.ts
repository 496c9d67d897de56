/**
 * M1, M2: the process dies before and after every kind of step, at its first and at a random later time, with and without a power
 * cut. `CRASH_POINTS=all` takes every single time.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Random } from "../harness/random.ts";
import { crashAt, listCrashPoints } from "./crash-points.ts";
import type { CrashPoint } from "./crash-points.ts";

const seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 32));
const PARALLEL = 2;

test(`M1, M2: death at every named point, seed ${seed}`, { timeout: 3_600_000 }, async (t) => {
  const random = new Random(seed);
  const counts = await listCrashPoints();
  assert.ok(counts.size > 60, `only ${counts.size} kinds of points are known`);
  const points = [...counts].flatMap(([name, count]) => choose(random, name, count));
  const failures: string[] = [];
  let met = 0;
  const queue = points.values();
  const worker = async (): Promise<void> => {
    for (const point of queue) {
      try {
        if (await crashAt(point)) met++;
      } catch (error) {
        failures.push(
          `${point.name}${point.powerCut ? " with a power cut" : ""}: ${(error as Error).message}`,
        );
      }
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
  t.diagnostic(`${counts.size} kinds of points, ${points.length} deaths planned, ${met} died`);
  assert.deepEqual(failures, []);
  assert.ok(met > points.length / 2, `only ${met} of ${points.length} points were met`);
});

function choose(random: Random, name: string, count: number): CrashPoint[] {
  if (process.env["CRASH_POINTS"] === "all") {
    return Array.from({ length: count }, (_, index) =>
      [false, true].map((powerCut) => ({ name: `${name} #${index + 1}`, powerCut })),
    ).flat();
  }
  const later = random.integer(1, count);
  return [
    { name: `${name} #1`, powerCut: random.chance(0.5) },
    { name: `${name} #${later}`, powerCut: random.chance(0.5) },
  ];
}
