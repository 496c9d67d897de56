/**
 * A large WAL copied in one go: a database that is replicated already gets 200 MB of WAL while the program is stopped;
 * `replicate -once` then copies them.
 */
import { runToEnd } from "../child.ts";
import type { Cost } from "../child.ts";
import { cachedDatabase } from "../data.ts";
import { appendWAL, assertSamePages, checkpoint, placeDatabase, settleDisk } from "../databases.ts";
import { alternate, row, Workspace } from "../measure.ts";
import type { Bench, Measure, Row } from "../measure.ts";
import type { Program } from "../programs.ts";
import { restore } from "../restore.ts";
import { median } from "../statistics.ts";

export const walInOneGo: Measure = { name: "wal", run: measure };

async function measure(bench: Bench): Promise<Row[]> {
  const work = `${bench.walBytes / 1e6} MB of WAL in one go`;
  const costs = await alternate(bench, bench.runs, (program) => copyWAL(bench, program));
  return [
    row(`${work}: wall`, "s", costs, (all) => median(all.map((cost) => cost.wallMs)) / 1000, {
      ratioAtMost: 0.4,
    }),
    row(`${work}: CPU`, "s", costs, (all) => median(all.map((cost) => cost.cpuMs)) / 1000, {
      ratioAtMost: 0.5,
    }),
    row(
      `${work}: peak memory`,
      "MB",
      costs,
      (all) => Math.max(...all.map((cost) => cost.peakBytes)) / 1e6,
      { atMost: 130 },
    ),
  ];
}

async function copyWAL(bench: Bench, program: Program): Promise<Cost> {
  using space = new Workspace(bench, "wal");
  const database = space.path("app.db");
  const replica = `file://${space.path("replica")}`;
  const log = { logFile: space.path("log") };
  placeDatabase(cachedDatabase(bench.walBytes), database);
  const replicateOnce = ["replicate", "-once", database, replica];
  await runToEnd(program, replicateOnce, log);
  // At its start the peer reads its newest level-0 file as a whole; that should not be the first copy, as it seldom is.
  appendWAL(database, 200e3);
  await runToEnd(program, replicateOnce, log);
  appendWAL(database, bench.walBytes);
  settleDisk();
  const cost = await runToEnd(program, replicateOnce, log);
  bench.log(`${program.name}: ${cost.wallMs.toFixed(0)} ms, ${cost.cpuMs} ms CPU`);
  checkpoint(database);
  await restore(program, replica, space.path("restored.db"), log);
  assertSamePages(space.path("restored.db"), database);
  return cost;
}
