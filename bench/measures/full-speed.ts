/**
 * What replication costs an application that writes as fast as it can: 100,000 small transactions on one connection,
 * with no replicator, with the peer and with ours, in turns.
 */
import fs from "node:fs";
import { Arrivals, firstCopyDone } from "../arrivals.ts";
import { MeasuredChild } from "../child.ts";
import { cachedDatabase } from "../data.ts";
import { assertSamePages, checkpoint, placeDatabase } from "../databases.ts";
import { row, Workspace } from "../measure.ts";
import type { Bench, Measure, Row } from "../measure.ts";
import type { Program } from "../programs.ts";
import { restore } from "../restore.ts";
import { median } from "../statistics.ts";
import { Writer } from "../writer.ts";

const DATABASE_BYTES = 1e6;
const WAIT_LIMIT_MS = 60_000;
const WAL_POLL_MS = 5;

/** What the application saw. */
interface Speed {
  readonly perSecond: number;
  readonly longestMs: number;
  readonly p99Ms: number;
}

interface Outcome extends Speed {
  readonly largestWALBytes: number;
  readonly lagMs: number;
  readonly cpuMs: number;
  readonly peakBytes: number;
}

export const fullSpeedWriter: Measure = { name: "full-speed", run: measure };

async function measure(bench: Bench): Promise<Row[]> {
  const runs = Math.min(3, bench.runs);
  const alone: Speed[] = [];
  const peer: Outcome[] = [];
  const ours: Outcome[] = [];
  for (let run = 0; run < runs; run++) {
    alone.push(await writeAlone(bench));
    peer.push(await writeReplicated(bench, bench.programs.peer));
    ours.push(await writeReplicated(bench, bench.programs.ours));
  }
  const base = median(alone.map(({ perSecond }) => perSecond));
  const longestAlone = Math.max(...alone.map(({ longestMs }) => longestMs)).toFixed(0);
  const samples = { peer, ours };
  const worst =
    (figure: (outcome: Outcome) => number) =>
    (all: readonly Outcome[]): number =>
      Math.max(...all.map(figure));
  const work = "writer at full speed";
  return [
    row(
      `${work}: throughput ÷ ${base.toFixed(0)}/s without replicator`,
      "×",
      samples,
      (all) => median(all.map(({ perSecond }) => perSecond)) / base,
      { atLeast: 0.9 },
    ),
    row(
      `${work}: longest commit (without replicator ${longestAlone} ms)`,
      "ms",
      samples,
      worst(({ longestMs }) => longestMs),
      { atMost: 80 },
    ),
    row(`${work}: commit p99`, "ms", samples, (all) => median(all.map(({ p99Ms }) => p99Ms))),
    row(
      `${work}: largest WAL`,
      "MB",
      samples,
      worst(({ largestWALBytes }) => largestWALBytes / 1e6),
      { atMost: 64 },
    ),
    row(
      `${work}: lag at the end`,
      "s",
      samples,
      worst(({ lagMs }) => lagMs / 1000),
      { atMost: 0.5 },
    ),
    row(`${work}: CPU`, "s", samples, (all) => median(all.map(({ cpuMs }) => cpuMs)) / 1000),
    row(
      `${work}: peak memory`,
      "MB",
      samples,
      worst(({ peakBytes }) => peakBytes / 1e6),
      { atMost: 130 },
    ),
  ];
}

function transactions(bench: Bench): string {
  return bench.quick ? "20000" : "100000";
}

async function writeAlone(bench: Bench): Promise<Speed> {
  using space = new Workspace(bench, "full-speed");
  const database = space.path("app.db");
  placeDatabase(cachedDatabase(DATABASE_BYTES), database);
  await using writer = new Writer("busy-writer.ts", [database, transactions(bench)]);
  const speed = await writer.nextLine<Speed>();
  bench.log(`none: ${speed.perSecond.toFixed(0)}/s, longest ${speed.longestMs.toFixed(1)} ms`);
  return speed;
}

async function writeReplicated(bench: Bench, program: Program): Promise<Outcome> {
  using space = new Workspace(bench, "full-speed");
  const database = space.path("app.db");
  const replica = space.path("replica");
  const log = { logFile: space.path("log") };
  placeDatabase(cachedDatabase(DATABASE_BYTES), database);
  const outcome = await observe(bench, program, database, replica, log);
  bench.log(
    `${program.name}: ${outcome.perSecond.toFixed(0)}/s, longest ${outcome.longestMs.toFixed(1)} ms, ` +
      `WAL ${(outcome.largestWALBytes / 1e6).toFixed(1)} MB, lag ${outcome.lagMs.toFixed(0)} ms`,
  );
  checkpoint(database);
  await restore(program, `file://${replica}`, space.path("restored.db"), log);
  assertSamePages(space.path("restored.db"), database);
  return outcome;
}

async function observe(
  bench: Bench,
  program: Program,
  database: string,
  replica: string,
  log: { logFile: string },
): Promise<Outcome> {
  const args = ["replicate", database, `file://${replica}`];
  await using child = MeasuredChild.start(program, args, log);
  await firstCopyDone(replica, WAIT_LIMIT_MS);
  using arrivals = new Arrivals(replica);
  const before = child.runningUsage();
  let largestWALBytes = 0;
  const poll = setInterval(() => {
    const size = fs.statSync(`${database}-wal`, { throwIfNoEntry: false })?.size ?? 0;
    largestWALBytes = Math.max(largestWALBytes, size);
  }, WAL_POLL_MS);
  await using writer = new Writer("busy-writer.ts", [database, transactions(bench)]);
  const speed = await writer.nextLine<Speed & { lastCommitNs: string }>();
  const arrivedAtNs = await arrivals.reached(Number(transactions(bench)), WAIT_LIMIT_MS);
  clearInterval(poll);
  const { cpuMs, peakBytes } = child.runningUsage();
  return {
    ...speed,
    largestWALBytes,
    lagMs: Math.max(0, Number(arrivedAtNs - BigInt(speed.lastCommitNs)) / 1e6),
    cpuMs: cpuMs - before.cpuMs,
    peakBytes,
  };
}
