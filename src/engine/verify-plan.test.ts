import assert from "node:assert/strict";
import { test } from "node:test";
import { SNAPSHOT_LEVEL } from "../formats/ltx/layout.ts";
import type { LTXFileInfo, LTXFileName } from "../storage/replica-client.ts";
import { judgeReplica, type ReplicaProblem, type ReplicaVerdict } from "./verify-plan.ts";

const ALL = Array.from({ length: SNAPSHOT_LEVEL + 1 }, (_, level) => level);

function file(level: number, minTXID: bigint, maxTXID = minTXID): LTXFileInfo {
  return { level, minTXID, maxTXID, sizeBytes: 100, createdAt: new Date(Number(maxTXID) * 1000) };
}

function judge(
  files: readonly LTXFileInfo[],
  damaged: readonly LTXFileInfo[] = [],
): ReplicaVerdict {
  const broken = new Map<LTXFileName, ReplicaProblem>(
    damaged.map((of) => [
      of,
      { kind: "damaged", level: of.level, file: "", message: "", hint: "", isHarmless: false },
    ]),
  );
  return judgeReplica({ files, broken, levels: ALL, holdsV3: false });
}

function kinds({ problems }: ReplicaVerdict): string[] {
  return problems.map(({ kind, isHarmless }) => (isHarmless ? `harmless ${kind}` : kind));
}

test("a gap is harmless where a snapshot or another level bridges it, and only there", () => {
  const before = [file(0, 1n), file(0, 2n)];
  const after = [file(0, 5n), file(0, 6n)];
  const open = judge([...before, ...after]);
  assert.deepEqual(kinds(open), ["gap", "not-restorable"]);
  assert.equal(open.isWhole, false);
  assert.equal(open.newest?.txid, 2n);
  const snapshot = judge([...before, ...after, file(9, 1n, 4n)]);
  assert.deepEqual(kinds(snapshot), ["harmless gap"]);
  assert.equal(snapshot.isWhole, true);
  const level = judge([...before, ...after, file(1, 3n, 4n)]);
  assert.deepEqual(kinds(level), ["harmless gap"]);
  assert.equal(level.newest?.txid, 6n);
  const short = judge([...before, ...after, file(9, 1n, 3n)]);
  assert.deepEqual(kinds(short), ["gap", "not-restorable"]);
});

test("a damaged file bridges nothing", () => {
  const snapshot = file(9, 1n, 4n);
  const files = [file(0, 1n), file(0, 5n), snapshot];
  assert.deepEqual(kinds(judge(files)), ["harmless gap"]);
  assert.deepEqual(kinds(judge(files, [snapshot])), ["gap", "damaged", "not-restorable"]);
});

test("a damaged newest file takes the newest state along, a covered one does not", () => {
  const newest = file(0, 3n);
  const files = [file(0, 1n), file(0, 2n), newest];
  const lost = judge(files, [newest]);
  assert.deepEqual(kinds(lost), ["damaged", "not-restorable"]);
  assert.equal(lost.newest?.txid, 2n);
  const covered = judge([...files, file(1, 1n, 3n)], [newest]);
  assert.deepEqual(kinds(covered), ["damaged"]);
  assert.equal(covered.isWhole, false);
  assert.equal(covered.newest?.txid, 3n);
});

test("files that overlap are told, and harm nothing", () => {
  const verdict = judge([file(0, 1n, 3n), file(0, 2n, 4n)]);
  assert.deepEqual(kinds(verdict), ["harmless overlap"]);
  assert.equal(verdict.isWhole, true);
});
