/**
 * Feeds damaged bytes to every decoder, with both kernels.
 *
 *   node test/fuzz.ts --inputs 100000 --seed 1
 *
 * `inputs` are per decoder. An input must give a FormatError or a valid result, the same with both kernels; it must never
 * crash, hang, write outside its buffers or make memory grow. Prints the seed and what happened; exit 1 after a violation,
 * whose input is printed in hex.
 */
import { parseArgs } from "node:util";

import { FormatError } from "../src/formats/format-error.ts";
import { useKernel } from "../src/formats/kernel/kernel.ts";
import type { Kernel } from "../src/formats/kernel/kernel.ts";
import { createReferenceKernel } from "../src/formats/kernel/reference.ts";
import { createWASMKernel } from "../src/formats/kernel/wasm.ts";
import { fuzzTargets } from "./formats/fuzz-targets.ts";
import type { FuzzTarget } from "./formats/fuzz-targets.ts";
import { mutate } from "./formats/mutate.ts";
import { randomSource } from "./formats/sample-pages.ts";

/** A single input that takes longer is as good as a hang. */
const SLOWEST_MS = 1000;
/** What all decoders together may have allocated in the end. */
const MAX_MEMORY_BYTES = 768 << 20;

const { values } = parseArgs({
  options: {
    inputs: { type: "string", default: "100000" },
    seed: { type: "string" },
    only: { type: "string" },
  },
});
const inputs = Number(values.inputs);
const seed = values.seed === undefined ? Date.now() % 2 ** 31 : Number(values.seed);

// Hundreds of thousands of errors are made: their stacks are of no use.
Error.stackTraceLimit = 0;
const wasm = createWASMKernel();
if (!wasm) throw new Error("WebAssembly with SIMD is missing");
const kernels: readonly Kernel[] = [wasm, createReferenceKernel()];

console.log(
  `seed ${seed}, ${inputs} inputs per decoder, kernels: ${kernels.map((k) => k.name).join(", ")}`,
);
let violations = 0;
for (const target of fuzzTargets()) {
  if (values.only === undefined || target.name.includes(values.only)) violations += fuzz(target);
}
const { rss } = process.memoryUsage();
console.log(`memory ${Math.round(rss / 2 ** 20)} MiB`);
if (rss > MAX_MEMORY_BYTES) {
  console.log(`VIOLATION: more than ${MAX_MEMORY_BYTES} bytes of memory`);
  violations++;
}
console.log(violations === 0 ? "ok" : `${violations} violations`);
process.exitCode = violations === 0 ? 0 : 1;

function fuzz(target: FuzzTarget): number {
  const random = randomSource(seed ^ hashText(target.name));
  const counts = new Map<string, number>();
  const started = performance.now();
  let found = 0;
  for (let i = 0; i < inputs && found < 3; i++) {
    const input = i < target.corpus.length ? pick(target.corpus, i) : mutate(target.corpus, random);
    const before = performance.now();
    const results = kernels.map((kernel) => attempt(target, input, kernel));
    const elapsed = performance.now() - before;
    const [result = ""] = results;
    const violation =
      results.find((text) => text.startsWith("VIOLATION")) ??
      (new Set(results).size > 1
        ? `VIOLATION: kernels disagree: ${results.join(" / ")}`
        : undefined) ??
      (elapsed > SLOWEST_MS ? `VIOLATION: took ${Math.round(elapsed)} ms` : undefined);
    if (violation !== undefined) {
      found++;
      console.log(
        `${target.name}, input ${i}: ${violation}\n${Buffer.from(input).toString("hex")}`,
      );
    }
    const key = result.startsWith("ok") ? "valid" : result;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const summary = [...counts]
    .toSorted(([, a], [, b]) => b - a)
    .map(([key, count]) => `${key} ${count}`);
  console.log(`${target.name} (${seconds} s): ${summary.join(", ")}`);
  return found;
}

/** "ok …" with what was decoded, the kind of a FormatError, or a violation. */
function attempt(target: FuzzTarget, input: Uint8Array, kernel: Kernel): string {
  useKernel(kernel);
  try {
    return `ok ${target.run(input, kernel)}`;
  } catch (error) {
    if (error instanceof FormatError) return error.kind;
    return `VIOLATION: ${String(error)}`;
  }
}

function pick(corpus: readonly Uint8Array[], i: number): Uint8Array {
  return corpus[i % corpus.length] as Uint8Array;
}

function hashText(text: string): number {
  let hash = 7;
  for (const char of text) hash = Math.imul(hash, 31) + (char.codePointAt(0) ?? 0);
  return hash;
}
