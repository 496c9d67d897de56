/**
 * A process that reads a followed database over and over and judges what it sees: every cell has the same number, there are as
 * many as the sheet says, and the number never goes back. Told to stop by SIGTERM, it prints what it saw as JSON.
 *
 *   node follow-reader.ts DATABASE short|kept|long
 */
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";

export interface ReaderReport {
  /** Looks that saw a state. */
  readonly looks: number;
  /** Different states seen. */
  readonly states: number;
  readonly busy: number;
  /** A read-only connection met the journal of a process that had died. */
  readonly needsRecovery: number;
  readonly mistakes: readonly string[];
}

/** What a consistent sheet looks like; see `writeSheet()` in the tests. */
const QUERY = `SELECT (SELECT n FROM sheet) AS n, (SELECT cells FROM sheet) AS cells,
  count(*) AS count, min(v) AS min, max(v) AS max, sum(length(pad)) AS bytes FROM cell`;

const BUSY = 5;
const READONLY_ROLLBACK = 776;

if (import.meta.main) await main(process.argv[2] ?? "", process.argv[3] ?? "short");

async function main(path: string, mode: string): Promise<void> {
  let isStopped = false;
  process.on("SIGTERM", () => {
    isStopped = true;
  });
  const report = { looks: 0, states: 0, busy: 0, needsRecovery: 0, mistakes: [] as string[] };
  let last = -1;
  let kept: DatabaseSync | undefined;
  const look = (database: DatabaseSync): number => {
    const row = database.prepare(QUERY).get() as Record<string, number>;
    const { n = -1, cells, count, min, max } = row;
    if (min !== n || max !== n || count !== cells) report.mistakes.push(JSON.stringify(row));
    return n;
  };
  while (!isStopped && report.mistakes.length < 5) {
    try {
      kept ??= new DatabaseSync(path, { readOnly: true });
      if (mode === "long") kept.exec("BEGIN");
      const n = look(kept);
      if (mode === "long") {
        await sleep(120);
        const again = look(kept);
        if (again !== n) report.mistakes.push(`a transaction saw ${n}, then ${again}`);
        kept.exec("COMMIT");
        await sleep(30);
      }
      report.looks += 1;
      if (n < last) report.mistakes.push(`${last} was followed by ${n}`);
      if (n > last) report.states += 1;
      last = n;
    } catch (error) {
      const code = (error as { errcode?: number }).errcode ?? 0;
      if (kept?.isTransaction === true) kept.exec("ROLLBACK");
      if ((code & 0xff) === BUSY) report.busy += 1;
      else if (code === READONLY_ROLLBACK) report.needsRecovery += 1;
      else report.mistakes.push(String(error));
      await sleep(5);
    }
    if (mode === "short") {
      kept?.close();
      kept = undefined;
    }
    await sleep(1);
  }
  kept?.close();
  console.log(JSON.stringify(report));
}
