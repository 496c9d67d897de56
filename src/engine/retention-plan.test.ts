import assert from "node:assert/strict";
import { test } from "node:test";
import { SimulatedClock } from "../../test/harness/simulated-clock.ts";
import type { LTXFileInfo } from "../storage/replica-client.ts";
import { Condemned, DeletionLedger } from "./retention.ts";
import {
  coveredBy,
  planLevel0Retention,
  planLevelRetention,
  planLocalTrim,
  planSnapshotRetention,
} from "./retention-plan.ts";

/** "0/5@30": level 0, TXID 5, created at 30 ms. */
function file(text: string): LTXFileInfo {
  const match = /^(\d)\/(\d+)(?:-(\d+))?(?:@(\d+))?$/.exec(text);
  assert.ok(match, text);
  const [, level, min, max = min, at = "0"] = match;
  return {
    level: Number(level),
    minTXID: BigInt(min ?? 0),
    maxTXID: BigInt(max ?? 0),
    sizeBytes: 100,
    createdAt: new Date(Number(at)),
  };
}

function names(files: readonly LTXFileInfo[]): string[] {
  return files.map(({ minTXID, maxTXID }) =>
    minTXID === maxTXID ? `${minTXID}` : `${minTXID}-${maxTXID}`,
  );
}

test("CP9: planSnapshotRetention() keeps the newest and what is young; the floor is the end of the last that goes", () => {
  const cases: [string, string[], string[], bigint][] = [
    ["none", [], [], 0n],
    ["the only one, however old", ["9/1-5@0"], [], 0n],
    ["the newest, however old", ["9/1-5@0", "9/1-9@1"], ["1-5"], 5n],
    ["all young", ["9/1-5@950", "9/1-9@960"], [], 0n],
    ["exactly at the limit stays", ["9/1-5@900", "9/1-9@960"], [], 0n],
    ["several old", ["9/1-5@0", "9/1-7@100", "9/1-9@950"], ["1-5", "1-7"], 7n],
    [
      "a clock that jumped: only from the oldest on",
      ["9/1-5@950", "9/1-7@100", "9/1-9@960"],
      [],
      0n,
    ],
    ["unsorted listing", ["9/1-9@950", "9/1-5@0"], ["1-5"], 5n],
  ];
  for (const [name, files, expired, floor] of cases) {
    const plan = planSnapshotRetention(files.map(file), { nowMs: 1_000, retentionMs: 100 });
    assert.deepEqual(names(plan.expired), expired, name);
    assert.equal(plan.floorTXID, floor, name);
  }
});

test("CP7: planLevelRetention() takes what ends below the floor, never the newest", () => {
  const level = ["1/1-3", "1/4-6", "1/7-9"].map(file);
  const cases: [bigint, string[]][] = [
    [0n, []],
    [3n, []],
    [4n, ["1-3"]],
    [7n, ["1-3", "4-6"]],
    [100n, ["1-3", "4-6"]],
  ];
  for (const [floor, expected] of cases)
    assert.deepEqual(names(planLevelRetention(level, floor)), expected, String(floor));
  assert.deepEqual(planLevelRetention([], 5n), []);
});

test("CP8: planLevel0Retention() takes old compacted files from the oldest on, up to the end of a compacted file", () => {
  const level0 = ["0/1@0", "0/2@100", "0/3@200", "0/4@300", "0/5@950", "0/6@960"];
  const cases: [string, string[], string[], string[]][] = [
    ["nothing without level 1", level0, [], []],
    ["what is compacted", level0, ["1/1-2"], ["1", "2"]],
    ["never past the end of a compacted file", level0, ["1/1-2", "1/3-5"], ["1", "2"]],
    ["fresh ones stay", level0, ["1/1-6"], []],
    ["up to the fresh ones", level0, ["1/1-4", "1/5-6"], ["1", "2", "3", "4"]],
    ["the newest stays", ["0/1@0"], ["1/1-1"], []],
    ["the newest stays, the rest goes", ["0/1@0", "0/2@0"], ["1/1-2"], ["1"]],
    ["a fresh one in front holds the rest", ["0/1@990", "0/2@0", "0/3@0"], ["1/1-2"], []],
  ];
  for (const [name, files, compacted, expected] of cases) {
    const facts = { compacted: compacted.map(file), nowMs: 1_000, retentionMs: 100 };
    assert.deepEqual(names(planLevel0Retention(files.map(file), facts)), expected, name);
  }
});

test("coveredBy() believes in level 1, and in snapshots where level 1 goes on behind a hole", () => {
  const files = ["0/1", "0/2", "0/5", "0/6"].map(file);
  const cases: [string, string[], string[], string[]][] = [
    ["nothing listed", [], ["9/1-9"], []],
    ["compacted", ["1/1-2"], [], ["1", "2"]],
    ["behind the end of level 1 no snapshot counts", ["1/1-2"], ["9/1-9"], ["1", "2"]],
    ["a bridged hole", ["1/1-2", "1/6-7"], ["9/1-5"], ["1", "2", "5", "6"]],
    ["a hole: nothing from there on", ["1/1-2", "1/6-7"], [], ["1", "2"]],
  ];
  for (const [name, compacted, snapshots, expected] of cases)
    assert.deepEqual(
      names(coveredBy(files, compacted.map(file), snapshots.map(file))),
      expected,
      name,
    );
});

test("planLocalTrim() keeps what any replica needs, some files before it, and what is young", () => {
  const cases: [string, bigint[], bigint, bigint][] = [
    ["all uploaded, nothing old", [100n], 0n, 1n],
    ["all uploaded, some old", [100n], 50n, 51n],
    ["witnesses stay", [100n], 100n, 96n],
    ["the slowest replica counts", [100n, 20n], 90n, 16n],
    ["a replica that has not started", [0n], 90n, 0n],
    ["no replica", [], 90n, 91n],
  ];
  for (const [name, neededFrom, agedTXID, expected] of cases) {
    const replicas = neededFrom.map((neededFromTXID) => ({ neededFromTXID, isReachable: true }));
    const facts = { replicas, agedTXID, boundTXID: 60n, witnesses: 4 };
    assert.equal(planLocalTrim(facts), expected, name);
  }
});

test("planLocalTrim() bounds what waits for a replica out of reach, and nothing else", () => {
  const cases: [string, [needed: bigint, isReachable: boolean][], bigint, bigint, bigint][] = [
    ["within the bound", [[20n, false]], 90n, 10n, 16n],
    ["beyond the bound", [[20n, false]], 90n, 60n, 60n],
    ["no bound", [[20n, false]], 90n, 0n, 16n],
    ["one that uploads is not bounded", [[20n, true]], 90n, 60n, 16n],
    [
      "nor does another's bound touch it",
      [
        [20n, true],
        [0n, false],
      ],
      90n,
      60n,
      16n,
    ],
    [
      "a dead one beside a healthy one",
      [
        [95n, true],
        [0n, false],
      ],
      90n,
      60n,
      60n,
    ],
    ["young files stay all the same", [[20n, false]], 30n, 60n, 31n],
  ];
  for (const [name, needs, agedTXID, boundTXID, expected] of cases) {
    const replicas = needs.map(([neededFromTXID, isReachable]) => ({
      neededFromTXID,
      isReachable,
    }));
    assert.equal(planLocalTrim({ replicas, agedTXID, boundTXID, witnesses: 4 }), expected, name);
  }
});

test("Condemned gives files up only after they were to go for a while", async () => {
  const clock = new SimulatedClock();
  const condemned = new Condemned(clock);
  const [a, b] = [file("1/1-3"), file("1/4-6")];
  assert.deepEqual(condemned.sift([a], 60), []);
  await clock.advance(50);
  assert.deepEqual(condemned.sift([a, b], 60), []);
  await clock.advance(10);
  assert.deepEqual(condemned.sift([a, b], 60), [a]);
  assert.deepEqual(condemned.sift([b], 60), []);
  await clock.advance(60);
  // Not named for a moment, so its time begins anew.
  assert.deepEqual(condemned.sift([a, b], 60), [b]);
});

test("DeletionLedger notices a store that keeps what it deleted, and leaves that level alone for longer and longer", async () => {
  const clock = new SimulatedClock();
  const ledger = new DeletionLedger(clock);
  const files = ["0/1", "0/2", "1/1-2"].map(file);
  ledger.sent(files);
  assert.deepEqual(ledger.audit([file("0/3")]), []);
  assert.ok(!ledger.isSuspended(0) && !ledger.isSuspended(1));
  ledger.sent(files);
  assert.deepEqual(names(ledger.audit([file("0/2"), file("0/3"), file("1/3-4")])), ["2"]);
  assert.ok(ledger.isSuspended(0) && !ledger.isSuspended(1));
  // Nothing was sent since: nothing new to say.
  assert.deepEqual(ledger.audit([file("0/2")]), []);
  await clock.advance(3_600_000);
  assert.ok(!ledger.isSuspended(0));
  ledger.sent(files.slice(0, 2));
  assert.equal(ledger.audit([file("0/2")]).length, 1);
  await clock.advance(3_600_000);
  assert.ok(ledger.isSuspended(0));
  await clock.advance(3_600_000);
  assert.ok(!ledger.isSuspended(0));
  ledger.sent(files.slice(0, 2));
  assert.deepEqual(ledger.audit([]), []);
  assert.ok(!ledger.isSuspended(0));
});
