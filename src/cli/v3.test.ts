import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { runCommand, type CommandResult } from "../../test/harness/command-run.ts";
import { Scratch } from "../../test/harness/scratch.ts";
import { FakeS3 } from "../../test/servers/fake-s3.ts";

const CASE = join(import.meta.dirname, "../../test/fixtures/08-v03-one-generation");
const GENERATION = "2f24ed9478bb60a7";
const fixture = JSON.parse(fs.readFileSync(join(CASE, "case.json"), "utf8")) as {
  readonly files: readonly { readonly path: string; readonly mtime: string }[];
  readonly expect: readonly { readonly args: object; readonly sha256?: string }[];
};
const LATEST = fixture.expect.find(({ args }) => Object.keys(args).length === 0)?.sha256;

/** A folder with a v0.3 backup of app.db in replica/, and a configuration that names both. */
class Scene implements Disposable {
  readonly scratch: Scratch = new Scratch("v3-cli");

  constructor() {
    for (const { path, mtime } of fixture.files) {
      fs.mkdirSync(dirname(this.path(path)), { recursive: true });
      fs.copyFileSync(join(CASE, path), this.path(path));
      fs.utimesSync(this.path(path), new Date(mtime), new Date(mtime));
    }
    this.configure("replica: {path: replica}");
  }

  configure(replica: string): void {
    fs.writeFileSync(this.path("litestream.yml"), `dbs:\n  - path: app.db\n    ${replica}\n`);
  }

  path(...names: string[]): string {
    return this.scratch.path(...names);
  }

  run(...args: string[]): Promise<CommandResult> {
    const env = { LITESTREAM_CONFIG: "litestream.yml" };
    return runCommand(args, { cwd: this.scratch.folder, env });
  }

  hash(name: string): string {
    return createHash("sha256")
      .update(fs.readFileSync(this.path(name)))
      .digest("hex");
  }

  [Symbol.dispose](): void {
    this.scratch[Symbol.dispose]();
  }
}

test("restore -dry-run shows a v0.3 backup", async () => {
  using scene = new Scene();
  const text = await scene.run("restore", "-dry-run", "-o", scene.path("out"), "app.db");
  assert.equal(text.code, 0, text.stderr);
  assert.match(text.stdout, /^Restore plan:\n {2}source: app\.db\n/);
  assert.match(text.stdout, new RegExp(`v0\\.3 generation: ${GENERATION}\n`));
  assert.match(
    text.stdout,
    /\nkind {6}index {2}offset {2}size {2}timestamp\nsnapshot {2}0 {6}- {7}1578/,
  );
  const json = await scene.run("restore", "-dry-run", "-json", "-o", scene.path("out"), "app.db");
  const plan = JSON.parse(json.stdout) as { generation: string; files: { kind: string }[] };
  assert.equal(plan.generation, GENERATION);
  assert.deepEqual(
    plan.files.map(({ kind }) => kind),
    ["snapshot", ...Array.from({ length: 5 }, () => "segment")],
  );
  assert.ok(!fs.existsSync(scene.path("out")));
});

test("restore -json of a v0.3 backup has no TXID and names the position", async () => {
  using scene = new Scene();
  const { stdout, stderr } = await scene.run("restore", "-json", "-o", scene.path("out"), "app.db");
  const { duration_ms: took, ...summary } = JSON.parse(stdout) as Record<string, unknown>;
  assert.equal(typeof took, "number");
  assert.deepEqual(summary, {
    db_path: scene.path("out"),
    replica: "file",
    txid: "",
    integrity_check: "quick",
    generation: GENERATION,
    index: 0,
    offset: 185_432,
  });
  assert.match(
    stderr,
    /v0\.3 backup 2f24ed9478bb60a7\/00000000:000000000002d458 of 2026-11-23T12:24:06Z/,
  );
  assert.equal(scene.hash("out"), LATEST);
});

test("restore -if-replica-exists forgives a v0.3 backup without what is wanted", async () => {
  using scene = new Scene();
  for (const flags of [
    ["-generation", "0000000000000000"],
    ["-timestamp", "2001-01-01T00:00:00Z"],
  ]) {
    const words = [...flags, "-o", scene.path("out"), "app.db"];
    const refused = await scene.run("restore", ...words);
    assert.equal(refused.code, 1);
    assert.match(
      refused.stderr,
      /^Error: (?:no matching backups found|timestamp does not exist)\n/,
    );
    const forgiven = await scene.run("restore", "-if-replica-exists", ...words);
    assert.equal(forgiven.code, 0);
    assert.match(forgiven.stdout, /no matching backups found/);
  }
  const both = await scene.run("restore", "-txid", "1", "-generation", GENERATION, "app.db");
  assert.match(both.stderr, /^Error: cannot specify -txid with -generation or -index\n/);
});

test("names that nobody understands are reported by restore and the views, not skipped silently", async () => {
  using scene = new Scene();
  const odd = `generations/${GENERATION}/wal/00000000_0.wal.lz4`;
  fs.writeFileSync(scene.path("replica", odd), "");
  for (const words of [
    ["restore", "-o", scene.path("out"), "app.db"],
    ["generations", "app.db"],
    ["snapshots", "app.db"],
    ["wal", "app.db"],
  ]) {
    const { code, stderr } = await scene.run(...words);
    assert.equal(code, 0, stderr);
    assert.match(
      stderr,
      /level=WARN msg="unknown name among v0\.3 backups, ignored" name=generations\/\S+\/00000000_0\.wal\.lz4\n/,
    );
  }
});

test("wal runs ltx where there are no v0.3 backups, and says that it is deprecated", async () => {
  using scene = new Scene();
  const listed = await scene.run("wal", "-generation", GENERATION, "app.db");
  assert.equal(listed.stdout.split("\n").length, 7);
  assert.equal(listed.stderr, "");
  const none = await scene.run("wal", "-generation", "0".repeat(16), "app.db");
  assert.equal(none.stdout, "replica  generation  index  offset  size  created\n");
  const json = JSON.parse((await scene.run("wal", "-json", "app.db")).stdout) as object[];
  assert.equal(json.length, 5);
  for (const words of [
    ["-level", "9", "app.db"],
    ["-level=all", "app.db"],
  ]) {
    const { stdout, stderr } = await scene.run("wal", ...words);
    assert.equal(stdout, "level  min_txid  max_txid  size  created\n");
    assert.match(stderr, /^Warning: 'wal' command is deprecated/);
  }
  fs.rmSync(scene.path("replica", "generations"), { recursive: true });
  const { stdout, stderr } = await scene.run("wal", "app.db");
  assert.equal(stdout, "level  min_txid  max_txid  size  created\n");
  assert.match(stderr, /^Warning: 'wal' command is deprecated/);
});

test("generations tells how far a backup lags behind the database", async () => {
  using scene = new Scene();
  const end = Date.parse("2026-11-23T12:24:06.840Z");
  for (const [lagMs, text] of [
    [12_345, "12s"],
    [65_900, "1m5s"],
    [1_234, "1.2s"],
    [123, "123ms"],
  ] as const) {
    fs.writeFileSync(scene.path("app.db"), "");
    const changed = new Date(end + lagMs + 0.5);
    fs.utimesSync(scene.path("app.db"), changed, (end + lagMs + 0.5) / 1000);
    const { stdout } = await scene.run("generations", "app.db");
    assert.equal(stdout.split("\n")[1]?.split(/ {2,}/)[2], text);
    const json = JSON.parse((await scene.run("generations", "-json", "app.db")).stdout) as [object];
    assert.deepEqual(Object.keys(json[0]), ["name", "generation", "start", "end", "lag_ms"]);
  }
});

test("replicate -restore-if-db-not-exists restores a v0.3 backup", async () => {
  using scene = new Scene();
  const { code, stdout } = await scene.run("replicate", "-once", "-restore-if-db-not-exists");
  assert.equal(code, 0, stdout);
  assert.match(stdout, /restore completed/);
  assert.match(stdout, /v0\.3 backups found, starting a new series beside them/);
  const { stdout: ltx } = await scene.run("ltx", "app.db");
  assert.match(ltx, /0000000000000001 {2}0000000000000001/);
});

test("restore takes the newest of several replicas, whatever their format", async () => {
  using scene = new Scene();
  const config = (names: readonly string[]): void =>
    scene.configure(`replicas: [${names.map((name) => `{name: ${name}, path: ${name}}`).join()}]`);
  config(["none", "replica"]);
  const first = await scene.run("restore", "-o", scene.path("first"), "app.db");
  assert.equal(first.code, 0, first.stderr);
  assert.equal(scene.hash("first"), LATEST);
  fs.copyFileSync(scene.path("first"), scene.path("app.db"));
  config(["new"]);
  assert.equal((await scene.run("replicate", "-once")).code, 0);
  config(["replica", "new"]);
  const second = await scene.run("restore", "-o", scene.path("second"), "app.db");
  assert.match(second.stderr, /restoring from replica" replica=new/);
  assert.notEqual(scene.hash("second"), LATEST, "it has Litestream's own tables of another run");
  const old = ["-replica", "replica", "-o", scene.path("third")];
  assert.equal((await scene.run("restore", ...old, "app.db")).code, 0);
  assert.equal(scene.hash("third"), LATEST);
});

test("v0.3 backups in a bucket restore and are listed", async () => {
  using scene = new Scene();
  await using store = await FakeS3.start();
  for (const { path } of fixture.files) {
    const key = path.replace(/^replica\//, "db/");
    store.objects.set(key, { body: fs.readFileSync(scene.path(path)), headers: {} });
  }
  const url = `s3://bucket/db?endpoint=${encodeURIComponent(store.endpoint)}&region=us-east-1`;
  const env = { AWS_ACCESS_KEY_ID: "key", AWS_SECRET_ACCESS_KEY: "secret" };
  const run = (...args: string[]): Promise<CommandResult> =>
    runCommand(args, { cwd: scene.scratch.folder, env });
  const { code, stderr } = await run("restore", "-o", scene.path("out"), url);
  assert.equal(code, 0, stderr);
  assert.equal(scene.hash("out"), LATEST);
  const { stdout } = await run("wal", url);
  assert.equal(stdout.split("\n").length, 7);
});
