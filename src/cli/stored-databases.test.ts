/** What lies below the replica path of a folder, in folders and on S3, is found or a warning says why not. */
import assert from "node:assert/strict";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { failure, FakeS3 } from "../../test/servers/fake-s3.ts";
import type { Config } from "../config/config.ts";
import { parseConfig } from "../config/load.ts";
import { Logger } from "../service/logger.ts";
import { findStoredDatabases } from "./stored-databases.ts";

interface Found {
  readonly paths: readonly string[];
  readonly log: string;
}

async function find(dbs: string, everyDirectory = true): Promise<Found> {
  return await findIn(parseConfig(`dbs: [${dbs}]`, "f.yml", { env: {}, cwd: "/" }), everyDirectory);
}

async function findIn(
  config: Pick<Config, "databases" | "directories">,
  everyDirectory: boolean,
): Promise<Found> {
  let log = "";
  const logger = new Logger({
    format: "text",
    level: "info",
    write: (line) => {
      log += line;
    },
  });
  const { signal } = new AbortController();
  const found = await findStoredDatabases(config, everyDirectory, { env: {} }, logger, signal);
  return { paths: found.map(({ path }) => path), log };
}

function makeReplica(...names: readonly string[]): void {
  mkdirSync(join(...names, "ltx/0"), { recursive: true });
}

test("databases below a folder's replica path are found when they match", async () => {
  await using scratch = await mkdtempDisposable(join(tmpdir(), "stored-"));
  const [dir, replica] = [join(scratch.path, "dbs"), join(scratch.path, "replica")];
  for (const name of ["a.db", "sub/b.db", "a.txt", "my%20own.db"]) makeReplica(replica, name);
  mkdirSync(join(replica, "empty.db"));
  const rest = `dir: ${dir}, pattern: "*.db", replica: {path: ${replica}}`;
  const below = (names: readonly string[]): string[] => names.map((name) => join(dir, name));
  const flat = await find(`{${rest}}`);
  assert.deepEqual(flat, { paths: below(["a.db", "my own.db"]), log: "" });
  const deep = await find(`{${rest}, recursive: true}`);
  assert.deepEqual(deep, { paths: below(["a.db", "my own.db", "sub/b.db"]), log: "" });
  assert.deepEqual(await find(`{${rest}}`, false), { paths: [], log: "" });
  const asked = await find(`{${rest}, restore-if-db-not-exists: true}`, false);
  assert.deepEqual(asked.paths, below(["a.db", "my own.db"]));
});

test("nothing is found behind a link, nor where a folder is, nor what another entry owns", async () => {
  await using scratch = await mkdtempDisposable(join(tmpdir(), "stored-"));
  const [dir, replica] = [join(scratch.path, "dbs"), join(scratch.path, "replica")];
  for (const name of ["link/a", "folder", "folder/b", "own/c", "other/d"])
    makeReplica(replica, name);
  mkdirSync(join(dir, "folder"), { recursive: true });
  symlinkSync(scratch.path, join(dir, "link"));
  const { paths, log } = await find(
    `{dir: ${dir}, pattern: "*", recursive: true, replica: {path: ${replica}}},` +
      ` {path: ${scratch.path}/p, replica: {path: ${replica}/own/c}},` +
      ` {dir: ${scratch.path}/q, pattern: "*.db", replica: {path: ${replica}/other}}`,
  );
  assert.deepEqual([paths, log], [[join(dir, "folder/b")], ""]);
});

test("two folders with one replica path, and a place that cannot be listed, are one warning each", async () => {
  await using scratch = await mkdtempDisposable(join(tmpdir(), "stored-"));
  const replica = join(scratch.path, "replica");
  makeReplica(replica, "a.db");
  const entries = ["x", "y"].map(
    (dir) => `{dir: /${dir}, pattern: "*", replica: {path: ${replica}}}`,
  );
  const shared = await find(entries.join(","));
  assert.deepEqual(shared.paths, []);
  assert.equal(
    shared.log.match(/level=WARN msg="cannot look for databases to restore"/g)?.length,
    2,
  );
  writeFileSync(join(scratch.path, "file"), "");
  const broken = await find(`{dir: /x, pattern: "*", replica: {path: ${scratch.path}/file}}`);
  assert.match(
    broken.log,
    /^[^\n]*level=WARN msg="cannot look for databases to restore" dir=\/x [^\n]*\n$/,
  );
});

for (const path of ["tenants", "tenants/", "", "."]) {
  test(`databases below the path "${path}" of a bucket are found`, async () => {
    await using store = await FakeS3.start();
    const prefix = { tenants: "tenants/", "tenants/": "tenants/", "": "", ".": "./" }[path] ?? "";
    const body = { body: Buffer.from("x"), headers: {} };
    for (const key of [
      "a.db/0000/x.ltx",
      "sub/b.db/generations/g/x",
      "no.db/x",
      "../../c.db/0000/x",
    ])
      store.objects.set(prefix + key, body);
    const { paths, log } = await find(entryOf(store, path));
    assert.deepEqual([paths, log], [["/d/a.db", "/d/sub/b.db"], ""]);
  });
}

test("a folder that cannot be listed hides no other", async () => {
  await using store = await FakeS3.start();
  store.misbehave = ({ query }) =>
    query.get("prefix")?.startsWith("hidden/") === true ? failure(403, "AccessDenied") : undefined;
  for (const key of ["a.db/0000/x", "hidden/b.db/0000/x", "z.db/0000/x"])
    store.objects.set(key, { body: Buffer.from("x"), headers: {} });
  const { paths, log } = await find(entryOf(store, ""));
  assert.deepEqual(paths, ["/d/a.db", "/d/z.db"]);
  assert.match(
    log,
    /^[^\n]*level=WARN msg="cannot look for databases to restore"[^\n]*AccessDenied[^\n]*\n$/,
  );
});

test("a place that cannot list folders is a warning", async () => {
  const config = parseConfig('dbs: [{dir: /d, pattern: "*", replica: {path: /r}}]', "f.yml", {
    env: {},
    cwd: "/",
  });
  const [entry] = config.directories;
  const [replica] = entry?.replicas ?? [];
  assert.ok(entry !== undefined && replica !== undefined);
  const replicas = [{ ...replica, options: { type: "memory" } as const }];
  const directories = [{ ...entry, replicas }];
  const { paths, log } = await findIn({ databases: [], directories }, true);
  assert.deepEqual(paths, []);
  assert.match(
    log,
    /WARN msg="cannot look for databases to restore" dir=\/d .*error="Replicas of type \\"memory\\" cannot be listed"/,
  );
});

function entryOf(store: FakeS3, path: string): string {
  const keys = `type: s3, bucket: b, path: "${path}", endpoint: "${store.endpoint}", region: r, access-key-id: A, secret-access-key: S`;
  return `{dir: /d, pattern: "*.db", recursive: true, replica: {${keys}}}`;
}
