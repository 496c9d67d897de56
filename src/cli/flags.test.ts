import assert from "node:assert/strict";
import { test } from "node:test";
import { UsageError } from "./errors.ts";
import { formatFlags, parseFlags } from "./flags.ts";

const TABLE = {
  config: { kind: "string", value: "PATH", help: ["The file."] },
  json: { kind: "boolean", help: ["JSON."] },
  timeout: { kind: "integer", value: "NUM", help: ["Seconds."] },
  wait: { kind: "duration" },
} as const;

function parse(...args: string[]): unknown {
  const parsed = parseFlags(args, TABLE);
  return parsed.kind === "help" ? "help" : { ...parsed.flags, rest: parsed.positionals };
}

test("parseFlags() takes values in every spelling of Go", () => {
  assert.deepEqual(parse("-config", "a"), { config: "a", rest: [] });
  assert.deepEqual(parse("--config", "a"), { config: "a", rest: [] });
  assert.deepEqual(parse("-config=a=b"), { config: "a=b", rest: [] });
  assert.deepEqual(parse("--config="), { config: "", rest: [] });
  assert.deepEqual(parse("-config", "-json"), { config: "-json", rest: [] });
});

test("parseFlags() never lets a boolean take the next word", () => {
  assert.deepEqual(parse("-json", "false", "x"), { json: true, rest: ["false", "x"] });
  for (const text of ["1", "t", "T", "true", "TRUE", "True"]) {
    assert.deepEqual(parse(`-json=${text}`), { json: true, rest: [] });
  }
  for (const text of ["0", "f", "F", "false", "FALSE", "False"]) {
    assert.deepEqual(parse(`-json=${text}`), { json: false, rest: [] });
  }
});

test("parseFlags() reads integers with their base prefix", () => {
  const vectors = { "0x10": 16, "1_0": 10, "010": 8, "0": 0, "-5": -5, "0b11": 3, "0o17": 15 };
  for (const [text, value] of Object.entries(vectors)) {
    assert.deepEqual(parse("-timeout", text), { timeout: value, rest: [] }, text);
  }
});

test("parseFlags() takes flags anywhere, and none behind --", () => {
  assert.deepEqual(parse("a", "-json", "b"), { json: true, rest: ["a", "b"] });
  assert.deepEqual(parse("a", "--", "-json", "--"), { rest: ["a", "-json", "--"] });
  assert.deepEqual(parse("-", "-json"), { json: true, rest: ["-"] });
});

test("parseFlags() finds a request for help", () => {
  for (const word of ["-h", "-help", "--help", "--h"]) assert.equal(parse("a", word), "help");
});

test("parseFlags() refuses in the words of Go", () => {
  const vectors: readonly (readonly [readonly string[], string])[] = [
    [["-x"], "flag provided but not defined: -x"],
    [["--x=1"], "flag provided but not defined: -x"],
    [["-config"], "flag needs an argument: -config"],
    [["-timeout", "abc"], 'invalid value "abc" for flag -timeout: parse error'],
    [["-timeout", "08"], 'invalid value "08" for flag -timeout: parse error'],
    [["-json=maybe"], 'invalid boolean value "maybe" for -json: parse error'],
    [["-wait", "5"], 'invalid value "5" for flag -wait: parse error'],
    [["-=x"], "bad flag syntax: -=x"],
    [["---x"], "bad flag syntax: ---x"],
  ];
  for (const [args, message] of vectors) {
    assert.throws(() => parse(...args), { name: "UsageError", message });
  }
});

test("parseFlags() suggests the flag that was meant", () => {
  assert.throws(
    () => parse("-confg", "a"),
    (error) => error instanceof UsageError && error.hint === 'Did you mean "-config"?',
  );
});

test("formatFlags() shows what has a help text", () => {
  assert.equal(
    formatFlags(TABLE),
    "\t-config PATH\n\t    The file.\n\n\t-json\n\t    JSON.\n\n\t-timeout NUM\n\t    Seconds.",
  );
});
