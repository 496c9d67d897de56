/**
 * Settings that are read and checked, but ask for something this version does not do. Each is said at start, so
 * that nobody believes in what does not happen. Whoever builds a feature removes its row.
 */
import type { NotYet } from "./config.ts";
import type { DatabaseEntry } from "./database-section.ts";
import type { Blocks } from "./top-section.ts";

interface Row {
  readonly key: string;
  /** What this version does not do: "but this version does not …". */
  readonly lacks: string;
  /** Upstream's or our words when replicating must not start. */
  readonly refusal?: string;
}

const ROWS: readonly Row[] = [
  { key: "retention-check-interval", lacks: "check each replica's retention at a time of its own" },
  {
    key: "age.recipients",
    lacks: "encrypt",
    refusal:
      "age encryption is not currently supported, if you need encryption please revert back to Litestream v0.3.x",
  },
];

/** What the top of the file asks for in vain. */
export function topNotYet(block: Blocks): readonly NotYet[] {
  const rows: (NotYet | undefined)[] = [];
  const add = (wanted: boolean, key: string, line: number): void => {
    if (wanted) rows.push(notYet(key, key, line));
  };
  const { age } = block;
  add((age.values.recipients?.length ?? 0) > 0, "age.recipients", age.lineOf("recipients"));
  return rows.filter((row) => row !== undefined);
}

/** What an entry of `dbs` asks for in vain. */
export function databaseNotYet(entry: DatabaseEntry): readonly NotYet[] {
  const rows: (NotYet | undefined)[] = [];
  const add = (wanted: boolean, key: string, where: string, line: number): void => {
    if (wanted) rows.push(notYet(key, `${entry.label}.${where}`, line));
  };
  for (const { section, age, label } of entry.replicas) {
    const checks = "retention-check-interval";
    add(section.values[checks] !== undefined, checks, `${label}.${checks}`, section.lineOf(checks));
    const encrypts = (age.values.recipients?.length ?? 0) > 0;
    const where = `${label}.age.recipients`;
    add(encrypts, "age.recipients", where, age.lineOf("recipients"));
  }
  return rows.filter((row) => row !== undefined);
}

/** The entry for `key` (without the part that names the database), or undefined when the feature is there. */
function notYet(key: string, where: string, line: number): NotYet | undefined {
  const row = ROWS.find((candidate) => candidate.key === key);
  if (row === undefined) return undefined;
  const message = `"${key}" is set but this version does not ${row.lacks}`;
  return {
    line,
    key: where,
    message,
    refuse: row.refusal !== undefined,
    ...(row.refusal === undefined ? {} : { upstream: { kind: "plain", text: row.refusal } }),
  };
}
