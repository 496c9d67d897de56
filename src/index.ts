/** The library's public names: reading replicas and restoring from them. Replication itself runs in a process of its own, as the command. */
export { planRestore } from "./engine/restore-plan.ts";
export { restore } from "./engine/restore.ts";
export { RestoreError } from "./engine/restore-error.ts";
export { StorageError, isStorageError } from "./storage/replica-client.ts";
export type {
  LTXFileInfo,
  LTXFileName,
  ListOptions,
  OpenOptions,
  ReplicaClient,
  WriteBody,
  WriteOptions,
} from "./storage/replica-client.ts";
export { openReplicaClient } from "./storage/open.ts";
