import assert from "node:assert/strict";
import { test } from "node:test";
import { compileNamePattern } from "./name-pattern.ts";

test("compileNamePattern() matches as Go's filepath.Match does, and knows braces", () => {
  const rows: readonly (readonly [string, string, boolean])[] = [
    ["*.db", "a.db", true],
    ["*.db", ".db", true],
    ["*.db", "a.db-wal", false],
    ["*.db", "a/b.db", false],
    ["?.db", "é.db", true],
    ["?.db", "ab.db", false],
    ["[a-c]x", "bx", true],
    ["[a-c]x", "dx", false],
    ["[^a-c]x", "dx", true],
    ["[^a-c]x", "/x", false],
    ["[\\]a]x", "]x", true],
    ["a\\*", "a*", true],
    ["a\\*", "ab", false],
    ["a+(b)", "a+(b)", true],
    ["*.{db,sqlite}", "x.sqlite", true],
    ["*.{db,sqlite}", "x.txt", false],
    ["a,b}", "a,b}", true],
    ["*", "two\nlines", true],
  ];
  for (const [pattern, name, expected] of rows) {
    assert.equal(compileNamePattern(pattern)(name), expected, `${pattern} ${name}`);
  }
});

test("compileNamePattern() refuses what is not closed", () => {
  for (const pattern of ["[a", "[", "a\\", "{a,b", "[b-a]", "[\\"]) {
    assert.throws(() => compileNamePattern(pattern), SyntaxError, pattern);
  }
});
