/** Images asked for by replicas: none is thrown away before it is uploaded. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Application, Engine, ReplicaImage, Workspace } from "./fixture.ts";

test("Database.startOver() forgets the history that was broken, not the image that took its place", async () => {
  using workspace = new Workspace();
  await using application = new Application();
  await application.ask({ kind: "create", path: workspace.path, pageSize: 4096, autoVacuum: 0 });
  const replica = new ReplicaImage();
  await using engine = new Engine(workspace, replica);
  const { database } = engine;
  await database.tick();
  assert.equal(database.local?.newestTXID, 1n);
  await database.startOver("file 1 is corrupt", 1n, 1n);
  await database.tick();
  assert.deepEqual([database.local.oldestTXID, database.local.newestTXID], [2n, 2n]);
  // The second replica has found the same file, and says so late.
  await database.startOver("file 1 is corrupt", 1n, 1n);
  await database.tick();
  assert.deepEqual([database.local.oldestTXID, database.local.newestTXID], [2n, 3n]);
});
