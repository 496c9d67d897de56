import assert from "node:assert/strict";
import { test } from "node:test";
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
