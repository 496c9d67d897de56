/** First replication of a large database: `replicate -once` into an empty file replica. */
import { runToEnd } from "../child.ts";
import { cachedDatabase } from "../data.ts";
import { assertSamePages, checkpoint, placeDatabase } from "../databases.ts";
import { alternate, row, Workspace } from "../measure.ts";
import type { Bench, Measure, Row } from "../measure.ts";
import { median } from "../statistics.ts";
import { restore } from "../restore.ts";

export const firstCopy: Measure = {
  name: "first-copy",
  run: (bench) => measure(bench, "first copy, file", bench.databaseBytes, bench.runs),
};

export const firstCopyLarge: Measure = {
  name: "first-copy-large",
  needs: "large",
  run: (bench) => measure(bench, "first copy of four times as much", 4 * bench.databaseBytes, 1),
};

async function measure(bench: Bench, work: string, bytes: number, runs: number): Promise<Row[]> {
  const source = cachedDatabase(bytes);
  const costs = await alternate(bench, runs, async (program) => {
    using space = new Workspace(bench, "first-copy");
    const database = space.path("app.db");
    placeDatabase(source, database);
    const replica = `file://${space.path("replica")}`;
    const logFile = space.path("log");
    const cost = await runToEnd(program, ["replicate", "-once", database, replica], { logFile });
    bench.log(`${work}: ${program.name} ${cost.wallMs.toFixed(0)} ms`);
    checkpoint(database);
    await restore(program, replica, space.path("restored.db"), { logFile });
    assertSamePages(space.path("restored.db"), database);
    return cost;
  });
  return [
    row(`${work}: wall`, "s", costs, (all) => median(all.map((cost) => cost.wallMs)) / 1000, {
      ratioAtMost: 0.35,
    }),
    row(`${work}: CPU`, "s", costs, (all) => median(all.map((cost) => cost.cpuMs)) / 1000, {
      ratioAtMost: 0.35,
    }),
    row(
      `${work}: peak memory`,
      "MB",
      costs,
      (all) => Math.max(...all.map((cost) => cost.peakBytes)) / 1e6,
      {
        atMost: 130,
      },
    ),
  ];
}
