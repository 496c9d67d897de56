/** Putting databases in place for a program, and comparing what comes back. */
import { execFileSync, spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { DatabaseSync } from "node:sqlite";

const COMPARE_BYTES = 4_194_304;
const PAGE_BYTES = 4096;

/** Copies a cached database to `target` and waits until it is on disk, so that no later write waits for it. */
export function placeDatabase(source: string, target: string): void {
  fs.mkdirSync(path.dirname(target), { recursive: true });
  fs.copyFileSync(source, target);
  settleDisk();
}

/** Writes back all dirty pages of the machine: what one program left behind must not slow the other. */
export function settleDisk(): void {
  execFileSync("sync");
}

/** Runs the application that appends `bytes` of WAL and dies with the WAL in place. */
export function appendWAL(database: string, bytes: number): void {
  const script = path.join(import.meta.dirname, "writers/append-wal.ts");
  const { signal, stderr } = spawnSync(process.execPath, [script, database, String(bytes)], {
    encoding: "utf8",
  });
  if (signal !== "SIGKILL") throw new Error(`Cannot append to the WAL of "${database}": ${stderr}`);
}

/** Moves the WAL into the database file. No program may be working on it. */
export function checkpoint(database: string): void {
  const db = new DatabaseSync(database, { timeout: 5000 });
  db.exec("pragma wal_checkpoint(truncate)");
  db.close();
}

/** Compares a restored database with its source (checkpointed, at rest) page by page; a difference is an error. */
export function assertSamePages(restored: string, source: string): void {
  const [sizeA, sizeB] = [fs.statSync(restored).size, fs.statSync(source).size];
  if (sizeA !== sizeB) {
    throw new Error(`"${restored}" differs from "${source}": ${sizeA} bytes instead of ${sizeB}`);
  }
  const [a, b] = [fs.openSync(restored, "r"), fs.openSync(source, "r")];
  const [bytesA, bytesB] = [Buffer.alloc(COMPARE_BYTES), Buffer.alloc(COMPARE_BYTES)];
  for (let offset = 0; offset < sizeA; offset += COMPARE_BYTES) {
    const count = fs.readSync(a, bytesA, 0, COMPARE_BYTES, offset);
    fs.readSync(b, bytesB, 0, COMPARE_BYTES, offset);
    if (bytesA.compare(bytesB, 0, count, 0, count) === 0) continue;
    const differs = bytesA.findIndex((byte, index) => byte !== bytesB[index]);
    const pgno = Math.floor((offset + differs) / PAGE_BYTES) + 1;
    throw new Error(`"${restored}" differs from "${source}" at page ${pgno}`);
  }
  fs.closeSync(a);
  fs.closeSync(b);
}
