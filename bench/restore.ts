import { runToEnd } from "./child.ts";
import type { ChildOptions, Cost } from "./child.ts";
import type { Program } from "./programs.ts";

export type IntegrityCheck = "none" | "quick" | "full";

/** Restores a replica into `output`, which must not exist: the latest state without a check, unless `check` and `flags` say more. */
export async function restore(
  program: Program,
  replicaURL: string,
  output: string,
  options: ChildOptions,
  check: IntegrityCheck = "none",
  flags: readonly string[] = [],
): Promise<Cost> {
  const args = ["restore", "-integrity-check", check, ...flags, "-o", output, replicaURL];
  return runToEnd(program, args, options);
}
