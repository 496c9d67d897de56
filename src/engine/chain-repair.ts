/**
 * A WAL whose chain of checksums ends before its commits do. SQLite reads by its index and never checks the chain while a connection
 * is open, so that applications see those commits, and go on committing, while nothing that reads the file can tell them from
 * leftovers. SQLite itself is asked to bring everything into the database file; an image of that, and all is proven again.
 */
import { bumpSequence } from "../sqlite/connection.ts";
import { isBusy } from "../sqlite/driver.ts";
import { settle } from "./checkpoint.ts";
import type { CheckpointTarget } from "./checkpoint.ts";
import type { SettledState, Sync, SyncOutcome } from "./sync.ts";

const REASON = "WAL has commits that its checksums do not reach";

/**
 * Repairs it. "busy": somebody held the write lock or checkpointed all the time.
 *
 * @throws Error when another connection's read transaction keeps the pages from the database file: later commits are not copied
 * before it ends.
 */
export async function repairChain(
  target: CheckpointTarget,
  sync: Sync,
  onSettled: () => void,
  signal?: AbortSignal,
): Promise<SyncOutcome | "busy"> {
  // Before anything else: from now on a checkpoint may complete and the WAL restart as if all had been copied.
  sync.distrust(REASON);
  const found: { state: SettledState | null } = { state: null };
  const result = await settle(target, (walFrames) => {
    found.state = sync.settled(walFrames);
  });
  if (result === "pinned") {
    throw new Error(
      `Cannot copy what was committed to "${target.path}": its WAL has a broken chain of checksums, and a read transaction of another connection keeps the pages from the database file`,
    );
  }
  if (result === "busy" || found.state === null) return "busy";
  const outcome = await sync.runSettled(found.state, REASON, signal);
  sync.seal();
  onSettled();
  restartWAL(target);
  return outcome;
}

/** The next commit restarts the WAL, and whoever scans it from its beginning finds an unbroken chain again: make it ours. */
function restartWAL({ writer }: CheckpointTarget): void {
  try {
    bumpSequence(writer);
  } catch (error) {
    // Busy: then it is somebody else's, or a later one.
    if (!isBusy(error)) throw error;
  }
}
