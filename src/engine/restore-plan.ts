/** Decides which files of a replica make up the database at a transaction or a time. Pure. */
import { formatLTXName, SNAPSHOT_LEVEL } from "../formats/ltx/layout.ts";
import { formatTXID } from "../formats/ltx/txid.ts";
import type { TXID } from "../formats/ltx/txid.ts";
import type { LTXFileInfo } from "../storage/replica-client.ts";

/** What to restore. A time is a strict bound: the last state before it. */
export type RestoreTarget =
  | { readonly kind: "latest" }
  | { readonly kind: "txid"; readonly txid: TXID }
  | { readonly kind: "timestamp"; readonly at: Date };

/** A state that can be restored. */
export interface RestorePoint {
  readonly txid: TXID;
  readonly createdAt: Date;
}

/** The files that make up the wanted state: each continues the one before. */
export interface RestoreChain {
  readonly kind: "restore";
  /** In order of TXID; the first is a snapshot, the last decides the size of the database. */
  readonly files: readonly LTXFileInfo[];
  readonly reached: RestorePoint;
}

export interface RestoreRefusal {
  readonly kind: "refused";
  /**
   * no-backup            nothing there, or nothing that old (`nothingAtAll` tells which)
   * txid-not-available   newer than everything, or only inside a compacted file
   * gap                  files are missing from the history
   */
  readonly reason: "no-backup" | "txid-not-available" | "gap";
  readonly nothingAtAll: boolean;
  readonly message: string;
  /** How to go on, where there is a way. */
  readonly hint: string | undefined;
  /** The last state before the obstacle. */
  readonly lastReachable: RestorePoint | undefined;
  /** On a gap: the files behind it, which make a chain if the first of them happens to hold a whole database. */
  readonly behindGap: readonly LTXFileInfo[];
}

export type RestorePlan = RestoreChain | RestoreRefusal;

/**
 * Plans a restore from the listing of all levels, in any order. Chooses the files Litestream chooses: the newest
 * snapshot within the bounds, then, as long as something follows, the file that reaches furthest (with equals: starts
 * lower, is of a higher level, is older). Refuses where files are missing, for times as well.
 */
export function planRestore(files: readonly LTXFileInfo[], target: RestoreTarget): RestorePlan {
  const within = files.filter((file) => isWithin(file, target));
  const chain = buildChain(within);
  const last = chain.at(-1);
  const reached = last?.maxTXID ?? 0n;
  const beyond = within.filter((file) => file.minTXID > reached + 1n);
  const search: Search = { files, target, last, beyond };
  if (files.length === 0) return refuseNothing(search);
  if (target.kind === "txid" && reached < target.txid) return refuseTXID(search, target.txid);
  if (last === undefined && files.some((file) => file.minTXID === 1n)) return refuseNothing(search);
  if (beyond.length > 0 && !isBeyondBecauseOfTime(search)) return refuseGap(search);
  if (last === undefined) return refuseNothing(search);
  return { kind: "restore", files: chain, reached: pointOf(last) };
}

/** The snapshot a restore starts from: the newest within the bounds. */
export function newestSnapshot(
  files: readonly LTXFileInfo[],
  target: RestoreTarget,
): LTXFileInfo | undefined {
  let newest: LTXFileInfo | undefined;
  for (const file of files) {
    if (file.level !== SNAPSHOT_LEVEL || file.minTXID !== 1n || !isWithin(file, target)) continue;
    if (newest === undefined || file.maxTXID > newest.maxTXID) newest = file;
  }
  return newest;
}

/** How to name a point to `restore`. */
export function formatRestorePoint({ txid, createdAt }: RestorePoint): string {
  return `-txid ${formatTXID(txid)} (${createdAt.toISOString()})`;
}

function isWithin(file: LTXFileInfo, target: RestoreTarget): boolean {
  switch (target.kind) {
    case "latest":
      return true;
    case "txid":
      return file.maxTXID <= target.txid;
    case "timestamp":
      return file.createdAt.getTime() < target.at.getTime();
  }
}

/** The files of a chain from TXID 1, as far as it goes. */
function buildChain(files: readonly LTXFileInfo[]): LTXFileInfo[] {
  const base = newestSnapshot(files, { kind: "latest" });
  const rest = files.filter((file) => file.level !== SNAPSHOT_LEVEL);
  if (base === undefined) return connectFiles(rest, 0n);
  return [base, ...connectFiles(rest, base.maxTXID)];
}

/** Files that continue each other after TXID `reached`, each reaching as far as possible. */
export function connectFiles(files: readonly LTXFileInfo[], reached: TXID): LTXFileInfo[] {
  const chain: LTXFileInfo[] = [];
  const waiting = files.filter((file) => file.maxTXID > reached).toSorted(compareByStart);
  // Each file is looked at once; `best` reaches furthest among those that connect to what has been reached.
  let next = 0;
  let best: LTXFileInfo | undefined;
  for (let end = reached; ;) {
    for (; next < waiting.length; next++) {
      const file = waiting[next];
      if (file === undefined || file.minTXID > end + 1n) break;
      if (best === undefined || isBetter(file, best)) best = file;
    }
    if (best === undefined || best.maxTXID <= end) return chain;
    chain.push(best);
    end = best.maxTXID;
  }
}

function isBetter(file: LTXFileInfo, than: LTXFileInfo): boolean {
  if (file.maxTXID !== than.maxTXID) return file.maxTXID > than.maxTXID;
  if (file.minTXID !== than.minTXID) return file.minTXID < than.minTXID;
  if (file.level !== than.level) return file.level > than.level;
  return file.createdAt.getTime() < than.createdAt.getTime();
}

/** What planning found out before it refuses. */
interface Search {
  readonly files: readonly LTXFileInfo[];
  readonly target: RestoreTarget;
  /** Last file of the chain that starts at TXID 1. */
  readonly last: LTXFileInfo | undefined;
  /** Files within the bounds that the chain does not reach. */
  readonly beyond: readonly LTXFileInfo[];
}

/**
 * Clocks step back: then a file before the time bound may come after one that is not. That is no gap, for the chain
 * to it exists; the state wanted is still the last one before the first file outside the bound.
 */
function isBeyondBecauseOfTime({ files, target, beyond }: Search): boolean {
  if (target.kind !== "timestamp") return false;
  const txid = maxOf(beyond.map((file) => file.maxTXID));
  const chain = buildChain(files.filter((file) => file.maxTXID <= txid));
  return chain.at(-1)?.maxTXID === txid;
}

/** Whether what seems missing is kept, only together with later states: level 0 is retired in part. A later snapshot proves nothing of what was before. */
function isKeptWithLater({ files, last, beyond }: Search): boolean {
  const txid = maxOf(beyond.map((file) => file.maxTXID));
  const history = files.filter((file) => file.level !== SNAPSHOT_LEVEL);
  return (connectFiles(history, last?.maxTXID ?? 0n).at(-1)?.maxTXID ?? 0n) >= txid;
}

function refuseNothing({ files, target }: Search): RestoreRefusal {
  if (files.length === 0) {
    return refusal("no-backup", `Cannot restore ${describeTarget(target)}: no backups found`, {
      nothingAtAll: true,
    });
  }
  const earliest = files
    .filter((file) => file.minTXID === 1n)
    .toSorted((a, b) => compareTXID(a.maxTXID, b.maxTXID))[0];
  return refusal(
    "no-backup",
    `Cannot restore ${describeTarget(target)}: no backup is that old`,
    earliest && { hint: `The oldest state kept is ${formatRestorePoint(pointOf(earliest))}` },
  );
}

function refuseTXID(search: Search, txid: TXID): RestoreRefusal {
  const { files, target, last, beyond } = search;
  const start = files.some((file) => file.minTXID === 1n);
  const ends = files.some((file) => file.maxTXID === txid);
  // A file ends where it should: were those before it there, or retired with a later snapshot in their place?
  if (ends && beyond.length > 0 && (last !== undefined || !start)) return refuseGap(search);
  const what = `Cannot restore ${describeTarget(target)}: transaction not available`;
  const hint = last && `The last state before it is ${formatRestorePoint(pointOf(last))}`;
  return refusal("txid-not-available", `${what}: ${whyNotAvailable(files, txid)}`, {
    hint,
    lastReachable: last && pointOf(last),
  });
}

function whyNotAvailable(files: readonly LTXFileInfo[], txid: TXID): string {
  const newest = maxOf(files.map((file) => file.maxTXID));
  if (txid > newest) return `the newest is ${formatTXID(newest)}`;
  const covering = files.find((file) => file.minTXID <= txid && file.maxTXID >= txid);
  if (covering === undefined) return "no file holds it";
  if (covering.maxTXID === txid) return "what came before it is not kept any more";
  const name = formatLTXName(covering.minTXID, covering.maxTXID);
  return `only a file with later ones holds it, ${name} of level ${covering.level}`;
}

function refuseGap(search: Search): RestoreRefusal {
  const { target, last, beyond } = search;
  const have = formatTXID(last?.maxTXID ?? 0n);
  const next = formatTXID(minOf(beyond.map((file) => file.minTXID)));
  const advice =
    last === undefined
      ? "restore another replica"
      : `restore the last state before the gap with ${formatRestorePoint(pointOf(last))}`;
  return refusal(
    "gap",
    `Cannot restore ${describeTarget(target)}: non-contiguous LTX files: have up to ${have} but next file starts at ${next}`,
    {
      hint: isKeptWithLater(search)
        ? `Nothing is lost, but what lies between is kept only together with later states: ${advice}`
        : `Bring the missing files back, or ${advice}`,
      lastReachable: last && pointOf(last),
      behindGap: lastRun(beyond),
    },
  );
}

/** The last uninterrupted run of files. */
function lastRun(files: readonly LTXFileInfo[]): LTXFileInfo[] {
  const end = maxOf(files.map((file) => file.maxTXID));
  let run: LTXFileInfo[] = [];
  for (let rest = files; rest.length > 0;) {
    run = connectFiles(rest, minOf(rest.map((file) => file.minTXID)) - 1n);
    const reached = run.at(-1)?.maxTXID ?? end;
    if (reached >= end) break;
    rest = rest.filter((file) => file.minTXID > reached);
  }
  return run;
}

interface RefusalDetails {
  readonly nothingAtAll?: boolean;
  readonly hint?: string | undefined;
  readonly lastReachable?: RestorePoint | undefined;
  readonly behindGap?: readonly LTXFileInfo[];
}

function refusal(
  reason: RestoreRefusal["reason"],
  message: string,
  details: RefusalDetails = {},
): RestoreRefusal {
  return {
    kind: "refused",
    reason,
    message,
    nothingAtAll: details.nothingAtAll ?? false,
    hint: details.hint,
    lastReachable: details.lastReachable,
    behindGap: details.behindGap ?? [],
  };
}

export function describeTarget(target: RestoreTarget): string {
  switch (target.kind) {
    case "latest":
      return "the latest state";
    case "txid":
      return `TXID ${formatTXID(target.txid)}`;
    case "timestamp":
      return `the state before timestamp ${target.at.toISOString()}`;
  }
}

function pointOf(file: LTXFileInfo): RestorePoint {
  return { txid: file.maxTXID, createdAt: file.createdAt };
}

function compareByStart(a: LTXFileInfo, b: LTXFileInfo): number {
  return compareTXID(a.minTXID, b.minTXID);
}

function compareTXID(a: TXID, b: TXID): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function maxOf(txids: readonly TXID[]): TXID {
  return txids.reduce((max, txid) => (txid > max ? txid : max), 0n);
}

function minOf(txids: readonly TXID[]): TXID {
  return txids.reduce((min, txid) => (txid < min ? txid : min));
}
