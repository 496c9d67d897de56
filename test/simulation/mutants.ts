/**
 * Bugs of the past, planted one at a time in a copy of the sources: the simulation must find each. A text that is no longer
 * there fails loudly, so that no mutant dies unnoticed.
 */
import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join, resolve } from "node:path";

interface Edit {
  readonly from: string;
  readonly to: string;
}

interface Mutant extends Edit {
  readonly name: string;
  readonly file: string;
  /** What else in the file would heal it. */
  readonly also?: readonly Edit[];
  /** Where the hunt begins: rare ones would take long from 1 on. */
  readonly firstSeed?: number;
}

const mutants: readonly Mutant[] = [
  {
    name: "E1: a restart of the WAL is not noticed while the last copied frame is still there",
    file: "engine/sync-plan.ts",
    from: "if (!restartedOnce) return image",
    to: 'if (restartedOnce && previousIntact) return { kind: "new-generation" };\n  if (!restartedOnce) return image',
  },
  {
    name: "E2, E5: numbering starts again below what the store holds",
    file: "engine/upload-plan.ts",
    from: "const nextTXID = greatestTXID([remoteMax, local.reservedTXID]) + 1n;",
    to: "const nextTXID = local.reservedTXID + 1n;",
  },
  {
    name: "X6: what stands in the store is overwritten",
    file: "engine/upload.ts",
    from: "      createdAt: headerTime(file.header),\n      ifAbsent,",
    to: "      createdAt: headerTime(file.header),\n      ifAbsent: false,",
  },
  {
    name: "F9: numbers of another writer's retired files are taken",
    file: "engine/replica.ts",
    from: "await this.#checkSoleWriter(ifAbsent, signal);",
    to: "if (!ifAbsent) await this.#checkSoleWriter(ifAbsent, signal);",
    firstSeed: 540,
  },
  {
    name: "LS#1337: commits between the last copy and the checkpoint are lost",
    file: "engine/checkpoint.ts",
    from: "result = await whileCopying(target, passive(target, BUSY_INSIDE_MS, nextTurn));",
    to: "result = await passive(target, BUSY_INSIDE_MS, nextTurn);",
    also: [
      {
        from: "if (result.walFrames > target.copiedFrames()) target.onMissingFrames();\n    else ",
        to: "",
      },
      {
        from: 'if (walFrames > target.copiedFrames()) return { kind: "chain-broken", walFrames };',
        to: "",
      },
    ],
  },
  {
    name: "LS#1325: retention deletes the only snapshot",
    file: "engine/retention-plan.ts",
    from: "const older = sorted.slice(0, -1);",
    to: "const older = sorted;",
  },
  {
    name: "LS#1450: retention deletes compacted files above the floor",
    file: "engine/retention-plan.ts",
    from: ".filter((file) => file.maxTXID < floorTXID);",
    to: ";",
  },
  {
    name: "WL12: a transaction that is not committed is copied",
    file: "engine/wal-file.ts",
    from: "const commit = scanner.commits[index] ?? 0;",
    to: "const commit = scanner.commits[index] || Math.max(1, scanner.commits[0] ?? 0, scanner.pgnos[index] ?? 0);",
  },
  {
    name: "LS#224: an upload that failed counts as done",
    file: "engine/replica-chain.ts",
    from: "if (failure !== undefined) throw failure.error;",
    to: "",
  },
  {
    name: "LS#778: a compaction carries the time of its first input",
    file: "formats/ltx/merge.ts",
    from: "timestampMs: last.timestampMs,",
    to: "timestampMs: first.timestampMs - 600_000,",
  },
  {
    name: "LS#795: local files are never deleted",
    file: "engine/local-trim.ts",
    from: "const fileCount = local.trim(keepFrom);",
    to: "const fileCount = local.trim(keepFrom * 0n);",
  },
  {
    name: "E6: a changed page size starts no new chain",
    file: "engine/upload-plan.ts",
    from: "return previous.pageSize !== undefined && previous.pageSize !== file.pageSize;",
    to: "return false;",
  },
  {
    name: "LS#881: an increment that shrinks the database keeps its old size",
    file: "engine/level-zero.ts",
    from: "    commit: stretch.commit,\n    minTXID: txid,",
    to: "    commit: Math.max(stretch.commit, local.newestHeader()?.commit ?? 0),\n    minTXID: txid,",
  },
  {
    name: "X8: a compaction does not see that its sources have a hole",
    file: "engine/level-plan.ts",
    from: "if (file.minTXID > end + 1n) break;",
    to: "if (file.minTXID > end + 3n) break;",
  },
  {
    name: "E4: a replaced database file is not noticed",
    file: "engine/opened-database.ts",
    from: 'if (!opened.file.isCurrent()) return "the database file was replaced or removed";',
    to: "return null;",
  },
];

/** Seeds after which a mutant counts as missed. */
const MAX_SEEDS = 250;

/** Plants each mutant and simulates. Returns how many were not found. */
export async function hunt(only: string | undefined): Promise<number> {
  const queue = mutants.filter(({ name }) => only === undefined || name.includes(only)).values();
  let missed = 0;
  const worker = async (): Promise<void> => {
    for (const mutant of queue) {
      const startedAt = Date.now();
      const found = await findMutant(mutant);
      if (found === null) missed++;
      const seconds = ((Date.now() - startedAt) / 1_000).toFixed(1);
      console.log(
        `${found === null ? "MISSED" : "found"} in ${seconds} s: ${mutant.name}: ${found ?? ""}`,
      );
    }
  };
  await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, worker));
  return missed;
}

/** What the simulation said about it; null when it noticed nothing. */
async function findMutant({
  name,
  file,
  from,
  to,
  also = [],
  firstSeed = 1,
}: Mutant): Promise<string | null> {
  const root = resolve(import.meta.dirname, "../..");
  const copy = mkdtempSync(join(tmpdir(), "litestream-mutant-"));
  try {
    for (const folder of ["src", "test/simulation", "test/harness", "package.json"])
      cpSync(join(root, folder), join(copy, folder), { recursive: true });
    symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
    const path = join(copy, "src", file);
    let text = readFileSync(path, "utf8");
    for (const edit of [{ from, to }, ...also]) {
      const parts = text.split(edit.from);
      if (parts.length !== 2)
        throw new Error(
          `Cannot plant "${name}": its text stands ${parts.length - 1} times in src/${file}`,
        );
      text = parts.join(edit.to);
    }
    writeFileSync(path, text);
    return await simulate(join(copy, "test/simulation/main.ts"), firstSeed);
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

function simulate(main: string, firstSeed: number): Promise<string | null> {
  const args = [main, "--seeds", String(MAX_SEEDS), "--seed", String(firstSeed)];
  return new Promise((settle, reject) => {
    execFile(process.execPath, args, { maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
      if (error === null) {
        settle(null);
        return;
      }
      const line = /^Seed \d+ fails: .*$/m.exec(stdout)?.[0];
      if (line === undefined)
        reject(new Error(`The mutant does not run: ${error.signal ?? error.code}: ${stderr}`));
      else settle(line);
    });
  });
}
