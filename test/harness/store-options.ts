/** A database of a store under test: fast, with one replica and upstream's settings otherwise. */
import type { DatabaseOptions } from "../../src/service/store-options.ts";
import { FileReplicaClient } from "../../src/storage/file.ts";
import type { ReplicaClient } from "../../src/storage/replica-client.ts";

/** `replica`: a folder, or a client of its own. */
export function storeDatabase(path: string, replica: string | ReplicaClient): DatabaseOptions {
  const client =
    typeof replica === "string" ? new FileReplicaClient({ type: "file", path: replica }) : replica;
  return {
    path,
    metaPath: `${path}-litestream`,
    monitorIntervalMs: 20,
    checkpointIntervalMs: 0,
    busyTimeoutMs: 1_000,
    minCheckpointPageCount: 1_000,
    truncatePageCount: 0,
    maxSyncWALBytes: 0,
    replicas: [
      { name: "file", client, syncIntervalMs: 20, maxSyncLTXFiles: 256, autoRecover: false },
    ],
  };
}
