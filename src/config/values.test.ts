import assert from "node:assert/strict";
import { test } from "node:test";
import { formatDuration, parseDuration } from "./duration.ts";
import { expandEnv } from "./expand-env.ts";
import { expandPath, isReplicaURL, userHome } from "./expand-path.ts";
import { nearest } from "./nearest.ts";
import { parseSize } from "./size.ts";

test("parseDuration() reads Go's syntax, days and weeks", () => {
  const vectors = {
    "300ms": 300,
    "1.5h": 5_400_000,
    "1h30m": 5_400_000,
    "24h0m0s": 86_400_000,
    "-5s": -5_000,
    "+5s": 5_000,
    "1\u00b5s": 0.001,
    "1\u03bcs": 0.001,
    "1us": 0.001,
    "10ns": 0.00001,
    ".5s": 500,
    "1.s": 1_000,
    "0": 0,
    "-0": 0,
    "0s": 0,
    "1d": 86_400_000,
    "2w": 1_209_600_000,
  };
  for (const [text, ms] of Object.entries(vectors)) assert.equal(parseDuration(text), ms, text);
});

test("parseDuration() refuses in the words of Go", () => {
  const vectors = {
    "": 'time: invalid duration ""',
    "5": 'time: missing unit in duration "5"',
    "1.5": 'time: missing unit in duration "1.5"',
    "5 s": 'time: unknown unit " s" in duration "5 s"',
    "1y": 'time: unknown unit "y" in duration "1y"',
    s: 'time: invalid duration "s"',
    ".s": 'time: invalid duration ".s"',
    "-": 'time: invalid duration "-"',
    "9999999999h": 'time: invalid duration "9999999999h"',
  };
  for (const [text, message] of Object.entries(vectors)) {
    assert.throws(() => parseDuration(text), { name: "SyntaxError", message }, text);
  }
});

test("formatDuration() writes what Go writes", () => {
  const vectors: readonly (readonly [number, string])[] = [
    [0, "0s"],
    [0.00001, "10ns"],
    [0.0015, "1.5\u00b5s"],
    [500, "500ms"],
    [1.5, "1.5ms"],
    [1_000, "1s"],
    [10_000, "10s"],
    [1_500, "1.5s"],
    [60_000, "1m0s"],
    [3_600_000, "1h0m0s"],
    [86_400_000, "24h0m0s"],
    [5_400_500, "1h30m0.5s"],
    [-5_000, "-5s"],
  ];
  for (const [ms, text] of vectors) assert.equal(formatDuration(ms), text);
});

test("parseSize() reads go-humanize's units", () => {
  const vectors = {
    "5MB": 5_000_000,
    "5MiB": 5_242_880,
    "5m": 5_000_000,
    "5Mi": 5_242_880,
    "1,000": 1_000,
    "1.5 GB": 1_500_000_000,
    "1K": 1_000,
    "42": 42,
    " 10 kib ": 10_240,
    "3b": 3,
  };
  for (const [text, bytes] of Object.entries(vectors)) assert.equal(parseSize(text), bytes, text);
});

test("parseSize() refuses what is no size", () => {
  assert.throws(() => parseSize(""), { message: "empty size string" });
  assert.throws(() => parseSize("5XB"), {
    message: "invalid size format: unhandled size name: xb",
  });
  for (const text of ["1e3", "-5MB", "MB", "1.2.3", "1 000"]) {
    assert.throws(() => parseSize(text), { message: /^invalid size format: / }, text);
  }
});

test("expandEnv() follows Go's os.Expand, with an escape and defaults", () => {
  const env = { FOO: "foo", EMPTY: "", A: "a" };
  const vectors = {
    $FOO: "foo",
    "${FOO}": "foo",
    $$FOO: "$FOO",
    $$: "$",
    pa$word: "pa",
    pa$1word: "paword",
    $A_1x: "",
    "$FOO.db": "foo.db",
    "$(FOO)": "$(FOO)",
    "a$ b": "a$ b",
    end$: "end$",
    "${}": "",
    "${FOO": "FOO",
    "\\$FOO": "\\foo",
    "'$FOO'": "'foo'",
    "%FOO%": "%FOO%",
    $PID: "77",
    "${PID}": "77",
    "${NONE:-x y}": "x y",
    "${EMPTY:-x}": "x",
    "${FOO:-x}": "foo",
    "${FOO:?must}": "foo",
    $EMPTY: "",
  };
  for (const [text, expanded] of Object.entries(vectors)) {
    assert.equal(expandEnv(text, env, 77).text, expanded, text);
  }
});

test("expandEnv() names what is not set, once, and not in comments", () => {
  const text = "a: $ONE # $TWO\n# $THREE\nb: '$FOUR # $ONE'\nc: x#$FIVE\n";
  const { unset } = expandEnv(text, {}, 1);
  assert.deepEqual(
    unset.map(({ name, line }) => `${name}:${line}`),
    ["ONE:1", "FOUR:3", "FIVE:4"],
  );
});

test("expandEnv() reports required variables and keeps lines apart", () => {
  const text = "a: $MANY\nb: ${NEED:?give it}\n";
  const expanded = expandEnv(text, { MANY: "1\n2" }, 1);
  assert.deepEqual(expanded.required, [{ name: "NEED", line: 2, message: "give it" }]);
  assert.deepEqual(expanded.sourceLines, [1, 1, 2, 3]);
});

test("expandPath() knows the home folder and SQLite's schemes", () => {
  assert.equal(expandPath("~/a", "/w"), `${userHome()}/a`);
  assert.equal(expandPath("~", "/w"), userHome());
  assert.equal(expandPath("~user/a", "/w"), "/w/~user/a");
  assert.equal(expandPath("a/../b", "/w"), "/w/b");
  assert.equal(expandPath("sqlite:///data/app.db", "/w"), "/data/app.db");
  assert.equal(expandPath("sqlite3://rel.db", "/w"), "/w/rel.db");
});

test("isReplicaURL() takes sqlite:// for a path", () => {
  assert.equal(isReplicaURL("s3://b/p"), true);
  assert.equal(isReplicaURL("sqlite:///x.db"), false);
  assert.equal(isReplicaURL("C:\\x"), false);
  assert.equal(isReplicaURL("/x"), false);
});

test("nearest() finds the word that was meant, and nothing far off", () => {
  const words = ["retention", "restore", "replica", "sync-interval"];
  assert.equal(nearest("retenton", words), "retention");
  assert.equal(nearest("sync_interval", words), "sync-interval");
  assert.equal(nearest("synk-interval", words), "sync-interval");
  assert.equal(nearest("generations", words), undefined);
});
