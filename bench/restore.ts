import { runToEnd } from "./child.ts";
import type { ChildOptions, Cost } from "./child.ts";
import type { Program } from "./programs.ts";

export type IntegrityCheck = "none" | "quick" | "full";

/** Restores the latest state of a replica into `output`, which must not exist. Without a check unless one is named. */
export async function restore(
  program: Program,
  replicaURL: string,
  output: string,
  options: ChildOptions,
  check: IntegrityCheck = "none",
): Promise<Cost> {
  const args = ["restore", "-integrity-check", check, "-o", output, replicaURL];
  return runToEnd(program, args, options);
}
