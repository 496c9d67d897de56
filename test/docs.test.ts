/** The pages of docs/ that are made from tables are those the tables make, and the schema agrees with the reader. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { generatePages, readPage } from "../docs/generate/main.ts";
import { parseConfig } from "../src/config/load.ts";

for (const { name, text } of generatePages()) {
  test(`docs/${name} is up to date`, () => {
    assert.equal(readPage(name), text, 'Run "npm run docs"');
  });
}

test("the schema knows every key that the reader knows", () => {
  const schema = JSON.parse(readPage("litestream.schema.json")) as {
    readonly properties: Readonly<Record<string, unknown>>;
    readonly definitions: Readonly<Record<string, { properties: Record<string, unknown> }>>;
  };
  const { database, replica } = schema.definitions;
  assert.ok(database !== undefined && replica !== undefined);
  assert.deepEqual(unknownKeys(nulls(schema.properties, "")), []);
  const { path: _path, replica: _replica, ...rest } = database.properties;
  const entry = `dbs:\n  - path: /d/a\n    replica: {path: /r}\n${nulls(rest, "    ")}`;
  assert.deepEqual(unknownKeys(entry), []);
  const { path: _place, ...own } = replica.properties;
  const inReplica = `dbs:\n  - path: /d/a\n    replica:\n      path: /r\n${nulls(own, "      ")}`;
  assert.deepEqual(unknownKeys(inReplica), []);
  assert.deepEqual(unknownKeys("frobnicate: 1\n"), ["frobnicate"], "this test can fail");
});

function unknownKeys(text: string): readonly string[] {
  const { warnings } = parseConfig(text, "f.yml", { env: {}, cwd: "/" });
  return warnings
    .filter(({ message }) => message === "Unknown key is ignored")
    .map(({ key }) => key ?? "");
}

/** Each key without a value: as if it were not there, but known or not. */
function nulls(properties: Readonly<Record<string, unknown>>, indent: string): string {
  return Object.keys(properties)
    .map((key) => `${indent}${key}:\n`)
    .join("");
}
