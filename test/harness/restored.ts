/** The oracle: what a restored database must be. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { assertIntegrity, assertSamePages, openForReading, readImage } from "./database-image.ts";
import { succeed } from "./program.ts";
import type { Program } from "./program.ts";
import { digest, readJournal, readProgress } from "./workload.ts";

export interface RestoreRequest {
  readonly program: Program;
  /** What to restore from: a replica URL, or with `config` the path of a database. */
  readonly from: string;
  readonly config?: string;
  readonly output: string;
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Restores into a fresh file and returns its bytes, before anything has opened it. */
export async function restore({
  program,
  from,
  config,
  output,
  flags = [],
  env = {},
}: RestoreRequest): Promise<Buffer> {
  for (const suffix of ["", "-wal", "-shm"]) rmSync(output + suffix, { force: true });
  const source = config === undefined ? [] : ["-config", config];
  await succeed(program, ["restore", ...source, ...flags, "-o", output, from], { env });
  assert.ok(existsSync(output), "restore said success and wrote nothing");
  return readFileSync(output);
}

/** Restores and fails unless every page equals the source, which nobody may be writing to. */
export async function assertRestoreEquals(source: string, request: RestoreRequest): Promise<void> {
  const expected = readImage(source, `${request.output}.expected`);
  const actual = await restore(request);
  assertSamePages(actual, expected, `Restored from ${request.from}`);
  assertIntegrity(request.output);
}

/** Fails unless the restored database is exactly the state after a committed transaction; returns its number. */
export function assertCommittedState(output: string, journal: string): number {
  assertIntegrity(output);
  using connection = openForReading(output);
  const n = readProgress(connection);
  if (n === 0) return 0;
  const known = readJournal(journal).get(n);
  assert.ok(known, `Restored state ${n} was never written`);
  assert.ok(known.has(digest(connection)), `Restored content is not that of transaction ${n}`);
  return n;
}
