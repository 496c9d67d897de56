import assert from "node:assert/strict";
import { existsSync, readdirSync, readlinkSync } from "node:fs";
import { mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { bumpSequence, openWriter } from "./connection.ts";
import { tryBarrier, releaseBarrier } from "./checkpoint.ts";
import { openConnection } from "./node-sqlite.ts";
import { ReadLock } from "./read-lock.ts";

test("a writer that rests leaves the WAL and the read lock alone, and is back as it was", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "litestream-rest-"));
  const path = join(folder.path, "app.db");
  await writeFile(path, "");
  const { connection: writer, walLimitBytes } = openWriter(openConnection, path, () => 50_000);
  bumpSequence(writer);
  const readLock = new ReadLock(openConnection, path);
  assert.equal(openFiles(`${path}-wal`), process.platform === "linux" ? 2 : 0);
  writer.rest();
  assert.equal(openFiles(`${path}-wal`), process.platform === "linux" ? 1 : 0);
  assert.ok(existsSync(`${path}-wal`), "the writer is not the last one");
  assert.ok(readLock.held);
  assert.equal(writer.inTransaction, false);

  // A checkpoint of somebody else still stops at the read lock.
  using other = openConnection({ path });
  other.exec("PRAGMA busy_timeout = 0");
  bumpSequence(other);
  assert.equal(other.get("PRAGMA wal_checkpoint(TRUNCATE)")?.["busy"], 1);

  assert.equal(writer.get("PRAGMA journal_size_limit")?.["journal_size_limit"], walLimitBytes);
  assert.equal(writer.get("PRAGMA wal_autocheckpoint")?.["wal_autocheckpoint"], 0);
  assert.equal(writer.get("PRAGMA synchronous")?.["synchronous"], 1);
  assert.ok(tryBarrier(writer));
  writer.rest();
  assert.ok(writer.inTransaction, "a barrier is not let go");
  releaseBarrier(writer);

  other.close();
  writer.close();
  assert.throws(() => bumpSequence(writer), /closed/);
  readLock.close();
  assert.ok(existsSync(`${path}-wal`));
});

/** How many descriptors this process has of a file; 0 where that cannot be seen. */
function openFiles(path: string): number {
  if (process.platform !== "linux") return 0;
  const links = readdirSync("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return "";
    }
  });
  return links.filter((link) => link === path).length;
}
