import assert from "node:assert/strict";
import { test } from "node:test";
import { planHealth, planHeartbeatHealth, planReadiness } from "./health-plan.ts";
import { planHeartbeat } from "./heartbeat-plan.ts";
import type { DatabaseObservation, ReplicaObservation } from "./observation.ts";

const NOW = 10_000_000;
const MINUTE = 60_000;

const replica: ReplicaObservation = {
  name: "s3",
  state: "running",
  txid: 5n,
  lagMs: 0,
  pendingFiles: 0,
  uploadedAtMs: NOW,
  syncedAtMs: NOW,
  failingSinceMs: undefined,
  snapshotAtMs: undefined,
  level0: { eligible: 0, notCompacted: 0, tooRecent: 0 },
};

function database(
  own: Partial<DatabaseObservation> = {},
  ofReplica: Partial<ReplicaObservation> = {},
): DatabaseObservation {
  return {
    path: "/a.db",
    isStopped: false,
    isOpen: true,
    txid: 5n,
    walOffset: 0,
    ticks: { count: 1, errorCount: 0, durationMs: 1, failingSinceMs: undefined },
    heartbeatURL: undefined,
    heartbeatFailureURL: undefined,
    replicas: [{ ...replica, ...ofReplica }],
    ...own,
  };
}

test("planHealth() tells of failures that last and of second writers", () => {
  const failing = (minutes: number): readonly string[] =>
    planHealth([database({}, { state: "failing", failingSinceMs: NOW - minutes * MINUTE })], NOW);
  assert.deepEqual(planHealth([database()], NOW), []);
  assert.deepEqual(failing(4), []);
  assert.deepEqual(failing(6), ["/a.db: uploads to replica s3 fail"]);
  const conflict = planHealth([database({}, { state: "conflict" })], NOW);
  assert.deepEqual(conflict, ["/a.db: replica s3 has a second writer"]);
});

test("planReadiness() asks for an open database and a first upload, not of a stopped one", () => {
  assert.deepEqual(planReadiness([database()]), []);
  assert.deepEqual(planReadiness([database({ isOpen: false })]), ["/a.db: not open"]);
  assert.deepEqual(planReadiness([database({ isOpen: false, isStopped: true })]), []);
  const fresh = planReadiness([database({}, { syncedAtMs: undefined })]);
  assert.deepEqual(fresh, ["/a.db: replica s3 was not uploaded yet"]);
});

test("planHeartbeatHealth() wants every open database current, and one at least", () => {
  const plan = (...databases: DatabaseObservation[]): string | undefined =>
    planHeartbeatHealth(databases, NOW, 5 * MINUTE);
  assert.equal(plan(), "no database is open");
  assert.equal(plan(database()), undefined);
  assert.equal(plan(database(), database({ isOpen: false, isStopped: true })), undefined);
  assert.equal(plan(database(), database({ path: "/b.db", isOpen: false })), "/b.db is not open");
  const old = { syncedAtMs: NOW - 6 * MINUTE };
  assert.equal(plan(database({}, old)), undefined, "idle, and everything is there");
  assert.equal(
    plan(database({}, { ...old, pendingFiles: 1 })),
    "replica s3 of /a.db lacks changes",
  );
  assert.equal(plan(database({}, { pendingFiles: 1 })), undefined);
});

test("planHeartbeat() pings when due, and says failures only where asked", () => {
  const facts = {
    nowMs: NOW,
    intervalMs: MINUTE,
    triedAtMs: undefined,
    url: "https://h/x",
    failureURL: undefined,
    trouble: undefined,
  };
  assert.deepEqual(planHeartbeat(facts), { kind: "ping", url: "https://h/x" });
  assert.deepEqual(planHeartbeat({ ...facts, triedAtMs: NOW - MINUTE + 1 }), { kind: "wait" });
  const trouble = "replica lacks changes";
  assert.deepEqual(planHeartbeat({ ...facts, trouble }), { kind: "silent", reason: trouble });
  assert.deepEqual(planHeartbeat({ ...facts, trouble, failureURL: "https://h/fail" }), {
    kind: "failure-ping",
    url: "https://h/fail",
    reason: trouble,
  });
});
