/**
 * Compaction by the daemons: both start on copies of the same database, whose level-0 files wait to become one file of level 1.
 * What a daemon spends without compaction is measured beside it and taken off.
 */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { formatLTXName, levelFolder, parseLTXName } from "../../src/formats/ltx/layout.ts";
import { MeasuredChild, runToEnd } from "../child.ts";
import { writeConfiguration } from "../configuration.ts";
import { cachedDatabase } from "../data.ts";
import { appendWAL, assertSamePages, checkpoint, placeDatabase, settleDisk } from "../databases.ts";
import { alternate, row, Workspace } from "../measure.ts";
import type { Bench, Measure, Row } from "../measure.ts";
import type { Program } from "../programs.ts";
import { restore } from "../restore.ts";
import { median } from "../statistics.ts";
import { OrderBook } from "../writers/order-book.ts";

const NEVER = "24h";
const POLL_MS = 5;
const LIMIT_MS = 120_000;
/** From a daemon's start until it has nothing left to do but compaction. */
const SETTLE_MS = 1500;

/** Half a minute of a busy database, copied each second. */
export const compaction: Measure = {
  name: "compaction",
  run: (bench) =>
    measure(bench, "compaction of 30 level-0 files", (space) => prepareBusy(bench, space, 30)),
};

/** A database that is copied after each small commit. */
export const compactionOfMany: Measure = {
  name: "compaction-files",
  run: (bench) => {
    const count = bench.quick ? 300 : 3000;
    return measure(bench, `compaction of ${count} small level-0 files`, (space) =>
      prepareSmall(bench, space, count),
    );
  },
};

async function measure(
  bench: Bench,
  work: string,
  prepare: (space: Workspace) => Promise<void>,
): Promise<Row[]> {
  using space = new Workspace(bench, "compaction");
  await prepare(space);
  const costs = await alternate(bench, bench.runs, async (program) => {
    const resting = await runDaemon(space, program, false);
    const compacting = await runDaemon(space, program, true);
    const cpuMs = compacting.cpuMs - resting.cpuMs;
    bench.log(`${work}: ${program.name} ${cpuMs.toFixed(0)} ms CPU`);
    return { cpuMs, peakBytes: compacting.peakBytes };
  });
  return [
    row(`${work}: CPU`, "s", costs, (all) => median(all.map((cost) => cost.cpuMs)) / 1000, {
      ratioAtMost: 0.2,
    }),
    row(
      `${work}: peak memory`,
      "MB",
      costs,
      (all) => Math.max(...all.map((cost) => cost.peakBytes)) / 1e6,
      { atMost: 150 },
    ),
  ];
}

/** Runs a daemon on a copy of the prepared state, until the level-0 files are in level 1 or for as long as that may take. */
async function runDaemon(
  space: Workspace,
  program: Program,
  compacts: boolean,
): Promise<{ readonly cpuMs: number; readonly peakBytes: number }> {
  fs.rmSync(space.path("work"), { recursive: true, force: true });
  execFileSync("cp", ["-a", space.path("prepared"), space.path("work")]);
  settleDisk();
  const folder = space.path("work/replica");
  const wanted = newest(folder, 0);
  const config = configure(space.path("work"), { level1: compacts ? "1s" : NEVER });
  const logFile = space.path("log");
  await using daemon = MeasuredChild.start(program, ["replicate", "-config", config], { logFile });
  await sleep(SETTLE_MS);
  if (compacts) await reached(folder, 1, wanted);
  await sleep(100);
  const usage = daemon.runningUsage();
  await daemon.stop();
  if (!compacts) return usage;
  removeFiles(folder, 0, newest(folder, 1));
  await restore(program, `file://${folder}`, space.path("work/restored.db"), { logFile });
  checkpoint(space.path("work/app.db"));
  assertSamePages(space.path("work/restored.db"), space.path("work/app.db"));
  return usage;
}

function configure(
  folder: string,
  {
    level1,
    monitorInterval = "1s",
  }: { readonly level1: string; readonly monitorInterval?: string },
): string {
  const config = path.join(folder, "config.yml");
  const url = `file://${path.join(folder, "replica")}`;
  const database = { path: path.join(folder, "app.db"), url, monitorInterval, syncInterval: "1s" };
  writeConfiguration(config, [database], {
    levels: [{ interval: level1 }],
    snapshot: { interval: NEVER },
    "shutdown-sync-timeout": "30s",
  });
  return config;
}

/** The peer copies the database, and makes of the copy a file of level 1 and a snapshot. */
async function prepareImage(bench: Bench, space: Workspace, bytes: number): Promise<void> {
  const database = space.path("prepared/app.db");
  placeDatabase(cachedDatabase(bytes), database);
  const folder = space.path("prepared/replica");
  const config = configure(space.path("prepared"), { level1: "1s" });
  const options = { logFile: space.path("log") };
  await using daemon = MeasuredChild.start(
    bench.programs.peer,
    ["replicate", "-config", config],
    options,
  );
  await reached(folder, 1, 1n);
  await reached(folder, 9, 1n);
  await daemon.stop();
}

async function prepareBusy(bench: Bench, space: Workspace, count: number): Promise<void> {
  await prepareImage(bench, space, bench.databaseBytes / 10);
  const config = configure(space.path("prepared"), { level1: NEVER });
  for (let file = 0; file < count; file++) {
    appendWAL(space.path("prepared/app.db"), bench.walBytes / 20);
    const options = { logFile: space.path("log") };
    await runToEnd(bench.programs.peer, ["replicate", "-once", "-config", config], options);
    checkpoint(space.path("prepared/app.db"));
  }
}

async function prepareSmall(bench: Bench, space: Workspace, count: number): Promise<void> {
  await prepareImage(bench, space, 1e6);
  const monitorInterval = "2ms";
  const config = configure(space.path("prepared"), { level1: NEVER, monitorInterval });
  const options = { logFile: space.path("log") };
  await using daemon = MeasuredChild.start(
    bench.programs.peer,
    ["replicate", "-config", config],
    options,
  );
  await sleep(SETTLE_MS);
  const folder = space.path("prepared/replica");
  const meta = space.path("prepared/.app.db-litestream");
  {
    using book = new OrderBook(space.path("prepared/app.db"));
    while (newest(meta, 0) < BigInt(count)) {
      book.addEntry();
      await sleep(3);
    }
  }
  await reached(folder, 0, BigInt(count));
  await daemon.stop();
}

/** Waits until a level has a file that ends at `txid` or later. */
async function reached(folder: string, level: number, txid: bigint): Promise<void> {
  for (const start = performance.now(); newest(folder, level) < txid; await sleep(POLL_MS)) {
    if (performance.now() - start > LIMIT_MS)
      throw new Error(`No ${formatLTXName(1n, txid)} in level ${level} of "${folder}" in time`);
  }
}

/** Removes the files of a level up to `txid`: only the file that was made of them can stand in for them. */
function removeFiles(folder: string, level: number, txid: bigint): void {
  const files = path.join(folder, levelFolder(level));
  for (const name of fs.readdirSync(files)) {
    if ((parseLTXName(name)?.maxTXID ?? 0n) <= txid) fs.rmSync(path.join(files, name));
  }
}

function newest(folder: string, level: number): bigint {
  const files = path.join(folder, levelFolder(level));
  if (!fs.existsSync(files)) return 0n;
  return fs.readdirSync(files).reduce((max, name) => {
    const txid = parseLTXName(name)?.maxTXID ?? 0n;
    return txid > max ? txid : max;
  }, 0n);
}
