import assert from "node:assert/strict";
import * as fs from "node:fs";
import { test } from "node:test";
import { formatLTXName, levelFolder } from "../formats/ltx/layout.ts";
import type { TXID } from "../formats/ltx/txid.ts";
import { MemoryReplicaClient } from "../storage/memory.ts";
import { StorageError } from "../storage/replica-client.ts";
import type {
  LTXFileInfo,
  LTXFileName,
  ListOptions,
  OpenOptions,
} from "../storage/replica-client.ts";
import { sampleLTX } from "../../test/harness/sample-ltx.ts";
import { Scratch, whyNoMount } from "../../test/harness/scratch.ts";
import { RestoreError } from "./restore-error.ts";
import type { RestoreErrorKind } from "./restore-error.ts";
import type { RestoreTarget } from "./restore-plan.ts";
import { restore } from "./restore.ts";
import type { RestoreOptions, RestoreSummary } from "./restore.ts";

/** One transaction: the pages it writes (number → fill byte) and the size of the database after it. */
interface Change {
  readonly pages: ReadonlyMap<number, number>;
  readonly commit: number;
}

interface FileFields extends Change {
  readonly level: number;
  readonly minTXID: TXID;
  readonly maxTXID: TXID;
  readonly pageSize?: number;
}

/** A replica in memory that counts requests and can be told to misbehave. */
class TestReplica extends MemoryReplicaClient {
  readonly lists: number[] = [];
  readonly reads: string[] = [];
  listsWithTimestamps = 0;
  listedSize: number | undefined;
  mostReadsAtOnce = 0;
  onList: (level: number) => void = () => undefined;
  onRead: (file: LTXFileName, options: OpenOptions) => void | Promise<void> = () => undefined;
  #readsNow = 0;

  async put(fields: FileFields): Promise<void> {
    const { header, bytes } = sampleLTX({ ...fields, timestampMs: Number(fields.maxTXID) * 1000 });
    const createdAt = new Date(header.timestampMs);
    await this.write(fields, { kind: "bytes", bytes }, { createdAt });
  }

  async putAll(files: readonly FileFields[]): Promise<void> {
    for (const file of files) await this.put(file);
  }

  /** Flips a bit in the middle of a file. */
  damage(level: number, minTXID: TXID, maxTXID: TXID): void {
    const object = this.objects.get(keyOf({ level, minTXID, maxTXID }));
    assert.ok(object);
    const middle = object.bytes.length >> 1;
    object.bytes[middle] = (object.bytes[middle] ?? 0) ^ 4;
  }

  override async *list(level: number, options?: ListOptions): AsyncIterable<LTXFileInfo> {
    this.lists.push(level);
    if (options?.withTimestamps === true) this.listsWithTimestamps += 1;
    this.onList(level);
    for await (const file of super.list(level, options)) {
      yield { ...file, sizeBytes: this.listedSize ?? file.sizeBytes };
    }
  }

  override async *read(file: LTXFileName, options: OpenOptions = {}): AsyncIterable<Uint8Array> {
    this.reads.push(`${file.level}:${file.minTXID}-${file.maxTXID}`);
    this.#readsNow += 1;
    this.mostReadsAtOnce = Math.max(this.mostReadsAtOnce, this.#readsNow);
    try {
      await this.onRead(file, options);
      yield* super.read(file, options);
    } finally {
      this.#readsNow -= 1;
    }
  }
}

function keyOf({ level, minTXID, maxTXID }: LTXFileName): string {
  return `${levelFolder(level)}/${formatLTXName(minTXID, maxTXID)}`;
}

function sync(txid: TXID, commit: number, pages: Readonly<Record<number, number>>): FileFields {
  const entries = Object.entries(pages).map(([pgno, fill]) => [Number(pgno), fill] as const);
  return { level: 0, minTXID: txid, maxTXID: txid, commit, pages: new Map(entries) };
}

/** Pages 1…commit, all filled with `fill`. */
function allPages(commit: number, fill: number): Record<number, number> {
  return Object.fromEntries(Array.from({ length: commit }, (_, index) => [index + 1, fill]));
}

function optionsIn(scratch: Scratch, more: Partial<RestoreOptions> = {}): RestoreOptions {
  return {
    target: { kind: "latest" },
    outputPath: scratch.inFolder("out", "app.db"),
    parallelism: 4,
    integrityCheck: "none",
    force: false,
    ...more,
  };
}

/** The fill byte of every page of a restored database; fails when a page is not of one byte. */
function fillsOf(path: string, pageSize = 512): number[] {
  const bytes = fs.readFileSync(path);
  assert.equal(bytes.length % pageSize, 0);
  const fills: number[] = [];
  for (let offset = 0; offset < bytes.length; offset += pageSize) {
    const page = bytes.subarray(offset, offset + pageSize);
    assert.ok(page.every((byte) => byte === page[0]));
    fills.push(page[0] ?? -1);
  }
  return fills;
}

async function restoreFills(
  client: TestReplica,
  more: Partial<RestoreOptions> = {},
): Promise<{ fills: number[]; summary: RestoreSummary }> {
  using scratch = new Scratch("restore");
  const summary = await restore(client, optionsIn(scratch, more));
  assert.deepEqual(fs.readdirSync(scratch.path("out")), ["app.db"]);
  return { fills: fillsOf(scratch.path("out/app.db"), summary.pageSize), summary };
}

/** Fails unless the restore is refused, leaving nothing. */
async function restoreFails(
  client: TestReplica,
  kind: RestoreErrorKind,
  more: Partial<RestoreOptions> = {},
): Promise<RestoreError> {
  using scratch = new Scratch("restore");
  const error = await restore(client, optionsIn(scratch, more)).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof RestoreError, `expected "${kind}", got ${error as string}`);
  assert.equal(error.kind, kind, error.message);
  assert.deepEqual(fs.readdirSync(scratch.path("out")), []);
  return error;
}

function at(value: TXID): RestoreTarget {
  return { kind: "txid", txid: value };
}

test("restore() takes each page from the newest file that has it", async () => {
  const client = new TestReplica();
  await client.putAll([
    sync(1n, 3, { 1: 1, 2: 1, 3: 1 }),
    sync(2n, 3, { 2: 2 }),
    sync(3n, 4, { 2: 3, 4: 3 }),
  ]);
  const { fills, summary } = await restoreFills(client);
  assert.deepEqual(fills, [1, 3, 1, 3]);
  const { txid: reached, files, pages, pageSize, integrityCheck, problems } = summary;
  assert.deepEqual(
    { reached, files, pages, pageSize, integrityCheck, problems },
    { reached: 3n, files: 3, pages: 4, pageSize: 512, integrityCheck: "none", problems: [] },
  );
  assert.equal(summary.createdAt.getTime(), 3000);
  const sizes = [...client.objects.values()].map(({ bytes }) => bytes.length);
  assert.equal(
    summary.bytesRead,
    sizes.reduce((a, b) => a + b),
  );
});

test("restore() drops pages beyond the final size", async () => {
  const client = new TestReplica();
  await client.putAll([sync(1n, 5, allPages(5, 1)), sync(2n, 2, { 1: 2 })]);
  assert.deepEqual((await restoreFills(client)).fills, [2, 1]);
});

/** A deterministic generator of numbers in [0, below). */
function randomNumbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** Transactions as a writer makes them: one that grows the database writes every new page. */
function randomHistory(random: (below: number) => number, length: number): Change[] {
  const history: Change[] = [];
  let commit = 0;
  for (let n = 1; n <= length; n++) {
    const previous = commit;
    commit = n === 1 ? 1 + random(12) : Math.max(1, commit + random(9) - 4);
    const pages = new Map<number, number>();
    for (let pgno = 1; pgno <= commit; pgno++) {
      if (pgno > previous || random(4) === 0) pages.set(pgno, n % 256);
    }
    if (pages.size === 0) pages.set(1, n % 256);
    history.push({ commit, pages });
  }
  return history;
}

function mergeChanges(changes: readonly Change[]): Change {
  const commit = changes.at(-1)?.commit ?? 0;
  const merged = new Map(changes.flatMap(({ pages }) => [...pages]));
  return { commit, pages: new Map([...merged].filter(([pgno]) => pgno <= commit)) };
}

function stateAfter(changes: readonly Change[]): number[] {
  let fills: (number | undefined)[] = [];
  for (const { commit, pages } of changes) {
    fills = Array.from({ length: commit }, (_, index) => pages.get(index + 1) ?? fills[index]);
  }
  return fills.map((fill) => {
    assert.ok(fill !== undefined);
    return fill;
  });
}

test("restore() gives every state of random histories, through any mix of levels", async () => {
  for (let seed = 1; seed <= 12; seed++) {
    const random = randomNumbers(seed);
    const history = randomHistory(random, 4 + random(14));
    const client = new TestReplica();
    const putRange = async (level: number, min: number, max: number): Promise<void> => {
      const change = mergeChanges(history.slice(min - 1, max));
      await client.put({ level, minTXID: BigInt(min), maxTXID: BigInt(max), ...change });
    };
    for (let n = 1; n <= history.length; n++) await putRange(0, n, n);
    for (let level = 1; level <= 3; level++) {
      for (let min = 1; min <= history.length;) {
        const max = Math.min(history.length, min + random(level * 3));
        await putRange(level, min, max);
        min = max + 1;
      }
    }
    for (let n = 1; n <= history.length; n++) if (random(5) === 0) await putRange(9, 1, n);
    for (let n = 1; n <= history.length; n++) {
      const { fills } = await restoreFills(client, { target: at(BigInt(n)) });
      assert.deepEqual(fills, stateAfter(history.slice(0, n)), `seed ${seed}, TXID ${n}`);
      const target: RestoreTarget = { kind: "timestamp", at: new Date(n * 1000 + 1) };
      const byTime = await restoreFills(client, { target });
      assert.deepEqual(byTime.fills, fills, `seed ${seed}, time of TXID ${n}`);
    }
  }
});

test("restore() lists each level once and only the levels it needs", async () => {
  const client = new TestReplica();
  await client.putAll([
    sync(1n, 1, { 1: 1 }),
    { ...sync(1n, 1, { 1: 1 }), level: 9 },
    sync(2n, 1, { 1: 2 }),
  ]);
  await restoreFills(client);
  assert.deepEqual(
    client.lists.toSorted((a, b) => a - b),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  );
  client.lists.length = 0;
  await restoreFills(client, { target: at(1n) });
  assert.deepEqual(client.lists, [9]);
});

test("restore() asks for header times only where a time is the target", async () => {
  const client = new TestReplica();
  await client.put(sync(1n, 1, { 1: 1 }));
  await restoreFills(client);
  assert.equal(client.listsWithTimestamps, 0);
  await restoreFills(client, { target: { kind: "timestamp", at: new Date(2000) } });
  assert.equal(client.listsWithTimestamps, 10);
});

test("restore() reads no further than the newest whole image", async () => {
  const client = new TestReplica();
  await client.putAll([
    sync(1n, 2, allPages(2, 1)),
    sync(2n, 3, allPages(3, 2)),
    sync(3n, 3, { 1: 3 }),
  ]);
  const { fills, summary } = await restoreFills(client, { parallelism: 1 });
  assert.deepEqual(fills, [3, 2, 2]);
  assert.equal(summary.files, 2);
});

test("restore() plans around a damaged file that another level covers", async () => {
  const client = new TestReplica();
  await client.putAll([
    sync(1n, 2, allPages(2, 1)),
    sync(2n, 2, { 2: 2 }),
    { ...sync(2n, 2, { 1: 1, 2: 2 }), level: 1, minTXID: 1n },
    { ...sync(2n, 2, { 1: 1, 2: 2 }), level: 9, minTXID: 1n },
  ]);
  client.damage(9, 1n, 2n);
  client.damage(1, 1n, 2n);
  const { fills, summary } = await restoreFills(client);
  assert.deepEqual(fills, [1, 2]);
  assert.equal(summary.problems.length, 2);
  assert.match(summary.problems[0] ?? "", /^level 9 file 0{15}1-0{15}2\.ltx is damaged: /);
});

test("restore() says which file is damaged and what can be restored instead", async () => {
  const client = new TestReplica();
  await client.putAll([1n, 2n, 3n, 4n].map((n) => sync(n, 2, { 1: Number(n) })));
  await client.put(sync(1n, 2, allPages(2, 1)));
  client.damage(0, 3n, 3n);
  const { message, hint, lastReachable } = await restoreFails(client, "damaged");
  assert.match(
    message,
    /^Cannot restore the latest state: level 0 file 0{15}3-0{15}3\.ltx is damaged: /,
  );
  assert.match(hint ?? "", /-txid 0000000000000002/);
  assert.equal(lastReachable?.txid, 2n);
});

test("restore() of the latest state never settles for an older one because the newest file is damaged", async () => {
  const client = new TestReplica();
  await client.putAll([sync(1n, 2, allPages(2, 1)), sync(2n, 2, { 1: 2 }), sync(3n, 2, { 1: 3 })]);
  client.damage(0, 3n, 3n);
  const { hint } = await restoreFails(client, "damaged");
  assert.match(hint ?? "", /-txid 0000000000000002/);
  const byTime: RestoreTarget = { kind: "timestamp", at: new Date(9999) };
  await restoreFails(client, "damaged", { target: byTime });
  assert.deepEqual((await restoreFills(client, { target: at(2n) })).fills, [2, 1]);
});

test("restore() refuses a file whose name is not its own", async () => {
  const client = new TestReplica();
  await client.putAll([sync(1n, 1, { 1: 1 }), sync(2n, 1, { 1: 2 }), sync(3n, 1, { 1: 3 })]);
  const second = client.objects.get(keyOf({ level: 0, minTXID: 2n, maxTXID: 2n }));
  assert.ok(second);
  client.objects.set(keyOf({ level: 0, minTXID: 3n, maxTXID: 3n }), second);
  const { message } = await restoreFails(client, "damaged");
  assert.match(message, /named 0{15}3-0{15}3 but its header says 0{15}2-0{15}2/);
});

test("restore() sizes nothing by a damaged header", async () => {
  const client = new TestReplica();
  await client.putAll([sync(1n, 2, allPages(2, 1)), sync(2n, 2, { 1: 2 })]);
  const newest = client.objects.get(keyOf({ level: 0, minTXID: 2n, maxTXID: 2n }));
  assert.ok(newest);
  newest.bytes.set([0xff, 0xff, 0xff, 0xff], 12);
  const { message } = await restoreFails(client, "damaged");
  assert.match(message, /0{15}2-0{15}2\.ltx is damaged: LTX file checksum/);
});

test("restore() blames the file that is damaged, not its neighbour", async () => {
  const client = new TestReplica();
  await client.putAll([sync(1n, 4, allPages(4, 1)), sync(2n, 4, { 1: 2 }), sync(3n, 4, { 1: 3 })]);
  const middle = client.objects.get(keyOf({ level: 0, minTXID: 2n, maxTXID: 2n }));
  assert.ok(middle);
  // A smaller size would make it seem that the newest file lacks pages.
  middle.bytes[15] = 2;
  const { message } = await restoreFails(client, "damaged");
  assert.match(message, /0{15}2-0{15}2\.ltx is damaged: LTX file checksum/);
});

test("restore() believes no listed size", async () => {
  for (const sizeBytes of [0, 50, 100_000]) {
    const client = new TestReplica();
    await client.putAll([sync(1n, 2, allPages(2, 1)), sync(2n, 2, { 1: 2 })]);
    client.listedSize = sizeBytes;
    if (sizeBytes > 1000) assert.deepEqual((await restoreFills(client)).fills, [2, 1]);
    else
      assert.match((await restoreFails(client, "damaged")).message, /More came than the \d+ bytes/);
  }
});

test("restore() goes on when retention deletes files under it", async () => {
  const client = new TestReplica();
  await client.putAll([sync(1n, 3, allPages(3, 1)), sync(2n, 3, { 2: 2 }), sync(3n, 3, { 3: 3 })]);
  let moved = false;
  client.onRead = async () => {
    if (moved) return;
    moved = true;
    await client.put({ ...sync(3n, 3, { 1: 1, 2: 2, 3: 3 }), level: 1, minTXID: 1n });
    await client.delete([1n, 2n, 3n].map((n) => ({ level: 0, minTXID: n, maxTXID: n })));
  };
  const { fills, summary } = await restoreFills(client);
  assert.deepEqual(fills, [1, 2, 3]);
  assert.match(summary.problems[0] ?? "", /is missing/);
});

test("restore() finds a file that a compaction moves between its listings", async () => {
  const client = new TestReplica();
  await client.putAll([{ ...sync(1n, 2, allPages(2, 1)), level: 1 }, sync(2n, 2, { 1: 2 })]);
  const from = keyOf({ level: 1, minTXID: 1n, maxTXID: 1n });
  const moving = client.objects.get(from);
  assert.ok(moving);
  client.onList = (level) => {
    if (level === 1) client.objects.delete(from);
    // Too late for the first listing, which has seen it in neither place.
    if (level === 9 && !client.objects.has(from))
      client.objects.set(from.replace("/1/", "/2/"), moving);
  };
  assert.deepEqual((await restoreFills(client)).fills, [2, 1]);
  assert.equal(client.lists.filter((level) => level === 1).length, 2);
});

test("restore() names a file that is listed and missing", async () => {
  const client = new TestReplica();
  await client.putAll([sync(1n, 2, allPages(2, 1)), sync(2n, 2, { 1: 2 })]);
  client.onRead = ({ maxTXID }) => {
    if (maxTXID === 2n) throw new StorageError("not-found", "Cannot open it: no such object");
  };
  const { message } = await restoreFails(client, "damaged");
  assert.match(message, /level 0 file 0{15}2-0{15}2\.ltx is missing/);
});

test("restore() passes on what the storage says, never as an absent backup", async () => {
  for (const kind of ["denied", "unavailable", "misconfigured"] as const) {
    for (const where of ["list", "read"] as const) {
      using scratch = new Scratch("restore");
      const client = new TestReplica();
      await client.put(sync(1n, 1, { 1: 1 }));
      const fail = (): never => {
        throw new StorageError(kind, "Cannot do it: no");
      };
      if (where === "list") client.onList = fail;
      else client.onRead = fail;
      const result = restore(client, optionsIn(scratch));
      await assert.rejects(result, (error) => error instanceof StorageError && error.kind === kind);
      assert.deepEqual(fs.readdirSync(scratch.path("out")), []);
    }
  }
});

test("restore() of an empty replica says that there is nothing, and makes no folder", async () => {
  using scratch = new Scratch("restore");
  const outputPath = scratch.path("new/app.db");
  const result = restore(new TestReplica(), { ...optionsIn(scratch), outputPath });
  await assert.rejects(
    result,
    (e) => e instanceof RestoreError && e.kind === "no-backup" && e.nothingAtAll,
  );
  assert.ok(!fs.existsSync(scratch.path("new")));
});

test("restore() follows a change of the page size through a whole image", async () => {
  const client = new TestReplica();
  await client.putAll([
    sync(1n, 3, allPages(3, 1)),
    { ...sync(2n, 2, allPages(2, 2)), pageSize: 1024 },
    { ...sync(3n, 2, { 2: 3 }), pageSize: 1024 },
  ]);
  const { fills, summary } = await restoreFills(client);
  assert.equal(summary.pageSize, 1024);
  assert.deepEqual(fills, [2, 3]);
  assert.deepEqual((await restoreFills(client, { target: at(1n) })).fills, [1, 1, 1]);
});

test("restore() never mixes page sizes", async () => {
  const client = new TestReplica();
  await client.putAll([sync(1n, 3, allPages(3, 1)), { ...sync(2n, 3, { 2: 2 }), pageSize: 1024 }]);
  const { message } = await restoreFails(client, "damaged");
  assert.match(message, /page size changes from 512 to 1024 after level 0 file 0{15}1-/);
});

test("restore() starts at a whole image behind a gap, and refuses when there is none", async () => {
  const client = new TestReplica();
  await client.putAll([sync(1n, 1, { 1: 1 }), sync(3n, 2, allPages(2, 3)), sync(4n, 2, { 1: 4 })]);
  assert.deepEqual((await restoreFills(client)).fills, [4, 3]);
  await client.put(sync(6n, 2, { 1: 6 }));
  const { message, hint } = await restoreFails(client, "gap");
  assert.match(message, /have up to 0{15}1 but next file starts at 0{15}3/);
  assert.match(hint ?? "", /-txid 0000000000000001/);
});

test("restore() refuses growth without the new pages: an old page would come back", async () => {
  const client = new TestReplica();
  const grown = sync(3n, 4, { 4: 3 });
  await client.putAll([sync(1n, 4, allPages(4, 1)), sync(2n, 2, { 1: 2 }), grown]);
  const { message } = await restoreFails(client, "damaged");
  assert.match(
    message,
    /level 0 file 0{15}3-0{15}3\.ltx is damaged: It grows the database from 2 to 4 pages/,
  );
  await client.put({ ...sync(3n, 4, { 1: 2, 2: 1, 3: 3, 4: 3 }), level: 1, minTXID: 1n });
  assert.deepEqual((await restoreFills(client)).fills, [2, 1, 3, 3]);
});

test("restore() reads in parallel, as many at a time as it may", async () => {
  const client = new TestReplica();
  await client.put(sync(1n, 2, allPages(2, 1)));
  for (let n = 2n; n <= 40n; n++) await client.put(sync(n, 2, { 1: Number(n) }));
  client.onRead = () => new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual((await restoreFills(client, { parallelism: 6 })).fills, [40, 1]);
  assert.equal(client.mostReadsAtOnce, 6);
});

test("restore() reads a large file in ranges, each once", async () => {
  const client = new TestReplica();
  const pageSize = 65_536;
  const numbered = Object.fromEntries(Array.from({ length: 100 }, (_, i) => [i + 1, i]));
  await client.put({ ...sync(1n, 100, numbered), pageSize });
  const ranges: [number, number][] = [];
  client.onRead = (_file, { offset = 0, length = 0 }) => {
    ranges.push([offset, length]);
  };
  const { fills, summary } = await restoreFills(client);
  assert.deepEqual(fills, Object.values(numbered));
  const size = client.objects.values().next().value?.bytes.length;
  assert.ok(ranges.length >= 4);
  let end = 0;
  for (const [offset, length] of ranges.toSorted(([a], [b]) => a - b)) {
    assert.equal(offset, end);
    end += length;
  }
  assert.equal(end, size);
  assert.equal(summary.bytesRead, size);
});

test("restore() stops at an abort and leaves nothing", async () => {
  using scratch = new Scratch("restore");
  const client = new TestReplica();
  await client.put(sync(1n, 2, allPages(2, 1)));
  for (let n = 2n; n <= 50n; n++) await client.put(sync(n, 2, { 1: Number(n) }));
  const controller = new AbortController();
  client.onRead = () => {
    if (client.reads.length === 20) controller.abort(new Error("stop"));
  };
  const result = restore(client, optionsIn(scratch, { signal: controller.signal }));
  await assert.rejects(result, /^Error: stop$/);
  assert.ok(client.reads.length < 50);
  assert.deepEqual(fs.readdirSync(scratch.path("out")), []);
});

test("restore() reports its progress", async () => {
  const client = new TestReplica();
  await client.putAll([sync(1n, 2, allPages(2, 1)), sync(2n, 2, { 1: 2 })]);
  const phases: string[] = [];
  await restoreFills(client, {
    onProgress: (progress) => {
      const detail =
        progress.phase === "read" ? ` ${progress.filesDone}/${progress.filesTotal}` : "";
      phases.push(progress.phase + detail);
      if (progress.phase === "read") assert.ok(progress.bytesRead <= progress.bytesTotal);
    },
  });
  assert.deepEqual(phases, ["list", "read 1/2", "read 2/2", "check"]);
});

test("restore() refuses a malformed database unless told not to look", async () => {
  const client = new TestReplica();
  await client.put(sync(1n, 2, allPages(2, 1)));
  const { message } = await restoreFails(client, "integrity", { integrityCheck: "quick" });
  assert.match(
    message,
    /^post-restore integrity check: integrity check failed: file is not a database/,
  );
  assert.deepEqual((await restoreFills(client)).fills, [1, 1]);
});

test("restore() with force leaves the old database when it fails", async () => {
  using scratch = new Scratch("restore");
  const client = new TestReplica();
  await client.put(sync(1n, 2, allPages(2, 1)));
  const outputPath = scratch.inFolder("out", "app.db");
  fs.writeFileSync(outputPath, "old");
  fs.writeFileSync(`${outputPath}-wal`, "old");
  const forced = optionsIn(scratch, { force: true, integrityCheck: "full" });
  await assert.rejects(restore(client, forced), /integrity check failed/);
  assert.deepEqual(fs.readdirSync(scratch.path("out")).toSorted(), ["app.db", "app.db-wal"]);
  await restore(client, { ...forced, integrityCheck: "none" });
  assert.deepEqual(fs.readdirSync(scratch.path("out")), ["app.db"]);
  assert.deepEqual(fillsOf(outputPath), [1, 1]);
});

test(
  "restore() on a full disk says so and leaves nothing",
  { skip: whyNoMount() ?? false },
  async () => {
    using scratch = new Scratch("restore");
    const folder = scratch.mount("small", 256 * 1024);
    const client = new TestReplica();
    await client.put({ ...sync(1n, 8, allPages(8, 1)), pageSize: 65_536 });
    const result = restore(client, { ...optionsIn(scratch), outputPath: `${folder}/app.db` });
    await assert.rejects(result, (e) => e instanceof RestoreError && e.kind === "output-failed");
    assert.deepEqual(fs.readdirSync(folder), []);
  },
);
