/**
 * The process that dies: the engine on one database with a replica in a folder. It works through a script and tells after
 * each part; between two parts the test, which is the application, writes.
 */
import { join } from "node:path";
import { Store } from "../../src/service/store.ts";
import { FileReplicaClient } from "../../src/storage/file.ts";

const folder = process.env["CRASH_ROOT"] ?? "";

function told(): Promise<void> {
  return new Promise((resolve) => process.once("message", () => resolve()));
}

const database = join(folder, "app.db");
const client = new FileReplicaClient({ type: "file", path: join(folder, "replica") });
await using store = new Store({
  databases: [
    {
      path: database,
      metaPath: join(folder, ".app.db-litestream"),
      monitorIntervalMs: 5,
      checkpointIntervalMs: 0,
      busyTimeoutMs: 1_000,
      minCheckpointPageCount: 10,
      truncatePageCount: 0,
      maxSyncWALBytes: 0,
      replicas: [
        {
          name: "file",
          client,
          syncIntervalMs: 5,
          maxSyncLTXFiles: 256,
          autoRecover: true,
        },
      ],
      levels: {
        levelIntervalsMs: [20, 60],
        snapshotIntervalMs: 150,
        snapshotRetentionMs: 100,
        l0RetentionMs: 50,
        l0RetentionCheckIntervalMs: 20,
        auditIntervalMs: 100,
      },
    },
  ],
  emit: () => {},
  shutdownSyncTimeoutMs: 5_000,
  shutdownSyncIntervalMs: 50,
});
const { signal } = new AbortController();
await store.open(signal);
const PARTS = 4;
for (let part = 1; part <= PARTS; part++) {
  // What is committed when this begins is in the replica when it ends.
  await store.sync(database, signal);
  process.send?.("synced");
  await told();
  // Levels and snapshots become due.
  await new Promise((resolve) => setTimeout(resolve, 70));
}
const { databases } = await store.close();
if (!databases.every(({ synced }) => synced)) process.exitCode = 1;
process.disconnect();
