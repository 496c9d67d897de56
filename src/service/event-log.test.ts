import assert from "node:assert/strict";
import { test } from "node:test";
import type { EngineEvent } from "../engine/events.ts";
import { logEvents } from "./event-log.ts";
import { Logger, type LogLevel } from "./logger.ts";

/** Logs events at a time that the test moves; lines are without their time. */
function setUp(level: LogLevel = "info"): {
  readonly emit: (event: EngineEvent) => void;
  readonly lines: string[];
  readonly clock: { now: number };
} {
  const lines: string[] = [];
  const clock = { now: 0 };
  const write = (line: string): void => void lines.push(line.replace(/^time=\S+ /, "").trim());
  const logger = new Logger({ format: "text", level, write });
  return { emit: logEvents(logger, () => clock.now), lines, clock };
}

const db = { database: "/data/app.db" } as const;
const replica = { ...db, replica: "s3" } as const;

const uploaded: EngineEvent = {
  type: "ltx-uploaded",
  ...replica,
  level: 0,
  minTXID: 1n,
  maxTXID: 1n,
  sizeBytes: 100,
  durationMs: 5,
};
const synced: EngineEvent = { type: "replica-synced", ...replica, txid: 1n };

test("logEvents() says nothing above debug while nothing changes", () => {
  const { emit, lines } = setUp();
  emit(synced);
  emit({ type: "database-opened", ...db, pageSize: 4096, txid: 1n });
  emit(synced);
  assert.deepEqual(lines, []);
});

test("logEvents() writes upstream's debug records", () => {
  const { emit, lines } = setUp("debug");
  emit(uploaded);
  assert.deepEqual(lines, [
    'level=DEBUG msg="ltx file uploaded" system=store db=app.db replica=s3 level=0 ' +
      "minTXID=0000000000000001 maxTXID=0000000000000001 size=100 elapsed=5ms",
  ]);
});

test("logEvents() sums uploads up once a minute, and only when there were any", () => {
  const { emit, lines, clock } = setUp();
  const replicated = (): string[] => lines.filter((line) => line.includes("msg=replicated"));
  emit(uploaded);
  emit(synced);
  emit(uploaded);
  emit(uploaded);
  emit(synced);
  assert.equal(replicated().length, 1);
  clock.now = 60_000;
  emit(synced);
  assert.equal(
    replicated()[1],
    "level=INFO msg=replicated system=store db=app.db replica=s3 txid=0000000000000001 files=2 size=200",
  );
  clock.now = 200_000;
  emit(synced);
  assert.equal(replicated().length, 2);
});

test("logEvents() repeats a failure at most every 30 seconds, and at once after a recovery", () => {
  const { emit, lines, clock } = setUp();
  const fail = (consecutiveErrors: number): void =>
    emit({
      type: "replica-failed",
      ...replica,
      error: new Error("no answer"),
      consecutiveErrors,
      backoffMs: 2_000,
    });
  fail(1);
  fail(2);
  clock.now = 29_999;
  fail(3);
  assert.equal(lines.length, 1);
  assert.equal(
    lines[0],
    'level=ERROR msg="monitor error" system=store db=app.db replica=s3 error="no answer" consecutive_errors=1 backoff=2s',
  );
  clock.now = 30_000;
  fail(4);
  assert.equal(lines.length, 2);
  emit({ type: "replica-recovered", ...replica, consecutiveErrors: 4 });
  assert.match(lines[2] ?? "", /level=INFO msg="replica sync recovered"/);
  fail(1);
  assert.equal(lines.length, 4);
});

test("logEvents() keeps databases and replicas apart when it holds back", () => {
  const { emit, lines } = setUp();
  for (const name of ["a", "b"]) {
    for (const database of ["/1/app.db", "/2/app.db"]) {
      const error = new Error("x");
      emit({
        type: "replica-failed",
        database,
        replica: name,
        error,
        consecutiveErrors: 1,
        backoffMs: 0,
      });
    }
  }
  assert.equal(lines.length, 4);
});

test("logEvents() tells a waiting database once for each reason", () => {
  const { emit, lines } = setUp();
  const wait = (reason: string): void => emit({ type: "database-waiting", ...db, reason });
  wait("no file");
  wait("no file");
  wait("empty file");
  emit({ type: "database-opened", ...db, pageSize: 4096, txid: 1n });
  wait("empty file");
  assert.deepEqual(
    lines.map((line) => /reason="([^"]+)"/.exec(line)?.[1]),
    ["no file", "empty file", "empty file"],
  );
});

test("logEvents() gives errors their hint", () => {
  const { emit, lines } = setUp();
  const error = Object.assign(new Error("foreign file"), { hint: "Use another path" });
  emit({ type: "replica-conflict", ...replica, error });
  assert.match(lines[0] ?? "", /^level=ERROR .* error="foreign file" hint="Use another path"$/);
});

test("logEvents() tells what is wrong with a replica's levels once per level and half minute", () => {
  const { emit, lines, clock } = setUp();
  const gap = {
    type: "level-gap",
    ...replica,
    fromTXID: 3n,
    toTXID: 4n,
    remedy: "snapshot",
  } as const;
  emit({ ...gap, level: 1 });
  emit({ ...gap, level: 1 });
  emit({ ...gap, level: 2 });
  clock.now += 30_000;
  emit({ ...gap, level: 1 });
  assert.deepEqual(
    lines.map((line) => line.replace(/ txid.*/, "")),
    [1, 2, 1].map(
      (level) =>
        `level=WARN msg="files of a level are missing" system=store db=app.db replica=s3 level=${level}`,
    ),
  );
});

test("logEvents() tells a background task's failure and its recovery", () => {
  const { emit, lines } = setUp();
  const failed = {
    type: "maintenance-failed",
    ...replica,
    task: "level 2",
    error: new Error("no answer"),
    consecutiveErrors: 1,
    backoffMs: 1_000,
  } as const;
  emit(failed);
  emit(failed);
  emit({ ...failed, task: "snapshot" });
  emit({ type: "maintenance-recovered", ...replica, task: "level 2", consecutiveErrors: 2 });
  assert.deepEqual(
    lines.map((line) => /msg="([^"]*)"/.exec(line)?.[1]),
    ["level 2 failed", "snapshot failed", "level 2 recovered"],
  );
});
