import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { Scratch } from "../../test/harness/scratch.ts";
import { SQLiteError } from "./driver.ts";
import { assertSafeSQLite, isSafeSQLiteVersion, openConnection } from "./node-sqlite.ts";

test("isSafeSQLiteVersion() refuses what has the WAL-reset bug (F3)", () => {
  for (const version of ["3.7.0", "3.40.1", "3.50.9", "3.51.2"]) {
    assert.equal(isSafeSQLiteVersion(version), false, version);
  }
  for (const version of ["3.51.3", "3.51.10", "3.53.0", "4.0.0"]) {
    assert.equal(isSafeSQLiteVersion(version), true, version);
  }
});

test("assertSafeSQLite() lets this Node pass and says what is wrong with an old one", () => {
  assertSafeSQLite();
  assert.throws(() => assertSafeSQLite("3.51.2"), /SQLite 3\.51\.2.*Node 24\.15/);
});

test("openConnection() tells failures apart by result code", () => {
  assert.throws(
    () => openConnection({ path: "/nowhere/at/all.db", readOnly: true }).get("SELECT 1"),
    (error) => error instanceof SQLiteError && error.kind === "cannot-open",
  );
  using memory = openConnection({ path: ":memory:" });
  assert.throws(
    () => memory.exec("nonsense"),
    (error) =>
      error instanceof SQLiteError && error.kind === "other" && /nonsense/.test(error.message),
  );
});

test("openConnection() makes no file, and takes any path as it is", () => {
  using scratch = new Scratch("open");
  const missing = scratch.path("missing.db");
  assert.throws(
    () => openConnection({ path: missing }),
    (error) => error instanceof SQLiteError && error.kind === "cannot-open",
  );
  assert.ok(!existsSync(missing));
  for (const name of [
    "a b.db",
    "50%.db",
    "%41.db",
    "what?mode=memory.db",
    "#1.db",
    "'\"&;=.db",
    "ü\n.db",
  ]) {
    const path = scratch.path(name);
    {
      using database = new DatabaseSync(path);
      database.exec("CREATE TABLE t (x); INSERT INTO t VALUES (7)");
    }
    for (const readOnly of [false, true]) {
      using connection = openConnection({ path, readOnly });
      assert.equal(connection.get("SELECT x FROM t")?.["x"], 7, name);
    }
  }
});
