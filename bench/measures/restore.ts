/**
 * Restore of a large database. Both programs read the same replica, which the peer has written, and take turns; the
 * integrity check is off in the comparison, and its own cost is shown beside.
 */
import fs from "node:fs";
import { runToEnd } from "../child.ts";
import type { Cost } from "../child.ts";
import { cachedDatabase } from "../data.ts";
import { assertSamePages, checkpoint, placeDatabase, settleDisk } from "../databases.ts";
import { buildLevelOne, buildLevelZeroReplica } from "../level-zero.ts";
import { alternate, row, Workspace } from "../measure.ts";
import type { Bench, Measure, Row, Samples } from "../measure.ts";
import { restore } from "../restore.ts";
import type { IntegrityCheck } from "../restore.ts";
import { withS3 } from "../s3.ts";
import { median } from "../statistics.ts";

export const restoreFile: Measure = {
  name: "restore",
  run: async (bench) => {
    using space = new Workspace(bench, "restore");
    const replica = `file://${space.path("replica")}`;
    const once = await restoreAll(bench, space, replica, {}, "none", bench.runs);
    const checked = await restoreAll(bench, space, replica, {}, "quick", fewer(bench));
    return [
      ...rows("restore, file", once, 0.2),
      row("restore, file, with quick check: wall", "s", checked, medianSeconds),
    ];
  },
};

export const restoreFileLarge: Measure = {
  name: "restore-large",
  needs: "large",
  run: async (bench) => {
    using space = new Workspace(bench, "restore");
    const large = { ...bench, databaseBytes: 4 * bench.databaseBytes };
    const replica = `file://${space.path("replica")}`;
    const costs = await restoreAll(large, space, replica, {}, "none", 1);
    return rows("restore of four times as much", costs, 0.2);
  },
};

export const restoreManyFiles: Measure = {
  name: "restore-files",
  run: async (bench) => {
    using space = new Workspace(bench, "restore");
    const database = space.path("app.db");
    const count = 5000;
    placeDatabase(cachedDatabase(1e6), database);
    buildLevelZeroReplica(database, space.path("replica"), count);
    const replica = `file://${space.path("replica")}`;
    const costs = await restoreInTurns(bench, space, replica, {}, "none", bench.runs);
    return rows(`restore of ${count} level-0 files`, costs, 0.5);
  },
};

/** A day ago each of 10,000 transactions got its second; the first half is in level 1 as well, a hundred to a file. */
export const restoreTimestamp: Measure = {
  name: "restore-timestamp",
  run: async (bench) => {
    using space = new Workspace(bench, "restore");
    const database = space.path("app.db");
    const count = 10_000;
    const start = Date.now() - 86_400_000;
    const timeOf = (txid: bigint): Date => new Date(start + Number(txid) * 1000);
    placeDatabase(cachedDatabase(1e6), database);
    buildLevelZeroReplica(database, space.path("replica"), count, timeOf);
    await buildLevelOne(space.path("replica"), count / 2, 100);
    const target = timeOf(BigInt(0.95 * count)).toISOString();
    const [outputs, options] = [new Map<string, string>(), { logFile: space.path("log") }];
    const costs = await alternate(bench, bench.runs, async (program) => {
      const output = space.path(`${program.name}.db`);
      fs.rmSync(output, { force: true });
      settleDisk();
      const flags = ["-timestamp", target];
      const url = `file://${space.path("replica")}`;
      const cost = await restore(program, url, output, options, "none", flags);
      bench.log(`${program.name}: ${cost.wallMs.toFixed(0)} ms, ${cost.cpuMs} ms CPU`);
      outputs.set(program.name, output);
      return cost;
    });
    const [first = "", second = ""] = outputs.values();
    assertSamePages(first, second);
    return rows(`restore -timestamp from ${count} files`, costs, 0.33);
  },
};

export const restoreS3: Measure = {
  name: "restore-s3",
  needs: "s3",
  run: (bench) =>
    withS3(async (server) => {
      using space = new Workspace(bench, "restore");
      const costs = await restoreAll(
        bench,
        space,
        server.url("restore"),
        server.env,
        "none",
        bench.runs,
      );
      return rows("restore, S3", costs, 0.25);
    }),
};

async function restoreAll(
  bench: Bench,
  space: Workspace,
  replica: string,
  env: Readonly<Record<string, string>>,
  check: IntegrityCheck,
  runs: number,
): Promise<Samples<Cost>> {
  const database = space.path("app.db");
  if (!fs.existsSync(database)) {
    placeDatabase(cachedDatabase(bench.databaseBytes), database);
    const options = { logFile: space.path("log"), env };
    await runToEnd(bench.programs.peer, ["replicate", "-once", database, replica], options);
    checkpoint(database);
  }
  return restoreInTurns(bench, space, replica, env, check, runs);
}

function restoreInTurns(
  bench: Bench,
  space: Workspace,
  replica: string,
  env: Readonly<Record<string, string>>,
  check: IntegrityCheck,
  runs: number,
): Promise<Samples<Cost>> {
  const options = { logFile: space.path("log"), env };
  return alternate(bench, runs, async (program) => {
    const output = space.path("restored.db");
    fs.rmSync(output, { force: true });
    settleDisk();
    const cost = await restore(program, replica, output, options, check);
    bench.log(`${program.name}: ${cost.wallMs.toFixed(0)} ms, ${cost.cpuMs} ms CPU`);
    assertSamePages(output, space.path("app.db"));
    return cost;
  });
}

function rows(work: string, costs: Samples<Cost>, ratioAtMost: number): Row[] {
  return [
    row(`${work}: wall`, "s", costs, medianSeconds, { ratioAtMost }),
    row(`${work}: CPU`, "s", costs, (all) => median(all.map((cost) => cost.cpuMs)) / 1000),
    row(
      `${work}: peak memory`,
      "MB",
      costs,
      (all) => Math.max(...all.map((cost) => cost.peakBytes)) / 1e6,
      { atMost: 130 },
    ),
  ];
}

function medianSeconds(costs: readonly Cost[]): number {
  return median(costs.map((cost) => cost.wallMs)) / 1000;
}

function fewer(bench: Bench): number {
  return Math.min(3, bench.runs);
}
