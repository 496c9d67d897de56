/** Asks SQLite whether a database file is sound, on a thread of its own: the check of a large file takes long. */
import { once } from "node:events";
import { startWorker } from "../sqlite/start-worker.ts";
import type { IntegrityTask } from "./integrity-worker.ts";

/** "quick" omits the comparison of indexes with their tables. */
export type IntegrityCheck = "none" | "quick" | "full";

/**
 * Problems SQLite finds in a database file; none when it is sound. The file is opened as immutable: no `-wal` or `-shm`
 * is read or made, so nobody may be writing to it.
 */
export async function findIntegrityProblems(
  path: string,
  check: Exclude<IntegrityCheck, "none">,
  signal?: AbortSignal,
): Promise<string[]> {
  signal?.throwIfAborted();
  const task: IntegrityTask = {
    path,
    pragma: check === "full" ? "integrity_check" : "quick_check",
  };
  const worker = startWorker("integrity-worker", { workerData: task });
  try {
    // Rejects on the worker's "error" event and on abort.
    const [problems] = (await once(worker, "message", signal ? { signal } : {})) as [string[]];
    return problems;
  } catch (error) {
    throw signal?.aborted === true ? signal.reason : error;
  } finally {
    // Inside SQLite it ends only when the check does: the file may go before that, and nothing may wait for it.
    worker.unref();
    worker.terminate().catch(() => undefined);
  }
}
