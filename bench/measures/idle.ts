/**
 * What a replicator costs while nothing is written. An idle database had its first copy and then two small commits, some
 * seconds ago, and its application still holds it open; "after the first copy" leaves the commits out.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { firstCopyDone } from "../arrivals.ts";
import { MeasuredChild } from "../child.ts";
import { writeConfiguration } from "../configuration.ts";
import { cachedDatabase } from "../data.ts";
import { placeDatabase } from "../databases.ts";
import { alternate, fewerRuns, row, Workspace } from "../measure.ts";
import type { Bench, Measure, Row, Samples } from "../measure.ts";
import type { Program } from "../programs.ts";
import { withS3 } from "../s3.ts";
import { median } from "../statistics.ts";
import { Writer } from "../writer.ts";

const SMALL_DATABASE_BYTES = 200e3;
const WAIT_LIMIT_MS = 120_000;

interface Outcome {
  readonly cpuPercent: number;
  readonly residentBytes: number;
  readonly peakBytes: number;
}

export const idleOne: Measure = {
  name: "idle-1",
  run: async (bench) => rows("idle, 1 database", await idle(bench, 1), 80),
};

export const idleHundred: Measure = {
  name: "idle-100",
  run: async (bench) => rows("idle, 100 databases", await idle(bench, 100), 110),
};

export const idleLarge: Measure = {
  name: "idle-large",
  run: async (bench) => {
    const outcomes = await alternate(bench, fewerRuns(bench), (program) =>
      observe(bench, program, cachedDatabase(bench.databaseBytes), 1, false),
    );
    const work = `idle after the first copy of ${bench.databaseBytes / 1e6} MB`;
    return [
      row(`${work}: CPU`, "%", outcomes, cpuPercent, { atMost: 0.1, ratioAtMost: 1 }),
      row(`${work}: peak memory`, "MB", outcomes, peakMegabytes, { atMost: 130 }),
    ];
  },
};

export const idleS3: Measure = {
  name: "idle-s3",
  needs: "s3",
  run: async (bench) =>
    withS3(async (server) => {
      const requests = await alternate(bench, 1, async (program) => {
        using space = new Workspace(bench, "idle");
        const database = space.path("app.db");
        placeDatabase(cachedDatabase(SMALL_DATABASE_BYTES), database);
        const args = ["replicate", database, server.url(`idle-${program.name}`, true)];
        const options = { logFile: space.path("log"), env: server.env };
        await using child = MeasuredChild.start(program, args, options);
        await sleep(settleMs(bench));
        const before = server.requests();
        if (before === 0) throw new Error(`${program.name} made no first copy on S3`);
        await sleep(60_000);
        child.runningUsage();
        return server.requests() - before;
      });
      const target = { atMost: 0 };
      return [row("idle on S3, 1 database: in a minute", "requests", requests, median, target)];
    }),
};

function idle(bench: Bench, count: number): Promise<Samples<Outcome>> {
  const source = cachedDatabase(SMALL_DATABASE_BYTES);
  return alternate(bench, fewerRuns(bench), (program) =>
    observe(bench, program, source, count, true),
  );
}

async function observe(
  bench: Bench,
  program: Program,
  source: string,
  count: number,
  commits: boolean,
): Promise<Outcome> {
  using space = new Workspace(bench, "idle");
  const all = Array.from({ length: count }, (_, index) => ({
    path: space.path(`folder-${index}`, "app.db"),
    folder: space.path(`replica-${index}`),
  }));
  for (const { path } of all) placeDatabase(source, path);
  const config = space.path("config.yml");
  writeConfiguration(
    config,
    all.map(({ path, folder }) => ({ path, url: `file://${folder}` })),
  );
  const args = ["replicate", "-config", config];
  await using child = MeasuredChild.start(program, args, { logFile: space.path("log") });
  for (const { folder } of all) await firstCopyDone(folder, WAIT_LIMIT_MS);
  await using _writer = commits ? await twoCommits(all.map(({ path }) => path)) : null;
  await sleep(settleMs(bench));
  const before = child.runningUsage();
  const startedAt = performance.now();
  await sleep(bench.quick ? 10_000 : 30_000);
  const after = child.runningUsage();
  const percent = (100 * (after.cpuMs - before.cpuMs)) / (performance.now() - startedAt);
  const { residentBytes, peakBytes } = after;
  bench.log(`${program.name}: ${percent.toFixed(3)} %, ${residentBytes / 1e6} MB`);
  return { cpuPercent: percent, residentBytes, peakBytes };
}

/** Two rounds of one commit in each database, three seconds apart. The writer stays, holding them open. */
async function twoCommits(databases: readonly string[]): Promise<Writer> {
  const count = 2 * databases.length;
  const gapMs = String(3000 / databases.length);
  const writer = new Writer("paced-writer.ts", [String(count), gapMs, gapMs, ...databases]);
  await writer.nextLine<"ready">();
  for (let i = 0; i < count; i++) await writer.nextLine<object>();
  return writer;
}

/** Time for what follows a first copy: uploads, first snapshots, garbage collection. */
function settleMs(bench: Bench): number {
  return bench.quick ? 5000 : 15_000;
}

function rows(work: string, outcomes: Samples<Outcome>, residentAtMost: number): Row[] {
  return [
    row(`${work}: CPU`, "%", outcomes, cpuPercent, { ratioAtMost: 1 }),
    row(
      `${work}: memory`,
      "MB",
      outcomes,
      (all) => median(all.map(({ residentBytes }) => residentBytes)) / 1e6,
      { atMost: residentAtMost },
    ),
    row(`${work}: peak memory`, "MB", outcomes, peakMegabytes, { atMost: 130 }),
  ];
}

function cpuPercent(outcomes: readonly Outcome[]): number {
  return median(outcomes.map((outcome) => outcome.cpuPercent));
}

function peakMegabytes(outcomes: readonly Outcome[]): number {
  return Math.max(...outcomes.map(({ peakBytes }) => peakBytes)) / 1e6;
}
