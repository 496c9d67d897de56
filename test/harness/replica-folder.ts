/** What lies in a `file` replica or a meta folder, read without any code of the program under test. */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Header fields and page count of one LTX file (format: LTX v3 header, 100 bytes, and page index). */
export interface LTXSummary {
  readonly path: string;
  readonly level: number;
  readonly name: string;
  readonly minTXID: number;
  readonly maxTXID: number;
  readonly pageSize: number;
  /** Database size in pages after this file. */
  readonly commit: number;
  readonly pageCount: number;
}

const HEADER_SIZE = 100;
const TRAILER_SIZE = 16;
const LTX_NAME = /^[0-9a-f]{16}-[0-9a-f]{16}\.ltx$/;

/** Files of one level below `folder` (which holds `ltx/`), in order of their names. */
export function listLevel(folder: string, level: number): LTXSummary[] {
  return listNames(folder, level).map((name) =>
    summarize(join(folder, "ltx", String(level), name), level, name),
  );
}

/** Only the names: cheap enough to poll. */
export function listNames(folder: string, level: number): string[] {
  const path = join(folder, "ltx", String(level));
  if (!existsSync(path)) return [];
  return readdirSync(path)
    .filter((name) => LTX_NAME.test(name))
    .toSorted();
}

/** The greatest TXID of any level, 0 when there is nothing. */
export function newestTXID(folder: string): number {
  let newest = 0;
  for (let level = 0; level <= 9; level++) {
    const last = listNames(folder, level).at(-1);
    if (last !== undefined) newest = Math.max(newest, Number.parseInt(last.slice(17, 33), 16));
  }
  return newest;
}

/** Hash of every LTX file by `level/name`: published files must never change. */
export function fingerprints(folder: string): Map<string, string> {
  const hashes = new Map<string, string>();
  for (let level = 0; level <= 9; level++) {
    for (const name of listNames(folder, level)) {
      const bytes = readFileSync(join(folder, "ltx", String(level), name));
      hashes.set(`${level}/${name}`, createHash("sha1").update(bytes).digest("hex"));
    }
  }
  return hashes;
}

/** Whether a level-0 file other than the first holds every page of the database (the lock page never counts). */
export function isFullImage(file: LTXSummary): boolean {
  const lockPage = Math.floor(0x4000_0000 / file.pageSize) + 1;
  return file.pageCount === (file.commit >= lockPage ? file.commit - 1 : file.commit);
}

function summarize(path: string, level: number, name: string): LTXSummary {
  const bytes = readFileSync(path);
  if (bytes.toString("latin1", 0, 4) !== "LTX1") throw new Error(`${path} is no LTX file`);
  return {
    path,
    level,
    name,
    minTXID: Number(bytes.readBigUInt64BE(16)),
    maxTXID: Number(bytes.readBigUInt64BE(24)),
    pageSize: bytes.readUInt32BE(8),
    commit: bytes.readUInt32BE(12),
    pageCount: countPages(bytes),
  };
}

/** Counts the triples of the page index: varints up to a zero byte, their length in the 8 bytes behind. */
function countPages(bytes: Buffer): number {
  const end = bytes.length - TRAILER_SIZE - 8;
  let at = end - Number(bytes.readBigUInt64BE(end));
  if (at < HEADER_SIZE) throw new Error("Page index starts inside the header");
  let varints = 0;
  while (bytes[at] !== 0) {
    while ((bytes[at++] as number) >= 0x80);
    varints++;
  }
  return varints / 3;
}
