/** `reset` beside running daemons: ours and the real one keep it off, a killed one does not. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { ours, peer, run, start, type Program } from "../harness/program.ts";
import { Scratch } from "../harness/scratch.ts";
import { until } from "../harness/wait.ts";

for (const [name, find] of [
  ["ours", ours],
  ["the real one", peer],
] as const) {
  test(`reset is refused while a daemon of ${name} runs, and not after kill -9`, async () => {
    const daemon: Program = find();
    using scratch = new Scratch("reset");
    const path = scratch.path("app.db");
    using db = new DatabaseSync(path);
    db.exec("PRAGMA journal_mode = WAL; CREATE TABLE t(x)");
    const state = scratch.path(".app.db-litestream/ltx/0");
    await using running = start(daemon, ["replicate", path, `file://${scratch.path("replica")}`]);
    await until(() => existsSync(state), { what: "the local state", timeoutMs: 10_000 });
    const refused = await run(ours(), ["reset", path]);
    assert.equal(refused.code, 1, refused.stdout);
    assert.match(refused.stderr, /^Error: cannot reset, a daemon has the database open: /);
    assert.ok(existsSync(state));
    await running.kill();
    const done = await run(ours(), ["reset", path]);
    assert.equal(done.code, 0, done.stderr);
    assert.equal(existsSync(state), false);
  });
}
