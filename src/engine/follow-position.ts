/** Where a follower is, in the file that Litestream keeps beside the database (formats §11). */
import * as fs from "node:fs/promises";
import { dirname } from "node:path";
import { formatTXID, parseTXID } from "../formats/ltx/txid.ts";
import type { TXID } from "../formats/ltx/txid.ts";
import { RestoreError } from "./restore-error.ts";
import { errnoOf } from "./restore-lock.ts";

export interface FollowPosition {
  /** The last update that is complete. */
  readonly txid: TXID;
  /** Where an update led that may or may not have happened; the same as `txid` when none was under way. */
  readonly atLeast: TXID;
}

/**
 * Reads `<outputPath>-txid`; undefined when there is none. RestoreError "output-invalid" when it holds no TXID.
 *
 * `<outputPath>-txid.tmp` tells of an update that was under way: it is written before the database changes.
 */
export async function readFollowPosition(outputPath: string): Promise<FollowPosition | undefined> {
  const text = await readIfThere(`${outputPath}-txid`);
  if (text === undefined) return undefined;
  const txid = parseOrUndefined(text);
  if (txid === undefined || txid === 0n) {
    const found = JSON.stringify(text.slice(0, 40));
    throw new RestoreError(
      "output-invalid",
      `cannot resume follow mode: invalid TXID ${found} in ${outputPath}-txid`,
      { hint: startOver },
    );
  }
  const next = parseOrUndefined((await readIfThere(`${outputPath}-txid.tmp`)) ?? "") ?? 0n;
  return { txid, atLeast: next > txid ? next : txid };
}

/** What to do when there is no way to go on with a database. */
export const startOver =
  "Delete the database and its -txid file to restore it again, or bring it up to date from scratch with -force";

/** Says durably where the update leads that is about to happen. */
export async function announcePosition(outputPath: string, txid: TXID): Promise<void> {
  await using file = await fs.open(`${outputPath}-txid.tmp`, "w", 0o644);
  await file.writeFile(`${formatTXID(txid)}\n`);
  await file.sync();
}

/** Makes the announced position the present one, durably. */
export async function confirmPosition(outputPath: string): Promise<void> {
  await fs.rename(`${outputPath}-txid.tmp`, `${outputPath}-txid`);
  await syncFolderOf(outputPath);
}

/** Makes names in the folder of a file durable. */
export async function syncFolderOf(path: string): Promise<void> {
  // Windows cannot open folders; NTFS journals names by itself.
  if (process.platform === "win32") return;
  await using folder = await fs.open(dirname(path), "r");
  await folder.sync();
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await fs.readFile(path, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

function parseOrUndefined(text: string): TXID | undefined {
  try {
    return parseTXID(text.trim().toLowerCase());
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
