/**
 * Entry of the checkpoint thread: passive checkpoints on connections of its own, so that backfill and flush never hold
 * up the main thread. Same process, same SQLite library, hence the same locks.
 */
import { fsyncSync } from "node:fs";
import { parentPort } from "node:worker_threads";
import { checkpointPassive } from "./checkpoint.ts";
import type { CheckpointResult } from "./checkpoint.ts";
import type { SQLiteConnection } from "./driver.ts";
import { openConnection } from "./node-sqlite.ts";

export type CheckpointRequest =
  | { readonly kind: "checkpoint"; readonly id: number; readonly path: string }
  /** Flushes an open file of the process by its descriptor's number. */
  | { readonly kind: "flush"; readonly id: number; readonly fd: number }
  /** Closes the connection to a database. */
  | { readonly kind: "release"; readonly id: number; readonly path: string };

export type CheckpointReply =
  | { readonly id: number; readonly result: CheckpointResult | null }
  | { readonly id: number; readonly message: string; readonly code: number | undefined };

const connections = new Map<string, SQLiteConnection>();

parentPort?.on("message", (request: CheckpointRequest) => {
  parentPort?.postMessage(answer(request));
});

function answer(request: CheckpointRequest): CheckpointReply {
  try {
    return { id: request.id, result: carryOut(request) };
  } catch (error) {
    const { message, code } = error as { message: string; code?: unknown };
    return { id: request.id, message, code: typeof code === "number" ? code : undefined };
  }
}

function carryOut(request: CheckpointRequest): CheckpointResult | null {
  switch (request.kind) {
    case "checkpoint":
      return checkpointPassive(connection(request.path));
    case "flush":
      fsyncSync(request.fd);
      return null;
    case "release":
      connections.get(request.path)?.close();
      connections.delete(request.path);
      return null;
  }
}

function connection(path: string): SQLiteConnection {
  let open = connections.get(path);
  if (open === undefined) {
    open = openConnection({ path });
    // NORMAL: with OFF the next commit could overwrite frames whose pages are not on disk yet.
    open.exec("PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = NORMAL");
    connections.set(path, open);
  }
  return open;
}
