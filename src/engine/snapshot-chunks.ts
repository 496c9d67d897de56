/** Encodes a whole database as a stream: in this thread, or with other threads that compress. The bytes are the same. */
import { availableParallelism } from "node:os";
import { setImmediate as nextTurn } from "node:timers/promises";
import { ChunkBuffer } from "../formats/chunk-buffer.ts";
import { LTXEncoder } from "../formats/ltx/encoder.ts";
import type { LTXHeader } from "../formats/ltx/header.ts";
import { FrameThreads } from "./frame-threads.ts";
import type { FrameReply } from "./frame-worker.ts";
import { allPages } from "./ltx-file.ts";

/** Puts consecutive pages into memory, the first at 0. Called in this thread, in the order of the pages. */
export type FillPages = (target: Uint8Array, pgnos: Uint32Array) => void;

/** Below this a snapshot is done before threads would have helped. */
const THREADED_MIN_BYTES: number = 64 << 20;
/** More would take the processor from the application for little: reading and sending take their time too. */
const MAX_THREADS = 2;
/** Bytes of pages encoded between two turns of the event loop: about 3 ms of work. */
const SLICE_BYTES: number = 2 << 20;

/** How many threads compress a database of so many bytes; 0 = this one does it. */
export function snapshotThreads(
  sizeBytes: number,
  processors: number = availableParallelism(),
): number {
  if (sizeBytes < THREADED_MIN_BYTES || processors < 2) return 0;
  return Math.min(MAX_THREADS, processors);
}

/**
 * The snapshot in chunks of memory of their own. `fill` is asked for every page once. With threads, at most two batches of
 * 1 MiB for each are under way, however slowly the chunks are taken.
 */
export async function* snapshotChunks(
  header: LTXHeader,
  fill: FillPages,
  options: { readonly threads: number; readonly signal: AbortSignal },
): AsyncGenerator<Uint8Array, void, undefined> {
  const encoder = new LTXEncoder(header);
  const output = new ChunkBuffer();
  output.add(encoder.begin());
  if (options.threads === 0) {
    yield* encodeHere(encoder, output, fill, options.signal);
  } else {
    yield* output.rest();
    yield* encodeInThreads(encoder, fill, options);
  }
  for (const bytes of encoder.finish()) {
    output.add(bytes);
    yield* output.full();
  }
  yield* output.rest();
}

async function* encodeHere(
  encoder: LTXEncoder,
  output: ChunkBuffer,
  fill: FillPages,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { header } = encoder;
  let sinceTurn = 0;
  for (const pgnos of allPages(header, encoder.batchPages)) {
    signal.throwIfAborted();
    fill(encoder.pages(), pgnos);
    output.add(encoder.encode(pgnos, pgnos.length));
    yield* output.full();
    sinceTurn += pgnos.length * header.pageSize;
    if (sinceTurn < SLICE_BYTES) continue;
    sinceTurn = 0;
    await nextTurn();
  }
}

async function* encodeInThreads(
  encoder: LTXEncoder,
  fill: FillPages,
  { threads: count, signal }: { readonly threads: number; readonly signal: AbortSignal },
): AsyncGenerator<Uint8Array, void, undefined> {
  const { header, batchPages } = encoder;
  await using threads = new FrameThreads(count, header.pageSize, batchPages * header.pageSize);
  const underWay: Promise<FrameReply>[] = [];
  const oldest = async (): Promise<Uint8Array> => {
    const { frames, pgnos, sizes, crc } = await (underWay.shift() as Promise<FrameReply>);
    signal.throwIfAborted();
    encoder.append({ pgnos, sizes, count: pgnos.length, crc });
    return frames;
  };
  for (const pgnos of allPages(header, batchPages)) {
    signal.throwIfAborted();
    const pages = threads.pages();
    fill(pages, pgnos);
    const reply = threads.encode({ pages, pgnos: pgnos.slice() });
    // Whoever stops early does not wait for the rest: ending the threads rejects it.
    reply.catch(() => undefined);
    underWay.push(reply);
    if (underWay.length === threads.capacity) yield await oldest();
  }
  while (underWay.length > 0) yield await oldest();
}
