/**
 * `npm run simulate -- --seeds N [--seed S]`: runs N seeds from S on (default 1), stops at the first that fails and prints its
 * trace; the same seed gives the same trace again. `--list 1,2` runs those. `--seconds N` stops after a while, and fails when fewer
 * than `--at-least N` seeds ran by then. `--workers N` shares the seeds among processes. `--twice` runs each seed again and compares. `--mutants [--only TEXT]` proves that known bugs are found.
 */
import "./promised-files.ts";
import "./disk.ts";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { hunt } from "./mutants.ts";
import { simulateInWorkers } from "./workers.ts";
import { runSeed } from "./world.ts";
import type { RunResult, Tally } from "./world.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "200" },
    seed: { type: "string", default: "1" },
    every: { type: "string", default: "1" },
    seconds: { type: "string", default: "0" },
    "at-least": { type: "string", default: "0" },
    workers: { type: "string", default: "1" },
    trace: { type: "boolean", default: false },
    twice: { type: "boolean", default: false },
    list: { type: "string", default: "" },
    mutants: { type: "boolean", default: false },
    only: { type: "string" },
    "keep-going": { type: "boolean", default: false },
  },
});

/** Lines of a failing trace that are printed. */
const TRACE_LINES = 400;

process.exitCode = await main();

async function main(): Promise<number> {
  if (values.mutants) return (await hunt(values.only)) === 0 ? 0 : 1;
  const first = Number(values.seed);
  const count = Number(values.seeds);
  const workers = Number(values.workers);
  if (workers > 1) {
    const range = { first, count, seconds: Number(values.seconds), workers };
    const { done, failed } = await simulateInWorkers(range);
    console.log(`${done} seeds in ${workers} processes, ${failed} failed`);
    return failed === 0 && isEnough(done) ? 0 : 1;
  }
  const seeds =
    values.list === ""
      ? Array.from({ length: count }, (_, index) => first + index * Number(values.every))
      : values.list.split(",").map(Number);
  const deadline =
    Number(values.seconds) > 0 ? Date.now() + Number(values.seconds) * 1_000 : Infinity;
  const startedAt = Date.now();
  const tally: Tally = {};
  let done = 0;
  let failed = 0;
  for (const seed of seeds) {
    if (Date.now() >= deadline) break;
    const result = await once(seed);
    done++;
    for (const [what, n] of Object.entries(result.tally)) tally[what] = (tally[what] ?? 0) + n;
    if (values.trace) console.log(result.trace.join("\n"));
    if (result.failure === null && values.twice) await compare(result);
    if (result.failure === null) continue;
    failed++;
    if (values["keep-going"]) {
      console.log(`seed ${seed}: ${result.failure.message}`);
      continue;
    }
    tell(result);
    break;
  }
  const seconds = (Date.now() - startedAt) / 1_000;
  console.log(
    `${done} seeds, ${failed} failed, ${seconds.toFixed(1)} s, ${((1_000 * seconds) / done).toFixed(0)} ms each`,
  );
  if (done > 1) console.log(JSON.stringify(tally));
  return failed === 0 && isEnough(done) ? 0 : 1;
}

/** A time limit must not let a run pass that did next to nothing. */
function isEnough(done: number): boolean {
  const least = Number(values["at-least"]);
  if (done < least) console.log(`Only ${done} seeds ran in time, ${least} are the least`);
  return done >= least;
}

async function once(seed: number): Promise<RunResult> {
  const parent = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();
  const folder = mkdtempSync(join(parent, "litestream-simulation-"));
  try {
    return await runSeed(seed, folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A seed must mean the same each time. */
async function compare(result: RunResult): Promise<void> {
  const again = await once(result.seed);
  const at = again.trace.findIndex((line, index) => line !== result.trace[index]);
  if (at === -1 && again.trace.length === result.trace.length) return;
  throw new Error(
    `Seed ${result.seed} is not the same twice, line ${at}:\n${result.trace[at]}\n${again.trace[at]}`,
  );
}

function tell({ seed, trace, failure }: RunResult): void {
  console.log(trace.slice(-TRACE_LINES).join("\n"));
  console.log(`\nSeed ${seed} fails: ${failure?.stack ?? ""}`);
  console.log(`Once more: npm run simulate -- --seeds 1 --seed ${seed}`);
}
