/** Reads what follows the page block: page index and trailer. */
import { updateCRC64 } from "../crc64.ts";
import { FormatError } from "../format-error.ts";
import { kernel } from "../kernel/kernel.ts";
import { LTX_TRAILER_SIZE } from "./header.ts";
import type { LTXHeader } from "./header.ts";
import { PAGE_INDEX_LENGTH_SIZE } from "./page-index-writer.ts";
import type { PageIndexWriter } from "./page-index-writer.ts";
import { decodeLTXTrailer } from "./trailer.ts";
import type { LTXTrailer } from "./trailer.ts";

/**
 * Compares the page index in a file with the one its frames give, by hash: there is only one right index, so it is
 * neither stored nor parsed.
 */
export class TailReader {
  /** Bytes of the index without its length field. */
  readonly #triplesSize: number;
  /** The CRC state that the right triples lead to. */
  readonly #stateAfterTriples: bigint;
  /** Length field and trailer. */
  readonly #end: Uint8Array = new Uint8Array(PAGE_INDEX_LENGTH_SIZE + LTX_TRAILER_SIZE);
  #at = 0;
  #state: bigint;

  /** `expected` is closed; `state` is the CRC state after the end marker. */
  constructor(expected: PageIndexWriter, state: bigint) {
    this.#triplesSize = expected.sizeBytes - PAGE_INDEX_LENGTH_SIZE;
    // CRC is linear: state(A‖B) = shift(state(A), |B|) ^ fromZero(B).
    this.#stateAfterTriples = kernel().shift(state, this.#triplesSize) ^ expected.hash;
    this.#state = state;
  }

  /** The next bytes; `offset` is where they are in the file. */
  push(bytes: Uint8Array, offset: number): void {
    const triples = bytes.subarray(0, Math.max(0, this.#triplesSize - this.#at));
    if (triples.length > 0) {
      this.#state = updateCRC64(this.#state, triples);
      this.#at += triples.length;
      if (this.#at === this.#triplesSize && this.#state !== this.#stateAfterTriples) {
        throw new FormatError(
          "bad-page-index",
          "Page index disagrees with the page frames",
          offset + triples.length - this.#triplesSize,
        );
      }
    }
    const rest = bytes.subarray(triples.length);
    if (rest.length === 0) return;
    const start = this.#at - this.#triplesSize;
    const excess = start + rest.length - this.#end.length;
    if (excess > 0) {
      throw new FormatError(
        "trailing-data",
        "Bytes follow the trailer of the LTX file",
        offset + bytes.length - excess,
      );
    }
    this.#end.set(rest, start);
    this.#at += rest.length;
  }

  /** The trailer and the CRC state before the file checksum. `offset` is where the file ends. */
  end(header: LTXHeader, offset: number): { readonly trailer: LTXTrailer; readonly state: bigint } {
    const missing = this.#triplesSize + this.#end.length - this.#at;
    if (missing > 0) {
      const part = missing > LTX_TRAILER_SIZE ? "page index" : "trailer";
      throw new FormatError(
        "truncated",
        `LTX file ends within its ${part}, after ${offset} bytes`,
        offset,
      );
    }
    const end = new DataView(this.#end.buffer);
    if (end.getBigUint64(0) !== BigInt(this.#triplesSize)) {
      throw new FormatError(
        "index-length",
        "Length of the page index is wrong",
        offset - this.#end.length,
      );
    }
    const trailer = decodeLTXTrailer(this.#end.subarray(PAGE_INDEX_LENGTH_SIZE), header);
    // Length field and post-apply checksum.
    return { trailer, state: updateCRC64(this.#state, this.#end.subarray(0, 16)) };
  }
}
