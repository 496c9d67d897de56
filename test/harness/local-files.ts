/** Fills a local level-0 folder with sample files. */
import { mkdirSync, writeFileSync } from "node:fs";
import type { LocalLTX, LocalLTXOwner } from "../../src/engine/local-ltx.ts";
import type { TXID } from "../../src/formats/ltx/txid.ts";
import { formatLTXName } from "../../src/formats/ltx/layout.ts";
import { sampleLTX } from "./sample-ltx.ts";
import type { Scratch } from "./scratch.ts";
import type { SampleFields, SampleLTX } from "./sample-ltx.ts";

export const owner: LocalLTXOwner = {
  fileMode: 0o640,
  directoryMode: 0o750,
  uid: process.getuid?.() ?? -1,
  gid: process.getgid?.() ?? -1,
};

/** A file of `txid` that changes page 1 of a database of 4 pages. */
export function increment(txid: TXID, fields: Partial<SampleFields> = {}): SampleLTX {
  return sampleLTX({
    maxTXID: txid,
    commit: 4,
    pages: new Map([[1, Number(txid % 200n)]]),
    ...fields,
  });
}

/** A file of `txid` that holds all 4 pages. */
export function image(txid: TXID, fields: Partial<SampleFields> = {}): SampleLTX {
  const pages = new Map([1, 2, 3, 4].map((pgno) => [pgno, Number((txid + BigInt(pgno)) % 200n)]));
  return sampleLTX({ maxTXID: txid, commit: 4, pages, ...fields });
}

/** Puts a file in its place at once, without waiting for the disk. */
export function publish(local: LocalLTX, sample: SampleLTX): void {
  writeFileSync(local.path(sample.header.maxTXID), sample.bytes);
  local.adopt(sample.header.maxTXID, sample.header);
}

/** Image 1 and increments up to `last`. */
export function publishRun(local: LocalLTX, last: TXID, first: TXID = 1n): void {
  for (let txid = first; txid <= last; txid++)
    publish(local, txid === 1n ? image(txid) : increment(txid));
}

/** A meta folder with image 1 and increments up to `last`, written without a LocalLTX and without waiting for the disk. */
export function writeFolder(scratch: Scratch, last: TXID): string {
  const folder = scratch.path("meta", "ltx", "0");
  mkdirSync(folder, { recursive: true });
  for (let txid = 1n; txid <= last; txid++) {
    const { bytes } = txid === 1n ? image(txid) : increment(txid);
    writeFileSync(`${folder}/${formatLTXName(txid, txid)}`, bytes);
  }
  return scratch.path("meta");
}
