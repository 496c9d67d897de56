/** `litestream verify` and `litestream snapshot`, as somebody at the command line sees them. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { runCommand, type CommandResult } from "../../test/harness/command-run.ts";
import { Scratch } from "../../test/harness/scratch.ts";
import { ControlServer } from "../service/control/control-server.ts";
import { EventHub } from "../service/event-hub.ts";
import { storeDatabase } from "../../test/harness/store-options.ts";
import { Store } from "../service/store.ts";

async function replicated(
  scratch: Scratch,
): Promise<(...args: string[]) => Promise<CommandResult>> {
  const run = (...args: string[]): Promise<CommandResult> =>
    runCommand(args, { cwd: scratch.folder, env: { LITESTREAM_CONFIG: "litestream.yml" } });
  writeFileSync(
    scratch.path("litestream.yml"),
    "dbs:\n  - path: app.db\n    replicas:\n      - {name: near, path: near}\n      - {name: far, path: far}\n",
  );
  using database = new DatabaseSync(scratch.path("app.db"));
  database.exec("PRAGMA journal_mode = WAL; CREATE TABLE t (x)");
  for (let row = 0; row < 2; row++) {
    database.exec(`INSERT INTO t VALUES (${row})`);
    const { code, stderr } = await run("replicate", "-once");
    assert.equal(code, 0, stderr);
  }
  return run;
}

test("verify prints a table that lines up, one line per problem, a summary, and exits with 1", async () => {
  using scratch = new Scratch("verify");
  const run = await replicated(scratch);
  const whole = await run("verify", "app.db");
  assert.equal(whole.code, 0, whole.stdout + whole.stderr);
  assert.match(whole.stdout, /^replica +level +files +size +min_txid +max_txid +state\n/);
  assert.match(whole.stdout, /\nfar +0 +2 .* ok\n/);
  assert.match(whole.stdout, /far: whole; 2 files read, .*up to TXID 0000000000000002/);
  const folder = scratch.path("far/ltx/0");
  const newest = readdirSync(folder).toSorted().at(-1) ?? "";
  const bytes = readFileSync(join(folder, newest));
  bytes[150] = (bytes[150] ?? 0) ^ 1;
  writeFileSync(join(folder, newest), bytes);
  const broken = await run("verify", "app.db");
  assert.equal(broken.code, 1);
  assert.match(broken.stdout, /\nnear +0 +2 .* ok\n/);
  assert.match(broken.stdout, /\nfar +0 +2 .* 1 damaged\n/);
  assert.match(
    broken.stdout,
    new RegExp(`\nfar: problem: level 0 file ${newest} is damaged: .*\n`),
  );
  assert.match(broken.stdout, /far: broken, 2 problems; .*up to TXID 0000000000000001/);
  const starts = broken.stdout
    .split("\n")
    .slice(0, 3)
    .map((line) => line.search(/state$|ok$|1 damaged$/));
  assert.equal(new Set(starts).size, 1, broken.stdout);
  assert.equal((await run("verify", "-replica", "near", "app.db")).code, 0);
  const json = await run("verify", "-json", `file://${scratch.path("far")}`);
  assert.equal(json.code, 1);
  const [far] = JSON.parse(json.stdout) as [
    { whole: boolean; problems: { kind: string; file: string; harmless: boolean }[] },
  ];
  assert.equal(far.whole, false);
  assert.deepEqual(
    [far.problems[0]?.kind, far.problems[0]?.file, far.problems[0]?.harmless],
    ["damaged", newest, false],
  );
  assert.match(
    (await run("verify", "-level", "10", "app.db")).stderr,
    /level must be between 0 and 9/,
  );
});

test("snapshot asks the daemon, and says what to do where there is none for the database", async () => {
  using scratch = new Scratch("snapshot");
  const path = scratch.path("app.db");
  const socket = scratch.path("control.sock");
  const run = (...args: string[]): Promise<CommandResult> =>
    runCommand(["snapshot", "-socket", socket, ...args], { cwd: scratch.folder });
  const alone = await run("app.db");
  assert.equal(alone.code, 1);
  assert.match(alone.stderr, /failed to connect to control socket/);
  assert.match(alone.stderr, /\nHint: .*litestream replicate -once -force-snapshot/);
  using database = new DatabaseSync(path);
  database.exec("PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1)");
  const hub = new EventHub();
  await using store = new Store({
    databases: [storeDatabase(path, scratch.path("replica"))],
    emit: hub.emit,
    shutdownSyncTimeoutMs: 5_000,
    shutdownSyncIntervalMs: 20,
  });
  await store.open(AbortSignal.timeout(10_000));
  await using _server = await ControlServer.listen({
    path: socket,
    mode: 0o600,
    store,
    hub,
    version: "1.2.3",
    startedAtMs: Date.now(),
    resolvePath: (asked) => asked,
    createDatabase: async () => {
      throw new Error("not asked for");
    },
  });
  const taken = await run("-json", "app.db");
  assert.equal(taken.code, 0, taken.stderr);
  const answer = JSON.parse(taken.stdout) as Record<string, unknown>;
  assert.deepEqual([answer["db_path"], answer["status"]], [path, "snapshot_written"]);
  const txid = String(answer["txid"]);
  assert.match(txid, /^[0-9a-f]{16}$/);
  assert.deepEqual(readdirSync(scratch.path("replica/ltx/9")), [`0000000000000001-${txid}.ltx`]);
  assert.match((await run("app.db")).stdout, new RegExp(`^db_path: .*\ntxid: ${txid}\n`));
  const unknown = await run("other.db");
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /Error: snapshot failed: .*other\.db\nHint: .*-force-snapshot/);
  await store.stop(path, AbortSignal.timeout(5_000));
  assert.match((await run("app.db")).stderr, /\nHint: Start it with "litestream start /);
});
