import assert from "node:assert/strict";
import { test } from "node:test";
import type { WALHeader } from "../formats/wal.ts";
import { planImage, planSync } from "./sync-plan.ts";
import type { FrameMark, ResumePoint, WALObservation } from "./sync-plan.ts";

const mark: FrameMark = { salt1: 100, salt2: 7, checksum1: 11, checksum2: 12 };
const header: WALHeader = {
  bigEndian: false,
  pageSize: 4096,
  checkpointSequence: 0,
  salt1: 100,
  salt2: 7,
  checksum1: 1,
  checksum2: 2,
};
const resume: ResumePoint = {
  txid: 5n,
  commit: 10,
  pageSize: 4096,
  offset: 32 + 3 * 4120,
  mark,
  bigEndian: false,
  ino: 42,
};
const wal: WALObservation = { sizeBytes: 1 << 20, header, previousFrame: mark };
const database = { pageSize: 4096, ino: 42, sealed: false };
const restarted: WALHeader = { ...header, salt1: 101, salt2: 99 };

const table: {
  readonly what: string;
  readonly wal?: Partial<WALObservation>;
  readonly resume?: Partial<ResumePoint> | null;
  readonly database?: Partial<typeof database>;
  readonly kind: string;
  readonly reason?: RegExp;
}[] = [
  { what: "nothing known", resume: null, kind: "full-image", reason: /first sync/ },
  { what: "same generation, frame in place", kind: "continue" },
  {
    what: "same salts, frame gone",
    wal: { previousFrame: null },
    kind: "full-image",
    reason: /rewritten/,
  },
  {
    what: "same salts, other content before the offset (volume rolled back)",
    wal: { previousFrame: { ...mark, checksum2: 13 } },
    kind: "full-image",
    reason: /rewritten/,
  },
  {
    what: "restarted once, frame in place",
    wal: { header: restarted },
    kind: "continue-after-restart",
  },
  {
    what: "restarted once, frame overwritten",
    wal: { header: restarted, previousFrame: { ...mark, salt1: 101 } },
    kind: "full-image",
    reason: /overwritten/,
  },
  {
    what: "restarted twice, frame in place",
    wal: { header: { ...restarted, salt1: 102 } },
    kind: "full-image",
    reason: /more than once/,
  },
  {
    what: "made anew with a first salt one higher by chance, nothing of the old one left",
    wal: { header: restarted, previousFrame: null },
    kind: "full-image",
    reason: /overwritten/,
  },
  {
    what: "salts wrap around",
    wal: { header: { ...restarted, salt1: 0 }, previousFrame: { ...mark, salt1: 0xffff_ffff } },
    resume: { mark: { ...mark, salt1: 0xffff_ffff } },
    kind: "continue-after-restart",
  },
  {
    what: "sealed by a checkpoint of ours and restarted, file truncated below the frame",
    wal: { header: restarted, previousFrame: null },
    database: { sealed: true },
    kind: "new-generation",
  },
  { what: "sealed and not restarted", database: { sealed: true }, kind: "continue" },
  {
    what: "sealed and restarted twice",
    wal: { header: { ...restarted, salt1: 102 }, previousFrame: null },
    database: { sealed: true },
    kind: "full-image",
    reason: /more than once/,
  },
  {
    what: "no frame copied yet, same header",
    resume: { offset: 32, mark: { salt1: 100, salt2: 7, checksum1: 1, checksum2: 2 } },
    wal: { previousFrame: null },
    kind: "continue",
  },
  {
    what: "no frame copied yet, restarted",
    resume: { offset: 32, mark: { salt1: 100, salt2: 7, checksum1: 1, checksum2: 2 } },
    wal: { header: restarted, previousFrame: null },
    kind: "full-image",
    reason: /before any of its frames/,
  },
  {
    what: "WAL gone",
    wal: { sizeBytes: 0, header: null },
    kind: "full-image",
    reason: /removed or emptied/,
  },
  { what: "WAL header broken", wal: { header: null }, kind: "full-image", reason: /not valid/ },
  { what: "another file", database: { ino: 43 }, kind: "full-image", reason: /replaced/ },
  {
    what: "another page size",
    database: { pageSize: 8192 },
    kind: "full-image",
    reason: /page size changed from 4096 to 8192/,
  },
  {
    what: "WAL of another page size",
    wal: { header: { ...header, pageSize: 8192 } },
    kind: "full-image",
    reason: /page size 8192/,
  },
  {
    what: "another byte order",
    wal: { header: { ...header, bigEndian: true } },
    kind: "full-image",
    reason: /byte order/,
  },
];

for (const row of table) {
  test(`planSync(): ${row.what} → ${row.kind}`, () => {
    const plan = planSync(
      { ...wal, ...row.wal },
      row.resume === null ? null : { ...resume, ...row.resume },
      { ...database, ...row.database },
    );
    assert.equal(plan.kind, row.kind);
    if (row.reason !== undefined)
      assert.match(plan.kind === "full-image" ? plan.reason : "", row.reason);
  });
}

test("planSync() continues at the copied offset, after a restart with the old generation's tail", () => {
  assert.deepEqual(planSync(wal, resume, database), {
    kind: "continue",
    offset: resume.offset,
    mark,
  });
  assert.deepEqual(planSync({ ...wal, header: restarted }, resume, database), {
    kind: "continue-after-restart",
    tailOffset: resume.offset,
    tailMark: mark,
  });
});

for (const { what, facts, expected } of [
  { what: "follows the newest file", facts: {}, expected: "difference" },
  { what: "begins a new chain", facts: { mustBeFull: true }, expected: "full" },
  { what: "there are no local files", facts: { newestTXID: 0n }, expected: "full" },
  { what: "nothing was ever written", facts: { txid: 0n, newestTXID: 0n }, expected: "full" },
  { what: "numbers were skipped", facts: { txid: 9n }, expected: "full" },
] as const) {
  test(`planImage(): ${what}: ${expected}`, () => {
    assert.equal(planImage({ mustBeFull: false, txid: 5n, newestTXID: 5n, ...facts }), expected);
  });
}
