/** Folders of databases: they are found, come, go and return; 500 at once. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { ours, run, start, succeed } from "../harness/program.ts";
import type { RunningProgram } from "../harness/program.ts";
import { until } from "../harness/wait.ts";

const FEW_DESCRIPTORS_PER_DATABASE = 8;
const OTHER_DESCRIPTORS = 100;

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  using database = new DatabaseSync(path);
  database.exec("PRAGMA journal_mode=WAL; CREATE TABLE IF NOT EXISTS t (text)");
  database.prepare("INSERT INTO t VALUES (?)").run(text);
}

function texts(path: string): unknown[] {
  using database = new DatabaseSync(path);
  return database
    .prepare("SELECT text FROM t")
    .all()
    .map(({ text }) => text);
}

async function said(program: RunningProgram, text: string): Promise<void> {
  try {
    const what = JSON.stringify(text);
    await until(() => program.output.includes(text), { what, timeoutMs: 10_000 });
  } catch (error) {
    throw new Error(`${String(error)} in:\n${program.output.slice(-4_000)}`, { cause: error });
  }
}

async function scene(folder: string, pattern: string): Promise<string> {
  mkdirSync(join(folder, "dbs"));
  const config = join(folder, "litestream.yml");
  const replica = join(folder, "replica");
  const entry = `{dir: ${join(folder, "dbs")}, pattern: "${pattern}", recursive: true, watch: true, replica: {path: ${replica}}}`;
  writeFileSync(config, `dbs: [${entry}]\n`);
  return config;
}

test("databases come, are renamed, vanish and return while the folder is watched", async () => {
  await using scratch = await mkdtempDisposable(join(tmpdir(), "directory-"));
  const folder = scratch.path;
  const config = await scene(folder, "*.{db,sqlite}");
  const at = (name: string): string => join(folder, "dbs", name);
  await using program = start(ours(), ["replicate", "-config", config]);
  await said(program, "found databases in directory");
  write(at("a.db"), "first");
  await said(program, `added database to replication" path=${at("a.db")}`);
  write(at("new/sub/b.sqlite"), "nested");
  await said(program, `added database to replication" path=${at("new/sub/b.sqlite")}`);
  writeFileSync(at("later.db"), "");
  write(at("later.db"), "filled");
  await said(program, `added database to replication" path=${at("later.db")}`);

  for (const suffix of ["-wal", "-shm"]) rmSync(at(`later.db${suffix}`), { force: true });
  renameSync(at("later.db"), at("renamed.db"));
  await said(program, `removed database from replication" path=${at("later.db")}`);
  await said(program, `added database to replication" path=${at("renamed.db")}`);

  for (const suffix of ["", "-wal", "-shm"]) rmSync(at(`a.db${suffix}`), { force: true });
  await said(program, `removed database from replication" path=${at("a.db")}`);
  assert.ok(readdirSync(join(folder, "replica", "a.db")).length > 0, "the replica stays");
  write(at("a.db"), "again");
  await until(
    () =>
      program.output.split(`added database to replication" path=${at("a.db")}`)[2] !== undefined,
    {
      what: "the database that returned",
      timeoutMs: 10_000,
    },
  );
  assert.equal((await program.stop()).code, 0);

  for (const [name, expected] of [
    ["a.db", "again"],
    ["new/sub/b.sqlite", "nested"],
  ] as const) {
    const output = join(folder, "restored", name);
    await succeed(ours(), ["restore", "-config", config, "-o", output, at(name)]);
    assert.deepEqual(texts(output), [expected]);
  }
});

test("500 databases are replicated, each to its own place", async (context) => {
  await using scratch = await mkdtempDisposable(join(tmpdir(), "directory-"));
  const folder = scratch.path;
  const config = await scene(folder, "*.db");
  const names = Array.from({ length: 500 }, (_, index) => `${index % 10}/${index}.db`);
  const at = (name: string): string => join(folder, "dbs", name);
  for (const name of names) write(at(name), `before ${name}`);
  const startedAt = performance.now();
  await using program = start(ours(), ["replicate", "-config", config]);
  await until(() => program.output.split("initialized db").length > names.length, {
    what: "500 initialized databases",
    timeoutMs: 60_000,
  });
  const readyMs = Math.round(performance.now() - startedAt);
  for (const name of names) write(at(name), `after ${name}`);
  const descriptors = readdirSync(`/proc/${program.pid}/fd`).length;
  const outcome = await program.stop(60_000);
  assert.equal(outcome.code, 0, outcome.stdout.slice(-4_000));
  const tookMs = Math.round(performance.now() - startedAt);
  context.diagnostic(`ready in ${readyMs} ms, all in ${tookMs} ms, ${descriptors} descriptors`);
  assert.ok(descriptors <= names.length * FEW_DESCRIPTORS_PER_DATABASE + OTHER_DESCRIPTORS);
  for (const name of names.filter((_, index) => index % 50 === 7)) {
    const output = join(folder, "restored", name);
    await succeed(ours(), ["restore", "-config", config, "-o", output, at(name)]);
    assert.deepEqual(texts(output), [`before ${name}`, `after ${name}`]);
  }
});

test("-restore-if-db-not-exists brings back the databases of a folder", async () => {
  await using scratch = await mkdtempDisposable(join(tmpdir(), "directory-"));
  const folder = scratch.path;
  const config = await scene(folder, "*.db");
  const at = (name: string): string => join(folder, "dbs", name);
  const names = ["a.db", "new/sub/b.db", "c d.db"];
  for (const name of names) write(at(name), `first ${name}`);
  await succeed(ours(), ["replicate", "-once", "-config", config]);
  rmSync(join(folder, "dbs"), { recursive: true });
  write(at("a.db"), "another");
  const flags = ["replicate", "-once", "-restore-if-db-not-exists", "-config", config];
  const { stdout } = await succeed(ours(), flags);
  assert.ok(stdout.includes(`msg="database exists, skipping restore" path=${at("a.db")}`), stdout);
  for (const message of ["attempting restore before replication", "restore completed"])
    assert.ok(stdout.includes(`msg="${message}" path=${at("new/sub/b.db")}`), stdout);
  assert.deepEqual(
    names.map((name) => texts(at(name))),
    [["another"], ["first new/sub/b.db"], ["first c d.db"]],
  );
});

test("two folders that write to one destination stop the start; a running daemon refuses the second", async () => {
  await using scratch = await mkdtempDisposable(join(tmpdir(), "directory-"));
  const folder = scratch.path;
  const config = join(folder, "litestream.yml");
  const at = (name: string): string => join(folder, name);
  const entries = ["one", "two"].map((name) => {
    mkdirSync(at(name));
    return `{dir: ${at(name)}, pattern: "*.db", watch: true, replica: {path: ${at("replica")}}}`;
  });
  writeFileSync(config, `dbs: [${entries.join(", ")}]\n`);
  write(at("one/x.db"), "first");
  {
    await using program = start(ours(), ["replicate", "-config", config]);
    await said(program, "replicating to");
    write(at("two/x.db"), "second");
    const refusal = `level=ERROR msg="cannot add database" path=${at("two/x.db")} error=`;
    await said(program, refusal);
    const text = `Databases \\"${at("one/x.db")}\\" and \\"${at("two/x.db")}\\" have the same destination`;
    assert.ok(program.output.includes(text), program.output);
    write(at("two/y.db"), "free");
    await said(program, `added database to replication" path=${at("two/y.db")}`);
    program.signal("SIGHUP");
    await said(program, "configuration reloaded");
    assert.ok(!program.output.includes(`added database to replication" path=${at("two/x.db")}`));
    assert.equal((await program.stop()).code, 0);
  }
  const refused = await run(ours(), ["replicate", "-config", config]);
  assert.equal(refused.code, 1);
  const names = `Databases "${at("one/x.db")}" and "${at("two/x.db")}" have the same destination`;
  assert.ok(refused.stderr.startsWith(`Error: cannot replicate: ${names}`), refused.stderr);
  rmSync(at("one/x.db"));
  await using again = start(ours(), ["replicate", "-config", config]);
  await said(again, `initialized db" path=${at("two/x.db")}`);
  assert.equal((await again.stop()).code, 0);
});
