/** Reads what follows the page block: page index and trailer. */
import { updateCRC64 } from "../crc64.ts";
import { FormatError } from "../format-error.ts";
import { LTX_TRAILER_SIZE } from "./header.ts";
import type { LTXHeader } from "./header.ts";
import type { PageIndexWriter } from "./page-index-writer.ts";
import { decodeLTXTrailer } from "./trailer.ts";
import type { LTXTrailer } from "./trailer.ts";

const LENGTH_FIELD_SIZE = 8;

/**
 * Compares the page index in a file, byte for byte, with the one its frames give: there is only one right index, so
 * it is neither stored nor parsed.
 */
export class TailReader {
  readonly #chunks: Iterator<Uint8Array>;
  readonly #indexSize: number;
  #expected: Uint8Array = new Uint8Array(0);
  #at = 0;
  #state: bigint;
  readonly #trailer = new Uint8Array(LTX_TRAILER_SIZE);

  /** `expected` is closed; `state` is the CRC state after the end marker. */
  constructor(expected: PageIndexWriter, state: bigint) {
    this.#chunks = expected.chunks();
    this.#indexSize = expected.sizeBytes;
    this.#state = state;
  }

  /** The next bytes; `offset` is where they are in the file. */
  push(bytes: Uint8Array, offset: number): void {
    let at = 0;
    while (at < bytes.length && this.#at < this.#indexSize) {
      if (this.#expected.length === 0) this.#expected = this.#chunks.next().value as Uint8Array;
      const length = Math.min(this.#expected.length, bytes.length - at);
      for (let i = 0; i < length; i++) {
        if (bytes[at + i] !== this.#expected[i]) this.#mismatch(this.#at + i, offset + at + i);
      }
      this.#state = updateCRC64(this.#state, bytes.subarray(at, at + length));
      this.#expected = this.#expected.subarray(length);
      this.#at += length;
      at += length;
    }
    if (at === bytes.length) return;
    const start = this.#at - this.#indexSize;
    if (start + bytes.length - at > LTX_TRAILER_SIZE) {
      throw new FormatError(
        "trailing-data",
        "Bytes follow the trailer of the LTX file",
        offset + at + LTX_TRAILER_SIZE - start,
      );
    }
    this.#trailer.set(bytes.subarray(at), start);
    this.#at += bytes.length - at;
  }

  /** The trailer and the CRC state before the file checksum. `offset` is where the file ends. */
  end(header: LTXHeader, offset: number): { readonly trailer: LTXTrailer; readonly state: bigint } {
    if (this.#at < this.#indexSize + LTX_TRAILER_SIZE) {
      const part = this.#at < this.#indexSize ? "page index" : "trailer";
      throw new FormatError(
        "truncated",
        `LTX file ends within its ${part}, after ${offset} bytes`,
        offset,
      );
    }
    const trailer = decodeLTXTrailer(this.#trailer, header);
    return { trailer, state: updateCRC64(this.#state, this.#trailer.subarray(0, 8)) };
  }

  #mismatch(position: number, offset: number): never {
    if (position >= this.#indexSize - LENGTH_FIELD_SIZE) {
      throw new FormatError("index-length", "Length of the page index is wrong", offset);
    }
    throw new FormatError("bad-page-index", "Page index disagrees with the page frames", offset);
  }
}
