import assert from "node:assert/strict";
import { link, mkdir, mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { DirectoryConfig } from "./config.ts";
import { DatabaseFile } from "../sqlite/database-file.ts";
import { databaseInDirectory, findDirectoryDatabases } from "./directory-databases.ts";
import { parseConfig } from "./load.ts";

function entry(text: string): DirectoryConfig {
  const config = parseConfig(`dbs: [{${text}}]`, "f.yml", { env: {}, cwd: "/" });
  const [first] = config.directories;
  assert.ok(first);
  return first;
}

const MAGIC = "SQLite format 3\0 and more";

test("findDirectoryDatabases() takes the files that match and begin as a database", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "litestream-dir-"));
  const dir = folder.path;
  await mkdir(join(dir, "sub"));
  await mkdir(join(dir, "folder.db"));
  for (const name of ["b.db", "a.db", "x.txt", "sub/c.db"]) await writeFile(join(dir, name), MAGIC);
  await writeFile(join(dir, "no.db"), "text");
  await writeFile(join(dir, "empty.db"), "");
  const found = async (options: string): Promise<string[]> => {
    const text = `dir: ${dir}, pattern: "*.db", replica: {path: /r}${options}`;
    const { databases } = await findDirectoryDatabases(entry(text));
    return databases.map(({ path }) => path.slice(dir.length));
  };
  assert.deepEqual(await found(""), ["/a.db", "/b.db"]);
  assert.deepEqual(await found(", recursive: true"), ["/a.db", "/b.db", "/sub/c.db"]);
});

test("findDirectoryDatabases() reports a folder it cannot read", async () => {
  const { databases, unreadable } = await findDirectoryDatabases(
    entry('dir: /nowhere/at-all, pattern: "*", replica: {path: /r}'),
  );
  assert.deepEqual(databases, []);
  assert.deepEqual(
    unreadable.map(({ path }) => path),
    ["/nowhere/at-all"],
  );
});

test("databaseInDirectory() places the replica below that of the folder, for every kind of place", () => {
  const rows: readonly (readonly [string, string])[] = [
    ["path: /r", "/r/sub/a b.db"],
    ["url: 's3://bkt/pre'", "pre/sub/a b.db"],
    ["url: 's3://bkt'", "./sub/a b.db"],
    ["type: gs, bucket: b, path: pre/", "pre/sub/a b.db"],
    ["url: 'sftp://u@h/abs'", "/abs/sub/a b.db"],
    ["type: nats, bucket: b", "sub/a b.db"],
  ];
  for (const [replica, expected] of rows) {
    const text = `dir: /d, pattern: "*.db", recursive: true, replica: {${replica}}`;
    const found = databaseInDirectory(entry(text), "/d/sub/a b.db");
    const options = found?.replicas[0]?.options;
    assert.ok(options !== undefined && "path" in options, replica);
    assert.equal(options.path, expected, replica);
  }
});

test("databaseInDirectory() knows what belongs to the folder", () => {
  const flat = entry('dir: /d, pattern: "*.db", replica: {path: /r}');
  assert.equal(databaseInDirectory(flat, "/d/a.db")?.path, "/d/a.db");
  for (const path of ["/d", "/d/sub/a.db", "/e/a.db", "/d/a.txt", "/da.db", "/d/../a.db"]) {
    assert.equal(databaseInDirectory(flat, path), undefined, path);
  }
});

test("databaseInDirectory() gives each database a folder of local state", () => {
  assert.equal(metaPath(""), "/d/s/.a.db-litestream");
  assert.equal(metaPath(", meta-path: /m"), "/m/s/.a.db-litestream");
  assert.equal(metaPath(", meta-dir: /m"), "/m/s/a.db-litestream");
});

function metaPath(options: string): string | undefined {
  const text = `dir: /d, pattern: "*", recursive: true, replica: {path: /r}${options}`;
  return databaseInDirectory(entry(text), "/d/s/a.db")?.metaPath;
}

test("findDirectoryDatabases() looks along a pattern with slashes, and never at local state or sidecars", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "litestream-dir-"));
  const dir = folder.path;
  for (const sub of ["a/b", "c", ".x.db-litestream"])
    await mkdir(join(dir, sub), { recursive: true });
  for (const name of ["x.db", "a/x.db", "a/b/x.db", "c/x.db", ".x.db-litestream/x.db", "x.db-wal"])
    await writeFile(join(dir, name), MAGIC);
  const found = async (pattern: string): Promise<string[]> => {
    const text = `dir: ${dir}, pattern: "${pattern}", replica: {path: /r}`;
    const { databases } = await findDirectoryDatabases(entry(text));
    return databases.map(({ path }) => path.slice(dir.length));
  };
  assert.deepEqual(await found("*"), ["/x.db"]);
  assert.deepEqual(await found("{a,c}/*.db"), ["/a/x.db", "/c/x.db"]);
  assert.deepEqual(await found("a/**/*.db"), ["/a/b/x.db", "/a/x.db"]);
  assert.deepEqual(await found("**/*.db"), ["/a/b/x.db", "/a/x.db", "/c/x.db", "/x.db"]);
});

test("findDirectoryDatabases() takes a known file as it is and leaves out its second name", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "litestream-dir-"));
  const path = join(folder.path, "a.db");
  await writeFile(path, "not a database any more");
  await link(path, join(folder.path, "b.db"));
  using _open = new DatabaseFile(path);
  const text = entry(`dir: ${folder.path}, pattern: "*.db", replica: {path: /r}`);
  const { databases } = await findDirectoryDatabases(text, new Set([path]));
  assert.deepEqual(
    databases.map((database) => database.path),
    [path],
  );
});
