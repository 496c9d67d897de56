import assert from "node:assert/strict";
import { test } from "node:test";
import { planDirectory } from "./directory-plan.ts";

interface Case {
  readonly name: string;
  readonly found?: readonly string[];
  readonly own?: readonly string[];
  readonly replicated?: readonly string[];
  readonly unreadable?: readonly string[];
  readonly add?: readonly string[];
  readonly remove?: readonly string[];
}

const CASES: readonly Case[] = [
  { name: "new", found: ["/d/a"], add: ["/d/a"] },
  { name: "known", found: ["/d/a"], own: ["/d/a"], replicated: ["/d/a"] },
  { name: "vanished", own: ["/d/a"], replicated: ["/d/a"], remove: ["/d/a"] },
  { name: "renamed", found: ["/d/b"], own: ["/d/a"], add: ["/d/b"], remove: ["/d/a"] },
  { name: "unregistered by somebody", found: ["/d/a"], own: ["/d/a"] },
  { name: "of another entry", found: ["/d/a"], replicated: ["/d/a"] },
  { name: "hidden", own: ["/d/s/a"], replicated: ["/d/s/a"], unreadable: ["/d/s"] },
  { name: "beside a hidden one", own: ["/d/sa"], unreadable: ["/d/s"], remove: ["/d/sa"] },
];

for (const { name, found = [], own = [], replicated = [], unreadable = [], ...due } of CASES) {
  test(`planDirectory(): a database that is ${name}`, () => {
    const plan = planDirectory({
      found,
      unreadable,
      own: new Set(own),
      isReplicated: (path) => replicated.includes(path),
    });
    assert.deepEqual(plan, { add: due.add ?? [], remove: due.remove ?? [] });
  });
}
