import assert from "node:assert/strict";
import { test } from "node:test";
import { createLTXHeader } from "../formats/ltx/header.ts";
import type { LTXHeader } from "../formats/ltx/header.ts";
import type { LTXFileInfo } from "../storage/replica-client.ts";
import {
  chooseWitnesses,
  findOvertakers,
  isSameState,
  nextBackoffMs,
  planStart,
  startsNewChain,
} from "./upload-plan.ts";
import type { LocalRun, RemoteFiles } from "./upload-plan.ts";

const none: LocalRun = { oldestTXID: 0n, newestTXID: 0n, reservedTXID: 0n };

function localRun(oldest: number, newest: number, reserved = newest): LocalRun {
  return { oldestTXID: BigInt(oldest), newestTXID: BigInt(newest), reservedTXID: BigInt(reserved) };
}

function info(level: number, maxTXID: number, minTXID = level === 0 ? maxTXID : 1): LTXFileInfo {
  return {
    level,
    minTXID: BigInt(minTXID),
    maxTXID: BigInt(maxTXID),
    sizeBytes: 1,
    createdAt: new Date(0),
  };
}

/** Level-0 TXIDs, and the newest TXID of other levels. */
function remoteFiles(
  level0: readonly number[],
  levels: Readonly<Record<number, number>> = {},
): RemoteFiles {
  const files = level0.map((txid) => info(0, txid));
  const newest = Array.from({ length: 10 }, (_, level) => {
    const txid = levels[level];
    return level === 0 ? files.at(-1) : txid === undefined ? undefined : info(level, txid);
  });
  return { newest, level0: files };
}

function plan(
  local: LocalRun,
  remote: RemoteFiles,
  options: { readonly different?: readonly number[]; readonly image?: number } = {},
): ReturnType<typeof planStart> {
  const comparisons = chooseWitnesses(local, remote).map((file) => ({
    file,
    equal: !(options.different ?? []).includes(Number(file.maxTXID)),
  }));
  return planStart({ local, remote, comparisons, image: BigInt(options.image ?? 0) });
}

const range = (first: number, last: number): number[] =>
  Array.from({ length: last - first + 1 }, (_, i) => first + i);

const cases: readonly {
  readonly name: string;
  readonly local: LocalRun;
  readonly remote: RemoteFiles;
  readonly different?: readonly number[];
  readonly image?: number;
  readonly expect: Readonly<Record<string, unknown>>;
}[] = [
  {
    name: "nothing anywhere",
    local: none,
    remote: remoteFiles([]),
    expect: { kind: "fresh", nextTXID: 1n },
  },
  {
    name: "numbers were used before a reset",
    local: localRun(0, 0, 7),
    remote: remoteFiles([]),
    expect: { kind: "fresh", nextTXID: 8n },
  },
  {
    name: "an empty store and all local files",
    local: localRun(1, 5),
    remote: remoteFiles([]),
    expect: { kind: "continue", position: 0n },
  },
  {
    name: "an empty store and trimmed local files",
    local: localRun(3, 5),
    remote: remoteFiles([]),
    expect: { kind: "gap", nextTXID: 6n },
  },
  {
    name: "an empty store and a local image",
    local: localRun(3, 5),
    remote: remoteFiles([]),
    image: 4,
    expect: { kind: "rebase", txid: 4n },
  },
  {
    name: "the store is up to date",
    local: localRun(1, 5),
    remote: remoteFiles(range(1, 5)),
    expect: { kind: "continue", position: 5n },
  },
  {
    name: "the store lags",
    local: localRun(1, 9),
    remote: remoteFiles(range(1, 5)),
    expect: { kind: "continue", position: 5n, ahead: [] },
  },
  {
    name: "uploads overtook a lost one",
    local: localRun(1, 9),
    remote: remoteFiles([1, 2, 4, 5]),
    expect: { kind: "continue", position: 2n, ahead: [4n, 5n] },
  },
  {
    name: "only overtaking uploads arrived",
    local: localRun(1, 4),
    remote: remoteFiles([2, 3]),
    expect: { kind: "continue", position: 0n, ahead: [2n, 3n] },
  },
  {
    name: "level 0 was compacted and trimmed",
    local: localRun(6, 9),
    remote: remoteFiles([7, 8], { 1: 6 }),
    expect: { kind: "continue", position: 8n },
  },
  {
    name: "level 0 expired but level 1 reaches as far (E5)",
    local: localRun(6, 9),
    remote: remoteFiles([], { 1: 9, 9: 4 }),
    expect: { kind: "continue", position: 9n },
  },
  {
    name: "level 0 expired and the local folder is lost (E5)",
    local: none,
    remote: remoteFiles([], { 1: 40, 9: 30 }),
    expect: { kind: "behind", nextTXID: 41n },
  },
  {
    name: "the local folder is lost",
    local: none,
    remote: remoteFiles(range(1, 5)),
    expect: { kind: "behind", nextTXID: 6n },
  },
  {
    name: "local files were rolled back (UP3)",
    local: localRun(1, 3),
    remote: remoteFiles(range(1, 5)),
    expect: { kind: "behind", nextTXID: 6n },
  },
  {
    name: "only a higher level is ahead (E5)",
    local: localRun(1, 5),
    remote: remoteFiles(range(1, 5), { 2: 8 }),
    expect: { kind: "behind", nextTXID: 9n },
  },
  {
    name: "rolled back and grown past the store while it was away",
    local: localRun(1, 9),
    remote: remoteFiles(range(1, 6)),
    different: [5, 6],
    expect: { kind: "diverged", nextTXID: 10n },
  },
  {
    name: "a second writer's file between ours",
    local: localRun(1, 9),
    remote: remoteFiles(range(1, 9)),
    different: [7],
    expect: { kind: "diverged", nextTXID: 10n },
  },
  {
    name: "diverged, but an image above everything is there",
    local: localRun(1, 9),
    remote: remoteFiles(range(1, 6)),
    different: [6],
    image: 8,
    expect: { kind: "rebase", txid: 8n },
  },
  {
    name: "diverged, and the image's number is taken",
    local: localRun(1, 9),
    remote: remoteFiles(range(1, 6)),
    different: [6],
    image: 6,
    expect: { kind: "diverged", nextTXID: 10n },
  },
  {
    name: "the image is in the store, its snapshot is not",
    local: localRun(8, 9),
    remote: { newest: [info(0, 9)], level0: [info(0, 8), info(0, 9)] },
    image: 8,
    expect: { kind: "rebase", txid: 8n },
  },
  {
    name: "the image and its snapshot are in the store",
    local: localRun(8, 9),
    remote: { newest: remoteFiles([8], { 9: 8 }).newest, level0: [info(0, 8)] },
    expect: { kind: "continue", position: 8n },
  },
  {
    name: "the snapshot of the image is there, its level-0 file is not",
    local: localRun(8, 9),
    remote: remoteFiles([], { 9: 8 }),
    expect: { kind: "continue", position: 7n },
  },
  {
    name: "level 0 lags behind a snapshot",
    local: localRun(1, 9),
    remote: remoteFiles(range(1, 5), { 9: 8 }),
    expect: { kind: "continue", position: 5n },
  },
  {
    name: "nothing in common to compare",
    local: localRun(6, 9),
    remote: remoteFiles([5]),
    expect: { kind: "diverged", nextTXID: 10n },
  },
  {
    name: "the file before the local run is there",
    local: localRun(6, 9),
    remote: remoteFiles([5, 6]),
    expect: { kind: "continue", position: 6n },
  },
  {
    name: "a second replica older than the local files",
    local: localRun(6, 9),
    remote: remoteFiles([6, 7]),
    expect: { kind: "gap", nextTXID: 10n },
  },
];
for (const { name, local, remote, expect, ...options } of cases) {
  test(`planStart(): ${name} → ${String(expect["kind"])}`, () => {
    const result: Readonly<Record<string, unknown>> = { ...plan(local, remote, options) };
    for (const [key, value] of Object.entries(expect)) assert.deepEqual(result[key], value, key);
    assert.ok(String(result["reason"]).length > 10);
  });
}

test("chooseWitnesses() takes the newest common files, as many as may have been in flight", () => {
  const files = chooseWitnesses(localRun(1, 9), remoteFiles(range(1, 8), { 1: 6 }));
  assert.deepEqual(
    files.map((file) => [file.level, file.maxTXID]),
    range(4, 8).map((txid) => [0, BigInt(txid)]),
  );
});

test("chooseWitnesses() adds a higher level only where it reaches further", () => {
  const files = chooseWitnesses(localRun(1, 9), remoteFiles([3], { 1: 5, 9: 7 }));
  assert.deepEqual(
    files.map((file) => [file.level, file.maxTXID]),
    [
      [0, 3n],
      [9, 7n],
    ],
  );
});

function overtakers(
  files: readonly [level: number, txid: number, equal: boolean][],
  image = 0n,
): bigint[] {
  const comparisons = files.map(([level, txid, equal]) => ({ file: info(level, txid), equal }));
  return findOvertakers(comparisons, () => image).map((file) => file.maxTXID);
}

test("findOvertakers() leaves a chain of our own that begins with an image behind the other's file", () => {
  const files: [number, number, boolean][] = [
    [0, 5, false],
    [0, 6, true],
    [0, 7, true],
    [0, 8, true],
  ];
  assert.deepEqual(overtakers(files, 7n), [6n]);
  assert.deepEqual(overtakers(files, 6n), []);
  assert.deepEqual(overtakers(files, 5n), [6n, 7n, 8n], "an image of the other's number is none");
  assert.deepEqual(overtakers(files, 0n), [6n, 7n, 8n]);
});

test("findOvertakers() names our files behind somebody else's, and only those", () => {
  assert.deepEqual(
    overtakers([
      [0, 4, true],
      [0, 5, true],
      [9, 7, false],
    ]),
    [],
  );
  assert.deepEqual(
    overtakers([
      [0, 4, true],
      [0, 5, false],
      [0, 6, true],
      [0, 7, false],
      [0, 8, true],
      [1, 9, true],
    ]),
    [6n, 8n],
  );
});

test("startsNewChain() at a jump of the numbers and at a new page size, not at the first file", () => {
  const file = { txid: 6n, pageSize: 4096 };
  assert.equal(startsNewChain({ txid: 5n, pageSize: 4096 }, file), false);
  assert.equal(startsNewChain({ txid: 5n, pageSize: undefined }, file), false);
  assert.equal(startsNewChain({ txid: 5n, pageSize: 1024 }, file), true);
  assert.equal(startsNewChain({ txid: 3n, pageSize: 4096 }, file), true);
  assert.equal(
    startsNewChain({ txid: 0n, pageSize: undefined }, { txid: 1n, pageSize: 512 }),
    false,
  );
});

function header(fields: Partial<LTXHeader>): LTXHeader {
  return {
    ...createLTXHeader({
      pageSize: 4096,
      commit: 9,
      minTXID: 5n,
      maxTXID: 5n,
      timestampMs: 1_000,
      walOffset: 32,
      walSize: 8240,
      walSalt1: 1,
      walSalt2: 2,
    }),
    ...fields,
  };
}

test("isSameState() knows a compaction by its timestamp and a snapshot by its WAL position", () => {
  const local = header({});
  const noWAL = { walOffset: 0, walSize: 0, walSalt1: 0, walSalt2: 0 };
  assert.equal(isSameState(local, header({ minTXID: 1n, ...noWAL })), true);
  assert.equal(isSameState(local, header({ minTXID: 1n, ...noWAL, timestampMs: 1_001 })), false);
  assert.equal(
    isSameState(local, header({ minTXID: 1n, timestampMs: 9_999, walOffset: 4152, walSize: 4120 })),
    true,
  );
  assert.equal(
    isSameState(local, header({ minTXID: 1n, timestampMs: 9_999, walOffset: 4152, walSize: 0 })),
    false,
  );
  assert.equal(isSameState(local, header({ minTXID: 1n, timestampMs: 9_999, walSalt2: 3 })), false);
  assert.equal(isSameState(local, header({ commit: 10 })), false);
  assert.equal(isSameState(local, header({ pageSize: 512 })), false);
});

test("nextBackoffMs() doubles from the interval to five minutes", () => {
  const waits: number[] = [];
  for (let ms = 0; waits.length < 11;) waits.push((ms = nextBackoffMs(ms, 1_000)));
  assert.deepEqual(
    waits,
    [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 256_000, 300_000, 300_000],
  );
  assert.equal(nextBackoffMs(0, 0), 10);
});
