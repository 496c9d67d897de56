/**
 * Decides when the files of one level become one file of the next, and which of them. Pure.
 *
 * Level k (1 … 8) is made of level k − 1. Due times are multiples of the level's interval since the epoch, so that a restart
 * neither repeats nor shifts them.
 */
import { SNAPSHOT_LEVEL } from "../formats/ltx/layout.ts";
import { formatTXID } from "../formats/ltx/txid.ts";
import type { TXID } from "../formats/ltx/txid.ts";
import type { LTXFileInfo } from "../storage/replica-client.ts";
import { compareLTXFiles } from "../storage/replica-client.ts";

/** The most files that become one in one run: what bounds memory and the loss when a run fails. */
export const MAX_INPUTS = 256;
/** A file this many times as large as all others of a run together is copied within the store instead of merged. */
const COPY_RATIO = 4;

export interface DueFacts {
  readonly intervalMs: number;
  /** Epoch ms. */
  readonly nowMs: number;
  /** When this process last ran this task; undefined = never. */
  readonly lastRunAtMs: number | undefined;
  /** Time of the newest file that the task made, by this process or an earlier one; undefined = there is none. */
  readonly newestAtMs: number | undefined;
  /** By how much the task runs after each multiple, so that not everything happens at once. */
  readonly jitterMs?: number;
}

/** Epoch ms at which a task is due: at most `nowMs` means now. */
export function nextDueAtMs(facts: DueFacts): number {
  const { intervalMs, nowMs, jitterMs = 0 } = facts;
  const boundary = Math.floor((nowMs - jitterMs) / intervalMs) * intervalMs;
  // A time in the future is one of a clock that was put back: it says nothing.
  const isSince = (atMs: number | undefined): boolean =>
    atMs !== undefined && atMs >= boundary && atMs <= nowMs;
  const isDone = isSince(facts.lastRunAtMs) || isSince(facts.newestAtMs);
  return boundary + jitterMs + (isDone ? intervalMs : 0);
}

export interface CompactionFacts {
  /** The level to write, 1 … 8. */
  readonly level: number;
  /** Greatest TXID that this level or a higher compacted one holds; 0 = none. */
  readonly reached: TXID;
  /** Files that may be taken, of the level below or of all levels below, in any order. */
  readonly sources: readonly LTXFileInfo[];
  readonly snapshots: readonly LTXFileInfo[];
  /** Nothing beyond this is sure to be in the store. */
  readonly limit: TXID;
  /** Whether the store can copy files by itself. */
  readonly canCopy: boolean;
  /** Page size of a file, where that is known without a request. */
  readonly pageSizeOf?: (file: LTXFileInfo) => number | undefined;
}

/** Transactions of which no file is left that could continue a level. */
export interface Hole {
  readonly fromTXID: TXID;
  readonly toTXID: TXID;
}

export type CompactionPlan =
  | { readonly kind: "nothing" }
  | {
      readonly kind: "merge";
      /** In order, each continuing the one before. */
      readonly files: readonly LTXFileInfo[];
      /** More is to be done after this. */
      readonly more: boolean;
      /** What lies between the level's end and the first file: a snapshot stands in for it. */
      readonly skipped: Hole | undefined;
    }
  /** The files do not continue the level, and no snapshot helps. */
  | { readonly kind: "hole"; readonly hole: Hole };

/** Decides what one run of a level takes. */
export function planCompaction(facts: CompactionFacts): CompactionPlan {
  const { reached, limit } = facts;
  const sources = facts.sources
    .filter((file) => file.maxTXID > reached && file.maxTXID <= limit)
    .toSorted(compareLTXFiles);
  const first = sources[0];
  if (first === undefined) return { kind: "nothing" };
  const chain = connect(sources, reached, facts);
  if (chain.length > 0) return merge(facts, sources, chain, undefined);
  const hole = { fromTXID: reached + 1n, toTXID: first.minTXID - 1n };
  // The oldest snapshot that bridges the hole: the least history is lost to levels.
  const bridges = facts.snapshots
    .filter(
      (file) => file.level === SNAPSHOT_LEVEL && file.minTXID === 1n && file.maxTXID > reached,
    )
    .toSorted(compareLTXFiles);
  for (const { maxTXID } of bridges) {
    const after = connect(sources, maxTXID, facts);
    if (after.length === 0) continue;
    const next = after[0]?.minTXID ?? maxTXID;
    return merge(facts, sources, after, { fromTXID: reached + 1n, toTXID: next - 1n });
  }
  // A snapshot reaches beyond all of them: the level waits for what follows it.
  const newest = bridges.at(-1);
  const last = sources.reduce((max, file) => (file.maxTXID > max ? file.maxTXID : max), 0n);
  if (newest !== undefined && newest.maxTXID >= last) return { kind: "nothing" };
  return { kind: "hole", hole };
}

/** Files from TXID `reached` on, each reaching as far as possible, up to the limits of one run. */
function connect(
  sources: readonly LTXFileInfo[],
  reached: TXID,
  { pageSizeOf }: CompactionFacts,
): LTXFileInfo[] {
  const chain: LTXFileInfo[] = [];
  let next = 0;
  let best: LTXFileInfo | undefined;
  for (let end = reached; chain.length < MAX_INPUTS;) {
    for (; next < sources.length; next++) {
      const file = sources[next] as LTXFileInfo;
      if (file.minTXID > end + 1n) break;
      if (best === undefined || isBetter(file, best)) best = file;
    }
    if (best === undefined || best.maxTXID <= end) return chain;
    const before = chain.at(-1);
    if (before !== undefined && pageSizesDiffer(pageSizeOf?.(before), pageSizeOf?.(best)))
      return chain;
    chain.push(best);
    end = best.maxTXID;
  }
  return chain;
}

function isBetter(file: LTXFileInfo, than: LTXFileInfo): boolean {
  if (file.maxTXID !== than.maxTXID) return file.maxTXID > than.maxTXID;
  if (file.minTXID !== than.minTXID) return file.minTXID > than.minTXID;
  return file.level > than.level;
}

function pageSizesDiffer(a: number | undefined, b: number | undefined): boolean {
  return a !== undefined && b !== undefined && a !== b;
}

function merge(
  facts: CompactionFacts,
  sources: readonly LTXFileInfo[],
  chain: readonly LTXFileInfo[],
  skipped: Hole | undefined,
): CompactionPlan {
  const files = facts.canCopy ? setLargeApart(chain) : chain;
  const end = files.at(-1)?.maxTXID ?? 0n;
  return { kind: "merge", files, more: sources.some((file) => file.maxTXID > end), skipped };
}

/** A file that outweighs the others goes alone: then the store copies it, and nothing large travels. */
function setLargeApart(chain: readonly LTXFileInfo[]): readonly LTXFileInfo[] {
  if (chain.length < 2) return chain;
  let total = 0;
  let at = 0;
  for (const [index, file] of chain.entries()) {
    total += file.sizeBytes;
    if (file.sizeBytes > (chain[at]?.sizeBytes ?? 0)) at = index;
  }
  const largest = chain[at]?.sizeBytes ?? 0;
  if (largest < COPY_MIN_BYTES || largest <= COPY_RATIO * (total - largest)) return chain;
  return at === 0 ? chain.slice(0, 1) : chain.slice(0, at);
}

/** Below this a merge costs less than a further file in every listing. */
const COPY_MIN_BYTES = 1 << 20;

/** What is wrong with a level's listing, in words. */
export interface LevelProblem {
  readonly kind: "gap" | "overlap" | "unsorted";
  readonly before: LTXFileInfo;
  readonly after: LTXFileInfo;
  /** A gap that a snapshot bridges: restores are not affected. */
  readonly isBridged: boolean;
  readonly message: string;
}

/** Checks that each file of a level, in the order listed, continues the one before. Snapshots all start at 1: not for them. */
export function checkLevel(
  files: readonly LTXFileInfo[],
  snapshots: readonly LTXFileInfo[] = [],
): LevelProblem[] {
  const problems: LevelProblem[] = [];
  for (const [index, after] of files.entries()) {
    const before = files[index - 1];
    if (before === undefined) continue;
    const kind = relationOf(before, after);
    if (kind === "continues") continue;
    const isBridged =
      kind === "gap" &&
      snapshots.some(({ minTXID, maxTXID }) => minTXID === 1n && maxTXID + 1n >= after.minTXID);
    problems.push({ kind, before, after, isBridged, message: describe(kind, before, after) });
  }
  return problems;
}

function relationOf(before: LTXFileInfo, after: LTXFileInfo): LevelProblem["kind"] | "continues" {
  if (compareLTXFiles(before, after) >= 0) return "unsorted";
  if (after.minTXID === before.maxTXID + 1n) return "continues";
  return after.minTXID > before.maxTXID ? "gap" : "overlap";
}

function describe(kind: LevelProblem["kind"], before: LTXFileInfo, after: LTXFileInfo): string {
  const between = `${range(before)} and ${range(after)} of level ${after.level}`;
  if (kind === "gap") return `TXID gap between ${between}`;
  return kind === "overlap" ? `TXID overlap of ${between}` : `Files are not in order: ${between}`;
}

function range(file: LTXFileInfo): string {
  return `${formatTXID(file.minTXID)}-${formatTXID(file.maxTXID)}`;
}
