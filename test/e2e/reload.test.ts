/** SIGHUP under load: a changed configuration is applied, and no transaction is lost. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ours, start, succeed } from "../harness/program.ts";
import { until } from "../harness/wait.ts";

const RELOADS = 12;

function create(path: string): DatabaseSync {
  const database = new DatabaseSync(path, { timeout: 5_000 });
  database.exec("PRAGMA journal_mode=WAL; CREATE TABLE t (id INTEGER PRIMARY KEY, text)");
  return database;
}

function countRows(path: string): unknown {
  using database = new DatabaseSync(path);
  return { ...database.prepare("SELECT count(*) AS n, max(id) AS last FROM t").get() };
}

test("SIGHUP under load applies changes and loses no transaction", async () => {
  await using scratch = await mkdtempDisposable(join(tmpdir(), "reload-"));
  const folder = scratch.path;
  const at = (name: string): string => join(folder, name);
  const config = at("litestream.yml");
  const configure = (interval: string, withSecond: boolean): void => {
    const first = `  - {path: ${at("a.db")}, replica: {path: ${at("ra")}, sync-interval: ${interval}}}\n`;
    const quiet = `  - {path: ${at("quiet.db")}, replica: {path: ${at("rq")}}}\n`;
    const second = `  - {path: ${at("b.db")}, replica: {path: ${at("rb")}}}\n`;
    writeFileSync(config, `dbs:\n${first}${quiet}${withSecond ? second : ""}`);
  };
  using a = create(at("a.db"));
  using b = create(at("b.db"));
  using _quiet = create(at("quiet.db"));
  configure("1s", false);
  await using program = start(ours(), ["replicate", "-config", config]);
  const said = (text: string, times = 1): Promise<boolean> =>
    until(() => program.output.split(text).length > times, {
      what: `${times} times ${text} in:\n${program.output.slice(-4_000)}`,
      timeoutMs: 15_000,
    });
  await said("initialized db", 2);
  let rows = 0;
  const write = (): void => {
    rows++;
    for (const database of [a, b])
      database.exec(`INSERT INTO t VALUES (${rows}, hex(randomblob(200)))`);
  };
  for (let round = 1; round <= RELOADS; round++) {
    configure(`${round}s`, round % 2 === 0);
    program.signal("SIGHUP");
    await until(
      async () => {
        for (let batch = 0; batch < 20; batch++) write();
        await sleep(1);
        return program.output.split("configuration reloaded").length > round;
      },
      { what: `reload ${round}`, timeoutMs: 15_000, everyMs: 1 },
    );
  }
  writeFileSync(config, "dbs:\n  - {path: /x, sync-intervall: 1s}\n  - {dir: /y}\n");
  program.signal("SIGHUP");
  await said("cannot reload configuration, the old one stays");
  write();
  configure(`${RELOADS}s`, true);
  const outcome = await program.stop();
  assert.equal(outcome.code, 0, outcome.stdout.slice(-4_000));
  assert.doesNotMatch(outcome.stdout, /path=\S*quiet\.db" removed|removed[^\n]*quiet\.db/);
  for (const name of ["a.db", "b.db"]) {
    const output = at(`restored-${name}`);
    await succeed(ours(), ["restore", "-config", config, "-o", output, at(name)]);
    assert.deepEqual(countRows(output), { n: rows, last: rows }, name);
  }
});
