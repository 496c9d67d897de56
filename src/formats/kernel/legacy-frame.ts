/** The legacy page encoding: one LZ4 frame per page (formats §1.2). */
import { decompressBlock, lz4Bound, LZ4_MALFORMED } from "./lz4.ts";
import type { ByteView } from "./lz4.ts";
import { readLZ4FrameHeader } from "./lz4-frame-header.ts";
import {
  DECODE_BAD_CONTENT_CHECKSUM,
  DECODE_BAD_LENGTH,
  DECODE_BAD_LZ4,
  DECODE_MORE,
  DECODE_TOO_LARGE,
  DECODE_UNSUPPORTED,
  LEGACY_FRAMING_LIMIT,
} from "./memory.ts";
import { xxh32 } from "./xxh32.ts";

/**
 * Expands the LZ4 frame at `start` to exactly one page at `out` of the same memory; returns its length or a `DECODE_…` status.
 * `end` is where the bytes at hand end.
 */
export function expandLegacyFrame(
  memory: ByteView,
  start: number,
  end: number,
  out: number,
  pageSize: number,
): number {
  const { view } = memory;
  const sizeLimit = lz4Bound(pageSize) + LEGACY_FRAMING_LIMIT;
  const cut = end - start >= sizeLimit ? DECODE_TOO_LARGE : DECODE_MORE;
  const header = readLZ4FrameHeader(view, start, end);
  if (header === "more") return DECODE_MORE;
  if (header === "malformed") return DECODE_BAD_LZ4;
  if (header === "dictionary") return DECODE_UNSUPPORTED;
  if (header.contentSize !== undefined && header.contentSize !== pageSize) return DECODE_BAD_LENGTH;
  let ip = start + header.size;
  let written = 0;
  for (;;) {
    if (ip + 4 > end) return cut;
    const word = view.getUint32(ip, true);
    ip += 4;
    if (word === 0) break;
    const length = word & 0x7fff_ffff;
    if (length > header.maxBlockSize) return DECODE_BAD_LZ4;
    if (length > lz4Bound(pageSize) || length + (ip - start) > sizeLimit) return DECODE_TOO_LARGE;
    const blockEnd = ip + length + (header.blockChecksums ? 4 : 0);
    if (blockEnd > end) return cut;
    if (header.blockChecksums && view.getUint32(ip + length, true) !== xxh32(view, ip, length)) {
      return DECODE_BAD_CONTENT_CHECKSUM;
    }
    if (word >= 0x8000_0000) {
      if (length > pageSize - written) return DECODE_BAD_LENGTH;
      memory.bytes.copyWithin(out + written, ip, ip + length);
      written += length;
    } else {
      const low = header.independentBlocks ? out + written : out;
      const room = pageSize - written;
      const expanded = decompressBlock(memory, ip, ip + length, memory, out + written, room, low);
      if (expanded < 0) return expanded === LZ4_MALFORMED ? DECODE_BAD_LZ4 : DECODE_BAD_LENGTH;
      written += expanded;
    }
    ip = blockEnd;
  }
  if (header.contentChecksum) {
    if (ip + 4 > end) return cut;
    if (written === pageSize && view.getUint32(ip, true) !== xxh32(view, out, pageSize)) {
      return DECODE_BAD_CONTENT_CHECKSUM;
    }
    ip += 4;
  }
  return written === pageSize ? ip - start : DECODE_BAD_LENGTH;
}
