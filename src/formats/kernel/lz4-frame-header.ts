/** Header of an LZ4 frame. */
import { xxh32 } from "./xxh32.ts";

const MAGIC = 0x184d_2204;

export interface LZ4FrameHeader {
  /** Bytes of the header, magic included. */
  readonly size: number;
  readonly independentBlocks: boolean;
  /** An xxHash32 follows each block. */
  readonly blockChecksums: boolean;
  /** An xxHash32 of all raw bytes ends the frame. */
  readonly contentChecksum: boolean;
  readonly contentSize: number | undefined;
  readonly maxBlockSize: number;
}

/**
 * Reads a frame header, little-endian.
 *
 *   offset  size    field
 *   0       4       magic 184d2204
 *   4       1       flags: version 01 in bits 6–7, independent blocks, block checksums, content size, content checksum, 0, dictionary
 *   5       1       largest block in bits 4–6: 64 KiB, 256 KiB, 1 MiB, 4 MiB for 4…7
 *   6       0 or 8  content size
 *   6 or 14 1       second byte of the xxHash32 over the bytes from offset 4
 *
 * "more": not enough bytes up to `end`; "dictionary": valid but needs a dictionary, which is not supported.
 */
export function readLZ4FrameHeader(
  view: DataView,
  start: number,
  end: number,
): LZ4FrameHeader | "more" | "malformed" | "dictionary" {
  if (start + 7 > end) return "more";
  if (view.getUint32(start, true) !== MAGIC) return "malformed";
  const flags = view.getUint8(start + 4);
  const descriptor = view.getUint8(start + 5);
  if ((flags & 0xc2) !== 0x40 || (descriptor & 0x8f) !== 0 || descriptor < 0x40) return "malformed";
  if ((flags & 1) !== 0) return "dictionary";
  const hasContentSize = (flags & 8) !== 0;
  const size = hasContentSize ? 15 : 7;
  if (start + size > end) return "more";
  const checked = xxh32(view, start + 4, size - 5);
  if (((checked >>> 8) & 255) !== view.getUint8(start + size - 1)) return "malformed";
  return {
    size,
    independentBlocks: (flags & 32) !== 0,
    blockChecksums: (flags & 16) !== 0,
    contentChecksum: (flags & 4) !== 0,
    contentSize: hasContentSize ? Number(view.getBigUint64(start + 6, true)) : undefined,
    maxBlockSize: 1 << (8 + 2 * (descriptor >> 4)),
  };
}
