/**
 * A test of one situation, for either program. The real Litestream is known to fail some: run against it, those must
 * fail, or the test has lost its teeth.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { programUnderTest } from "./program.ts";
import type { Program } from "./program.ts";
import { Random } from "./random.ts";
import { Scratch } from "./scratch.ts";

export type PeerVerdict =
  | "passes"
  /** The real one gets it wrong every time; what it does. */
  | { readonly fails: string }
  /** It depends on timing. */
  | { readonly varies: string }
  /** Uses what only we have. */
  | { readonly lacks: string };

export interface ScenarioContext {
  readonly program: Program;
  readonly scratch: Scratch;
  readonly random: Random;
}

/** The seed of this run: `SEED=…` repeats one. */
export const seed: number = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 32));

export interface ScenarioOptions {
  readonly peer: PeerVerdict;
  readonly timeoutMs?: number;
  /** A reason not to run here, or null. In CI that is a failure. */
  readonly skip?: string | null;
}

/** Registers a test; `name` begins with the id of the test catalogue. */
export function scenario(
  name: string,
  options: ScenarioOptions,
  body: (context: ScenarioContext) => Promise<void>,
): void {
  const { peer: verdict, timeoutMs = 60_000, skip = null } = options;
  void test(name, { timeout: timeoutMs }, async (t) => {
    if (skip !== null) {
      assert.ok(!process.env["CI"], `Cannot run in CI: ${skip}`);
      t.skip(skip);
      return;
    }
    const program = programUnderTest();
    if (program.isPeer && typeof verdict === "object" && "lacks" in verdict) {
      t.skip(`${program.name} lacks ${verdict.lacks}`);
      return;
    }
    t.diagnostic(`seed ${seed}`);
    const outcome = await attempt(name, program, body);
    if (program.isPeer && verdict !== "passes") {
      t.diagnostic(
        outcome === undefined
          ? "the peer came through"
          : `the peer failed: ${outcome.message.split("\n")[0]}`,
      );
      if ("fails" in verdict)
        assert.ok(outcome, `This test has no teeth: ${program.name} passed, but ${verdict.fails}`);
    } else if (outcome !== undefined) throw outcome;
  });
}

async function attempt(
  name: string,
  program: Program,
  body: (context: ScenarioContext) => Promise<void>,
): Promise<Error | undefined> {
  using scratch = new Scratch(name);
  try {
    await body({ program, scratch, random: new Random(seed) });
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}
