import assert from "node:assert/strict";
import { copyFileSync, readFileSync, renameSync, truncateSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { contentOf, FollowSource } from "../../test/harness/follow-source.ts";
import { Scratch } from "../../test/harness/scratch.ts";
import { MemoryReplicaClient } from "../storage/memory.ts";
import { FollowedDatabase } from "./followed-database.ts";
import { pagesOfImage } from "./follow-pages.ts";

const signal = new AbortController().signal;

/** Two states of a database that differ in size and, if asked for, in page size. */
function states(scratch: Scratch, pageSize: number, nextPageSize: number): [Buffer, Buffer] {
  using source = new FollowSource(
    scratch.path("source.db"),
    new MemoryReplicaClient(),
    () => 0,
    pageSize,
  );
  source.commit(
    "CREATE TABLE item (id INTEGER PRIMARY KEY, body BLOB); INSERT INTO item VALUES (1, randomblob(50000)), (2, randomblob(90000))",
  );
  if (nextPageSize !== pageSize) source.changePageSize(nextPageSize);
  source.commit(
    "DELETE FROM item WHERE id = 1; INSERT INTO item VALUES (3, randomblob(20000)); VACUUM",
  );
  const [, first, second] = source.images;
  assert.ok(first && second);
  // A followed database is in rollback mode.
  for (const image of [first, second]) image.fill(1, 18, 20);
  return [first, second];
}

for (const [from, to, direction] of [
  [4096, 4096, "shrinks"],
  [4096, 4096, "grows"],
  [512, 65_536, "shrinks"],
  [65_536, 1024, "grows"],
] as const) {
  test(`an update of pages of ${from} to ${to} bytes that ${direction} is undone by SQLite wherever it breaks off (FO2)`, async () => {
    using scratch = new Scratch("followed");
    const both = states(scratch, from, to);
    const [before, after] = direction === "shrinks" ? both : both.toReversed();
    assert.ok(before && after);
    const path = scratch.path("copy.db");
    const imagePath = scratch.path("image");
    writeFileSync(path, before);
    writeFileSync(imagePath, after);
    {
      using database = new FollowedDatabase(path);
      using pages = pagesOfImage(imagePath);
      await database.prepare(pages, signal);
      copyFileSync(`${path}-journal.tmp`, scratch.path("journal"));
    }
    const { size } = { size: Math.max(before.length, after.length) };
    for (const part of [0, 0.01, 0.3, 0.7, 1]) {
      const broken = scratch.path(`broken-${part}.db`);
      // What has been written so far is there, in whatever order; what has not is as before.
      const mixture = Buffer.alloc(size);
      before.copy(mixture);
      after.copy(mixture, 0, 0, Math.floor(after.length * part));
      writeFileSync(broken, mixture);
      if (part === 1) truncateSync(broken, after.length);
      copyFileSync(scratch.path("journal"), `${broken}-journal`);
      using reader = new DatabaseSync(broken);
      assert.deepEqual(
        { ...reader.prepare("PRAGMA integrity_check").get() },
        { integrity_check: "ok" },
      );
      assert.ok(readFileSync(broken).equals(before), `broken off after ${part}`);
    }
  });

  test(`an update of pages of ${from} to ${to} bytes that ${direction} is seen by open connections`, async () => {
    using scratch = new Scratch("followed");
    const both = states(scratch, from, to);
    const [before, after] = direction === "shrinks" ? both : both.toReversed();
    assert.ok(before && after);
    const path = scratch.path("copy.db");
    writeFileSync(path, before);
    writeFileSync(scratch.path("image"), after);
    using database = new FollowedDatabase(path);
    using reader = new DatabaseSync(path, { readOnly: true });
    const query = reader.prepare(
      "SELECT group_concat(id) AS ids, sum(length(body)) AS n FROM item",
    );
    const seenBefore = { ...query.get() };
    using pages = pagesOfImage(scratch.path("image"));
    await database.apply(await database.prepare(pages, signal), false);
    const seenAfter = { ...query.get() };
    assert.notDeepEqual(seenAfter, seenBefore);
    assert.deepEqual(
      { ...reader.prepare("PRAGMA integrity_check").get() },
      { integrity_check: "ok" },
    );
    assert.ok(contentOf(readFileSync(path)).equals(contentOf(after)));
    assert.equal(database.pageSize, after.readUInt16BE(16) === 1 ? 65_536 : after.readUInt16BE(16));
  });
}

test("FollowedDatabase undoes what an earlier process left when it opens the file", async () => {
  using scratch = new Scratch("followed");
  const [before, after] = states(scratch, 4096, 4096);
  const path = scratch.path("copy.db");
  writeFileSync(path, before);
  writeFileSync(scratch.path("image"), after);
  {
    using database = new FollowedDatabase(path);
    using pages = pagesOfImage(scratch.path("image"));
    await database.prepare(pages, signal);
    copyFileSync(`${path}-journal.tmp`, scratch.path("journal"));
  }
  renameSync(scratch.path("journal"), `${path}-journal`);
  writeFileSync(path, after);
  using _database = new FollowedDatabase(path);
  assert.ok(readFileSync(path).equals(before));
});
