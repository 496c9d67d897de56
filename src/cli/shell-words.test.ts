import assert from "node:assert/strict";
import { test } from "node:test";
import { UsageError } from "./errors.ts";
import { splitShellWords } from "./shell-words.ts";

test("splitShellWords() understands quotes and backslashes", () => {
  const vectors: readonly (readonly [string, readonly string[]])[] = [
    ["myapp -myflag", ["myapp", "-myflag"]],
    ["  a\t b\n c ", ["a", "b", "c"]],
    [`sh -c "exit 3"`, ["sh", "-c", "exit 3"]],
    [`sh -c 'a && b | "c"'`, ["sh", "-c", `a && b | "c"`]],
    [`a"b"'c'`, ["abc"]],
    [`a "" ''`, ["a", "", ""]],
    [String.raw`a\ b \"c\"`, ["a b", `"c"`]],
    [String.raw`'a\b'`, [String.raw`a\b`]],
    [String.raw`"a\"b"`, [`a"b`]],
    ["echo $HOME *", ["echo", "$HOME", "*"]],
  ];
  for (const [text, words] of vectors) assert.deepEqual(splitShellWords(text), words, text);
});

test("splitShellWords() refuses what only a shell understands, and says how", () => {
  for (const text of ["a && b", "a;b", "a|b", "a > f", "a < f", "a `b`", "a $(b)"]) {
    assert.throws(
      () => splitShellWords(text),
      (error) =>
        error instanceof UsageError &&
        error.message.startsWith("cannot parse exec command: invalid command line string") &&
        error.hint?.endsWith(`sh -c '${text}'`) === true,
      text,
    );
  }
});

test("splitShellWords() refuses what is unbalanced or blank", () => {
  for (const text of ['"a', "'a", "a\\"]) {
    const message = "cannot parse exec command: invalid command line string";
    assert.throws(() => splitShellWords(text), { message }, text);
  }
  assert.throws(() => splitShellWords("  "), { message: /command is blank/ });
});
