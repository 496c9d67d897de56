/** A snapshot of a database whose replica is up to date: `replicate -once -force-snapshot`. Both programs share one state. */
import fs from "node:fs";
import { runToEnd } from "../child.ts";
import { cachedDatabase } from "../data.ts";
import { assertSamePages, checkpoint, placeDatabase, settleDisk } from "../databases.ts";
import { alternate, row, Workspace } from "../measure.ts";
import type { Measure } from "../measure.ts";
import { restore } from "../restore.ts";
import { median } from "../statistics.ts";

export const snapshot: Measure = {
  name: "snapshot",
  run: async (bench) => {
    using space = new Workspace(bench, "snapshot");
    const database = space.path("app.db");
    const replica = `file://${space.path("replica")}`;
    const options = { logFile: space.path("log") };
    placeDatabase(cachedDatabase(bench.databaseBytes / 2), database);
    await runToEnd(bench.programs.peer, ["replicate", "-once", database, replica], options);
    const costs = await alternate(bench, bench.runs, async (program) => {
      fs.rmSync(space.path("replica/ltx/9"), { recursive: true, force: true });
      settleDisk();
      const args = ["replicate", "-once", "-force-snapshot", database, replica];
      const cost = await runToEnd(program, args, options);
      bench.log(`${program.name}: ${cost.wallMs.toFixed(0)} ms, ${cost.cpuMs} ms CPU`);
      checkpoint(database);
      fs.rmSync(space.path("restored.db"), { force: true });
      fs.mkdirSync(space.path("only/ltx"), { recursive: true });
      fs.cpSync(space.path("replica/ltx/9"), space.path("only/ltx/9"), { recursive: true });
      await restore(program, `file://${space.path("only")}`, space.path("restored.db"), options);
      fs.rmSync(space.path("only"), { recursive: true });
      assertSamePages(space.path("restored.db"), database);
      return cost;
    });
    const target = { ratioAtMost: 1 / 2.5 };
    const work = "snapshot";
    return [
      row(`${work}: wall`, "s", costs, (all) => median(all.map((c) => c.wallMs)) / 1000, target),
      row(`${work}: CPU`, "s", costs, (all) => median(all.map((c) => c.cpuMs)) / 1000, target),
      row(
        `${work}: peak memory`,
        "MB",
        costs,
        (all) => Math.max(...all.map((cost) => cost.peakBytes)) / 1e6,
        { atMost: 150 },
      ),
    ];
  },
};
