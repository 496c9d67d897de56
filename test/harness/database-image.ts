/** What a database holds, page by page, and how two of them differ. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, realpathSync, rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";

/**
 * All pages of a database that nobody is writing to, with its WAL applied: file and WAL are copied and the copy is
 * checkpointed by SQLite, so the source stays as it is. The copy is made by a process of its own, because closing a
 * descriptor of the database here would drop the locks of connections that this process may have on it.
 */
export function readImage(database: string, copy: string): Buffer {
  for (const suffix of ["", "-wal", "-shm", "-journal"]) rmSync(copy + suffix, { force: true });
  execFileSync("cp", ["-L", database, copy]);
  const target = realpathSync(database);
  if (existsSync(`${target}-wal`)) execFileSync("cp", [`${target}-wal`, `${copy}-wal`]);
  {
    using connection = openForReading(copy);
    connection.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  }
  return readFileSync(copy);
}

/** Page size of a database image (bytes 16–17 of its header; 1 stands for 65536). */
export function pageSizeOf(image: Buffer): number {
  const size = image.readUInt16BE(16);
  return size === 1 ? 65_536 : size;
}

/** Fails unless both are equal in every byte; the message names the pages. */
export function assertSamePages(actual: Buffer, expected: Buffer, what: string): void {
  const pageSize = pageSizeOf(expected);
  assert.equal(pageSizeOf(actual), pageSize, `${what}: page size`);
  const pages = Math.max(actual.length, expected.length) / pageSize;
  const different = Array.from({ length: pages }, (_, index) => index + 1).filter((pgno) => {
    const [from, to] = [(pgno - 1) * pageSize, pgno * pageSize];
    return !actual.subarray(from, to).equals(expected.subarray(from, to));
  });
  if (different.length === 0) return;
  const sizes = `${actual.length / pageSize} pages, expected ${expected.length / pageSize}`;
  assert.fail(
    `${what}: ${sizes}; ${different.length} differ: ${different.slice(0, 12).join(", ")}`,
  );
}

/** Fails unless `PRAGMA integrity_check` says ok. */
export function assertIntegrity(database: string): void {
  using connection = openForReading(database);
  const rows = connection.prepare("PRAGMA integrity_check").all();
  assert.deepEqual(
    rows.map((row) => row["integrity_check"]),
    ["ok"],
    `integrity_check of ${database}`,
  );
}

/** Opens a database that belongs to this process alone. Never the source of a running replication: locks are per process. */
export function openForReading(database: string): DatabaseSync {
  return new DatabaseSync(database);
}
