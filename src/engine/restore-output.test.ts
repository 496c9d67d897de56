import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { findDatabaseUser, parseLocks } from "./open-files.ts";
import { RestoreError } from "./restore-error.ts";
import type { RestoreErrorKind } from "./restore-error.ts";
import { checkRestoreOutput, openRestoreOutput } from "./restore-output.ts";

class Folder implements Disposable {
  readonly path = fs.mkdtempSync(join(process.env["TMPDIR"] ?? "/tmp", "restore-output-"));
  at(name: string): string {
    return join(this.path, name);
  }
  write(name: string, content: string): void {
    fs.writeFileSync(this.at(name), content);
  }
  /** Every file with its content: "a.db=old". */
  list(): string[] {
    return fs
      .readdirSync(this.path, { recursive: true, encoding: "utf8" })
      .filter((name) => fs.statSync(this.at(name)).isFile())
      .map((name) => `${name}=${fs.readFileSync(this.at(name), "utf8")}`)
      .toSorted();
  }
  [Symbol.dispose](): void {
    fs.rmSync(this.path, { recursive: true });
  }
}

async function rejectsWith(
  action: Promise<unknown>,
  kind: RestoreErrorKind,
): Promise<RestoreError> {
  const error = await action.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof RestoreError, `expected "${kind}", got ${String(error)}`);
  assert.equal(error.kind, kind);
  return error;
}

/** Restores the text "new". */
async function restoreNew(outputPath: string, force = false): Promise<void> {
  await using output = await openRestoreOutput({ outputPath, force });
  output.reset(3);
  output.write(new TextEncoder().encode("new"), 0, 3, 0);
  await output.sync();
  await output.publish();
}

test("openRestoreOutput() publishes a file, its missing parents too, and leaves nothing else", async () => {
  using folder = new Folder();
  await restoreNew(folder.at("a/b/app.db"));
  assert.deepEqual(folder.list(), ["a/b/app.db=new"]);
  assert.equal(fs.statSync(folder.at("a/b")).mode & 0o777, 0o700);
});

test("openRestoreOutput() leaves nothing when it is disposed unpublished", async () => {
  using folder = new Folder();
  {
    await using output = await openRestoreOutput({ outputPath: folder.at("app.db"), force: false });
    fs.writeFileSync(`${output.tempPath}-wal`, "from a check");
    assert.deepEqual(
      folder.list(),
      ["app.db.tmp-lock=", "app.db.tmp-wal=from a check", "app.db.tmp="].toSorted(),
    );
  }
  assert.deepEqual(folder.list(), []);
});

test("openRestoreOutput() replaces an empty file", async () => {
  using folder = new Folder();
  folder.write("app.db", "");
  await restoreNew(folder.at("app.db"));
  assert.deepEqual(folder.list(), ["app.db=new"]);
});

test("openRestoreOutput() refuses a database that exists, with Litestream's words", async () => {
  using folder = new Folder();
  folder.write("app.db", "old");
  const path = folder.at("app.db");
  const error = await rejectsWith(restoreNew(path), "output-exists");
  assert.equal(
    error.message,
    `cannot restore, output path already exists and is not empty: ${path}. Use -force to overwrite`,
  );
  assert.deepEqual(folder.list(), ["app.db=old"]);
});

for (const suffix of ["-wal", "-shm", "-journal"]) {
  for (const main of ["missing", "empty"]) {
    test(`openRestoreOutput() refuses a leftover ${suffix} beside a ${main} database`, async () => {
      using folder = new Folder();
      if (main === "empty") folder.write("app.db", "");
      folder.write(`app.db${suffix}`, "old");
      const before = folder.list();
      const error = await rejectsWith(restoreNew(folder.at("app.db")), "sidecar-exists");
      assert.equal(
        error.message,
        `cannot restore, SQLite sidecar path already exists: ${folder.at("app.db")}${suffix}. Use -force to overwrite`,
      );
      assert.deepEqual(folder.list(), before);
    });
  }
}

test("openRestoreOutput() with force replaces the database and removes its sidecars, also without a database", async () => {
  using folder = new Folder();
  for (const name of ["app.db", "app.db-wal", "app.db-shm", "app.db-journal"])
    folder.write(name, "old");
  folder.write("two.db-wal", "old");
  fs.chmodSync(folder.at("app.db"), 0o640);
  await restoreNew(folder.at("app.db"), true);
  await restoreNew(folder.at("two.db"), true);
  assert.deepEqual(folder.list(), ["app.db=new", "two.db=new"]);
  assert.equal(fs.statSync(folder.at("app.db")).mode & 0o777, 0o640);
});

test("openRestoreOutput() with force leaves the old database alone until it is published", async () => {
  using folder = new Folder();
  for (const name of ["app.db", "app.db-wal"]) folder.write(name, "old");
  {
    await using output = await openRestoreOutput({ outputPath: folder.at("app.db"), force: true });
    output.reset(3);
    assert.equal(fs.readFileSync(folder.at("app.db"), "utf8"), "old");
    assert.equal(fs.readFileSync(folder.at("app.db-wal"), "utf8"), "old");
  }
  assert.deepEqual(folder.list(), ["app.db-wal=old", "app.db=old"]);
});

test("openRestoreOutput() refuses what appears while it runs", async () => {
  using folder = new Folder();
  const outputPath = folder.at("app.db");
  for (const [name, kind] of [
    ["app.db", "output-exists"],
    ["app.db-wal", "sidecar-exists"],
  ] as const) {
    await using output = await openRestoreOutput({ outputPath, force: false });
    folder.write(name, "other");
    await rejectsWith(output.publish(), kind);
    assert.equal(fs.readFileSync(folder.at(name), "utf8"), "other");
    fs.rmSync(folder.at(name));
  }
});

test("openRestoreOutput() publishes no temporary file but its own", async () => {
  using folder = new Folder();
  const outputPath = folder.at("app.db");
  await using output = await openRestoreOutput({ outputPath, force: false });
  fs.rmSync(output.tempPath);
  folder.write("app.db.tmp", "of another program");
  await rejectsWith(output.publish(), "output-busy");
  assert.ok(!fs.existsSync(outputPath));
});

test("openRestoreOutput() refuses folders and devices, forced or not", async () => {
  using folder = new Folder();
  await rejectsWith(restoreNew(folder.path), "output-invalid");
  await rejectsWith(restoreNew("/dev/null", true), "output-invalid");
});

test("openRestoreOutput() removes what a dead restore left, without touching another name of it", async () => {
  using folder = new Folder();
  folder.write("finished.db", "finished");
  fs.linkSync(folder.at("finished.db"), folder.at("app.db.tmp"));
  folder.write("app.db.tmp-wal", "left");
  folder.write("app.db.tmp-lock", "");
  await restoreNew(folder.at("app.db"));
  assert.deepEqual(folder.list(), ["app.db=new", "finished.db=finished"]);
});

test("openRestoreOutput() lets one restore win per path", async () => {
  using folder = new Folder();
  const outputPath = folder.at("app.db");
  const results = await Promise.allSettled([1, 2, 3, 4].map(() => restoreNew(outputPath)));
  const lost = results.filter((result) => result.status === "rejected");
  assert.equal(lost.length, 3);
  for (const { reason } of lost)
    assert.match((reason as RestoreError).kind, /^output-(busy|exists)$/);
  assert.deepEqual(folder.list(), ["app.db=new"]);
});

test("openRestoreOutput() is kept out by a restore in another process until that dies", async () => {
  using folder = new Folder();
  const outputPath = folder.at("app.db");
  const script = `
    const { openRestoreOutput } = await import(${JSON.stringify(import.meta.resolve("./restore-output.ts"))});
    globalThis.output = await openRestoreOutput({ outputPath: ${JSON.stringify(outputPath)}, force: false });
    console.log("open");
    setInterval(() => {}, 1000);`;
  const other = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(other.stdout, "data");
  await rejectsWith(restoreNew(outputPath), "output-busy");
  other.kill("SIGKILL");
  await once(other, "exit");
  await restoreNew(outputPath);
  assert.deepEqual(folder.list(), ["app.db=new"]);
});

test(
  "checkRestoreOutput() refuses to replace a database that a process has open",
  { skip: process.platform !== "linux" },
  async () => {
    using folder = new Folder();
    const outputPath = folder.at("app.db");
    const database = new DatabaseSync(outputPath);
    database.exec("PRAGMA journal_mode = WAL; CREATE TABLE t(x); SELECT * FROM t");
    assert.equal(await findDatabaseUser(outputPath), process.pid);
    const error = await rejectsWith(
      checkRestoreOutput({ outputPath, force: true }),
      "database-in-use",
    );
    assert.match(error.message, new RegExp(`process ${process.pid}`));
    database.close();
    await checkRestoreOutput({ outputPath, force: true });
  },
);

test("parseLocks() reads the kernel's lock table", () => {
  const table = [
    "1: POSIX  ADVISORY  READ  4711 08:01:131090 128 128",
    "1: -> POSIX  ADVISORY  WRITE 4712 08:01:131090 120 120",
    "2: FLOCK  ADVISORY  WRITE 99 00:19:1 0 EOF",
    "",
  ].join("\n");
  assert.deepEqual(parseLocks(table), [{ pid: 4711, file: "08:01:131090" }]);
});
