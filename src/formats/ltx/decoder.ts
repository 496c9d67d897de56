/** Reads and proves one LTX file, batch by batch (formats §13). */
import type { LTXHeader } from "./header.ts";
import type { PageIndex } from "./page-index.ts";

/** Some decoded pages in kernel memory, valid until the next await or kernel use. */
export interface PageBatch {
  readonly count: number;
  /** The first `count` entries are the page numbers, ascending. */
  readonly pgnos: Uint32Array;
  /** `count` raw pages, one after the other. */
  readonly pages: Uint8Array;
  /** Bytes of each page frame, header included. */
  readonly sizes: Uint32Array;
}

/** What a whole, valid LTX file was. */
export interface LTXSummary {
  readonly header: LTXHeader;
  readonly pageCount: number;
  readonly sizeBytes: number;
  readonly postApplyChecksum: bigint;
  readonly fileChecksum: bigint;
}

/**
 * Strict streaming decoder. Push chunks of any size; after each, read batches until null.
 *
 *   const decoder = new LTXDecoder();
 *   for await (const chunk of body) {
 *     decoder.push(chunk);
 *     for (let batch = decoder.read(); batch !== null; batch = decoder.read()) use(batch);
 *   }
 *   const summary = decoder.end();
 *
 * Nothing may be trusted before `end()` has returned: the file checksum comes last. All failures are FormatErrors.
 * Memory: one incomplete frame and about 10 bytes per page (the expected index).
 */
export class LTXDecoder {
  /** The header, once its 100 bytes have been read; undefined before. */
  get header(): LTXHeader | undefined {
    throw new Error("Not built yet");
  }

  /**
   * Hands in the next bytes of the file. The decoder keeps the reference until `read()` has returned null,
   * so the chunk must not change before that. Error when the chunk before is not used up.
   */
  push(chunk: Uint8Array): void {
    throw new Error(`Not built yet${chunk.length}`);
  }

  /**
   * Kernel memory to read the next bytes of the file into (at least 1 MiB), instead of `push()`: fill its beginning,
   * call `filled(byteCount)` at once, then `read()` until null without an await or other kernel use between.
   */
  buffer(): Uint8Array {
    throw new Error("Not built yet");
  }

  /** `byteCount` bytes have been put into `buffer()`. */
  filled(byteCount: number): void {
    throw new Error(`Not built yet${byteCount}`);
  }

  /** The next pages, or null when more bytes are needed or the page block has ended. */
  read(): PageBatch | null {
    throw new Error("Not built yet");
  }

  /** The file is complete: checks index, trailer and checksums. */
  end(): LTXSummary {
    throw new Error("Not built yet");
  }

  /** The page index, proven against the frames; after `end()`. */
  index(): PageIndex {
    throw new Error("Not built yet");
  }
}

/** Decodes and proves a whole file held in chunks. */
export function verifyLTX(
  chunks: Iterable<Uint8Array>,
): LTXSummary & { readonly index: PageIndex } {
  throw new Error(`Not built yet${String(chunks)}`);
}

/**
 * Decodes a run of consecutive page frames, such as a ranged read through a page index returns. Each page is checked to
 * be exactly `pageSize` bytes; no file checksum covers such a read, so compare `pgnos` and `sizes` with the index.
 * Yields batches in kernel memory. FormatError "truncated" when the run ends inside a frame.
 */
export function* decodeFrames(
  frames: Uint8Array,
  pageSize: number,
): Generator<PageBatch, void, undefined> {
  throw new Error(`Not built yet${frames.length}${pageSize}`);
}
