/** Encodes batches of pages without a file around them: what a worker does for an LTXEncoder elsewhere. */
import { kernel } from "../kernel/kernel.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { BATCH_BYTES, MAX_BATCH_PAGES } from "../kernel/memory.ts";
import { WAL_FRAME_HEADER_SIZE } from "../wal.ts";
import type { WALScanner } from "../wal.ts";

/** One batch of page frames in kernel memory, valid until the next kernel use. */
export interface EncodedFrames {
  readonly bytes: Uint8Array;
  readonly pgnos: Uint32Array;
  /** Bytes of each frame, header included. */
  readonly sizes: Uint32Array;
  readonly count: number;
  /** CRC state after these frames, from the state given to `encode()`. */
  readonly crc: bigint;
}

/** A worker's half of an LTXEncoder, and the inner half of every LTXEncoder. */
export class LTXFrameEncoder {
  readonly pageSize: number;
  /** How many raw pages fit in one batch: 1 MiB of them. */
  readonly batchPages: number;

  constructor(pageSize: number) {
    this.pageSize = pageSize;
    this.batchPages = BATCH_BYTES / pageSize;
  }

  /** Kernel memory for `batchPages` raw pages. */
  pages(): Uint8Array {
    const k = kernel();
    k.owner = this;
    return k.input.subarray(0, this.batchPages * this.pageSize);
  }

  /** Frames of the first `count` pages in `pages()`. `state` is the CRC state before them: 0n for `LTXEncoder.append()`. */
  encode(pgnos: Uint32Array, count: number, state = 0n): EncodedFrames {
    const k = this.#claim(count);
    k.pgnos.set(pgnos.length === count ? pgnos : pgnos.subarray(0, count));
    return this.#encode(count, state);
  }

  /** xxHash64 of the first `count` pages in `pages()`, in kernel memory: valid until the next kernel use. */
  hash(count: number): BigUint64Array {
    const k = this.#claim(count);
    k.hashPages(count, this.pageSize);
    return k.states.subarray(0, count);
  }

  /** Frames of the pages in some WAL frames of the scan that `scanner` did last. */
  encodeWALFrames(
    scanner: WALScanner,
    frames: Uint32Array,
    count: number,
    state = 0n,
  ): EncodedFrames {
    const k = kernel();
    if (k.owner !== scanner) throw new Error("Kernel was used by another after scan()");
    if (scanner.pageSize !== this.pageSize) throw new RangeError("WAL has another page size");
    if (count > MAX_BATCH_PAGES) throw new RangeError(`${count} pages are more than a batch holds`);
    for (let i = 0; i < count; i++) {
      const frame = frames[i] as number;
      if (frame >= scanner.count) throw new RangeError(`Frame ${frame} was not scanned`);
      k.offsets[i] = frame * scanner.frameSize + WAL_FRAME_HEADER_SIZE;
      k.pgnos[i] = scanner.pgnos[frame] as number;
    }
    return this.#encode(count, state);
  }

  /** The kernel, with the offsets of the first `count` pages in `pages()`. */
  #claim(count: number): Kernel {
    const k = kernel();
    if (k.owner !== this)
      throw new Error("Kernel was used by another between pages() and encode()");
    if (count > this.batchPages) throw new RangeError(`${count} pages are more than a batch holds`);
    for (let i = 0; i < count; i++) k.offsets[i] = i * this.pageSize;
    return k;
  }

  #encode(count: number, state: bigint): EncodedFrames {
    const k = kernel();
    const length = k.encodePages(count, this.pageSize, state);
    const crc = count > 0 ? (k.states[count - 1] as bigint) : state;
    return { bytes: k.output.subarray(0, length), pgnos: k.pgnos, sizes: k.sizes, count, crc };
  }
}
