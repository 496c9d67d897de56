import assert from "node:assert/strict";
import { test } from "node:test";
import { readSettingValue, type ReadValue } from "./setting-value.ts";
import type { KindValues } from "./settings.ts";
import { parseYAML } from "./yaml-tree.ts";

/** What `text` means in YAML as the value of a setting of that kind. */
function read(kind: keyof KindValues, text: string, goType?: string): ReadValue {
  const { root, errors } = parseYAML(`key: ${text}\n`);
  assert.deepEqual(errors, []);
  assert.ok(root?.kind === "mapping");
  const node = root.entries[0]?.value;
  assert.ok(node);
  const setting = { kind, meaning: "", ...(goType === undefined ? {} : { goType }) };
  return readSettingValue(setting, node);
}

function value(kind: keyof KindValues, text: string, goType?: string): unknown {
  const result = read(kind, text, goType);
  return result.kind === "value" ? result.value : result.kind;
}

test("readSettingValue() takes YAML 1.1's words for booleans, plain ones only", () => {
  for (const text of ["y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE"]) {
    assert.equal(value("boolean", text), true, text);
  }
  for (const text of ["n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"]) {
    assert.equal(value("boolean", text), false, text);
  }
  for (const text of ['"true"', "1", "yEs", "'off'", "tRue", "[true]"]) {
    assert.equal(value("boolean", text), "wrong-type", text);
  }
});

test("readSettingValue() takes every spelling of integers", () => {
  const vectors = {
    "1_000": 1_000,
    "0x10": 16,
    "010": 8,
    "0o10": 8,
    "0b11": 3,
    "1.9": 1,
    "-1.9": -1,
    "1e3": 1_000,
    "+5": 5,
    "-5": -5,
    "0": 0,
    "08": 8,
  };
  for (const [text, expected] of Object.entries(vectors)) {
    assert.equal(value("integer", text), expected, text);
  }
  for (const text of ['"5"', "5x", "yes", "1 000", "99999999999999999999"]) {
    assert.equal(value("integer", text), "wrong-type", text);
  }
});

test("readSettingValue() keeps the source text of strings", () => {
  for (const text of ["0123", "yes", "1e3", "0x10", "1_000", "2026-01-02", ".inf"]) {
    assert.equal(value("string", text), text);
  }
  assert.equal(value("string", '"a\\tb"'), "a\tb");
  assert.equal(value("string", "'~'"), "~");
  assert.equal(value("string", "!!str ~"), "~");
  assert.equal(value("string", "|\n  a\n  b"), "a\nb\n");
  for (const text of ["~", "null", ""]) assert.equal(value("string", text), "unset", text);
  assert.equal(value("string", "[a]"), "wrong-type");
});

test("readSettingValue() reads durations and sizes", () => {
  assert.equal(value("duration", "5s"), 5_000);
  assert.equal(value("duration", '"1m30s"'), 90_000);
  assert.equal(value("duration", "-5s"), -5_000);
  assert.equal(value("duration", "0"), 0);
  for (const text of ["10", "1.5", '"5"', "5 s", "tomorrow"]) {
    assert.equal(value("duration", text), "wrong-type", text);
  }
  assert.equal(value("size", "5MiB"), 5_242_880);
  assert.equal(value("size", "1_000", "int64"), 1_000);
  assert.equal(value("size", "64MiB", "int64"), 67_108_864);
  assert.equal(value("size", "5XB"), "invalid");
  assert.equal(value("pages", "off"), -1);
  assert.equal(value("pages", "-1"), -1);
  assert.deepEqual(value("strings", "[a, 1]"), ["a", "1"]);
  assert.equal(value("strings", "a"), "wrong-type");
});

test("readSettingValue() describes a wrong type as upstream does", () => {
  const vectors: readonly (readonly [keyof KindValues, string, string])[] = [
    ["integer", "1x", "cannot unmarshal !!str `1x` into int"],
    ["integer", "99999999999999999999", "cannot unmarshal !!float `9999999...` into int"],
    ["boolean", "1", "cannot unmarshal !!int `1` into bool"],
    ["duration", "1.5", "cannot unmarshal !!float `1.5` into time.Duration"],
    ["duration", "yes", "cannot unmarshal !!bool `yes` into time.Duration"],
    ["string", "{a: b}", "cannot unmarshal !!map into string"],
  ];
  for (const [kind, text, message] of vectors) {
    const result = read(kind, text);
    assert.ok(result.kind === "wrong-type");
    assert.equal(result.message, message);
  }
});
