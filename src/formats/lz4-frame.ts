/** LZ4 frames as streams: what Litestream 0.3 stored its snapshots and WAL segments in (formats §10). */
import { FormatError } from "./format-error.ts";
import { readLZ4FrameHeader } from "./kernel/lz4-frame-header.ts";
import type { LZ4FrameHeader } from "./kernel/lz4-frame-header.ts";
import { byteView, decompressBlock } from "./kernel/lz4.ts";
import type { ByteView } from "./kernel/lz4.ts";
import { XXH32, xxh32 } from "./kernel/xxh32.ts";

/** How far back a match may reach into earlier blocks. */
const WINDOW_SIZE = 65_536;
/** No block expands more than this. */
const MAX_RATIO = 255;
const SHORT_HEADER_SIZE = 7;
const FIRST_CAPACITY = 1024;

/**
 * Decodes one LZ4 frame, given in chunks of any size. Verifies header, block and content checksums and the content size.
 *
 *   const decoder = new LZ4FrameDecoder();
 *   for await (const chunk of body) for (const bytes of decoder.push(chunk)) write(bytes);
 *   decoder.end();
 *
 * Memory: one block, at most 4 MiB, compressed and raw. All failures are FormatErrors.
 */
export class LZ4FrameDecoder {
  #phase: "header" | "block-size" | "block" | "checksum" | "done" = "header";
  #header: LZ4FrameHeader | undefined;
  /** Bytes of the unit that is being gathered, and how many it needs. */
  #unit: ByteView = byteView(new Uint8Array(FIRST_CAPACITY));
  #filled = 0;
  #needed = SHORT_HEADER_SIZE;
  #blockLength = 0;
  #blockIsStored = false;
  /** History of linked blocks in front, then the block. */
  #out: ByteView = byteView(new Uint8Array(0));
  #history = 0;
  /** Where the last block ended, when the next may refer to it. */
  #historyEnd = 0;
  readonly #hash = new XXH32();
  #contentSize = 0;
  /** Bytes taken so far: for messages. */
  #offset = 0;

  /** Raw bytes of each block that `chunk` completes. The views are valid until the next one. */
  *push(chunk: Uint8Array): Generator<Uint8Array, void, undefined> {
    let at = 0;
    while (at < chunk.length) {
      if (this.#phase === "done") {
        throw new FormatError("trailing-data", "Bytes follow the LZ4 frame", this.#offset);
      }
      const length = Math.min(this.#needed - this.#filled, chunk.length - at);
      this.#reserve(this.#filled + length);
      this.#unit.bytes.set(chunk.subarray(at, at + length), this.#filled);
      this.#filled += length;
      this.#offset += length;
      at += length;
      if (this.#filled === this.#needed) {
        const bytes = this.#takeUnit();
        if (bytes !== null && bytes.length > 0) yield bytes;
      }
    }
  }

  /** FormatError "truncated" unless the frame is complete. */
  end(): void {
    if (this.#phase === "done") return;
    throw new FormatError(
      "truncated",
      `LZ4 frame ends early, after ${this.#offset} bytes`,
      this.#offset,
    );
  }

  #takeUnit(): Uint8Array | null {
    switch (this.#phase) {
      case "header":
        this.#takeHeader();
        return null;
      case "block-size":
        this.#takeBlockSize();
        return null;
      case "block":
        return this.#takeBlock();
      case "checksum":
        this.#takeChecksum();
        return null;
      case "done":
        return null;
    }
  }

  #takeHeader(): void {
    const header = readLZ4FrameHeader(this.#unit.view, 0, this.#filled);
    if (header === "more") {
      // The content size makes it longer.
      this.#needed = SHORT_HEADER_SIZE + 8;
      return;
    }
    if (header === "malformed")
      throw new FormatError("bad-lz4", "Not an LZ4 frame: its header is wrong", 0);
    if (header === "dictionary") {
      throw new FormatError("unsupported", "LZ4 frame needs a dictionary", 4);
    }
    this.#header = header;
    this.#next("block-size", 4);
  }

  #takeBlockSize(): void {
    const header = this.#header as LZ4FrameHeader;
    const word = this.#unit.view.getUint32(0, true);
    if (word === 0) {
      this.#checkContentSize(header);
      if (header.contentChecksum) this.#next("checksum", 4);
      else this.#next("done", 0);
      return;
    }
    this.#blockLength = word & 0x7fff_ffff;
    this.#blockIsStored = word >= 0x8000_0000;
    if (this.#blockLength > header.maxBlockSize || this.#blockLength === 0) {
      throw new FormatError(
        "bad-lz4",
        `Invalid length of LZ4 block: ${this.#blockLength}`,
        this.#offset - 4,
      );
    }
    this.#next("block", this.#blockLength + (header.blockChecksums ? 4 : 0));
  }

  #takeBlock(): Uint8Array {
    const header = this.#header as LZ4FrameHeader;
    const { view, bytes } = this.#unit;
    const length = this.#blockLength;
    if (header.blockChecksums && view.getUint32(length, true) !== xxh32(view, 0, length)) {
      throw new FormatError(
        "content-checksum",
        "Checksum of an LZ4 block is wrong",
        this.#offset - 4,
      );
    }
    const capacity = Math.min(
      header.maxBlockSize,
      this.#blockIsStored ? length : length * MAX_RATIO,
    );
    this.#makeRoom(capacity);
    let written = length;
    if (this.#blockIsStored) this.#out.bytes.set(bytes.subarray(0, length), this.#history);
    else written = decompressBlock(this.#unit, 0, length, this.#out, this.#history, capacity, 0);
    if (written < 0) {
      throw new FormatError("bad-lz4", "Malformed LZ4 block", this.#offset - this.#needed);
    }
    const end = this.#history + written;
    const block = this.#out.bytes.subarray(this.#history, end);
    this.#hash.update(this.#out.view, this.#history, written);
    this.#contentSize += written;
    this.#historyEnd = header.independentBlocks ? 0 : end;
    this.#next("block-size", 4);
    return block;
  }

  /** Room for a block after the history, which moves to the front. */
  #makeRoom(capacity: number): void {
    const kept = Math.min(this.#historyEnd, WINDOW_SIZE);
    const history = this.#out.bytes.subarray(this.#historyEnd - kept, this.#historyEnd);
    if (this.#out.bytes.length < kept + capacity) {
      const grown = byteView(new Uint8Array(kept + capacity));
      grown.bytes.set(history);
      this.#out = grown;
    } else {
      this.#out.bytes.copyWithin(0, this.#historyEnd - kept, this.#historyEnd);
    }
    this.#history = kept;
  }

  #takeChecksum(): void {
    if (this.#unit.view.getUint32(0, true) !== this.#hash.digest()) {
      throw new FormatError(
        "content-checksum",
        "Content checksum of the LZ4 frame is wrong",
        this.#offset - 4,
      );
    }
    this.#next("done", 0);
  }

  #checkContentSize({ contentSize }: LZ4FrameHeader): void {
    if (contentSize === undefined || contentSize === this.#contentSize) return;
    throw new FormatError(
      "page-length",
      `LZ4 frame holds ${this.#contentSize} bytes, its header says ${contentSize}`,
      this.#offset,
    );
  }

  #next(phase: "block-size" | "block" | "checksum" | "done", needed: number): void {
    this.#phase = phase;
    this.#needed = needed;
    this.#filled = 0;
  }

  /** Grows with the bytes that arrive, not with what a length field claims. */
  #reserve(capacity: number): void {
    if (capacity <= this.#unit.bytes.length) return;
    const grown: ByteView = byteView(
      new Uint8Array(Math.max(capacity, 2 * this.#unit.bytes.length)),
    );
    grown.bytes.set(this.#unit.bytes.subarray(0, this.#filled));
    this.#unit = grown;
  }
}
