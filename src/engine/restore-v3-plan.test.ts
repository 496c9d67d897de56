import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseBackupFormat } from "./backup-format-plan.ts";
import type { RestorePlan } from "./restore-plan.ts";
import { chainObjects, planV3Restore } from "./restore-v3-plan.ts";
import type { V3RestorePlan, V3RestoreTarget } from "./restore-v3-plan.ts";
import { listV3Generations, sortV3Objects } from "./v3-inventory.ts";
import type { V3Inventory } from "./v3-inventory.ts";

const A = "aaaaaaaaaaaaaaaa";
const B = "bbbbbbbbbbbbbbbb";

/** Objects as `A/snapshots/0@1`: generation, index (or index:offset), second. */
function inventory(...words: readonly string[]): V3Inventory {
  return sortV3Objects(
    words.map((word) => {
      const [, generation = "", index = "", offset, second = ""] =
        /^(\w)([\da-f]+)(?::([\da-f]+))?@(\d+)$/.exec(word) ?? [];
      const folder = `generations/${generation.repeat(16)}`;
      const hex = index.padStart(8, "0");
      const name =
        offset === undefined
          ? `${folder}/snapshots/${hex}.snapshot.lz4`
          : `${folder}/wal/${hex}_${offset.padStart(8, "0")}.wal.lz4`;
      return { name, sizeBytes: 1, createdAt: new Date(Number(second) * 1000) };
    }),
  );
}

function at(second: number): Date {
  return new Date(second * 1000);
}

function names(plan: V3RestorePlan): readonly string[] {
  if (plan.kind === "refused") return [`${plan.reason}: ${plan.message}`];
  return chainObjects(plan).map(({ name }) =>
    name.replace(/^generations\/(.).*\/(?:wal|snapshots)\/0*([\da-f]*?0?[\da-f])(?=[._])/, "$1$2"),
  );
}

const two = inventory("a0@1", "a0:0@2", "a0:64@3", "a1:0@4", "a2@5", "a2:0@6", "b0@10", "b0:0@11");

const rows: readonly {
  readonly what: string;
  readonly target: V3RestoreTarget;
  readonly inventory?: V3Inventory;
  readonly plan: readonly string[] | RegExp;
}[] = [
  {
    what: "the generation with the newest data",
    target: {},
    plan: ["b0.snapshot.lz4", "b0_00000000.wal.lz4"],
  },
  {
    what: "a named generation from its newest snapshot",
    target: { generation: A },
    plan: ["a2.snapshot.lz4", "a2_00000000.wal.lz4"],
  },
  {
    what: "up to an index",
    target: { generation: A, index: 1 },
    plan: ["a0.snapshot.lz4", "a0_00000000.wal.lz4", "a0_00000064.wal.lz4", "a1_00000000.wal.lz4"],
  },
  {
    what: "up to a time, itself included",
    target: { at: at(3) },
    plan: ["a0.snapshot.lz4", "a0_00000000.wal.lz4", "a0_00000064.wal.lz4"],
  },
  {
    what: "a time between two generations",
    target: { at: at(9) },
    plan: ["a2.snapshot.lz4", "a2_00000000.wal.lz4"],
  },
  { what: "a time before everything", target: { at: at(0) }, plan: /^no-backup: .*that old$/ },
  {
    what: "no such generation",
    target: { generation: "c".repeat(16) },
    plan: /^no-backup: .*no such generation$/,
  },
  { what: "nothing", target: {}, inventory: inventory(), plan: /^no-backup: .*no backups found$/ },
  {
    what: "segments without a snapshot",
    target: {},
    inventory: inventory("a0:0@1"),
    plan: /^no-backup: .*no snapshots available$/,
  },
  {
    what: "a snapshot alone",
    target: {},
    inventory: inventory("a7@1"),
    plan: ["a7.snapshot.lz4"],
  },
  {
    what: "a missing first segment",
    target: {},
    inventory: inventory("a0@1", "a0:64@2"),
    plan: /^gap: .*expected a{16}\/00000000:0000000000000000, got a{16}\/00000000:0000000000000064$/,
  },
  {
    what: "a missing first segment of a later index",
    target: {},
    inventory: inventory("a0@1", "a0:0@2", "a1:64@3"),
    plan: /^gap: .*expected a{16}\/00000001:0{16}, got a{16}\/00000001:0000000000000064$/,
  },
  {
    what: "a missing index",
    target: {},
    inventory: inventory("a0@1", "a0:0@2", "a2:0@3"),
    plan: /^gap: .*expected a{16}\/00000001:0{16}, got a{16}\/00000002:0{16}$/,
  },
  {
    what: "a missing first index",
    target: {},
    inventory: inventory("a1@1", "a2:0@3"),
    plan: /^gap: .*expected a{16}\/00000001:0{16}, got a{16}\/00000002:0{16}$/,
  },
  {
    what: "a gap behind the wanted time does not matter",
    target: { at: at(2) },
    inventory: inventory("a0@1", "a0:0@2", "a2:0@3"),
    plan: ["a0.snapshot.lz4", "a0_00000000.wal.lz4"],
  },
  {
    what: "a clock that steps back ends the chain at the first later object",
    target: { at: at(3) },
    inventory: inventory("a0@1", "a0:0@2", "a0:64@9", "a1:0@3"),
    plan: ["a0.snapshot.lz4", "a0_00000000.wal.lz4"],
  },
  {
    what: "offsets beyond 4 GiB in order of number, not of name",
    target: {},
    inventory: inventory("a0@1", "a0:0@2", "a0:100000000@4", "a0:ffffffff@3"),
    plan: ["a0.snapshot.lz4", "a0_00000000.wal.lz4", "a0_ffffffff.wal.lz4", "a0_100000000.wal.lz4"],
  },
];

for (const { what, target, inventory: own = two, plan: expected } of rows) {
  test(`planV3Restore(): ${what}`, () => {
    const found = names(planV3Restore(own, target));
    if (expected instanceof RegExp) assert.match(found.join(), expected);
    else assert.deepEqual(found, expected);
  });
}

test("planV3Restore() says with what arguments the state before a gap restores", () => {
  const plan = planV3Restore(inventory("a0@1", "a0:0@2", "a2:0@3"), {});
  assert.equal(plan.kind, "refused");
  assert.match(plan.hint ?? "", new RegExp(`-generation ${A} -timestamp 1970-01-01T00:00:02.000Z`));
});

test("sortV3Objects() keeps the names it does not understand", () => {
  const odd = ["generations/x", `generations/${A}/wal/00000000_00000000.wal.lz4.tmp`];
  const folder = `generations/${A}/`;
  const objects = [...odd, folder].map((name) => ({ name, sizeBytes: 0, createdAt: at(0) }));
  assert.deepEqual(sortV3Objects(objects), { snapshots: [], segments: [], unknownNames: odd });
});

test("listV3Generations() gives the times of the oldest and newest object", () => {
  assert.deepEqual(listV3Generations(two), [
    { generation: A, startAt: at(1), endAt: at(6) },
    { generation: B, startAt: at(10), endAt: at(11) },
  ]);
});

const v3 = (second: number): V3RestorePlan => planV3Restore(inventory(`a0@${second}`), {});
const noV3 = planV3Restore(inventory("a0@5"), { at: at(1) });
const noSnapshot = planV3Restore(inventory("a0:0@5"), {});
const ltx = (second: number): RestorePlan => ({
  kind: "restore",
  files: [],
  reached: { txid: 1n, createdAt: at(second) },
});
const refused = (reason: "no-backup" | "gap", second?: number): RestorePlan => ({
  kind: "refused",
  reason,
  nothingAtAll: reason === "no-backup" && second === undefined,
  message: "",
  hint: undefined,
  lastReachable: second === undefined ? undefined : { txid: 1n, createdAt: at(second) },
  behindGap: [],
});

for (const [what, ltxPlan, v3Plan, expected] of [
  ["newer LTX files", ltx(2), v3(1), "ltx"],
  ["a newer v0.3 backup", ltx(1), v3(2), "v3"],
  ["equal times", ltx(1), v3(1), "ltx"],
  ["LTX files only", ltx(1), planV3Restore(inventory(), {}), "ltx"],
  ["a v0.3 backup only", refused("no-backup"), v3(1), "v3"],
  ["no v0.3 backup that old", ltx(2), noV3, "ltx"],
  ["nothing that old in either", refused("no-backup", 9), noV3, "ltx"],
  ["a v0.3 backup without a snapshot and nothing else", refused("no-backup"), noSnapshot, "v3"],
  ["a gap in newer LTX files", refused("gap", 2), v3(1), "ltx"],
  ["a gap in older LTX files", refused("gap", 1), v3(2), "v3"],
] as const) {
  test(`chooseBackupFormat(): ${what} (OL4)`, () => {
    assert.equal(chooseBackupFormat(ltxPlan, v3Plan), expected);
  });
}
