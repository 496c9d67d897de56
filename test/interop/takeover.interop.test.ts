/** D4: continuing the states that stopped or killed Litestream programs left behind (`test/fixtures/11-*`). */
import assert from "node:assert/strict";
import { cpSync, readdirSync, readFileSync, utimesSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { Application } from "../harness/application.ts";
import { assertSamePages, openForReading, readImage } from "../harness/database-image.ts";
import { peer, programUnderTest } from "../harness/program.ts";
import { fingerprints, isFullImage, listLevel, newestTXID } from "../harness/replica-folder.ts";
import { filePlace, Replication } from "../harness/replication.ts";
import { restore } from "../harness/restored.ts";
import { Scratch } from "../harness/scratch.ts";

interface TakeoverCase {
  readonly name: string;
  readonly last_txid: string;
  readonly files: readonly { readonly path: string; readonly mtime?: string }[];
  readonly scenarios: readonly TakeoverScenario[];
}

interface TakeoverScenario {
  readonly name: string;
  readonly note: string;
  readonly steps: readonly {
    readonly sql?: readonly string[];
    readonly close?: true;
    readonly once?: true;
  }[];
  readonly expect: {
    /** What the real program added. */
    readonly new: readonly {
      readonly file: string;
      readonly pages: number;
      readonly full_image: boolean;
    }[];
    readonly rows: Readonly<Record<string, number>>;
  };
}

const fixtures = resolve(import.meta.dirname, "../fixtures");

for (const name of readdirSync(fixtures).filter((entry) => entry.startsWith("11-"))) {
  const folder = join(fixtures, name);
  const takeover = JSON.parse(readFileSync(join(folder, "case.json"), "utf8")) as TakeoverCase;
  for (const scenario of takeover.scenarios) {
    void test(`D4 ${name}: ${scenario.name}, ${scenario.note}`, { timeout: 60_000 }, () =>
      takeOver(folder, takeover, scenario),
    );
  }
}

async function takeOver(
  folder: string,
  takeover: TakeoverCase,
  { name, steps, expect }: TakeoverScenario,
): Promise<void> {
  using scratch = new Scratch(`${takeover.name}-${name}`);
  cpSync(join(folder, "replica"), scratch.path("replica"), { recursive: true });
  cpSync(join(folder, "state"), scratch.path("state"), { recursive: true });
  for (const { path, mtime } of takeover.files) {
    if (mtime !== undefined) utimesSync(scratch.path(path), new Date(mtime), new Date(mtime));
  }
  const replica = scratch.path("replica");
  const replication = new Replication({
    program: programUnderTest(),
    scratch,
    database: scratch.path("state", "app.db"),
    place: filePlace(replica),
    settings: {
      "monitor-interval": "1s",
      "checkpoint-interval": "1m",
      "min-checkpoint-page-count": 1000,
    },
  });
  const before = fingerprints(replica);
  await carryOut(replication, steps);

  const after = fingerprints(replica);
  for (const [file, hash] of before)
    assert.equal(after.get(file), hash, `${file} was changed or removed`);
  const added = listLevel(replica, 0).filter((file) => !before.has(`0/${file.name}`));
  assert.equal(
    listLevel(replica, 9).length,
    [...before.keys()].filter((file) => file.startsWith("9/")).length,
    "New snapshots",
  );
  const images = added.filter(isFullImage).length;
  assert.ok(
    images <= expect.new.filter((file) => file.full_image).length,
    `${images} full images: ${added.map((file) => file.name).join(", ")}`,
  );
  if (expect.new.length === 0) assert.deepEqual(added, []);
  const last = Number.parseInt(takeover.last_txid, 16);
  const uploadedBefore = [...before.keys()].filter((file) => file.startsWith("0/")).length;
  if (added.length > 0)
    assert.equal(added[0]?.minTXID, Math.min(last, uploadedBefore) + 1, "The first new TXID");
  assert.equal(
    newestTXID(replica),
    newestTXID(replication.metaFolder),
    "Something was not uploaded",
  );
  await assertBothRestore(replication, expect.rows);
}

/** The application's connection stays open between the steps, as in the recording. */
async function carryOut(replication: Replication, steps: TakeoverScenario["steps"]): Promise<void> {
  await using application = await Application.start(replication.database);
  await application.query("SELECT count(*) FROM account");
  for (const step of steps) {
    if (step.sql !== undefined) await application.execute(...step.sql);
    if (step.close) await application.close();
    if (step.once) await replication.once();
  }
}

async function assertBothRestore(
  replication: Replication,
  rows: Readonly<Record<string, number>>,
): Promise<void> {
  const { scratch, database, place } = replication;
  const expected = readImage(database, scratch.path("source"));
  for (const program of [replication.program, peer()]) {
    const output = scratch.path(`restored-by-${program.isPeer ? "peer" : "us"}`);
    assertSamePages(
      await restore({ program, from: place.url, output }),
      expected,
      `Restored by ${program.name}`,
    );
    using connection = openForReading(output);
    for (const [table, count] of Object.entries(rows).filter(
      ([name]) => !name.startsWith("_litestream"),
    )) {
      assert.equal(
        connection.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.["n"],
        count,
        `Rows of ${table}`,
      );
    }
  }
}
