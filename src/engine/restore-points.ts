/** Tells which states of a replica can be restored, from the listing of all its levels. Pure. */
import { SNAPSHOT_LEVEL } from "../formats/ltx/layout.ts";
import type { TXID } from "../formats/ltx/txid.ts";
import type { LTXFileInfo } from "../storage/replica-client.ts";

/** A TXID at which at least one file ends. */
export interface FileEnd {
  readonly txid: TXID;
  /** The earliest time a file that ends here gives: a restore to any time after it includes this state. */
  readonly createdAt: Date;
  /** Levels with a file that ends here, ascending. */
  readonly levels: readonly number[];
  /** Whether a restore to this TXID has every file it needs: the verdict of planRestore(). */
  readonly restorable: boolean;
}

/**
 * All ends of files in order of TXID. Planning a restore for each of them would take a sorted pass per end; here one pass
 * answers for all: between two snapshots an end is restorable when a file leads to it from a restorable one.
 */
export function restorePoints(files: readonly LTXFileInfo[]): readonly FileEnd[] {
  const ends: FileEnd[] = [];
  // The last restorable state; a plan always starts from the newest snapshot at or before its target.
  let reached: TXID = 0n;
  for (const group of groupByEnd(files)) {
    const txid = group[0]?.maxTXID ?? 0n;
    const from = reached;
    const restorable = group.some((file) => isBase(file) || leads(file, from));
    // A snapshot starts over: what lies before it is of no use to what comes after.
    if (restorable) reached = txid;
    ends.push({
      txid,
      createdAt: new Date(Math.min(...group.map((file) => file.createdAt.getTime()))),
      levels: [...new Set(group.map((file) => file.level))].toSorted((a, b) => a - b),
      restorable,
    });
  }
  return ends;
}

function groupByEnd(files: readonly LTXFileInfo[]): Iterable<readonly LTXFileInfo[]> {
  const groups = new Map<TXID, LTXFileInfo[]>();
  for (const file of files.toSorted((a, b) => (a.maxTXID < b.maxTXID ? -1 : 1))) {
    const group = groups.get(file.maxTXID);
    if (group === undefined) groups.set(file.maxTXID, [file]);
    else group.push(file);
  }
  return groups.values();
}

function isBase(file: LTXFileInfo): boolean {
  return file.level === SNAPSHOT_LEVEL && file.minTXID === 1n;
}

function leads(file: LTXFileInfo, reached: TXID): boolean {
  return file.level !== SNAPSHOT_LEVEL && file.minTXID <= reached + 1n;
}
