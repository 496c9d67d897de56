import assert from "node:assert/strict";
import { test } from "node:test";
import { findConflicts } from "./destinations.ts";
import type { DatabaseConfig } from "./config.ts";
import { databaseInDirectory } from "./directory-databases.ts";
import { parseConfig } from "./load.ts";

/** The databases of `text`, then those at `paths` of its folders. */
function databasesOf(text: string, paths: readonly string[]): readonly DatabaseConfig[] {
  const { databases, directories } = parseConfig(`dbs: [${text}]`, "f.yml", { env: {}, cwd: "/" });
  const found = paths.flatMap((path) =>
    directories.flatMap((entry) => databaseInDirectory(entry, path) ?? []),
  );
  return [...databases, ...found];
}

const messagesOf = (text: string, ...paths: string[]): readonly string[] =>
  findConflicts(databasesOf(text, paths)).map(({ message }) => message);

test("findConflicts() finds equal names of two folders with one replica path", () => {
  const folders = ["/a", "/b"].map((dir) => `{dir: ${dir}, pattern: "*", replica: {path: /r}}`);
  assert.deepEqual(messagesOf(folders.join(","), "/a/x.db", "/b/y.db"), []);
  assert.deepEqual(messagesOf(folders.join(","), "/a/x.db", "/b/x.db"), [
    'Databases "/a/x.db" and "/b/x.db" have the same destination file:///r/x.db',
  ]);
});

test("findConflicts() finds a folder's database in the place of an entry with a path", () => {
  const text =
    '{path: /p.db, replica: {url: "s3://b/r/x.db"}}, {dir: /a, pattern: "*", replica: {url: "s3://b/r/"}}';
  assert.deepEqual(messagesOf(text, "/a/y.db"), []);
  assert.deepEqual(messagesOf(text, "/a/x.db"), [
    'Databases "/p.db" and "/a/x.db" have the same destination s3://b/r/x.db',
  ]);
});

test("findConflicts() finds two replicas of one database in one place, and one folder of local state", () => {
  const twice = '{dir: /a, pattern: "*", replicas: [{name: x, path: /r}, {name: y, path: /r}]}';
  assert.deepEqual(messagesOf(twice, "/a/x.db"), [
    "Two replicas have the same destination file:///r/x.db",
  ]);
  const folders = ["a", "b"].map(
    (name) => `{dir: /${name}, pattern: "*", meta-dir: /m, replica: {path: /r/${name}}}`,
  );
  assert.deepEqual(messagesOf(folders.join(","), "/a/x.db", "/b/x.db"), [
    'Databases "/a/x.db" and "/b/x.db" have the same meta path "/m/x.db-litestream"',
  ]);
});

test("findConflicts() lets what is refused take no place", () => {
  const text =
    '{dir: /a, pattern: "*", replica: {path: /r}}, {dir: /b, pattern: "*", replicas: [{path: /r}, {path: /s}]}, {dir: /c, pattern: "*", replica: {path: /s}}';
  assert.deepEqual(messagesOf(text, "/a/x.db", "/b/x.db", "/c/x.db"), [
    'Databases "/a/x.db" and "/b/x.db" have the same destination file:///r/x.db',
  ]);
});
