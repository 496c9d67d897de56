/** Simulates a range of seeds in several processes: each takes every n-th seed. */
import { spawn } from "node:child_process";
import { join } from "node:path";

export interface Range {
  readonly first: number;
  readonly count: number;
  /** No worker begins a seed later than this; 0 = no limit. */
  readonly seconds: number;
  readonly workers: number;
}

/** Runs the range, prints what each worker says at its end; resolves to how many seeds ran and how many failed. */
export async function simulateInWorkers(range: Range): Promise<{ done: number; failed: number }> {
  const reports = await Promise.all(
    Array.from({ length: range.workers }, (_, index) => runWorker(range, index)),
  );
  let [done, failed] = [0, 0];
  for (const report of reports) {
    console.log(report.trim());
    const counts = /^(\d+) seeds, (\d+) failed/m.exec(report);
    if (counts === null) throw new Error("A worker of the simulation ended without a count");
    done += Number(counts[1]);
    failed += Number(counts[2]);
  }
  return { done, failed };
}

function runWorker(range: Range, index: number): Promise<string> {
  const { first, count, seconds, workers } = range;
  const numbers = {
    seed: first + index,
    every: workers,
    seeds: Math.ceil((count - index) / workers),
    seconds,
  };
  const flags = Object.entries(numbers).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const args = [join(import.meta.dirname, "main.ts"), ...flags];
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
    child.on("error", reject);
    child.on("close", () => resolve(output));
  });
}
