/** Variable-length integers (formats §12). */
import { FormatError } from "./format-error.ts";

/** Reads unsigned LEB128 integers, one after the other. */
export class UvarintReader {
  readonly #bytes: Uint8Array;
  /** Position of the next integer. */
  at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = bytes;
    this.at = at;
  }

  /**
   * The next integer, at most 2^53 − 1. FormatError "truncated" when the bytes end within it, "bad-varint" when it is larger or
   * longer than need be.
   */
  read(): number {
    const start = this.at;
    let value = 0;
    let scale = 1;
    for (;;) {
      const byte = this.#bytes[this.at];
      if (byte === undefined) {
        throw new FormatError(
          "truncated",
          "Cannot read a variable-length integer: the bytes end",
          start,
        );
      }
      this.at++;
      value += (byte & 127) * scale;
      if (byte < 128) {
        if (byte === 0 && scale > 1) throw badVarint("longer than need be", start);
        if (value > Number.MAX_SAFE_INTEGER) throw badVarint("too large", start);
        return value;
      }
      if (this.at - start === 8) throw badVarint("too large", start);
      scale *= 128;
    }
  }
}

function badVarint(what: string, offset: number): FormatError {
  return new FormatError("bad-varint", `Invalid variable-length integer: ${what}`, offset);
}
