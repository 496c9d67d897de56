/**
 * From the return of a commit in the application's process until the file that contains it stands in the replica's
 * folder. Both clocks are the machine's monotonic clock; which file contains a commit is read from the file's pages
 * afterwards.
 */
import { Arrivals, firstCopyDone } from "../arrivals.ts";
import type { Commit } from "../arrivals.ts";
import { MeasuredChild } from "../child.ts";
import { writeConfiguration } from "../configuration.ts";
import { cachedDatabase } from "../data.ts";
import { assertSamePages, checkpoint, placeDatabase } from "../databases.ts";
import { alternate, fewerRuns, row, Workspace } from "../measure.ts";
import type { Bench, Measure, Row, Samples, Target } from "../measure.ts";
import type { Program } from "../programs.ts";
import { restore } from "../restore.ts";
import { median, percentile } from "../statistics.ts";
import { Writer } from "../writer.ts";

const SMALL_DATABASE_BYTES = 1e6;
const WAIT_LIMIT_MS = 60_000;

interface Pace {
  readonly databases: number;
  readonly commits: number;
  readonly minGapMs: number;
  readonly maxGapMs: number;
  /** Both intervals of both programs; default: theirs. */
  readonly interval?: string;
}

interface Outcome {
  readonly lagsMs: readonly number[];
  readonly cpuPercent: number;
  readonly cpuMsPerCommit: number;
  readonly peakBytes: number;
}

export const latencyAfterQuiet: Measure = {
  name: "latency",
  run: async (bench) => {
    const commits = bench.quick ? 8 : 60;
    const pace = { databases: 1, commits, minGapMs: 1000, maxGapMs: 3000 };
    const outcomes = await runBoth(bench, pace, 1);
    return [
      lagRow("commit → replica, one commit in 2 s: median", outcomes, 0.5, { atMost: 20 }),
      lagRow("commit → replica, one commit in 2 s: p99", outcomes, 0.99, { atMost: 60 }),
    ];
  },
};

export const latencyTenPerSecond: Measure = {
  name: "latency-10",
  run: async (bench) => {
    const commits = bench.quick ? 50 : 200;
    const pace = { databases: 1, commits, minGapMs: 50, maxGapMs: 150 };
    const defaults = await runBoth(bench, pace, fewerRuns(bench));
    const short = await runBoth(bench, { ...pace, interval: "10ms" }, fewerRuns(bench));
    return [
      lagRow("10 commits/s, defaults: lag median", defaults, 0.5, { ratioAtMost: 1 }),
      cpuRow("10 commits/s, defaults: CPU", defaults, { ratioAtMost: 1 }),
      lagRow("10 commits/s, intervals 10 ms: lag median", short, 0.5, { ratioAtMost: 0.7 }),
      cpuRow("10 commits/s, intervals 10 ms: CPU", short, { ratioAtMost: 1 }),
    ];
  },
};

export const manyBusyDatabases: Measure = {
  name: "fifty-databases",
  run: async (bench) => {
    const pace = { databases: 50, commits: bench.quick ? 500 : 1500, minGapMs: 10, maxGapMs: 30 };
    const outcomes = await runBoth(bench, pace, fewerRuns(bench));
    const work = "50 databases × 1 commit/s";
    return [
      row(
        `${work}: CPU per commit`,
        "ms",
        outcomes,
        (all) => median(all.map((outcome) => outcome.cpuMsPerCommit)),
        { ratioAtMost: 0.8 },
      ),
      lagRow(`${work}: lag median`, outcomes, 0.5, { ratioAtMost: 0.3 }),
      row(
        `${work}: peak memory`,
        "MB",
        outcomes,
        (all) => Math.max(...all.map((outcome) => outcome.peakBytes)) / 1e6,
        { atMost: 130 },
      ),
    ];
  },
};

function lagRow(work: string, outcomes: Samples<Outcome>, part: number, target: Target): Row {
  const reduce = (all: readonly Outcome[]): number =>
    percentile(
      all.flatMap((outcome) => outcome.lagsMs),
      part,
    );
  return row(work, "ms", outcomes, reduce, target);
}

function cpuRow(work: string, outcomes: Samples<Outcome>, target: Target): Row {
  return row(work, "%", outcomes, (all) => median(all.map((one) => one.cpuPercent)), target);
}

function runBoth(bench: Bench, pace: Pace, runs: number): Promise<Samples<Outcome>> {
  return alternate(bench, runs, async (program) => {
    const outcome = await follow(bench, program, pace);
    const lag = median(outcome.lagsMs).toFixed(1);
    bench.log(`${program.name}: lag ${lag} ms, CPU ${outcome.cpuPercent.toFixed(2)} %`);
    return outcome;
  });
}

async function follow(bench: Bench, program: Program, pace: Pace): Promise<Outcome> {
  using space = new Workspace(bench, "latency");
  const all = Array.from({ length: pace.databases }, (_, index) => ({
    path: space.path(`app-${index}.db`),
    folder: space.path(`replica-${index}`),
  }));
  const source = cachedDatabase(SMALL_DATABASE_BYTES);
  for (const { path } of all) placeDatabase(source, path);
  const intervals =
    pace.interval === undefined
      ? {}
      : { monitorInterval: pace.interval, syncInterval: pace.interval };
  writeConfiguration(
    space.path("config.yml"),
    all.map(({ path, folder }) => ({ path, url: `file://${folder}`, ...intervals })),
  );
  const log = { logFile: space.path("log") };
  const outcome = await followRunning(program, pace, all, space.path("config.yml"), log);
  for (const { path, folder } of all.slice(0, 3)) {
    checkpoint(path);
    await restore(program, `file://${folder}`, `${path}.restored`, log);
    assertSamePages(`${path}.restored`, path);
  }
  return outcome;
}

async function followRunning(
  program: Program,
  pace: Pace,
  all: readonly { path: string; folder: string }[],
  config: string,
  log: { logFile: string },
): Promise<Outcome> {
  await using child = MeasuredChild.start(program, ["replicate", "-config", config], log);
  for (const { folder } of all) await firstCopyDone(folder, WAIT_LIMIT_MS);
  using watchers = new DisposableStack();
  const arrivals = all.map(({ folder }) => watchers.use(new Arrivals(folder)));
  const { commits, minGapMs, maxGapMs } = pace;
  const numbers = [commits, minGapMs, maxGapMs].map(String);
  await using writer = new Writer("paced-writer.ts", [...numbers, ...all.map(({ path }) => path)]);
  await writer.nextLine<"ready">();
  const startedAt = performance.now();
  const before = child.runningUsage();
  const perDatabase: Commit[][] = all.map(() => []);
  for (let i = 0; i < commits; i++) {
    const commit = await writer.nextLine<{ database: number; tick: number; atNs: string }>();
    perDatabase[commit.database]?.push({ tick: commit.tick, atNs: BigInt(commit.atNs) });
  }
  const after = child.runningUsage();
  const wallMs = performance.now() - startedAt;
  for (const [index, list] of perDatabase.entries()) {
    await arrivals[index]?.reached(list.at(-1)?.tick ?? 0, WAIT_LIMIT_MS);
  }
  const { peakBytes } = child.runningUsage();
  const cpuMs = after.cpuMs - before.cpuMs;
  return {
    lagsMs: perDatabase.flatMap((list, index) => arrivals[index]?.lags(list) ?? []),
    cpuPercent: (100 * cpuMs) / wallMs,
    cpuMsPerCommit: cpuMs / commits,
    peakBytes,
  };
}
