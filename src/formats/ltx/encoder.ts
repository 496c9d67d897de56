/** Writes one LTX file, batch by batch. */
import type { WALScanner } from "../wal.ts";
import type { LTXHeader } from "./header.ts";

/**
 * Encodes one LTX file. Synchronous; what it returns must be written before the next await or kernel use.
 *
 *   const encoder = new LTXEncoder(header);
 *   write(encoder.begin());
 *   for each batch of at most encoder.batchPages pages, in ascending order of page number:
 *     fs.readSync(fd, encoder.pages(), …);        // page i at i * pageSize
 *     write(encoder.encode(pgnos, count));
 *   for (const bytes of encoder.finish()) write(bytes);
 *
 * Several encoders may be open at a time: what must survive an await is in the object, not in the kernel.
 * FormatError "page-order", "page-out-of-range", "lock-page" or "missing-page" when pages break the rules of the file.
 */
export class LTXEncoder {
  readonly header: LTXHeader;
  /** How many raw pages fit in one batch: 1 MiB of them. */
  readonly batchPages: number;

  constructor(header: LTXHeader) {
    this.header = header;
    this.batchPages = (1 << 20) / header.pageSize;
  }

  /** Bytes handed out so far. */
  get bytesWritten(): number {
    throw new Error("Not built yet");
  }

  /** Pages encoded so far. */
  get pageCount(): number {
    throw new Error("Not built yet");
  }

  /** The checksum in the trailer; only after `finish()` ran to its end. */
  get fileChecksum(): bigint {
    throw new Error("Not built yet");
  }

  /** The 100 bytes of the header (own memory, not the kernel's). */
  begin(): Uint8Array {
    throw new Error("Not built yet");
  }

  /** Kernel memory for `batchPages` raw pages. Fill page i at i * pageSize, then call `encode()` at once. */
  pages(): Uint8Array {
    throw new Error("Not built yet");
  }

  /** Frames of the first `count` pages in `pages()`. The view is valid until the next kernel use. */
  encode(pgnos: Uint32Array, count: number): Uint8Array {
    throw new Error(`Not built yet${pgnos.length}${count}`);
  }

  /**
   * Frames of WAL frames that `scanner.scan()` has just verified and that still lie in kernel memory: `frames[i]` is the
   * 0-based number of a frame of that scan; their page numbers must ascend. Saves reading the pages a second time.
   */
  encodeWALFrames(scanner: WALScanner, frames: Uint32Array, count: number): Uint8Array {
    throw new Error(`Not built yet${scanner.capacityFrames}${frames.length}${count}`);
  }

  /**
   * Accounts for frames encoded elsewhere (by a worker's LTXFrameEncoder, or copied from another file). The caller writes the bytes.
   * `crc` is the CRC state of those frames started from zero.
   */
  append(frames: {
    readonly pgnos: Uint32Array;
    readonly sizes: Uint32Array;
    readonly count: number;
    readonly crc: bigint;
  }): void {
    throw new Error(`Not built yet${frames.count}`);
  }

  /** End marker, page index and trailer, in chunks of own memory. */
  *finish(): Generator<Uint8Array, void, undefined> {
    throw new Error("Not built yet");
  }
}
