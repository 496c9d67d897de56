/**
 * The application: a process of its own that holds the database open with SQLite and does what it is told over IPC.
 * It is separate because POSIX locks are per process, and because it must be killable.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { DatabaseSync } from "node:sqlite";
import type { ApplicationCommand, ApplicationStatistics, OpenSettings } from "./application.ts";
import { Random } from "./random.ts";
import { createSchema, JournalWriter, readProgress, rollBackSpill, transact } from "./workload.ts";

const BUSY = 5;

let database: DatabaseSync | undefined;
let journal: JournalWriter | undefined;
let random = new Random(1);
const task = { running: false, finished: Promise.resolve() };
const statistics: ApplicationStatistics = {
  committed: 0,
  busyErrors: 0,
  longestCommitMs: 0,
  checkpoints: 0,
};

process.on("message", (message: { id: number; command: ApplicationCommand }) => {
  obey(message.command).then(
    (value) => process.send?.({ id: message.id, value }),
    (error: unknown) => process.send?.({ id: message.id, error: String(error) }),
  );
});
process.on("disconnect", () => process.exit(0));
process.send?.({ id: 0 });

async function obey(command: ApplicationCommand): Promise<unknown> {
  switch (command.do) {
    case "open":
      return open(command.path, command.settings);
    case "execute":
      for (const sql of command.statements) opened().exec(sql);
      return undefined;
    case "query":
      return opened().prepare(command.sql).all();
    case "transact":
      return transactSeveral(command.count);
    case "roll-back-spill":
      return rollBackSpill(opened(), random);
    case "run":
      task.running = true;
      task.finished = runUntilPaused(command.pauseMs);
      return undefined;
    case "checkpoint-forever":
      task.running = true;
      task.finished = checkpointForever(command.modes, command.pauseMs);
      return undefined;
    case "pause":
      task.running = false;
      await task.finished;
      return statistics;
    case "close":
      database?.close();
      database = undefined;
      return undefined;
    case "exit":
      database?.close();
      journal?.[Symbol.dispose]();
      return setImmediate(() => process.exit(0));
  }
}

function opened(): DatabaseSync {
  if (database === undefined) throw new Error("The application has no database open");
  return database;
}

function open(path: string, settings: OpenSettings): void {
  database = new DatabaseSync(path, { timeout: settings.busyTimeoutMs ?? 5_000 });
  if (settings.pageSize !== undefined) database.exec(`PRAGMA page_size = ${settings.pageSize}`);
  if (settings.autoVacuum !== undefined)
    database.exec(`PRAGMA auto_vacuum = ${settings.autoVacuum}`);
  database.exec(`PRAGMA journal_mode = ${settings.journalMode ?? "wal"}`);
  database.exec(`PRAGMA wal_autocheckpoint = ${settings.autoCheckpoint ?? 0}`);
  database.exec(`PRAGMA synchronous = ${settings.synchronous ?? "NORMAL"}`);
  database.exec(`PRAGMA cache_size = ${settings.cacheSize ?? -2000}`);
  random = new Random(settings.seed ?? 1);
  if (settings.journal === undefined) return;
  journal ??= new JournalWriter(settings.journal);
  createSchema(database);
}

function transactSeveral(count: number): number {
  if (journal === undefined) throw new Error("The application was opened without a journal");
  let last = readProgress(opened());
  for (let i = 0; i < count; i++) last = timedTransaction(journal) ?? last;
  return last;
}

async function runUntilPaused(pauseMs: number): Promise<void> {
  while (task.running) {
    if (random.chance(0.05)) tolerateBusy(() => rollBackSpill(opened(), random));
    transactSeveral(1);
    await sleep(pauseMs === 0 ? 0 : random.integer(0, 2 * pauseMs));
  }
}

async function checkpointForever(modes: readonly string[], pauseMs: number): Promise<void> {
  while (task.running) {
    const mode = modes[random.integer(0, modes.length - 1)] ?? "PASSIVE";
    tolerateBusy(() => opened().exec(`PRAGMA wal_checkpoint(${mode})`));
    statistics.checkpoints++;
    await sleep(pauseMs);
  }
}

function timedTransaction(to: JournalWriter): number | undefined {
  const startedAt = performance.now();
  const n = tolerateBusy(() => transact(opened(), random, to));
  if (n !== undefined) statistics.committed++;
  statistics.longestCommitMs = Math.max(statistics.longestCommitMs, performance.now() - startedAt);
  return n;
}

/** SQLITE_BUSY after the whole busy timeout is counted, not fatal: tests decide how many are normal. */
function tolerateBusy<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    const code = (error as { errcode?: number }).errcode ?? 0;
    if ((code & 0xff) !== BUSY) throw error;
    statistics.busyErrors++;
    return undefined;
  }
}
