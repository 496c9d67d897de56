/** What a measure is, what it reports, and how both programs take turns in it. */
import fs from "node:fs";
import path from "node:path";
import type { Program, ProgramName } from "./programs.ts";

/** One kind of work, measured with both programs. Its targets stand beside it as data. */
export interface Measure {
  readonly name: string;
  /** Other servers or much disk: only run when asked for. */
  readonly needs?: "s3" | "large";
  run(bench: Bench): Promise<Row[]>;
}

export type Unit = "s" | "ms" | "µs" | "MB" | "%" | "×" | "requests" | "transactions/s";

/** One line of the table. */
export interface Row {
  readonly work: string;
  readonly unit: Unit;
  readonly peer: number;
  readonly ours: number;
  /** Absent: a figure worth knowing, without a demand. */
  readonly target?: Target;
}

/** All conditions that are given must hold. */
export interface Target {
  /** Largest ours ÷ peer. */
  readonly ratioAtMost?: number;
  /** Largest figure of ours, in the row's unit. */
  readonly atMost?: number;
  /** Smallest figure of ours, in the row's unit. */
  readonly atLeast?: number;
}

export type Pair = Readonly<Record<ProgramName, Program>>;

/** What every measure is given. */
export interface Bench {
  readonly programs: Pair;
  /** How often each program does the work. */
  readonly runs: number;
  /** Small data and short waits: a check of the measures themselves. */
  readonly quick: boolean;
  /** Size of the large database. */
  readonly databaseBytes: number;
  /** Size of the WAL that is copied in one go, and of the database it belongs to. */
  readonly walBytes: number;
  /** All measures work below this folder. */
  readonly folder: string;
  log(line: string): void;
}

/** A new, empty folder that disappears at the end of the scope. */
export class Workspace implements Disposable {
  readonly folder: string;

  constructor(bench: Bench, name: string) {
    this.folder = fs.mkdtempSync(path.join(bench.folder, `${name}-`));
  }

  path(...parts: string[]): string {
    return path.join(this.folder, ...parts);
  }

  [Symbol.dispose](): void {
    fs.rmSync(this.folder, { recursive: true, force: true });
  }
}

export type Samples<T> = Readonly<Record<ProgramName, readonly T[]>>;

/** Lets both programs do the same work in turns; every other round the other one goes first. */
export async function alternate<T>(
  bench: Bench,
  runs: number,
  work: (program: Program) => Promise<T>,
): Promise<Samples<T>> {
  const samples: Record<ProgramName, T[]> = { peer: [], ours: [] };
  for (let run = 0; run < runs; run++) {
    const order: ProgramName[] = run % 2 === 0 ? ["peer", "ours"] : ["ours", "peer"];
    for (const name of order) samples[name].push(await work(bench.programs[name]));
  }
  return samples;
}

/** Long measures are repeated less often: one round for each three of the short ones. */
export function fewerRuns(bench: Bench): number {
  return Math.ceil(bench.runs / 3);
}

/** A row of one number per sample, reduced by `reduce` on each side. */
export function row<T>(
  work: string,
  unit: Unit,
  samples: Samples<T>,
  reduce: (samples: readonly T[]) => number,
  target?: Target,
): Row {
  const figures = { work, unit, peer: reduce(samples.peer), ours: reduce(samples.ours) };
  return target ? { ...figures, target } : figures;
}

export function isMet({ peer, ours, target }: Row): boolean {
  const { ratioAtMost = Infinity, atMost = Infinity, atLeast = -Infinity } = target ?? {};
  return ours <= ratioAtMost * peer && ours <= atMost && ours >= atLeast;
}
