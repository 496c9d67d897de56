/** File names and levels (formats §6). */
import { formatTXID } from "./txid.ts";
import type { TXID } from "./txid.ts";

/** Level of snapshots; levels 1…8 are compactions, level 0 is one file per sync. */
export const SNAPSHOT_LEVEL = 9;

const LTX_NAME = /^([0-9a-f]{16})-([0-9a-f]{16})\.ltx$/;

/** `0000000000000001-00000000000000ff.ltx` */
export function formatLTXName(minTXID: TXID, maxTXID: TXID): string {
  return `${formatTXID(minTXID)}-${formatTXID(maxTXID)}.ltx`;
}

/** The TXIDs in a file name, or null when it is not an LTX name (such names are ignored in listings). */
export function parseLTXName(name: string): { minTXID: TXID; maxTXID: TXID } | null {
  const match = LTX_NAME.exec(name);
  if (!match) return null;
  const minTXID = BigInt(`0x${match[1]}`);
  const maxTXID = BigInt(`0x${match[2]}`);
  return minTXID > 0n && minTXID <= maxTXID ? { minTXID, maxTXID } : null;
}

/** Folder of a level below the replica path: `ltx/0` everywhere but S3 and OSS. */
export function levelFolder(level: number): string {
  return `ltx/${level}`;
}

/** Folder of a level on S3 and OSS: the level as four hex digits, `0000`. */
export function levelHexFolder(level: number): string {
  return level.toString(16).padStart(4, "0");
}
