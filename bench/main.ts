/**
 * Measures this repository's program beside the real Litestream, for the same work in the same run.
 *
 *   npm run bench -- [--only NAME,…] [--runs N] [--quick] [--large] [--s3] [--json FILE] [--markdown FILE]
 *                    [--profile FOLDER] [--ours BINARY] [--list]
 *
 * See docs/benchmarks.md.
 */
import fs from "node:fs";
import path from "node:path";
import { parseArgs } from "node:util";
import { cacheFolder } from "./data.ts";
import type { Bench, Measure, Row } from "./measure.ts";
import { measures } from "./measures.ts";
import { installPeer, ownProgram } from "./programs.ts";
import { formatReport, newReport } from "./report.ts";

const { values: flags } = parseArgs({
  options: {
    only: { type: "string" },
    runs: { type: "string" },
    quick: { type: "boolean", default: false },
    large: { type: "boolean", default: false },
    s3: { type: "boolean", default: false },
    json: { type: "string" },
    markdown: { type: "string" },
    profile: { type: "string" },
    ours: { type: "string" },
    list: { type: "boolean", default: false },
  },
});

if (flags.list)
  for (const { name, needs } of measures) console.log(needs ? `${name} (--${needs})` : name);
else await run();

async function run(): Promise<void> {
  const startedAt = new Date();
  const chosen = chooseMeasures();
  fs.mkdirSync(cacheFolder(), { recursive: true });
  const programs = {
    peer: installPeer(cacheFolder()),
    ours: ownProgram(flags.ours, flags.profile),
  };
  const folder = fs.mkdtempSync(path.join(cacheFolder(), "run-"));
  process.once("exit", () => fs.rmSync(folder, { recursive: true, force: true }));
  process.once("SIGINT", () => process.exit(130));
  const bench: Bench = {
    programs,
    runs: Number(flags.runs ?? (flags.quick ? 1 : 5)),
    quick: flags.quick,
    databaseBytes: flags.quick ? 100e6 : 1000e6,
    walBytes: flags.quick ? 20e6 : 200e6,
    folder,
    log: (line) => process.stderr.write(`${line}\n`),
  };
  const command = ["npm run bench --", ...process.argv.slice(2)].join(" ");
  const rows: Row[] = [];
  const report = newReport(command, programs, rows, startedAt);
  for (const measure of chosen) {
    bench.log(`— ${measure.name}`);
    try {
      rows.push(...(await measure.run(bench)));
    } catch (error) {
      // The others are still worth their while.
      bench.log(
        `${measure.name} failed: ${error instanceof Error ? error.message : String(error)}`,
      );
      process.exitCode = 1;
    }
    // After each measure, so that an interrupted run has something to show.
    if (flags.markdown) fs.writeFileSync(flags.markdown, `${formatReport(report)}\n`);
    if (flags.json) fs.writeFileSync(flags.json, `${JSON.stringify(report, null, 2)}\n`);
  }
  console.log(formatReport(report));
  bench.log(`Generated databases and the peer are kept in ${cacheFolder()}`);
}

function chooseMeasures(): readonly Measure[] {
  const wanted = flags.only?.split(",");
  if (!wanted) return measures.filter(({ needs }) => needs === undefined || flags[needs]);
  return wanted.map((name) => {
    const measure = measures.find((candidate) => candidate.name === name);
    if (!measure) throw new RangeError(`Unknown measure "${name}": see --list`);
    return measure;
  });
}
