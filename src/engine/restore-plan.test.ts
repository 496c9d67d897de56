import assert from "node:assert/strict";
import { test } from "node:test";
import type { LTXFileInfo } from "../storage/replica-client.ts";
import { planRestore } from "./restore-plan.ts";
import type { RestorePlan, RestoreTarget } from "./restore-plan.ts";

const LATEST: RestoreTarget = { kind: "latest" };

/** "L1 3-7" at second 7, or at another one: "L1 3-7 @9". */
function file(text: string): LTXFileInfo {
  const match = /^L(\d) (\d+)-(\d+)(?: @(\d+))?$/.exec(text);
  assert.ok(match, text);
  const [, level, min, max, second = max] = match;
  return {
    level: Number(level),
    minTXID: BigInt(min ?? ""),
    maxTXID: BigInt(max ?? ""),
    sizeBytes: 1000,
    createdAt: new Date(Number(second) * 1000),
  };
}

function plan(listing: readonly string[], target: RestoreTarget = LATEST): RestorePlan {
  return planRestore(listing.map(file), target);
}

/** The chain as "9:1-5 0:6-6", or the reason of the refusal. */
function outcome(result: RestorePlan): string {
  if (result.kind === "refused") return result.reason;
  return result.files.map((f) => `${f.level}:${f.minTXID}-${f.maxTXID}`).join(" ");
}

function txid(value: bigint): RestoreTarget {
  return { kind: "txid", txid: value };
}

function before(second: number): RestoreTarget {
  return { kind: "timestamp", at: new Date(second * 1000) };
}

const rows: readonly [name: string, listing: string[], target: RestoreTarget, expected: string][] =
  [
    ["a snapshot alone", ["L9 1-5"], LATEST, "9:1-5"],
    ["the newest snapshot", ["L9 1-5", "L9 1-9"], LATEST, "9:1-9"],
    [
      "a snapshot and increments",
      ["L9 1-5", "L0 5-5", "L0 6-6", "L0 7-7"],
      LATEST,
      "9:1-5 0:6-6 0:7-7",
    ],
    ["level 0 without a snapshot", ["L0 1-1", "L0 2-2"], LATEST, "0:1-1 0:2-2"],
    ["a level that starts at 1", ["L2 1-4", "L0 4-4", "L0 5-5"], LATEST, "2:1-4 0:5-5"],
    [
      "the longest range of all levels",
      ["L1 1-3", "L2 1-6", "L0 1-1", "L1 7-8"],
      LATEST,
      "2:1-6 1:7-8",
    ],
    [
      "level 0 between two files of level 1",
      ["L1 1-3", "L0 4-4", "L1 5-6"],
      LATEST,
      "1:1-3 0:4-4 1:5-6",
    ],
    ["a snapshot inside a compacted file", ["L9 1-4", "L1 3-8"], LATEST, "9:1-4 1:3-8"],
    ["duplicate ranges: the higher level", ["L0 1-1", "L1 1-1", "L3 1-1"], LATEST, "3:1-1"],
    ["equal ends: the lower start", ["L9 1-4", "L1 4-6", "L2 5-6"], LATEST, "9:1-4 1:4-6"],
    ["equal ranges and levels: the older", ["L1 1-4 @9", "L1 1-4 @8"], LATEST, "1:1-4"],
    ["overlaps inside a level", ["L1 1-4", "L1 2-3", "L1 3-7", "L1 5-6"], LATEST, "1:1-4 1:3-7"],
    ["nothing there", [], LATEST, "no-backup"],
    ["a hole before the newest", ["L0 1-1", "L0 2-2", "L0 4-4"], LATEST, "gap"],
    ["a hole closed by a higher level", ["L0 1-1", "L0 3-3", "L1 1-2"], LATEST, "1:1-2 0:3-3"],
    ["a hole behind a snapshot that covers it", ["L0 1-1", "L0 3-3", "L9 1-3"], LATEST, "9:1-3"],
    ["a missing beginning", ["L0 2-2", "L0 3-3"], LATEST, "gap"],

    ["a TXID at a snapshot", ["L9 1-5", "L9 1-9", "L0 6-6"], txid(5n), "9:1-5"],
    ["a TXID behind a snapshot", ["L9 1-5", "L9 1-9", "L0 6-6", "L0 7-7"], txid(6n), "9:1-5 0:6-6"],
    [
      "a TXID inside a compacted file, level 0 kept",
      ["L1 1-4", "L0 1-1", "L0 2-2"],
      txid(2n),
      "0:1-1 0:2-2",
    ],
    ["a TXID inside a compacted file, level 0 gone", ["L1 1-4"], txid(2n), "txid-not-available"],
    ["a TXID above all", ["L9 1-5", "L0 6-6"], txid(7n), "txid-not-available"],
    [
      "a TXID below the oldest snapshot",
      ["L9 1-5", "L0 4-4", "L0 5-5"],
      txid(4n),
      "txid-not-available",
    ],
    ["a TXID that a hole cuts off", ["L0 1-1", "L0 3-3"], txid(3n), "gap"],
    ["a TXID before a hole", ["L0 1-1", "L0 3-3"], txid(1n), "0:1-1"],
    ["a TXID in a hole", ["L0 1-1", "L0 3-3"], txid(2n), "txid-not-available"],
    ["a TXID, nothing there", [], txid(1n), "no-backup"],
    ["a TXID, the beginning missing", ["L0 2-2", "L0 3-3"], txid(3n), "gap"],

    ["a time: strictly before", ["L0 1-1", "L0 2-2", "L0 3-3"], before(3), "0:1-1 0:2-2"],
    ["a time after everything", ["L9 1-2", "L0 3-3"], before(99), "9:1-2 0:3-3"],
    ["a time equal to the first file's", ["L0 1-1", "L0 2-2"], before(1), "no-backup"],
    ["a time, nothing there", [], before(5), "no-backup"],
    ["a time before the oldest snapshot", ["L9 1-5", "L1 4-4", "L0 5-5"], before(5), "no-backup"],
    [
      "a time in every level",
      ["L9 1-2", "L9 1-8", "L2 3-4", "L1 5-6", "L0 7-7", "L0 8-8"],
      before(8),
      "9:1-2 2:3-4 1:5-6 0:7-7",
    ],
    ["a time inside a compacted file", ["L9 1-2", "L1 3-6"], before(5), "9:1-2"],
    ["a time behind a hole", ["L0 1-1", "L0 3-3"], before(9), "gap"],
    ["a time before a hole", ["L0 1-1", "L0 3-3", "L0 4-4"], before(3), "0:1-1"],
    ["a time, the hole inside a later file", ["L0 1-1", "L0 3-3", "L1 2-6"], before(4), "gap"],
    ["a clock that stepped back", ["L0 1-1", "L0 2-2 @20", "L0 3-3", "L0 4-4"], before(9), "0:1-1"],
    ["a time, the beginning missing", ["L0 2-2", "L0 3-3"], before(9), "gap"],
  ];

for (const [name, listing, target, expected] of rows) {
  test(`planRestore() with ${name}`, () => {
    assert.equal(outcome(plan(listing, target)), expected);
    assert.equal(outcome(plan(listing.toReversed(), target)), expected, "listed in reverse");
  });
}

test("planRestore() names the last state before a gap and how to restore it", () => {
  const result = plan(["L0 1-1", "L0 2-2", "L0 4-4", "L0 5-5", "L0 9-9", "L0 10-10"]);
  assert.equal(result.kind, "refused");
  assert.match(
    result.message,
    /have up to 0000000000000002 but next file starts at 0000000000000004/,
  );
  assert.match(result.hint ?? "", /-txid 0000000000000002 \(1970-01-01T00:00:02\.000Z\)/);
  assert.equal(result.lastReachable?.txid, 2n);
  assert.deepEqual(
    result.behindGap.map((f) => f.minTXID),
    [9n, 10n],
  );
});

test("planRestore() tells an empty replica from one whose backups are newer", () => {
  const empty = plan([], before(5));
  const newer = plan(["L9 1-7"], before(5));
  assert.ok(empty.kind === "refused" && empty.nothingAtAll);
  assert.ok(newer.kind === "refused" && !newer.nothingAtAll);
  assert.match(newer.hint ?? "", /oldest state kept is -txid 0000000000000007/);
});

test("planRestore() says why a TXID is not available", () => {
  const newer = plan(["L9 1-5"], txid(6n));
  const inside = plan(["L9 1-5", "L1 6-9"], txid(7n));
  assert.ok(newer.kind === "refused" && inside.kind === "refused");
  assert.match(newer.message, /the newest is 0000000000000005/);
  assert.match(inside.message, /0000000000000006-0000000000000009\.ltx of level 1/);
  assert.match(inside.hint ?? "", /-txid 0000000000000005/);
});

/** The way Litestream 0.5.17 plans (one cursor per level), for complete histories. */
function planLikeLitestream(files: readonly LTXFileInfo[], target: RestoreTarget): string {
  const usable = files.filter((f) => {
    if (target.kind === "txid") return f.maxTXID <= target.txid;
    return target.kind === "latest" || f.createdAt < target.at;
  });
  const byLevel = (level: number): LTXFileInfo[] =>
    usable
      .filter((f) => f.level === level)
      .toSorted((a, b) => Number(a.minTXID - b.minTXID || a.maxTXID - b.maxTXID));
  const chain: LTXFileInfo[] = [];
  const base = byLevel(9).at(-1);
  if (base) chain.push(base);
  const cursors = [8, 7, 6, 5, 4, 3, 2, 1, 0].map(byLevel);
  for (;;) {
    const end = chain.at(-1)?.maxTXID ?? 0n;
    const best = cursors
      .flatMap((cursor) => cursor.filter((f) => f.minTXID <= end + 1n && f.maxTXID > end))
      .toSorted(
        (a, b) =>
          Number(b.maxTXID - a.maxTXID) || Number(a.minTXID - b.minTXID) || b.level - a.level,
      )[0];
    if (best === undefined) break;
    chain.push(best);
  }
  return chain.map((f) => `${f.level}:${f.minTXID}-${f.maxTXID}`).join(" ");
}

test("planRestore() chooses the files Litestream chooses in random histories", () => {
  let seed = 42;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return seed % below;
  };
  for (let round = 0; round < 400; round++) {
    const last = 1 + random(30);
    const listing: LTXFileInfo[] = [];
    for (let n = 1; n <= last; n++) listing.push(file(`L0 ${n}-${n}`));
    for (let level = 1; level <= 3; level++) {
      for (let start = 1; start <= last;) {
        const end = Math.min(last, start + random(3 * level + 1));
        if (random(4) > 0) listing.push(file(`L${level} ${start}-${end}`));
        start = end + 1;
      }
    }
    for (let n = 1; n <= last; n++) if (random(6) === 0) listing.push(file(`L9 1-${n}`));
    const wanted = 1 + random(last);
    for (const target of [LATEST, txid(BigInt(wanted)), before(wanted + 1)]) {
      const expected = planLikeLitestream(listing, target);
      assert.equal(outcome(planRestore(listing, target)), expected, `round ${round}`);
    }
  }
});

function gapHint(listing: readonly string[]): string {
  const result = plan(listing, before(8));
  assert.ok(result.kind === "refused" && result.reason === "gap");
  return result.hint ?? "";
}

test("a gap is told apart from states that are only kept together with later ones", () => {
  assert.match(
    gapHint(["L0 1-1", "L1 2-9", "L0 6-6", "L0 7-7"]),
    /^Nothing is lost, .* -txid 0+1 /,
  );
  assert.match(gapHint(["L0 1-1", "L0 6-6", "L0 7-7"]), /^Bring the missing files back/);
  assert.match(gapHint(["L0 1-1", "L0 6-6", "L0 7-7", "L9 1-9"]), /^Bring the missing files back/);
});
