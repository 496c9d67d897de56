import assert from "node:assert/strict";
import { test } from "node:test";

import * as fc from "fast-check";

import { compressBlock, concatBytes, craftLTX } from "../../../test/formats/craft-ltx.ts";
import type { CraftedPage } from "../../../test/formats/craft-ltx.ts";
import { samplePage } from "../../../test/formats/sample-pages.ts";
import { FormatError } from "../format-error.ts";
import type { FormatErrorKind } from "../format-error.ts";
import { kernel } from "../kernel/kernel.ts";
import { byteView } from "../kernel/lz4.ts";
import { xxh32 } from "../kernel/xxh32.ts";
import { lockPgno } from "../sqlite-header.ts";
import { LTXDecoder, verifyLTX } from "./decoder.ts";
import type { LTXSummary } from "./decoder.ts";
import { mergeLTX } from "./merge.ts";
import type { MergeInput, MergeOptions } from "./merge.ts";

const PAGE_SIZE = 512;

/** One transaction: the new size and the pages it writes, by a number that stands for their content. */
interface Step {
  readonly commit: number;
  readonly writes: ReadonlyMap<number, number>;
}

test("mergeLTX() gives what applying the files one after the other gives", async () => {
  const steps = fc.array(
    fc.record({
      commit: fc.integer({ min: 1, max: 30 }),
      touched: fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 12 }),
      legacy: fc.boolean(),
    }),
    { minLength: 1, maxLength: 8 },
  );
  await fc.assert(
    fc.asyncProperty(
      steps,
      fc.integer({ min: 1, max: 2000 }),
      fc.nat({ max: 5 }),
      async (raw, chunkSize, from) => {
        const history = toHistory(raw);
        const files = history.map((step, i) =>
          fileOf(step, BigInt(i + 1), raw[i]?.legacy ?? false),
        );
        const start = Math.min(from, files.length - 1);
        const inputs = files
          .slice(start)
          .map((bytes, i) => inputOf(bytes, BigInt(start + i + 1), chunkSize));
        const merged = await mergeToBytes(inputs);
        const { summary, pages } = readAll(merged);
        assert.equal(summary.header.minTXID, BigInt(start + 1));
        assert.equal(summary.header.maxTXID, BigInt(files.length));
        assert.equal(summary.header.commit, history.at(-1)?.commit);
        assert.deepEqual(pages, applySteps(history.slice(start)));
      },
    ),
    { numRuns: 150 },
  );
});

test("mergeLTX() copies sized frames as they are", async () => {
  const block = Uint8Array.of(0xf0, 255, 242, ...samplePage("zero", PAGE_SIZE, 1));
  const bytes = craftLTX({
    commit: 1,
    minTXID: 1n,
    pages: [{ pgno: 1, data: new Uint8Array(PAGE_SIZE), block }],
  });
  const merged = await mergeToBytes([inputOf(bytes, 1n)]);
  assert.deepEqual(merged.subarray(110, 110 + block.length), block);
});

test("mergeLTX() takes commit and time from the last file and drops pages beyond it", async () => {
  const first = craftLTX({
    commit: 4,
    minTXID: 1n,
    timestampMs: 1n,
    pages: [1, 2, 3, 4].map((n) => pageOf(n, n)),
  });
  const second = craftLTX({
    commit: 2,
    minTXID: 2n,
    timestampMs: 2n,
    walOffset: 32n,
    walSalt1: 7,
    pages: [pageOf(1, 9)],
  });
  const { summary, pages } = readAll(await mergeToBytes([inputOf(first, 1n), inputOf(second, 2n)]));
  assert.equal(summary.header.commit, 2);
  assert.equal(summary.header.timestampMs, 2);
  assert.equal(summary.header.walOffset, 0);
  assert.equal(summary.header.walSalt1, 0);
  assert.deepEqual([...pages.keys()], [1, 2]);
  assert.deepEqual(pages.get(1), contentOf(9));
});

test("mergeLTX() makes a snapshot of a full image", async () => {
  const image = craftLTX({ commit: 3, minTXID: 7n, pages: [1, 2, 3].map((n) => pageOf(n, n)) });
  const merged = await mergeToBytes([inputOf(image, 7n)], { minTXID: 1n });
  const { summary } = readAll(merged);
  assert.equal(summary.header.minTXID, 1n);
  assert.equal(summary.header.maxTXID, 7n);
  const partial = craftLTX({ commit: 3, minTXID: 7n, pages: [1, 3].map((n) => pageOf(n, n)) });
  await assert.rejects(
    mergeToBytes([inputOf(partial, 7n)], { minTXID: 1n }),
    hasKind("missing-page"),
  );
});

test("mergeLTX() merges large files in bounded chunks", async () => {
  const count = 2000;
  const first = craftLTX({
    pageSize: 4096,
    commit: count,
    minTXID: 1n,
    pages: Array.from({ length: count }, (_, i) => ({
      pgno: i + 1,
      data: samplePage("rows", 4096, i + 1),
    })),
  });
  const odd = Array.from({ length: count / 2 }, (_, i) => ({
    pgno: 2 * i + 1,
    data: samplePage("random", 4096, i + 1),
  }));
  const second = craftLTX({ pageSize: 4096, commit: count, minTXID: 2n, pages: odd });
  const chunks = await Array.fromAsync(
    mergeLTX([inputOf(first, 1n, 100_000), inputOf(second, 2n, 70_000)]),
  );
  for (const chunk of chunks) assert.ok(chunk.length <= 1 << 20);
  const { pages } = readAll(concatBytes(chunks));
  for (let pgno = 1; pgno <= count; pgno++) {
    const expected =
      pgno % 2 === 1 ? samplePage("random", 4096, (pgno + 1) / 2) : samplePage("rows", 4096, pgno);
    assert.deepEqual(pages.get(pgno), expected);
  }
});

test("mergeLTX() goes on when others use the kernel between its chunks", async () => {
  const files = [1, 2].map((seed) =>
    craftLTX({
      pageSize: 4096,
      commit: 900,
      minTXID: 1n,
      pages: Array.from({ length: 900 }, (_, i) => ({
        pgno: i + 1,
        data: samplePage("random", 4096, i * 3 + seed),
      })),
    }),
  );
  const merges = files.map((bytes) => mergeToBytes([inputOf(bytes, 1n, 50_000)]));
  const noise = (async () => {
    for (let i = 0; i < 50; i++) {
      compressBlock(samplePage("rows", 512, i));
      await Promise.resolve();
    }
  })();
  const [merged] = await Promise.all([Promise.all(merges), noise]);
  merged.forEach((bytes, i) =>
    assert.deepEqual(readAll(bytes).pages, readAll(files[i] ?? bytes).pages),
  );
});

const one = craftLTX({ commit: 2, minTXID: 1n, pages: [pageOf(1, 1), pageOf(2, 2)] });
const two = craftLTX({ commit: 2, minTXID: 2n, pages: [pageOf(1, 3)] });

const refused: [name: string, kind: FormatErrorKind, inputs: MergeInput[]][] = [
  [
    "a gap",
    "not-contiguous",
    [inputOf(one, 1n), inputOf(craftLTX({ commit: 2, minTXID: 3n, pages: [] }), 3n)],
  ],
  [
    "a file within another",
    "not-contiguous",
    [
      inputOf(craftLTX({ commit: 2, minTXID: 1n, maxTXID: 3n, pages: [] }), 1n, 999, 3n),
      inputOf(two, 2n),
    ],
  ],
  ["the same file twice", "not-contiguous", [inputOf(one, 1n), inputOf(one, 1n)]],
  ["files in the wrong order", "not-contiguous", [inputOf(two, 2n), inputOf(one, 1n)]],
  ["a name that the header contradicts", "name-mismatch", [inputOf(one, 1n), inputOf(one, 2n)]],
  [
    "different page sizes",
    "page-size-mismatch",
    [
      inputOf(one, 1n),
      inputOf(craftLTX({ pageSize: 1024, commit: 2, minTXID: 2n, pages: [] }), 2n),
    ],
  ],
  [
    "a snapshot with a hole",
    "missing-page",
    [inputOf(craftLTX({ commit: 2, minTXID: 1n, pages: [pageOf(1, 1)] }), 1n)],
  ],
  [
    "growth without the new pages",
    "missing-page",
    [
      inputOf(two, 2n),
      inputOf(craftLTX({ commit: 5, minTXID: 3n, pages: [pageOf(3, 1), pageOf(5, 1)] }), 3n),
    ],
  ],
  ["a truncated file", "truncated", [inputOf(one, 1n), inputOf(two.subarray(0, -1), 2n)]],
  ["an empty file", "truncated", [inputOf(one, 1n), inputOf(new Uint8Array(0), 2n)]],
  [
    "a wrong checksum",
    "file-checksum",
    [
      inputOf(
        craftLTX({
          commit: 2,
          minTXID: 1n,
          pages: [pageOf(1, 1), pageOf(2, 1)],
          editChecksum: (sum) => sum ^ 2n,
        }),
        1n,
      ),
      inputOf(two, 2n),
    ],
  ],
];

for (const [name, kind, inputs] of refused) {
  test(`mergeLTX() refuses ${name}`, async () => {
    await assert.rejects(mergeToBytes(inputs), hasKind(kind));
  });
}

test("mergeLTX() says which file is damaged", async () => {
  await assert.rejects(
    mergeToBytes([inputOf(one, 1n), inputOf(two.subarray(0, -1), 2n)]),
    /0000000000000002-0000000000000002\.ltx/,
  );
});

test("mergeLTX() does not count the lock page as growth", async () => {
  const pageSize = 65_536;
  const lock = lockPgno(pageSize);
  const data = new Uint8Array(pageSize);
  const first = craftLTX({ pageSize, commit: lock - 1, minTXID: 5n, pages: [{ pgno: 1, data }] });
  const grown = craftLTX({
    pageSize,
    commit: lock + 1,
    minTXID: 6n,
    pages: [{ pgno: lock + 1, data }],
  });
  const { pages } = readAll(await mergeToBytes([inputOf(first, 5n), inputOf(grown, 6n)]));
  assert.deepEqual([...pages.keys()], [1, lock + 1]);
});

test("mergeLTX() accepts overlapping files", async () => {
  const wide = craftLTX({
    commit: 2,
    minTXID: 1n,
    maxTXID: 3n,
    pages: [pageOf(1, 1), pageOf(2, 2)],
  });
  const next = craftLTX({ commit: 2, minTXID: 3n, maxTXID: 4n, pages: [pageOf(2, 8)] });
  const { summary, pages } = readAll(
    await mergeToBytes([inputOf(wide, 1n, 999, 3n), inputOf(next, 3n, 999, 4n)]),
  );
  assert.equal(summary.header.maxTXID, 4n);
  assert.deepEqual(pages.get(2), contentOf(8));
});

test("mergeLTX() closes its inputs when it fails, is cancelled or abandoned", async () => {
  let closed = 0;
  // Never comes to its end.
  const endless: MergeInput = {
    minTXID: 1n,
    maxTXID: 1n,
    open: async function* () {
      try {
        yield one;
        for (;;) {
          await new Promise((resolve) => setImmediate(resolve));
          yield new Uint8Array(0);
        }
      } finally {
        closed++;
      }
    },
  };
  await assert.rejects(
    mergeToBytes([endless, inputOf(two.subarray(0, 50), 2n)]),
    hasKind("truncated"),
  );
  assert.equal(closed, 1);
  const controller = new AbortController();
  setImmediate(() => controller.abort(new Error("Stopped")));
  await assert.rejects(mergeToBytes([endless], { signal: controller.signal }), /Stopped/);
  assert.equal(closed, 2);
  const big = craftLTX({
    pageSize: 4096,
    commit: 900,
    minTXID: 2n,
    pages: Array.from({ length: 900 }, (_, i) => ({
      pgno: i + 1,
      data: samplePage("random", 4096, i),
    })),
  });
  const open = async function* (): AsyncGenerator<Uint8Array> {
    try {
      for (let at = 0; at < big.length; at += 65_536) yield big.subarray(at, at + 65_536);
    } finally {
      closed++;
    }
  };
  for await (const chunk of mergeLTX([{ minTXID: 2n, maxTXID: 2n, open }])) {
    assert.ok(chunk.length > 0);
    break;
  }
  assert.equal(closed, 3);
});

test("mergeLTX() does not keep many small files open", async () => {
  let open = 0;
  let mostOpen = 0;
  const inputs = Array.from({ length: 300 }, (_, i): MergeInput => {
    const txid = BigInt(i + 1);
    const bytes = craftLTX({ commit: 2, minTXID: txid, pages: [pageOf(1, i), pageOf(2, i + 1)] });
    return {
      minTXID: txid,
      maxTXID: txid,
      open: async function* () {
        mostOpen = Math.max(mostOpen, ++open);
        yield bytes;
        open--;
      },
    };
  });
  const { pages } = readAll(await mergeToBytes(inputs));
  assert.deepEqual(pages.get(1), contentOf(299));
  assert.equal(open, 0);
  assert.ok(mostOpen <= 8, `${mostOpen} open`);
});

test("mergeLTX() refuses an empty list", async () => {
  await assert.rejects(mergeToBytes([]), RangeError);
});

/** Adds to each step the pages that growth must write, and drops those beyond its end. */
function toHistory(raw: readonly { commit: number; touched: readonly number[] }[]): Step[] {
  let size = 0;
  return raw.map(({ commit, touched }, step) => {
    const grown = Array.from({ length: Math.max(0, commit - size) }, (_, i) => size + 1 + i);
    size = commit;
    const pgnos = [...new Set([...touched.filter((n) => n <= commit), ...grown])].toSorted(
      (a, b) => a - b,
    );
    return { commit, writes: new Map(pgnos.map((pgno) => [pgno, step * 100 + pgno])) };
  });
}

function applySteps(steps: readonly Step[]): Map<number, Uint8Array> {
  const pages = new Map<number, Uint8Array>();
  for (const { commit, writes } of steps) {
    for (const [pgno, content] of writes) pages.set(pgno, contentOf(content));
    for (const pgno of pages.keys()) if (pgno > commit) pages.delete(pgno);
  }
  const last = steps.at(-1)?.commit ?? 0;
  return new Map([...pages].filter(([pgno]) => pgno <= last).toSorted(([a], [b]) => a - b));
}

function fileOf(step: Step, txid: bigint, legacy: boolean): Uint8Array {
  const pages = [...step.writes].map(([pgno, content]) =>
    legacy ? legacyPage(pgno, content) : pageOf(pgno, content),
  );
  return craftLTX({ commit: step.commit, minTXID: txid, pages });
}

function pageOf(pgno: number, content: number): CraftedPage {
  return { pgno, data: contentOf(content) };
}

function legacyPage(pgno: number, content: number): CraftedPage {
  const data = contentOf(content);
  const block = compressBlock(data);
  const frame = new Uint8Array(7 + 4 + block.length + 8);
  const view = new DataView(frame.buffer);
  frame.set([4, 0x22, 0x4d, 0x18, 0x64, 0x40, 0xa7]);
  view.setUint32(7, block.length, true);
  frame.set(block, 11);
  view.setUint32(frame.length - 4, xxh32(byteView(data).view, 0, data.length), true);
  return { pgno, data, flags: 0, block: frame };
}

function contentOf(content: number): Uint8Array {
  return samplePage(content % 3 === 0 ? "random" : "rows", PAGE_SIZE, content + 1);
}

function inputOf(
  bytes: Uint8Array,
  minTXID: bigint,
  chunkSize = 999,
  maxTXID = minTXID,
): MergeInput {
  return {
    minTXID,
    maxTXID,
    open: async function* () {
      for (let at = 0; at < bytes.length; at += chunkSize) {
        await Promise.resolve();
        kernel().owner = null;
        yield bytes.subarray(at, at + chunkSize);
      }
    },
  };
}

async function mergeToBytes(
  inputs: readonly MergeInput[],
  options?: MergeOptions,
): Promise<Uint8Array> {
  return concatBytes(await Array.fromAsync(mergeLTX(inputs, options)));
}

function readAll(bytes: Uint8Array): { summary: LTXSummary; pages: Map<number, Uint8Array> } {
  const decoder = new LTXDecoder();
  const pages = new Map<number, Uint8Array>();
  decoder.push(bytes);
  for (let batch = decoder.read(); batch !== null; batch = decoder.read()) {
    assert.equal(batch.legacyCount, 0);
    const size = batch.pages.length / batch.count;
    for (let i = 0; i < batch.count; i++)
      pages.set(batch.pgnos[i] ?? 0, batch.pages.slice(i * size, (i + 1) * size));
  }
  const summary = decoder.end();
  assert.equal(verifyLTX([bytes]).index.count, pages.size);
  return { summary, pages };
}

function hasKind(kind: FormatErrorKind): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof FormatError, String(error));
    assert.equal(error.kind, kind, error.message);
    return true;
  };
}
