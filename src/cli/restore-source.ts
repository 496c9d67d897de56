/** What to restore from: which replica of several, and its LTX files or the v0.3 backup beside them. */
import { chooseBackupFormat, newestLTXTime } from "../engine/backup-format-plan.ts";
import { readRestorePlan } from "../engine/restore-listing.ts";
import type { RestorePlan, RestoreTarget } from "../engine/restore-plan.ts";
import { planV3Restore } from "../engine/restore-v3-plan.ts";
import type { V3RestorePlan, V3RestoreTarget } from "../engine/restore-v3-plan.ts";
import { hasV3Backups, readV3Inventory } from "../engine/v3-inventory.ts";
import type { V3Inventory } from "../engine/v3-inventory.ts";
import { formatError, type Logger } from "../service/logger.ts";
import { newestReplica, type OpenReplica } from "./newest-replica.ts";

/** What is wanted: a generation or an index exists only in v0.3 backups. */
export interface WantedBackup {
  readonly target: RestoreTarget;
  readonly generation?: string | undefined;
  readonly index?: number | undefined;
}

export interface V3Source extends OpenReplica {
  readonly format: "v3";
  readonly plan: V3RestorePlan;
  readonly target: V3RestoreTarget;
}

export interface LTXSource extends OpenReplica {
  readonly format: "ltx";
}

export type RestoreSource = LTXSource | V3Source;

/**
 * Chooses the newest state within the bounds. Costs one listing per replica; the levels are listed for it only where there
 * is a v0.3 backup, too.
 */
export async function chooseRestoreSource(
  open: readonly OpenReplica[],
  wanted: WantedBackup,
  logger: Logger,
  signal: AbortSignal | undefined,
): Promise<RestoreSource> {
  const { target } = wanted;
  const candidates =
    target.kind === "txid" ? [] : await withV3Backups(open, wanted, logger, signal);
  if (candidates.length === 0) {
    return { format: "ltx", ...(await newestReplica(open, target, logger, signal)) };
  }
  for (const { inventory } of candidates) warnUnknownNames(inventory, logger);
  const sources = isV3Only(wanted)
    ? candidates.map((candidate) => v3Source(candidate, wanted))
    : await Promise.all(open.map((entry) => bestOf(entry, candidates, wanted, signal)));
  return newestOf(sources);
}

/** Says which names among v0.3 backups were not understood: a segment that is left out is a loss. */
export function warnUnknownNames({ unknownNames }: V3Inventory, logger: Logger): void {
  for (const name of unknownNames.slice(0, namesShown)) {
    logger.warn("unknown name among v0.3 backups, ignored", { name });
  }
  const more = unknownNames.length - namesShown;
  if (more > 0) logger.warn("more unknown names among v0.3 backups, ignored", { count: more });
}

const namesShown = 10;

interface V3Candidate {
  readonly entry: OpenReplica;
  readonly inventory: V3Inventory;
}

/** A source, and what its plan says. */
interface Judged {
  readonly source: RestoreSource;
  readonly isUsable: boolean;
  readonly isEmpty: boolean;
  readonly reachedAt: Date | undefined;
  /** 0 for v0.3. */
  readonly txid: bigint;
}

function isV3Only({ generation, index }: WantedBackup): boolean {
  return generation !== undefined || index !== undefined;
}

/** The replicas with v0.3 backups, or all when nothing else is wanted. A replica that fails is a warning beside others. */
async function withV3Backups(
  open: readonly OpenReplica[],
  wanted: WantedBackup,
  logger: Logger,
  signal: AbortSignal | undefined,
): Promise<readonly V3Candidate[]> {
  const answers = await Promise.allSettled(
    open.map(({ client }) => readV3Inventory(client, signal)),
  );
  signal?.throwIfAborted();
  const failed = answers.filter((answer) => answer.status === "rejected");
  if (failed[0] !== undefined && failed.length === open.length) throw failed[0].reason;
  return open.flatMap((entry, index) => {
    const answer = answers[index];
    if (answer === undefined) return [];
    if (answer.status === "rejected") {
      const error = formatError(answer.reason);
      logger.warn("cannot look for v0.3 backups", { replica: entry.replica.name, error });
      return [];
    }
    const inventory = answer.value;
    return isV3Only(wanted) || hasV3Backups(inventory) ? [{ entry, inventory }] : [];
  });
}

async function bestOf(
  entry: OpenReplica,
  candidates: readonly V3Candidate[],
  wanted: WantedBackup,
  signal: AbortSignal | undefined,
): Promise<Judged> {
  const ltx = await readRestorePlan(
    entry.client,
    wanted.target,
    signal === undefined ? {} : { signal },
  );
  const candidate = candidates.find((one) => one.entry === entry);
  if (candidate === undefined) return ltxSource(entry, ltx);
  const v3 = v3Source(candidate, wanted);
  return chooseBackupFormat(ltx, v3.source.plan) === "v3" ? v3 : ltxSource(entry, ltx);
}

function ltxSource(entry: OpenReplica, plan: RestorePlan): Judged {
  return {
    source: { format: "ltx", ...entry },
    isUsable: plan.kind === "restore",
    isEmpty: plan.kind === "refused" && plan.reason === "no-backup",
    reachedAt: newestLTXTime(plan),
    txid: plan.kind === "restore" ? plan.reached.txid : 0n,
  };
}

function v3Source(
  { entry, inventory }: V3Candidate,
  { target, generation, index }: WantedBackup,
): Judged & { readonly source: V3Source } {
  const at = target.kind === "timestamp" ? target.at : undefined;
  const v3Target = { generation, index, at };
  const plan = planV3Restore(inventory, v3Target);
  return {
    source: { format: "v3", ...entry, plan, target: v3Target },
    isUsable: plan.kind === "restore",
    isEmpty: plan.kind === "refused" && plan.reason === "no-backup",
    reachedAt: plan.reachedAt,
    txid: 0n,
  };
}

/** The newest that can be restored; without one, the first that knows best why. */
function newestOf(sources: readonly Judged[]): RestoreSource {
  let best: Judged | undefined;
  for (const source of sources) {
    if (source.isUsable && (best === undefined || isNewer(source, best))) best = source;
  }
  const chosen = best ?? sources.find(({ isEmpty }) => !isEmpty) ?? sources[0];
  if (chosen === undefined) throw new TypeError("No replica to choose from");
  return chosen.source;
}

function isNewer(a: Judged, b: Judged): boolean {
  if (a.txid > 0n && b.txid > 0n) return a.txid > b.txid;
  return (a.reachedAt ?? new Date(0)) > (b.reachedAt ?? new Date(0));
}
