import assert from "node:assert/strict";
import { test } from "node:test";
import type { LTXFileInfo } from "../storage/replica-client.ts";
import { checkLevel, MAX_INPUTS, nextDueAtMs, planCompaction } from "./level-plan.ts";
import type { CompactionFacts } from "./level-plan.ts";

/** "0/5", "1/2-7", with a size: "1/2-7 size=9". */
function file(text: string): LTXFileInfo {
  const match = /^(\d)\/(\d+)(?:-(\d+))?(?: size=(\d+))?$/.exec(text);
  assert.ok(match, text);
  const [, level, min, max = min, size = "1000"] = match;
  return {
    level: Number(level),
    minTXID: BigInt(min ?? 0),
    maxTXID: BigInt(max ?? 0),
    sizeBytes: Number(size),
    createdAt: new Date(0),
  };
}

const MIB = 1 << 20;

test("nextDueAtMs() is at multiples of the interval since the epoch", () => {
  const cases: [string, Parameters<typeof nextDueAtMs>[0], number][] = [
    ["never run: now", at(95), 90],
    ["run since the boundary: the next one", at(95, { lastRunAtMs: 91 }), 120],
    ["run before the boundary: now", at(95, { lastRunAtMs: 89 }), 90],
    ["an earlier process ran since the boundary", at(95, { newestAtMs: 90 }), 120],
    ["an earlier process ran before it", at(95, { newestAtMs: 70 }), 90],
    ["a file of the future says nothing", at(95, { newestAtMs: 1_000 }), 90],
    ["a run in the future says nothing", at(95, { lastRunAtMs: 1_000 }), 90],
    [
      "jitter: the boundary before counts until it is over",
      at(93, { lastRunAtMs: 66, jitterMs: 5 }),
      95,
    ],
    ["jitter: due after it", at(95, { lastRunAtMs: 66, jitterMs: 5 }), 95],
    ["exactly on a boundary", at(90, { lastRunAtMs: 60 }), 90],
  ];
  for (const [name, facts, expected] of cases) assert.equal(nextDueAtMs(facts), expected, name);
});

function at(
  nowMs: number,
  more: Partial<Parameters<typeof nextDueAtMs>[0]> = {},
): Parameters<typeof nextDueAtMs>[0] {
  return { intervalMs: 30, nowMs, lastRunAtMs: undefined, newestAtMs: undefined, ...more };
}

interface Row {
  readonly name: string;
  readonly level?: number;
  readonly reached?: bigint;
  readonly sources: readonly string[];
  readonly snapshots?: readonly string[];
  readonly limit?: bigint;
  readonly canCopy?: boolean;
  readonly pageSizes?: Readonly<Record<string, number>>;
  readonly expected: string;
}

const rows: Row[] = [
  { name: "nothing there", sources: [], expected: "nothing" },
  { name: "nothing new", reached: 5n, sources: ["0/4", "0/5"], expected: "nothing" },
  { name: "all of a fresh replica", sources: ["0/1", "0/2", "0/3"], expected: "0/1 0/2 0/3" },
  { name: "only what is new", reached: 2n, sources: ["0/1", "0/2", "0/3"], expected: "0/3" },
  { name: "in any order", sources: ["0/3", "0/1", "0/2"], expected: "0/1 0/2 0/3" },
  {
    name: "nothing that is not sure to be there",
    limit: 2n,
    sources: ["0/1", "0/2", "0/3"],
    expected: "0/1 0/2",
  },
  { name: "a hole without a snapshot", reached: 2n, sources: ["0/5", "0/6"], expected: "hole 3-4" },
  { name: "a hole at the beginning", sources: ["0/5"], expected: "hole 1-4" },
  {
    name: "a hole inside ends the run",
    sources: ["0/1", "0/2", "0/4"],
    expected: "0/1 0/2 + more",
  },
  {
    name: "a hole that a snapshot bridges: on after the snapshot",
    reached: 2n,
    sources: ["0/5", "0/6", "0/7"],
    snapshots: ["9/1-5"],
    expected: "0/6 0/7 skips 3-5",
  },
  {
    name: "the oldest snapshot that bridges it",
    reached: 2n,
    sources: ["0/5", "0/6", "0/7"],
    snapshots: ["9/1-4", "9/1-6"],
    expected: "0/5 0/6 0/7 skips 3-4",
  },
  {
    name: "a snapshot that does not reach over the hole",
    reached: 2n,
    sources: ["0/9"],
    snapshots: ["9/1-5"],
    expected: "hole 3-8",
  },
  {
    name: "a snapshot beyond everything: waits for what follows",
    reached: 2n,
    sources: ["0/5", "0/6"],
    snapshots: ["9/1-6"],
    expected: "nothing",
  },
  {
    name: "another level fills a hole",
    level: 2,
    reached: 4n,
    sources: ["0/5", "0/6", "1/7-9"],
    expected: "0/5 0/6 1/7-9",
  },
  {
    name: "the file that reaches furthest",
    level: 2,
    reached: 4n,
    sources: ["0/5", "0/6", "1/5-9"],
    expected: "1/5-9",
  },
  {
    name: "an overlap is taken",
    level: 2,
    reached: 4n,
    sources: ["1/3-6", "1/7-8"],
    expected: "1/3-6 1/7-8",
  },
  {
    name: "never across page sizes",
    sources: ["0/1", "0/2", "0/3"],
    pageSizes: { "1": 4096, "2": 4096, "3": 8192 },
    expected: "0/1 0/2 + more",
  },
  {
    name: "the first copy goes alone",
    canCopy: true,
    sources: [`0/1 size=${64 * MIB}`, "0/2", "0/3"],
    expected: "0/1 + more",
  },
  {
    name: "what comes before a large file first",
    canCopy: true,
    sources: ["0/1", `0/2 size=${64 * MIB}`, "0/3"],
    expected: "0/1 + more",
  },
  {
    name: "a large file is merged where it cannot be copied",
    sources: [`0/1 size=${64 * MIB}`, "0/2"],
    expected: "0/1 0/2",
  },
  {
    name: "small files are merged even so",
    canCopy: true,
    sources: ["0/1 size=90000", "0/2"],
    expected: "0/1 0/2",
  },
  {
    name: "two large ones are merged",
    canCopy: true,
    sources: [`0/1 size=${64 * MIB}`, `0/2 size=${40 * MIB}`],
    expected: "0/1 0/2",
  },
];

for (const row of rows) {
  test(`planCompaction(): ${row.name}`, () => {
    const {
      level = 1,
      reached = 0n,
      snapshots = [],
      limit = 1_000n,
      canCopy = false,
      pageSizes,
    } = row;
    const facts: CompactionFacts = {
      level,
      reached,
      sources: row.sources.map(file),
      snapshots: snapshots.map(file),
      limit,
      canCopy,
      ...(pageSizes === undefined
        ? {}
        : { pageSizeOf: ({ maxTXID }) => pageSizes[String(maxTXID)] }),
    };
    assert.equal(show(planCompaction(facts)), row.expected);
  });
}

test("planCompaction() takes a bounded number of files and says that there are more", () => {
  const sources = Array.from({ length: 300 }, (_, index) => file(`0/${index + 1}`));
  const plan = planCompaction({
    level: 1,
    reached: 0n,
    sources,
    snapshots: [],
    limit: 300n,
    canCopy: false,
  });
  assert.ok(plan.kind === "merge" && plan.more);
  assert.equal(plan.files.length, MAX_INPUTS);
  assert.equal(plan.files.at(-1)?.maxTXID, 256n);
});

test("CP11: checkLevel() tells contiguous, gap, overlap, single, empty and unsorted apart", () => {
  const cases: [string, string[], string[]][] = [
    ["empty", [], []],
    ["single", ["1/5-9"], []],
    ["contiguous", ["1/1-3", "1/4-4", "1/5-9"], []],
    ["gap", ["1/1-3", "1/5-9"], ["gap"]],
    ["overlap", ["1/1-5", "1/5-9"], ["overlap"]],
    ["unsorted", ["1/5-9", "1/1-4"], ["unsorted"]],
    ["twice the same", ["1/1-4", "1/1-4"], ["unsorted"]],
    ["several", ["1/1-3", "1/5-9", "1/9-12"], ["gap", "overlap"]],
  ];
  for (const [name, files, expected] of cases)
    assert.deepEqual(
      checkLevel(files.map(file)).map(({ kind }) => kind),
      expected,
      name,
    );
});

test("checkLevel() knows gaps that a snapshot bridges", () => {
  const files = ["1/1-3", "1/6-9"].map(file);
  assert.deepEqual(
    checkLevel(files, [file("9/1-5")]).map(({ isBridged }) => isBridged),
    [true],
  );
  assert.deepEqual(
    checkLevel(files, [file("9/1-4")]).map(({ isBridged }) => isBridged),
    [false],
  );
});

function show(plan: ReturnType<typeof planCompaction>): string {
  switch (plan.kind) {
    case "nothing":
      return "nothing";
    case "hole":
      return `hole ${plan.hole.fromTXID}-${plan.hole.toTXID}`;
    case "merge": {
      const names = plan.files.map(({ level, minTXID, maxTXID }) =>
        minTXID === maxTXID ? `${level}/${minTXID}` : `${level}/${minTXID}-${maxTXID}`,
      );
      const skipped = plan.skipped ? ` skips ${plan.skipped.fromTXID}-${plan.skipped.toTXID}` : "";
      return names.join(" ") + (plan.more ? " + more" : "") + skipped;
    }
  }
}
