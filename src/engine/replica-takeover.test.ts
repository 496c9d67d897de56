/** Starting on replicas and local folders that the real Litestream left behind. */
import assert from "node:assert/strict";
import { cpSync, mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { owner } from "../../test/harness/local-files.ts";
import { Scratch } from "../../test/harness/scratch.ts";
import { SimulatedClock } from "../../test/harness/simulated-clock.ts";
import { FileReplicaClient } from "../storage/file.ts";
import { LocalLTX } from "./local-ltx.ts";
import { Replica } from "./replica.ts";
import type { StartPlan } from "./upload-plan.ts";

const fixtures = join(import.meta.dirname, "../../test/fixtures");

interface Start {
  readonly plan: StartPlan;
  readonly newestTXID: bigint;
}

/** Starts a replica on a copy of a fixture; the local folder holds the fixture's level 0 unless `lost` says otherwise. */
async function start(
  fixture: string,
  lost: "nothing" | "local files" | "remote level 0" = "nothing",
): Promise<Start> {
  using scratch = new Scratch("takeover");
  const [replicaFolder, level0] = [scratch.path("replica"), scratch.path("meta", "ltx", "0")];
  cpSync(join(fixtures, fixture, "replica"), replicaFolder, { recursive: true });
  if (lost !== "local files") cpSync(join(replicaFolder, "ltx", "0"), level0, { recursive: true });
  if (lost === "remote level 0") rmSync(join(replicaFolder, "ltx", "0"), { recursive: true });
  mkdirSync(level0, { recursive: true });
  const local = LocalLTX.open(scratch.path("meta"), owner);
  await using client = new FileReplicaClient({ type: "file", path: replicaFolder });
  const replica = new Replica({
    name: fixture,
    client,
    clock: new SimulatedClock(),
    emit: () => {},
    source: {
      databasePath: "/app.db",
      local,
      onImageNeeded: () => assert.fail("start() returns its plan"),
      onLocalHistoryBroken: (_, error) => assert.fail(error.message),
    },
    syncIntervalMs: 1_000,
  });
  const plan = await replica.start(new AbortController().signal);
  return { plan, newestTXID: local.newestTXID };
}

const usable = [
  "01-l0-only",
  "02-levels",
  "02-levels-retired",
  "03-page-00512",
  "03-page-65536",
  "04-checkpoints",
  "04-vacuum",
  "06-frames-0.5.10",
  "06-frames-0.5.15",
  "07-mixed-0.5.15-0.5.17",
  "09-restart-wal-intact",
];
for (const fixture of usable) {
  test(`Replica continues "${fixture}" of the real Litestream where it ended`, async () => {
    const { plan, newestTXID } = await start(fixture);
    assert.ok(newestTXID > 0n);
    assert.deepEqual(
      [plan.kind, plan.kind === "continue" && plan.position],
      ["continue", newestTXID],
      plan.reason,
    );
  });

  test(`Replica numbers above "${fixture}" of the real Litestream when the local folder is lost (R7)`, async () => {
    const { newestTXID } = await start(fixture);
    const { plan } = await start(fixture, "local files");
    assert.deepEqual(
      [plan.kind, plan.kind === "behind" && plan.nextTXID],
      ["behind", newestTXID + 1n],
    );
  });
}

for (const fixture of [
  "02-levels",
  "02-levels-retired",
  "06-frames-0.5.15",
  "07-mixed-0.5.15-0.5.17",
]) {
  test(`Replica recognises "${fixture}" by its higher levels when its level 0 has expired (E5)`, async () => {
    const levels = readdirSync(join(fixtures, fixture, "replica", "ltx"));
    assert.ok(levels.includes("1") && levels.includes("9"));
    const { plan } = await start(fixture, "remote level 0");
    assert.equal(plan.kind, "continue", plan.reason);
  });
}
