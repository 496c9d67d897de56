import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { mkdir, mkdtempDisposable, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { runCommand, type CommandResult } from "../../test/harness/command-run.ts";
import { acquireMetaLock } from "../service/meta-lock.ts";

interface Scene extends AsyncDisposable {
  readonly folder: string;
  readonly run: (...args: string[]) => Promise<CommandResult>;
}

/** A folder with app.db, replicated twice to replica/, and a configuration. */
async function makeScene(): Promise<Scene> {
  const folder = await mkdtempDisposable(join(tmpdir(), "litestream-lists-"));
  const run = (...args: string[]): Promise<CommandResult> =>
    runCommand(args, { cwd: folder.path, env: { LITESTREAM_CONFIG: "litestream.yml" } });
  await writeFile(
    join(folder.path, "litestream.yml"),
    "dbs:\n  - path: app.db\n    replica: {path: replica}\n",
  );
  using db = new DatabaseSync(join(folder.path, "app.db"));
  db.exec("PRAGMA journal_mode = WAL; CREATE TABLE t(x)");
  for (let row = 0; row < 2; row++) {
    db.exec(`INSERT INTO t VALUES (${row})`);
    const { code, stdout, stderr } = await run("replicate", "-once");
    assert.equal(code, 0, stdout + stderr);
  }
  return {
    folder: folder.path,
    run,
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

const FIRST = "0000000000000001";
const SECOND = "0000000000000002";

test("status -replica compares the replica with the local state, and -check judges", async () => {
  await using scene = await makeScene();
  const read = async (...args: string[]): Promise<Record<string, unknown>> => {
    const { stdout } = await scene.run("status", "-replica", "-json", ...args);
    const [first] = JSON.parse(stdout) as [{ replicas: [Record<string, unknown>] }];
    return first.replicas[0];
  };
  assert.equal((await read())["state"], "in sync");
  assert.equal((await scene.run("status", "-replica", "-check")).code, 0);
  const newest = join(scene.folder, `replica/ltx/0/${SECOND}-${SECOND}.ltx`);
  await rm(newest);
  const behind = await read();
  assert.deepEqual(
    [behind["state"], behind["replica_txid"], behind["lag_txids"]],
    ["behind", FIRST, 1],
  );
  assert.equal((await scene.run("status", "-replica", "-check")).code, 1);
  assert.equal((await scene.run("status", "-check")).code, 0, "the local state is all right");
  await rm(join(scene.folder, "replica"), { recursive: true });
  assert.equal((await read())["state"], "empty");
  await writeFile(join(scene.folder, "replica"), "no folder");
  const broken = await scene.run("status", "-replica");
  assert.match(broken.stdout, / error +- +-\n$/);
  assert.match(broken.stderr, /cannot read replica/);
});

test("status -check fails for a database that is missing or not configured", async () => {
  await using scene = await makeScene();
  const unknown = await scene.run("status", "-check", "other.db");
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /^database not found in config: .*other\.db/);
  await rm(join(scene.folder, "app.db"));
  const gone = await scene.run("status", "-check", "app.db");
  assert.equal(gone.code, 1);
  assert.match(gone.stdout, /no database/);
});

test("points lists what can be restored, newest first, and restore agrees", async () => {
  await using scene = await makeScene();
  const url = `file://${join(scene.folder, "replica")}`;
  const txids = async (...args: string[]): Promise<readonly string[]> => {
    const { stdout } = await scene.run("points", "-json", ...args, url);
    return (JSON.parse(stdout) as { txid: string }[]).map(({ txid }) => txid);
  };
  assert.deepEqual(await txids(), [SECOND, FIRST]);
  assert.deepEqual(await txids("-oldest-first"), [FIRST, SECOND]);
  assert.deepEqual(await txids("-limit", "1"), [SECOND]);
  for (const txid of await txids()) {
    const output = join(scene.folder, `${txid}.db`);
    const { code } = await scene.run("restore", "-txid", txid, "-o", output, url);
    assert.equal(code, 0, txid);
  }
  await rm(join(scene.folder, `replica/ltx/0/${FIRST}-${FIRST}.ltx`));
  const cut = await scene.run("points", url);
  assert.match(cut.stdout, /^txid +created +levels\n$/);
  assert.match(cut.stderr, /^1 end of a file cannot be restored/);
  const all = await scene.run("points", "-all", url);
  assert.match(all.stdout, new RegExp(`^txid .*\n${SECOND} .* no\n$`));
});

test("ltx and points name the replica where a database has several", async () => {
  await using scene = await makeScene();
  await writeFile(
    join(scene.folder, "litestream.yml"),
    "dbs:\n  - path: app.db\n    replicas: [{path: replica}, {path: other, name: far}]\n",
  );
  const both = await scene.run("ltx", "app.db");
  assert.match(both.stdout, /^replica +level/);
  const far = await scene.run("ltx", "-replica", "far", "-json", "app.db");
  assert.equal(far.stdout, "[]\n");
  const wrong = await scene.run("points", "-replica", "near", "app.db");
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /^Error: replica not found in config: near\n/);
});

test("reset removes the local state, after which replication goes on", async () => {
  await using scene = await makeScene();
  const meta = join(scene.folder, ".app.db-litestream");
  const { code, stdout, stderr } = await scene.run("reset", "app.db");
  assert.deepEqual([code, stderr], [0, ""]);
  assert.match(stdout, /^Resetting local .*\nRemoving: .*\nReset complete\. /);
  assert.deepEqual(await readdir(meta), []);
  assert.equal((await scene.run("replicate", "-once")).code, 0);
  const output = join(scene.folder, "out.db");
  assert.equal((await scene.run("restore", "-o", output, "app.db")).code, 0);
  using db = new DatabaseSync(output, { readOnly: true });
  assert.deepEqual({ ...db.prepare("SELECT count(*) AS n FROM t").get() }, { n: 2 });
});

test("reset finds the meta path of the default configuration", async () => {
  await using scene = await makeScene();
  await mkdir(join(scene.folder, "meta/ltx/0"), { recursive: true });
  await writeFile(
    join(scene.folder, "litestream.yml"),
    "dbs: [{path: app.db, meta-path: meta, replica: {path: replica}}]",
  );
  assert.equal((await scene.run("reset", "app.db")).code, 0);
  assert.equal(existsSync(join(scene.folder, "meta/ltx")), false);
  assert.ok(existsSync(join(scene.folder, ".app.db-litestream/ltx")));
});

test("reset is refused while a daemon holds the local state, unless forced", async () => {
  await using scene = await makeScene();
  const meta = join(scene.folder, ".app.db-litestream");
  {
    using _daemon = acquireMetaLock(meta, true) as Disposable;
    const refused = await scene.run("reset", "app.db");
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /^Error: cannot reset, a daemon has the database open: /);
    assert.ok(existsSync(join(meta, "ltx")));
    assert.equal((await scene.run("reset", "-dry-run", "app.db")).code, 0);
    assert.equal((await scene.run("reset", "-force", "app.db")).code, 0);
  }
  assert.deepEqual(await readdir(meta), []);
});

test("a dir entry makes its databases known to ltx and restore", async () => {
  await using scene = await makeScene();
  await mkdir(join(scene.folder, "below"));
  await writeFile(
    join(scene.folder, "litestream.yml"),
    'dbs: [{dir: ., pattern: "*.db", replica: {path: .}}]',
  );
  await scene.run("replicate", "-once", "app.db", `file://${join(scene.folder, "app.db-copy")}`);
  const listed = await scene.run("databases");
  assert.match(listed.stdout, /app\.db {2}file\n$/);
  const unknown = await scene.run("ltx", "below/other.db");
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /database not found in config/);
  const gone = await scene.run("ltx", "gone.db");
  assert.deepEqual([gone.code, gone.stderr], [0, ""]);
});

test("config check reports everything at once, and warnings with -strict", async () => {
  await using scene = await makeScene();
  const check = (...args: string[]): Promise<CommandResult> =>
    scene.run("config", "check", ...args);
  const good = await check();
  assert.deepEqual([good.code, good.stderr], [0, ""]);
  assert.match(good.stdout, /litestream\.yml: 1 database, 1 replica; 0 errors, 0 warnings\n$/);
  await writeFile(
    join(scene.folder, "bad.yml"),
    "l0-retention: -1s\nfrobnicate: 1\ndbs:\n  - {path: /a, replica: {type: s4}}\n  - {path: /b}\n",
  );
  const bad = await check("bad.yml");
  assert.equal(bad.code, 1);
  assert.match(bad.stdout, /bad\.yml:1: .*\n.*bad\.yml:[45]: .*\n.*bad\.yml:[45]: .*\n/);
  assert.match(bad.stdout, /bad\.yml:2: frobnicate: Unknown key/);
  await writeFile(
    join(scene.folder, "odd.yml"),
    "frobnicate: 1\ndbs: [{path: /a, replica: {path: /r}}]",
  );
  assert.equal((await check("odd.yml")).code, 0);
  assert.equal((await check("-strict", "odd.yml")).code, 1);
  const json = await check("-json", "odd.yml");
  const found = JSON.parse(json.stdout) as { ok: boolean; warnings: { line: number }[] };
  assert.deepEqual([found.ok, found.warnings.map(({ line }) => line)], [true, [1]]);
  const missing = await check("nope.yml");
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /^Error: config file not found: /);
});

test("config show prints settings with their sources, without secrets", async () => {
  await using scene = await makeScene();
  const file = join(scene.folder, "litestream.yml");
  await writeFile(
    file,
    "secret-access-key: hunter2\ndbs: [{path: /a, replica: {url: s3://b/p?region=$R}}]",
  );
  const { stdout } = await scene.run("config", "show");
  assert.doesNotMatch(stdout, /hunter2/);
  assert.match(
    stdout,
    /secret-access-key +\(hidden\) +.*litestream\.yml:1 \(secret-access-key\)\n/,
  );
  assert.match(stdout, /^logging\.type +text +default$/m);
  assert.match(stdout, /replica\.url .*litestream\.yml:2, with a variable\n/);
  const json = await scene.run("config", "show", "-json");
  assert.doesNotMatch(json.stdout, /hunter2/);
  const rows = JSON.parse(json.stdout) as { key: string; source: unknown }[];
  assert.deepEqual(rows.find(({ key }) => key === "dbs[/a].path")?.source, {
    kind: "file",
    line: 2,
    file,
  });
});

test("config wants check or show", async () => {
  await using scene = await makeScene();
  for (const args of [[], ["chekc"], ["check", "a", "b"], ["check", "-config", "x", "y"]]) {
    const { code, stdout, stderr } = await scene.run("config", ...args);
    assert.deepEqual([code, stdout], [1, ""]);
    assert.match(stderr, /^Error: /);
  }
});

test("help exit-codes explains the exit codes", async () => {
  const { code, stdout } = await runCommand(["help", "exit-codes"], { cwd: "/" });
  assert.equal(code, 0);
  assert.match(stdout, /^Exit codes\n\n\t0 /);
});
