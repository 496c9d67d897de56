import assert from "node:assert/strict";
import { test } from "node:test";
import type { Config } from "./config.ts";
import { changedForNextStart, changesEveryDatabase, diffDatabases } from "./config-diff.ts";
import { parseConfig } from "./load.ts";

function config(text: string): Config {
  return parseConfig(text, "f.yml", { env: {}, cwd: "/" });
}

const A = "{path: /a, replica: {path: /r/a}}";
const A_ELSEWHERE = "{path: /a, replica: {path: /r/b}}";
const A_SLOWER = "{path: /a, replica: {path: /r/a, sync-interval: 5s}}";
const B = "{path: /b, replica: {path: /r/bb}}";

const CASES = [
  { name: "nothing", before: [A, B], after: [A, B], expected: "" },
  { name: "their order", before: [A, B], after: [B, A], expected: "" },
  { name: "a new one", before: [A], after: [A, B], expected: "+/b" },
  { name: "one less", before: [A, B], after: [B], expected: "-/a" },
  { name: "a destination", before: [A, B], after: [A_ELSEWHERE, B], expected: "~/a" },
  { name: "an interval of a replica", before: [A], after: [A_SLOWER], expected: "~/a" },
] as const;

for (const { name, before, after, expected } of CASES) {
  test(`diffDatabases(): what changed is ${name}`, () => {
    const [old, now] = [before, after].map(
      (entries) => config(`dbs: [${entries.join(", ")}]`).databases,
    );
    const diff = diffDatabases(old ?? [], now ?? [], false);
    const words = [
      ...diff.add.map(({ path }) => `+${path}`),
      ...diff.replace.map(({ path }) => `~${path}`),
      ...diff.remove.map((path) => `-${path}`),
    ];
    assert.equal(words.join(" "), expected);
  });
}

test("changesEveryDatabase() and changedForNextStart() tell settings at the top apart", () => {
  const before = config("{}");
  const levels = config("l0-retention: 1h");
  const address = config('addr: ":9090"\nsocket: {enabled: true}');
  assert.equal(changesEveryDatabase(before, levels), true);
  assert.deepEqual(changedForNextStart(before, levels), []);
  assert.equal(changesEveryDatabase(before, address), false);
  assert.deepEqual(changedForNextStart(before, address), ["addr", "socket"]);
});
