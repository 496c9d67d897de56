import assert from "node:assert/strict";
import { test } from "node:test";
import { verifyLTX } from "../formats/ltx/decoder.ts";
import { createLTXHeader } from "../formats/ltx/header.ts";
import type { LTXHeader } from "../formats/ltx/header.ts";
import { lockPgno } from "../formats/sqlite-header.ts";
import { snapshotChunks, snapshotThreads } from "./snapshot-chunks.ts";
import type { FillPages } from "./snapshot-chunks.ts";

const MIB = 1 << 20;

function snapshotHeader(pageSize: number, commit: number): LTXHeader {
  return createLTXHeader({
    pageSize,
    commit,
    minTXID: 1n,
    maxTXID: 9n,
    timestampMs: 1_700_000_000_000,
  });
}

/** Pages of which every third byte depends on its page: no two are alike, and they compress. */
function fillerOf(pageSize: number): FillPages {
  return (target, pgnos) => {
    target.fill(0, 0, pgnos.length * pageSize);
    for (const [index, pgno] of pgnos.entries())
      for (let at = 0; at < pageSize; at += 3)
        target[index * pageSize + at] = (pgno * 31 + at * pgno) & 255;
  };
}

async function collect(
  header: LTXHeader,
  threads: number,
  fill: FillPages = fillerOf(header.pageSize),
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  const { signal } = new AbortController();
  for await (const chunk of snapshotChunks(header, fill, { threads, signal })) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Each running thread keeps the process alive by a port. */
function runningThreads(): number {
  return process.getActiveResourcesInfo().filter((name) => name.includes("MessagePort")).length;
}

for (const [pageSize, commit] of [
  [4096, 5000],
  [512, 4097],
  [65_536, 100],
  [4096, 1],
] as const) {
  test(`snapshotChunks() gives the same bytes with threads: ${commit} pages of ${pageSize}`, async () => {
    const header = snapshotHeader(pageSize, commit);
    const alone = await collect(header, 0);
    assert.equal(verifyLTX([alone]).pageCount, commit);
    assert.equal((await collect(header, 2)).equals(alone), true);
    assert.equal((await collect(header, 1)).equals(alone), true);
  });
}

test("snapshotChunks() leaves out the lock page with threads, too", async () => {
  const pageSize = 65_536;
  const lock = lockPgno(pageSize);
  const header = snapshotHeader(pageSize, lock + 2);
  const asked: number[] = [];
  const bytes = await collect(header, 2, (target, pgnos) => {
    target.fill(pgnos[0] ?? 0, 0, pgnos.length * pageSize);
    asked.push(...pgnos);
  });
  assert.equal(verifyLTX([bytes]).pageCount, lock + 1);
  assert.equal(asked.includes(lock), false);
  assert.equal(asked.length, lock + 1);
});

test("snapshotChunks() reads no further than four batches ahead of whoever takes its chunks", async () => {
  const header = snapshotHeader(4096, 20 * 256);
  let filled = 0;
  const { signal } = new AbortController();
  const chunks = snapshotChunks(header, () => filled++, { threads: 2, signal });
  await chunks.next();
  await chunks.next();
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.equal(filled, 4);
  await chunks.return();
  assert.equal(filled, 4);
});

test("snapshotChunks() ends its threads when it is left, aborted, or its pages cannot be read", async () => {
  const header = snapshotHeader(4096, 20 * 256);
  const before = runningThreads();
  const left = snapshotChunks(header, () => undefined, {
    threads: 2,
    signal: new AbortController().signal,
  });
  await left.next();
  await left.next();
  assert.equal(runningThreads() > before, true);
  await left.return();
  assert.equal(runningThreads(), before);

  const controller = new AbortController();
  const aborted = snapshotChunks(header, () => undefined, {
    threads: 2,
    signal: controller.signal,
  });
  await aborted.next();
  await aborted.next();
  controller.abort(new Error("stopped"));
  await assert.rejects(aborted.next(), /stopped/);
  assert.equal(runningThreads(), before);

  let batches = 0;
  const broken = collect(header, 2, () => {
    if (++batches === 7) throw new Error("the file is too short");
  });
  await assert.rejects(broken, /the file is too short/);
  assert.equal(runningThreads(), before);
});

test("snapshotThreads() takes threads for large databases on machines with several processors", () => {
  assert.equal(snapshotThreads(64 * MIB - 1, 8), 0);
  assert.equal(snapshotThreads(64 * MIB, 8), 2);
  assert.equal(snapshotThreads(64 * MIB, 2), 2);
  assert.equal(snapshotThreads(1000 * MIB, 1), 0);
});
