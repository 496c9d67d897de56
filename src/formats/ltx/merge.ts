/** Merges LTX files that follow each other into one (formats §5). */
import type { TXID } from "./txid.ts";

/** One file to merge. */
export interface MergeInput {
  /** TXIDs by its name; the header must agree. */
  readonly minTXID: TXID;
  readonly maxTXID: TXID;
  /** Opens the file; called once, when the merge starts to read it. */
  open(): AsyncIterable<Uint8Array>;
}

export interface MergeOptions {
  /** minTXID of the output instead of the first input's: 1n makes a full image a snapshot. */
  readonly minTXID?: TXID;
  readonly signal?: AbortSignal;
}

/**
 * Merges files in TXID order; of each page the newest version wins. Compressed pages are copied as they are, legacy ones
 * re-encoded. Every input is read to its end and its file checksum verified before the output's trailer is given out, so an
 * output without an error is made of proven inputs. Yields chunks of about 1 MiB in memory of their own.
 *
 * FormatError: any damage of an input, "not-contiguous", "page-size-mismatch", "name-mismatch", "missing-page" (an input that
 * grows the database without all new pages, or an incomplete snapshot).
 */
export async function* mergeLTX(
  inputs: readonly MergeInput[],
  options: MergeOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  throw new Error(`Not built yet${inputs.length}${String(options)}`);
}
