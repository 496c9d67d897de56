import assert from "node:assert/strict";
import { mkdtempDisposableSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { createLTXHeader } from "../formats/ltx/header.ts";
import { readResumePoint, resumePointPath, writeResumePoint } from "./resume-point.ts";
import type { ResumePoint } from "./sync-plan.ts";

const newest = createLTXHeader({
  pageSize: 4096,
  commit: 9,
  minTXID: 0xabcn,
  maxTXID: 0xabcn,
  timestampMs: 1_700_000_000_000,
  walOffset: 32,
  walSize: 4120,
  walSalt1: 5,
  walSalt2: 6,
});
const resume: ResumePoint = {
  txid: 0xabcn,
  commit: 9,
  pageSize: 4096,
  offset: 32,
  mark: { salt1: 6, salt2: 77, checksum1: 8, checksum2: 9 },
  bigEndian: false,
  ino: 1234,
};

function folder(): { readonly path: string } & Disposable {
  const made = mkdtempDisposableSync(join(tmpdir(), "resume-"));
  return { path: made.path, [Symbol.dispose]: () => made.remove() };
}

test("readResumePoint() returns what writeResumePoint() stored", () => {
  using meta = folder();
  writeResumePoint(meta.path, newest, resume);
  assert.deepEqual(readResumePoint(meta.path, newest), resume);
});

test("readResumePoint() knows nothing without a file", () => {
  using meta = folder();
  assert.equal(readResumePoint(meta.path, newest), null);
});

test("readResumePoint() counts for nothing when the newest level-0 file is another one", () => {
  using meta = folder();
  writeResumePoint(meta.path, newest, resume);
  const others = [
    { ...newest, maxTXID: 0xabdn },
    { ...newest, walSize: 8240 },
    { ...newest, walSalt1: 7 },
    { ...newest, commit: 10 },
    { ...newest, pageSize: 512 },
  ];
  for (const other of others) assert.equal(readResumePoint(meta.path, other), null);
});

test("readResumePoint() takes a torn or foreign file as none", () => {
  using meta = folder();
  writeResumePoint(meta.path, newest, resume);
  for (const text of [
    "",
    "{",
    '{"version":1}',
    "[]",
    "null",
    '{"version":2,"txid":"0000000000000abc"}',
  ]) {
    writeFileSync(resumePointPath(meta.path), text);
    assert.equal(readResumePoint(meta.path, newest), null, text);
  }
});
