/** Reads what follows the page block: page index and trailer. */
import { updateCRC64 } from "../crc64.ts";
import { FormatError } from "../format-error.ts";
import { LTX_TRAILER_SIZE } from "./header.ts";
import type { LTXHeader } from "./header.ts";
import type { PageIndexWriter } from "./page-index-writer.ts";
import { decodeLTXTrailer } from "./trailer.ts";
import type { LTXTrailer } from "./trailer.ts";

/**
 * Compares the page index in a file with the one its frames give, by hash: there is only one right index, so it is neither
 * stored nor parsed.
 */
export class TailReader {
  readonly #triplesSize: number;
  readonly #indexSize: number;
  /** The CRC state that the right triples lead to. */
  readonly #stateAfterTriples: bigint;
  readonly #length: Uint8Array = new Uint8Array(PAGE_INDEX_LENGTH_SIZE);
  readonly #trailer: Uint8Array = new Uint8Array(LTX_TRAILER_SIZE);
  #at = 0;
  #state: bigint;

  /** `expected` is closed; `state` is the CRC state after the end marker. */
  constructor(expected: PageIndexWriter, state: bigint) {
    this.#indexSize = expected.sizeBytes;
    this.#triplesSize = this.#indexSize - PAGE_INDEX_LENGTH_SIZE;
    // CRC is linear: state(A‖B) = shift(state(A), |B|) ^ fromZero(B).
    this.#stateAfterTriples = kernel().shift(state, this.#triplesSize) ^ expected.hash;
    this.#state = state;
  }

  /** The next bytes; `offset` is where they are in the file. */
  push(bytes: Uint8Array, offset: number): void {
    let rest = bytes;
    const next = (end: number): Uint8Array => {
      const part = rest.subarray(0, Math.max(0, end - this.#at));
      rest = rest.subarray(part.length);
      this.#at += part.length;
      return part;
    };
    if (this.#at < this.#triplesSize) {
      this.#state = updateCRC64(this.#state, next(this.#triplesSize));
      if (this.#at === this.#triplesSize) this.#checkTriples(offset);
    }
    const start = this.#at - this.#triplesSize;
    if (this.#at < this.#indexSize) this.#length.set(next(this.#indexSize), start);
    const trailerStart = this.#at - this.#indexSize;
    const trailer = next(this.#indexSize + LTX_TRAILER_SIZE);
    this.#trailer.set(trailer, Math.max(0, trailerStart));
    if (rest.length > 0) {
      throw new FormatError(
        "trailing-data",
        "Bytes follow the trailer of the LTX file",
        offset + bytes.length - rest.length,
      );
    }
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
