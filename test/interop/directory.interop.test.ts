/** Folders of databases: both programs put them into the same places, restore each other's, and ours goes on with theirs. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { listLevel } from "../harness/replica-folder.ts";
import { ours, peer, succeed } from "../harness/program.ts";
import type { Program } from "../harness/program.ts";
import { restore } from "../harness/restored.ts";
import { Scratch } from "../harness/scratch.ts";

const names = ["a.db", "sub/b.db", "sub/deeper/c.db"];

/** A folder with databases, and its configuration. */
class Folder {
  readonly config: string;
  readonly replica: string;
  readonly #dir: string;

  constructor(scratch: Scratch, name: string) {
    this.#dir = scratch.path(name, "dbs");
    this.replica = scratch.path(name, "replica");
    this.config = scratch.inFolder(name, "litestream.yml");
    const entry = `{dir: ${this.#dir}, pattern: "*.db", recursive: true, replica: {url: "file://${this.replica}"}}`;
    writeFileSync(this.config, `dbs: [${entry}]\n`);
  }

  write(name: string, text: string): void {
    const path = join(this.#dir, name);
    mkdirSync(dirname(path), { recursive: true });
    using database = new DatabaseSync(path);
    database.exec("PRAGMA journal_mode=WAL; CREATE TABLE IF NOT EXISTS t (text)");
    database.prepare("INSERT INTO t VALUES (?)").run(text);
  }

  async replicate(program: Program): Promise<void> {
    await succeed(program, ["replicate", "-once", "-config", this.config]);
  }

  /** Where in the replica folder the replicas lie. */
  replicas(): readonly string[] {
    const all = readdirSync(this.replica, { recursive: true, encoding: "utf8" });
    return all.flatMap((path) => (path.endsWith("/ltx") ? [dirname(path)] : [])).toSorted();
  }

  /** The rows of the restored database. */
  async texts(program: Program, name: string, output: string): Promise<readonly unknown[]> {
    await restore({ program, from: `file://${join(this.replica, name)}`, output });
    using database = new DatabaseSync(output);
    return database
      .prepare("SELECT text FROM t ORDER BY rowid")
      .all()
      .map(({ text }) => text);
  }
}

test("both put a folder's databases into the same places, and each restores the other's", async () => {
  using scratch = new Scratch("directory-places");
  const programs = [ours(), peer()];
  for (const [index, program] of programs.entries()) {
    const folder = new Folder(scratch, `written-${index}`);
    for (const name of names) folder.write(name, `of ${name}`);
    await folder.replicate(program);
    assert.deepEqual(folder.replicas(), names, program.name);
    for (const reader of programs) {
      for (const name of names) {
        const rows = await folder.texts(reader, name, scratch.path("restored.db"));
        assert.deepEqual(rows, [`of ${name}`], `${name} of ${program.name} by ${reader.name}`);
      }
    }
  }
});

test("ours goes on with what the real one replicated, and the real one with ours", async () => {
  using scratch = new Scratch("directory-turns");
  const folder = new Folder(scratch, "shared");
  const turns = [peer(), ours(), peer(), ours()];
  for (const [turn, program] of turns.entries()) {
    for (const name of names) folder.write(name, `${name} ${turn}`);
    await folder.replicate(program);
    assert.deepEqual(folder.replicas(), names, program.name);
  }
  for (const name of names) {
    const files = listLevel(join(folder.replica, name), 0);
    for (const [index, file] of files.entries())
      assert.equal(file.minTXID, index === 0 ? 1 : (files[index - 1]?.maxTXID ?? 0) + 1, name);
    for (const program of [ours(), peer()]) {
      const rows = await folder.texts(program, name, scratch.path("restored.db"));
      assert.deepEqual(
        rows,
        turns.map((_, turn) => `${name} ${turn}`),
        program.name,
      );
    }
  }
});

test("a name that the real one encoded stays where it is, also for a restore of what is missing", async () => {
  using scratch = new Scratch("directory-encoded");
  const folder = new Folder(scratch, "shared");
  folder.write("my own.db", "theirs");
  await folder.replicate(peer());
  folder.write("my own.db", "ours");
  await folder.replicate(ours());
  assert.deepEqual(folder.replicas(), ["my%20own.db"]);
  const empty = scratch.path("empty");
  const entry = `{dir: ${empty}, pattern: "*.db", replica: {url: "file://${folder.replica}"}}`;
  writeFileSync(folder.config, `dbs: [${entry}]\n`);
  await succeed(ours(), [
    "replicate",
    "-once",
    "-restore-if-db-not-exists",
    "-config",
    folder.config,
  ]);
  assert.ok(!existsSync(join(empty, "my%20own.db")));
  using database = new DatabaseSync(join(empty, "my own.db"));
  const rows = database.prepare("SELECT text FROM t").all();
  assert.deepEqual(
    rows.map(({ text }) => text),
    ["theirs", "ours"],
  );
});
