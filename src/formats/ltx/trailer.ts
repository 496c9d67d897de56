/** LTX trailer (formats §1.4). */
import { FormatError } from "../format-error.ts";
import { LTX_TRAILER_SIZE, tracksChecksums } from "./header.ts";
import type { LTXHeader } from "./header.ts";

const CHECKSUM_FLAG = 1n << 63n;

/** The rolling checksum of a database without pages. */
export const EMPTY_DATABASE_CHECKSUM: bigint = CHECKSUM_FLAG;

/**
 * The last 16 bytes of every LTX file, big-endian.
 *
 *   offset  size  field
 *   0       8     postApplyChecksum: rolling database checksum after this file, 0 when untracked
 *   8       8     fileChecksum: CRC-64 over the logical file, bit 63 set
 */
export interface LTXTrailer {
  readonly postApplyChecksum: bigint;
  readonly fileChecksum: bigint;
}

export function encodeLTXTrailer(trailer: LTXTrailer): Uint8Array {
  const bytes = new Uint8Array(LTX_TRAILER_SIZE);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, trailer.postApplyChecksum);
  view.setBigUint64(8, trailer.fileChecksum);
  return bytes;
}

/** Decodes 16 bytes and applies the rules that `header` sets for them: FormatError "truncated" or "bad-checksum-field". */
export function decodeLTXTrailer(bytes: Uint8Array, header: LTXHeader): LTXTrailer {
  if (bytes.length < LTX_TRAILER_SIZE) {
    throw new FormatError("truncated", `Cannot read LTX trailer: ${bytes.length} of 16 bytes`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, LTX_TRAILER_SIZE);
  const trailer = {
    postApplyChecksum: view.getBigUint64(0),
    fileChecksum: view.getBigUint64(8),
  };
  checkPostApplyChecksum(trailer.postApplyChecksum, header);
  if ((trailer.fileChecksum & CHECKSUM_FLAG) === 0n) throw badField("file", trailer.fileChecksum);
  return trailer;
}

function checkPostApplyChecksum(checksum: bigint, header: LTXHeader): void {
  const valid =
    header.commit === 0
      ? checksum === EMPTY_DATABASE_CHECKSUM
      : tracksChecksums(header)
        ? (checksum & CHECKSUM_FLAG) !== 0n
        : checksum === 0n;
  if (!valid) throw badField("post-apply", checksum);
}

function badField(name: string, checksum: bigint): FormatError {
  const text = checksum.toString(16).padStart(16, "0");
  return new FormatError("bad-checksum-field", `Invalid ${name} checksum in LTX trailer: ${text}`);
}
