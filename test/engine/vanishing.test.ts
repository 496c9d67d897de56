/** Files that are renamed away at the worst moment: nothing may be made in their place. */
import assert from "node:assert/strict";
import { existsSync, renameSync, rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import type { OpenConnection } from "../../src/sqlite/driver.ts";
import { openConnection } from "../../src/sqlite/node-sqlite.ts";
import { Engine, ReplicaImage, Workspace } from "./fixture.ts";

test("a database that is renamed while it is opened is not made anew in its old place", async () => {
  for (const atConnection of [1, 2]) {
    using workspace = new Workspace();
    {
      using application = new DatabaseSync(workspace.path);
      application.exec("PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    }
    let connections = 0;
    const open: OpenConnection = (options) => {
      if (++connections === atConnection) renameSync(workspace.path, `${workspace.path}.away`);
      return openConnection(options);
    };
    await using engine = new Engine(workspace, new ReplicaImage(), {}, open);
    assert.equal((await engine.database.tick()).state, "waiting", `connection ${atConnection}`);
    assert.ok(!existsSync(workspace.path));
    assert.deepEqual(
      engine.events.map(({ type }) => type),
      ["database-waiting"],
    );
  }
});

for (const suffix of ["-wal", "-shm"]) {
  test(`a ${suffix} file removed while the database is opened leads to another opening`, async () => {
    using workspace = new Workspace();
    {
      using application = new DatabaseSync(workspace.path);
      application.exec("PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    }
    let isRemoved = false;
    const open: OpenConnection = (options) => {
      const connection = openConnection(options);
      const get = connection.get.bind(connection);
      connection.get = (sql) => {
        const row = get(sql);
        if (options.readOnly === true && !isRemoved) {
          isRemoved = true;
          rmSync(`${workspace.path}${suffix}`);
        }
        return row;
      };
      return connection;
    };
    await using engine = new Engine(workspace, new ReplicaImage(), {}, open);
    await assert.rejects(engine.database.tick(), /was removed meanwhile/);
    assert.equal((await engine.database.tick()).state, "open");
    assert.equal(engine.database.local?.newestTXID, 1n);
  });
}

test("a WAL removed after each commit of ours is an error, not a commit without end", async () => {
  using workspace = new Workspace();
  {
    using application = new DatabaseSync(workspace.path);
    // With the bookkeeping there already, the WAL is empty at first.
    application.exec(
      `PRAGMA journal_mode = WAL; CREATE TABLE _litestream_lock (id INTEGER);
       CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER)`,
    );
  }
  let isRemoving = true;
  const open: OpenConnection = (options) => {
    const connection = openConnection(options);
    const exec = connection.exec.bind(connection);
    connection.exec = (sql: string): void => {
      exec(sql);
      if (isRemoving && sql.startsWith("INSERT INTO _litestream_seq"))
        rmSync(`${workspace.path}-wal`, { force: true });
    };
    return connection;
  };
  await using engine = new Engine(workspace, new ReplicaImage(), {}, open);
  await assert.rejects(engine.database.tick(), /its WAL was removed/);
  isRemoving = false;
  assert.equal((await engine.database.tick()).state, "open");
});
