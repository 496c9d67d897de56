/** Lists as much of a replica as a restore has to know: each level once, only those that can matter. */
import { SNAPSHOT_LEVEL } from "../formats/ltx/layout.ts";
import type {
  LTXFileInfo,
  LTXFileName,
  ListOptions,
  ReplicaClient,
} from "../storage/replica-client.ts";
import { newestSnapshot, planRestore } from "./restore-plan.ts";
import type { RestorePlan, RestoreTarget } from "./restore-plan.ts";

const compactedLevels = [1, 2, 3, 4, 5, 6, 7, 8];

export interface RestoreListingOptions {
  /** Files known to be damaged or missing. */
  readonly isExcluded?: (file: LTXFileName) => boolean;
  readonly signal?: AbortSignal;
}

/** Lists a replica and plans: what a dry run shows and what `restore()` carries out. */
export async function readRestorePlan(
  client: ReplicaClient,
  target: RestoreTarget,
  options: RestoreListingOptions = {},
): Promise<RestorePlan> {
  return planRestore(await listForRestore(client, target, options), target);
}

/**
 * The files a plan can be made from. Level 9 first: a snapshot makes level 0 before it unneeded. Level 0 before the
 * compacted levels: a file that is compacted and deleted meanwhile is then seen in one place or in both, never in none.
 */
async function listForRestore(
  client: ReplicaClient,
  target: RestoreTarget,
  { isExcluded = () => false, signal }: RestoreListingOptions,
): Promise<LTXFileInfo[]> {
  const common: ListOptions = {
    mayBlock: true,
    withTimestamps: target.kind === "timestamp",
    ...(signal === undefined ? {} : { signal }),
  };
  const list = async (level: number, options: ListOptions = common): Promise<LTXFileInfo[]> => {
    const files: LTXFileInfo[] = [];
    for await (const file of client.list(level, options)) if (!isExcluded(file)) files.push(file);
    return files;
  };
  const snapshots = await list(SNAPSHOT_LEVEL);
  const reached = newestSnapshot(snapshots, target)?.maxTXID ?? 0n;
  if (target.kind === "txid" && reached === target.txid) return snapshots;
  const synced = await list(0, { ...common, from: reached + 1n });
  const compacted = await Promise.all(compactedLevels.map((level) => list(level)));
  return [...snapshots, ...compacted.flat(), ...synced];
}
