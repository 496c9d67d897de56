/**
 * The same command lines and configuration files through the real Litestream and through ours. Whatever differs and is
 * not listed in deliberate-differences.ts fails; so does what is listed there and does not differ any more.
 */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { after, before, test } from "node:test";
import { runCommand } from "../harness/command-run.ts";
import { peer as findPeer, run, type Program } from "../harness/program.ts";
import { Scratch } from "../harness/scratch.ts";
import { COMPATIBILITY_CASES, type CompatibilityCase } from "./compatibility-cases.ts";
import {
  compareOutcomes,
  type CaseOutcome,
  type ComparedField,
  type FieldDifference,
} from "./compatibility-compare.ts";
import { copyScene, describeFiles, makeScene, writeConfig } from "./compatibility-scene.ts";
import { DELIBERATE_DIFFERENCES } from "./deliberate-differences.ts";

const scratch = new Scratch("compatibility");
const scene = scratch.path("scene");
let peer: Program;

before(async () => {
  // Both programs would read it where a case names no file.
  assert.ok(!existsSync("/etc/litestream.yml"), "This machine has a configuration of its own");
  peer = findPeer();
  await makeScene(scene, peer);
});

after(() => scratch[Symbol.dispose]());

const names = COMPATIBILITY_CASES.map((entry) => entry.name);

test("case names are unique and deliberate differences refer to them", () => {
  assert.equal(new Set(names).size, names.length);
  for (const { title, cases } of DELIBERATE_DIFFERENCES) {
    for (const name of cases) assert.ok(names.includes(name), `"${title}" names "${name}"`);
  }
});

for (const entry of COMPATIBILITY_CASES) {
  test(entry.name, async () => {
    const differences = await runBoth(entry);
    const deliberate = deliberateFields(entry.name);
    const unexpected = differences.filter(({ field }) => !deliberate.has(field));
    if (unexpected.length > 0) assert.fail(unexpected.map(describe).join("\n"));
    for (const field of deliberate) {
      const still = differences.some((difference) => difference.field === field);
      assert.ok(still, `${field} is listed as a deliberate difference and does not differ`);
    }
  });
}

function deliberateFields(name: string): ReadonlySet<ComparedField> {
  return new Set(
    DELIBERATE_DIFFERENCES.filter(({ cases }) => cases.includes(name)).flatMap(
      ({ fields }) => fields,
    ),
  );
}

async function runBoth(entry: CompatibilityCase): Promise<readonly FieldDifference[]> {
  // Names of the same length: columns of tables depend on it.
  const theirs = await outcomeOf(entry, "peer", async (args, cwd, env) => {
    const { code, stdout, stderr } = await run(peer, args, { cwd, env, timeoutMs: 20_000 });
    return { code, stdout, stderr };
  });
  const own = await outcomeOf(entry, "ours", (args, cwd, env) =>
    runCommand(args, {
      cwd,
      env: { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? "", ...env },
    }),
  );
  return compareOutcomes(entry, theirs, own);
}

type RunProgram = (
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>>,
) => Promise<Pick<CaseOutcome, "code" | "stdout" | "stderr">>;

async function outcomeOf(
  entry: CompatibilityCase,
  side: "peer" | "ours",
  runProgram: RunProgram,
): Promise<CaseOutcome> {
  const folder = scratch.path(side);
  if (entry.mutates === true || !existsSync(folder)) copyScene(scene, folder, entry.config);
  else writeConfig(folder, entry.config);
  const fill = (text: string): string => text.replaceAll("$DIR", folder);
  const args = entry.args
    .split(" ")
    .filter((word) => word !== "")
    .map((word) => (word === "''" ? "" : fill(word)));
  const env = Object.fromEntries(
    Object.entries(entry.env ?? {}).map(([name, value]) => [name, fill(value)]),
  );
  const result = await runProgram(args, folder, env);
  const files = entry.stdout === "files" ? describeFiles(folder) : undefined;
  // The next case must not find what this one left.
  if (entry.mutates === true) copyScene(scene, folder, undefined);
  return { ...result, folder, files };
}

function describe({ field, peer: theirs, ours }: FieldDifference): string {
  return `${field} differs\n--- the real one\n${theirs}\n--- ours\n${ours}`;
}
