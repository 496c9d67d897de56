/** The simulation in small: seeds that once failed, some others, and the promise that a seed always means the same. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";
import { regressions } from "./simulation/regressions.ts";

const run = promisify(execFile);

/** In a process of its own: the simulation replaces parts of the file system. */
async function simulate(...args: string[]): Promise<string> {
  const main = new URL("./simulation/main.ts", import.meta.url).pathname;
  try {
    const { stdout } = await run(process.execPath, [main, ...args], { maxBuffer: 64 << 20 });
    return stdout;
  } catch (error) {
    assert.fail(`${(error as Error).message}\n${(error as { stdout?: string }).stdout ?? ""}`);
  }
}

test("M5: every state that was promised is restored, in seeds that once failed", async () => {
  const report = await simulate("--list", regressions.map(({ seed }) => seed).join(","));
  assert.match(report, new RegExp(`^${regressions.length} seeds, 0 failed`, "m"));
});

test("M5: the same seed is the same life", async () => {
  await simulate("--seed", "40", "--seeds", "4", "--twice");
});
