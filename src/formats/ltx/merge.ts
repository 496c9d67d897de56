/** Merges LTX files that follow each other into one (formats §5). */
import { ChunkBuffer } from "../chunk-buffer.ts";
import { FormatError } from "../format-error.ts";
import { LTXEncoder } from "./encoder.ts";
import { createLTXHeader } from "./header.ts";
import type { LTXHeader } from "./header.ts";
import { MergeHeap } from "./merge-heap.ts";
import { MergeSource } from "./merge-source.ts";
import type { MergeInput } from "./merge-source.ts";
import { formatTXID } from "./txid.ts";
import type { TXID } from "./txid.ts";

export type { MergeInput } from "./merge-source.ts";

export interface MergeOptions {
  /** minTXID of the output instead of the first input's: 1n makes a full image a snapshot. */
  readonly minTXID?: TXID;
  readonly signal?: AbortSignal;
}

/** Inputs opened at the same time: each first read may be a request to a far place. */
const OPEN_CONCURRENCY = 8;
/** Decoded bytes of all inputs together that may be waiting. */
const WAITING_BYTES: number = 64 << 20;

/**
 * Merges files in TXID order; of each page the newest version wins. Compressed pages are copied as they are, legacy ones
 * re-encoded. Every input is read to its end and its file checksum verified before the output's trailer is given out, so an
 * output without an error is made of proven inputs. Yields chunks of about 1 MiB in memory of their own.
 *
 * Memory: per input one chunk of its stream and a batch of pages, and about 10 bytes per page of the output.
 *
 * FormatError: any damage of an input, "not-contiguous", "page-size-mismatch", "name-mismatch", "missing-page" (an input that
 * grows the database without all new pages, or an incomplete snapshot).
 */
export async function* mergeLTX(
  inputs: readonly MergeInput[],
  options: MergeOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  if (inputs.length === 0) throw new RangeError("Cannot merge: no LTX files given");
  checkContiguity(inputs);
  await using sources = new SourceSet(inputs, options.signal);
  await sources.open();
  const encoder = new LTXEncoder(mergedHeader(sources.headers(), options.minTXID));
  const output = new ChunkBuffer();
  output.add(encoder.begin());
  yield* mergePages(sources.all, encoder, output);
  for (const bytes of encoder.finish()) {
    output.add(bytes);
    yield* output.full();
  }
  yield* output.rest();
}

/** Neighbours may overlap but neither leave a gap nor contain each other. */
function checkContiguity(inputs: readonly MergeInput[]): void {
  let before: MergeInput | undefined;
  for (const input of inputs) {
    if (before && (input.minTXID > before.maxTXID + 1n || input.maxTXID <= before.maxTXID)) {
      throw new FormatError(
        "not-contiguous",
        `LTX files do not follow each other: ${formatTXID(input.minTXID)}-${formatTXID(input.maxTXID)} ` +
          `after ${formatTXID(before.minTXID)}-${formatTXID(before.maxTXID)}`,
      );
    }
    before = input;
  }
}

function mergedHeader(headers: readonly LTXHeader[], minTXID: TXID | undefined): LTXHeader {
  const first = headers[0] as LTXHeader;
  const last = headers.at(-1) as LTXHeader;
  for (const { pageSize } of headers) {
    if (pageSize !== first.pageSize) {
      throw new FormatError(
        "page-size-mismatch",
        `LTX files have different page sizes: ${first.pageSize} and ${pageSize}`,
        8,
      );
    }
  }
  return createLTXHeader({
    pageSize: first.pageSize,
    commit: last.commit,
    minTXID: minTXID ?? first.minTXID,
    maxTXID: last.maxTXID,
    timestampMs: last.timestampMs,
  });
}

/** The k-way merge by page number, in runs of pages that one input wins. */
async function* mergePages(
  sources: readonly MergeSource[],
  encoder: LTXEncoder,
  output: ChunkBuffer,
): AsyncGenerator<Uint8Array, void, undefined> {
  const heap = new MergeHeap(sources);
  const { commit } = encoder.header;
  let lastPgno = 0;
  for (let source = heap.pop(); source !== undefined; source = heap.pop()) {
    if (source.pgno === lastPgno) {
      // An older version of a page that a newer file has.
      source.skip();
    } else {
      const limit = Math.min(heap.peekPgno(), commit + 1);
      const count = Math.max(source.countBelow(limit), 1);
      if (source.pgno <= commit) source.copy(count, encoder, output);
      else source.skipAll();
      lastPgno = source.lastPgno;
    }
    yield* output.full();
    if (source.isEmpty()) await source.load();
    heap.push(source);
  }
}

/** All inputs of a merge: opened together, closed together. */
class SourceSet implements AsyncDisposable {
  readonly all: readonly MergeSource[];

  constructor(inputs: readonly MergeInput[], signal: AbortSignal | undefined) {
    const share = Math.floor(WAITING_BYTES / inputs.length);
    this.all = inputs.map((input, order) => new MergeSource(input, order, share, signal));
  }

  /** Reads each file's header and first pages. */
  async open(): Promise<void> {
    for (let i = 0; i < this.all.length; i += OPEN_CONCURRENCY) {
      await Promise.all(this.all.slice(i, i + OPEN_CONCURRENCY).map((source) => source.load()));
    }
    let before: MergeSource | undefined;
    for (const source of this.all) {
      if (before) source.requireGrowth(before.header.commit);
      before = source;
    }
  }

  headers(): LTXHeader[] {
    return this.all.map((source) => source.header);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.all.map((source) => source.close()));
  }
}
