/** Start-up: `version`, from the start of the process to its end. */
import { runToEnd } from "../child.ts";
import { alternate, row, Workspace } from "../measure.ts";
import type { Bench, Measure, Row } from "../measure.ts";
import { median } from "../statistics.ts";

export const startUp: Measure = { name: "start-up", run: measure };

async function measure(bench: Bench): Promise<Row[]> {
  using space = new Workspace(bench, "start-up");
  const costs = await alternate(bench, bench.quick ? 5 : 21, (program) =>
    runToEnd(program, ["version"], { logFile: space.path("log") }),
  );
  const wall = row(
    "start-up of version",
    "ms",
    costs,
    (all) => median(all.map((cost) => cost.wallMs)),
    {
      atMost: 80,
    },
  );
  return [wall];
}
