import assert from "node:assert/strict";
import * as fs from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { findIntegrityProblems } from "./integrity-check.ts";

function makeDatabase(folder: string): string {
  const path = join(folder, "a %20?#b.db");
  using database = new DatabaseSync(path);
  database.exec("PRAGMA journal_mode = WAL; CREATE TABLE t(x); CREATE INDEX i ON t(x)");
  database.exec(
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900) INSERT INTO t SELECT i FROM n",
  );
  return path;
}

function temporaryFolder(): string & Disposable {
  const path = fs.mkdtempSync(join(process.env["TMPDIR"] ?? "/tmp", "integrity-"));
  return Object.assign(path, { [Symbol.dispose]: () => fs.rmSync(path, { recursive: true }) });
}

test("findIntegrityProblems() passes a sound database in WAL mode and leaves no sidecars", async () => {
  using folder = temporaryFolder();
  const path = makeDatabase(String(folder));
  assert.deepEqual(await findIntegrityProblems(path, "quick"), []);
  assert.deepEqual(await findIntegrityProblems(path, "full"), []);
  assert.deepEqual(fs.readdirSync(String(folder)), ["a %20?#b.db"]);
});

test("findIntegrityProblems() reports a malformed page", async () => {
  using folder = temporaryFolder();
  const path = makeDatabase(String(folder));
  const fd = fs.openSync(path, "r+");
  fs.writeSync(fd, new Uint8Array(64).fill(0xff), 0, 64, 2 * 4096 + 8);
  fs.closeSync(fd);
  const problems = await findIntegrityProblems(path, "quick");
  assert.match(problems.join("\n"), /tree|page|malformed/i);
});

test("findIntegrityProblems() reports what is no database", async () => {
  using folder = temporaryFolder();
  const path = join(String(folder), "text.db");
  fs.writeFileSync(path, "no database ".repeat(500));
  assert.deepEqual(await findIntegrityProblems(path, "quick"), ["file is not a database"]);
});

test("findIntegrityProblems() rejects with the reason of an abort", async () => {
  using folder = temporaryFolder();
  const path = makeDatabase(String(folder));
  const controller = new AbortController();
  const check = findIntegrityProblems(path, "full", controller.signal);
  controller.abort(new Error("stop"));
  await assert.rejects(check, /^Error: stop$/);
});
