/** The engine under soak: one database, a replica in a folder that fails now and then, everything at short intervals. */
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Store } from "../../src/service/store.ts";
import { FileReplicaClient } from "../../src/storage/file.ts";
import { StorageError } from "../../src/storage/replica-client.ts";
import type {
  LTXFileInfo,
  LTXFileName,
  WriteBody,
  WriteOptions,
} from "../../src/storage/replica-client.ts";
import { Random } from "../harness/random.ts";

const folder = process.env["SOAK_FOLDER"] ?? "";
const random = new Random(Number(process.env["SOAK_SEED"] ?? 1));
const FAULT_RATE = 0.1;
const PATIENCE_MS = 60_000;

/** Fails now and then, before or after it did what it was told. */
class FailingClient extends FileReplicaClient {
  requests = 0;
  faults = 0;

  override async write(
    file: LTXFileName,
    body: WriteBody,
    options: WriteOptions,
  ): Promise<LTXFileInfo> {
    this.requests++;
    const isFault = random.chance(FAULT_RATE);
    if (isFault) this.faults++;
    if (isFault && random.chance(0.5)) throw unavailable();
    const info = await super.write(file, body, options);
    if (isFault) throw unavailable();
    return info;
  }

  override async delete(files: readonly LTXFileName[]): Promise<void> {
    this.requests++;
    await super.delete(files);
  }
}

function unavailable(): StorageError {
  return new StorageError("unavailable", "The store does not answer: injected failure");
}

const database = join(folder, "app.db");
const client = new FailingClient({ type: "file", path: join(folder, "replica") });
const store = new Store({
  databases: [
    {
      path: database,
      metaPath: join(folder, ".app.db-litestream"),
      monitorIntervalMs: 100,
      checkpointIntervalMs: 1_000,
      busyTimeoutMs: 1_000,
      minCheckpointPageCount: 200,
      truncatePageCount: 0,
      maxSyncWALBytes: 0,
      replicas: [
        { name: "file", client, syncIntervalMs: 100, maxSyncLTXFiles: 256, autoRecover: true },
      ],
      levels: {
        levelIntervalsMs: [1_000, 5_000, 15_000],
        snapshotIntervalMs: 20_000,
        snapshotRetentionMs: 30_000,
        l0RetentionMs: 35_000,
        l0RetentionCheckIntervalMs: 1_000,
        auditIntervalMs: 10_000,
      },
    },
  ],
  emit: () => {},
  shutdownSyncTimeoutMs: PATIENCE_MS,
  shutdownSyncIntervalMs: 100,
});

function tell(ok: boolean): void {
  const { requests, faults } = client;
  process.send?.({ memoryBytes: process.memoryUsage.rss(), requests, faults, ok });
}

/** An upload that fails is tried again. */
async function sync(): Promise<boolean> {
  const endAt = Date.now() + PATIENCE_MS;
  while (Date.now() < endAt) {
    try {
      await store.sync(database, new AbortController().signal);
      return true;
    } catch {
      await sleep(100);
    }
  }
  return false;
}

process.on("message", (message) => {
  if (message === "sync") void sync().then(tell);
  else
    void store.close().then(({ databases }) => {
      process.exitCode = databases.every(({ synced }) => synced) ? 0 : 1;
      process.disconnect();
    });
});
await store.open(new AbortController().signal);
tell(true);
