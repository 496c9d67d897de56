/** Encodes batches of pages without a file around them: what a worker does for an LTXEncoder elsewhere. */

/** One batch of page frames in kernel memory, valid until the next kernel use. */
export interface EncodedFrames {
  readonly bytes: Uint8Array;
  readonly pgnos: Uint32Array;
  /** Bytes of each frame, header included. */
  readonly sizes: Uint32Array;
  readonly count: number;
  /** CRC state of these frames started from zero: for `LTXEncoder.append()`. */
  readonly crc: bigint;
}

/** A worker's half of an LTXEncoder. */
export class LTXFrameEncoder {
  readonly pageSize: number;
  readonly batchPages: number;

  constructor(pageSize: number) {
    this.pageSize = pageSize;
    this.batchPages = (1 << 20) / pageSize;
  }

  /** Kernel memory for `batchPages` raw pages. */
  pages(): Uint8Array {
    throw new Error("Not built yet");
  }

  /** Frames of the first `count` pages in `pages()`. */
  encode(pgnos: Uint32Array, count: number): EncodedFrames {
    throw new Error(`Not built yet${pgnos.length}${count}`);
  }
}
