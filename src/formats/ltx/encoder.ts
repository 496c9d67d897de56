/** Writes one LTX file, batch by batch. */
import { CRC_START, storedChecksum, updateCRC64 } from "../crc64.ts";
import { FormatError } from "../format-error.ts";
import { kernel } from "../kernel/kernel.ts";
import type { WALScanner } from "../wal.ts";
import { LTXFrameEncoder } from "./frame-encoder.ts";
import {
  encodeLTXHeader,
  LTX_PAGE_HEADER_SIZE,
  LTX_TRAILER_SIZE,
  tracksChecksums,
} from "./header.ts";
import type { LTXHeader } from "./header.ts";
import { PageIndexWriter } from "./page-index-writer.ts";
import { PageSequence } from "./page-sequence.ts";
import { encodeLTXTrailer } from "./trailer.ts";

/** What `finish()` gives out in one piece. */
const SMALL_INDEX_SIZE = 65_536;

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
  readonly #frames: LTXFrameEncoder;
  readonly #sequence: PageSequence;
  readonly #index = new PageIndexWriter();
  #phase: "new" | "pages" | "finished" = "new";
  #state = CRC_START;
  #bytesWritten = 0;
  #fileChecksum = 0n;

  /** FormatError when a file with this header cannot be written: tracked checksums, or an empty database. */
  constructor(header: LTXHeader) {
    if (tracksChecksums(header)) {
      throw new FormatError("unsupported", "Cannot write LTX files with checksum tracking", 4);
    }
    if (header.commit === 0) {
      throw new FormatError(
        "page-out-of-range",
        "Cannot write an LTX file of an empty database",
        12,
      );
    }
    this.header = header;
    this.#frames = new LTXFrameEncoder(header.pageSize);
    this.#sequence = new PageSequence(header);
    this.batchPages = this.#frames.batchPages;
  }

  /** Bytes handed out (or appended) so far. */
  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  /** Pages encoded so far. */
  get pageCount(): number {
    return this.#sequence.count;
  }

  /** The checksum in the trailer; only after `finish()` ran to its end. */
  get fileChecksum(): bigint {
    if (this.#phase !== "finished") throw new Error("LTX file is not finished yet");
    return this.#fileChecksum;
  }

  /** The 100 bytes of the header (own memory, not the kernel's). */
  begin(): Uint8Array {
    if (this.#phase !== "new") throw new Error("LTX file has begun already");
    this.#phase = "pages";
    const bytes = encodeLTXHeader(this.header);
    this.#state = updateCRC64(this.#state, bytes);
    this.#bytesWritten = bytes.length;
    return bytes;
  }

  /** Kernel memory for `batchPages` raw pages. Fill page i at i * pageSize, then call `encode()` at once. */
  pages(): Uint8Array {
    return this.#frames.pages();
  }

  /** xxHash64 of the first `count` raw pages in `pages()`; valid until the next kernel use, as `encode()` is. */
  hash(count: number): BigUint64Array {
    return this.#frames.hash(count);
  }

  /** Frames of the first `count` pages in `pages()`. The view is valid until the next kernel use. */
  encode(pgnos: Uint32Array, count: number): Uint8Array {
    this.#requirePages();
    const { bytes, sizes, crc } = this.#frames.encode(pgnos, count, this.#state);
    this.#account(pgnos, sizes, count);
    this.#state = crc;
    return bytes;
  }

  /**
   * Frames of WAL frames that `scanner.scan()` has just verified and that still lie in kernel memory: `frames[i]` is the
   * 0-based number of a frame of that scan; their page numbers must ascend. Saves reading the pages a second time; may be
   * called several times after one scan.
   */
  encodeWALFrames(scanner: WALScanner, frames: Uint32Array, count: number): Uint8Array {
    this.#requirePages();
    const encoded = this.#frames.encodeWALFrames(scanner, frames, count, this.#state);
    this.#account(encoded.pgnos, encoded.sizes, count);
    this.#state = encoded.crc;
    return encoded.bytes;
  }

  /**
   * Accounts for sized frames encoded elsewhere: by a worker's LTXFrameEncoder, or in another file. The caller writes the bytes.
   * `crc` is the CRC state after these frames when the state before them was `crcBefore` (0n: encoded on their own).
   */
  append(frames: {
    readonly pgnos: Uint32Array;
    readonly sizes: Uint32Array;
    readonly count: number;
    readonly crc: bigint;
    readonly crcBefore?: bigint;
  }): void {
    this.#requirePages();
    const { count, crc, crcBefore = 0n } = frames;
    this.#account(frames.pgnos, frames.sizes, count);
    // CRC is linear: state(A‖B) = shift(state(A), |B|) ^ fromZero(B), and fromZero(B) = crc ^ shift(crcBefore, |B|).
    const hashedBytes = count * (LTX_PAGE_HEADER_SIZE + 4 + this.header.pageSize);
    this.#state = crc ^ kernel().shift(this.#state ^ crcBefore, hashedBytes);
  }

  /** End marker, page index and trailer, in chunks of own memory: a single one when it is small. */
  *finish(): Generator<Uint8Array, void, undefined> {
    this.#requirePages();
    this.#sequence.end(this.#bytesWritten);
    this.#index.close();
    const endMarker = new Uint8Array(LTX_PAGE_HEADER_SIZE);
    const size = endMarker.length + this.#index.sizeBytes + LTX_TRAILER_SIZE;
    if (size <= SMALL_INDEX_SIZE) {
      const tail = new Uint8Array(size);
      tail.set(this.#index.toBytes(), endMarker.length);
      const hashed = size - LTX_TRAILER_SIZE;
      tail.set(this.#trailer(updateCRC64(this.#state, tail.subarray(0, hashed))), hashed);
      yield this.#given(tail);
    } else {
      let state = updateCRC64(this.#state, endMarker);
      yield this.#given(endMarker);
      for (const chunk of this.#index.chunks()) {
        state = updateCRC64(state, chunk);
        yield this.#given(chunk);
      }
      yield this.#given(this.#trailer(state));
    }
    this.#phase = "finished";
  }

  #trailer(state: bigint): Uint8Array {
    const postApplyChecksum = 0n;
    this.#fileChecksum = storedChecksum(updateCRC64(state, new Uint8Array(8)));
    return encodeLTXTrailer({ postApplyChecksum, fileChecksum: this.#fileChecksum });
  }

  #given(bytes: Uint8Array): Uint8Array {
    this.#bytesWritten += bytes.length;
    return bytes;
  }

  #account(pgnos: Uint32Array, sizes: Uint32Array, count: number): void {
    for (let i = 0; i < count; i++) {
      const pgno = pgnos[i] as number;
      const size = sizes[i] as number;
      this.#sequence.next(pgno, this.#bytesWritten);
      this.#index.add(pgno, this.#bytesWritten, size);
      this.#bytesWritten += size;
    }
  }

  #requirePages(): void {
    if (this.#phase === "new") throw new Error("LTX file has not begun: call begin() first");
    if (this.#phase === "finished") throw new Error("LTX file is finished");
  }
}
