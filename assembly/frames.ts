// LTX page frames (formats §1.2): batches of them, with the CRC of the file.
import { crc, horner } from "./crc64";
import { compress, decompress } from "./lz4";
import { INPUT, OFFSETS, OUTPUT, PGNOS, RESULT, SIZES, STATES } from "./memory";
import { xxh32 } from "./xxh32";

/** See DECODE_… in src/formats/kernel/kernel.ts. */
const MORE: i32 = 0;
const END: i32 = 1;
const BAD_HEADER: i32 = -1;
const TOO_LARGE: i32 = -2;
const BAD_LZ4: i32 = -3;
const BAD_LENGTH: i32 = -4;
const BAD_CONTENT_CHECKSUM: i32 = -5;
const UNSUPPORTED: i32 = -6;

/** Bytes of LZ4 framing a legacy frame may have beyond the bound of its data. */
const FRAMING_LIMIT: u32 = 4096;
const LZ4_FRAME_MAGIC: u32 = 0x184d2204;

/** Encodes `count` raw pages at INPUT + OFFSETS[i] to sized frames at OUTPUT; returns their total length. */
export function encodePages(count: u32, pageSize: u32, state: u64): u32 {
  let d = OUTPUT;
  for (let i: usize = 0; i < <usize>count; i++) {
    const src = INPUT + load<u32>(OFFSETS + (i << 2));
    store<u32>(d, bswap(load<u32>(PGNOS + (i << 2))));
    store<u16>(d, 0x0100, 4);
    const length = compress(src, d + 10, pageSize);
    store<u32>(d, bswap(length), 6);
    state = crc(horner(state, d, 10), src, pageSize);
    store<u64>(STATES + (i << 3), state);
    store<u32>(SIZES + (i << 2), length + 10);
    d += length + 10;
  }
  store<u64>(RESULT, state);
  return <u32>(d - OUTPUT);
}

/** Decodes frames at INPUT[start, end) to pages at OUTPUT. */
export function decodeFrames(start: usize, end: usize, pageSize: u32, maxPages: u32, state: u64): i32 {
  const limit = INPUT + end;
  const bound = pageSize + pageSize / 255 + 16;
  let p = INPUT + start;
  let d = OUTPUT;
  let count: usize = 0;
  let legacy: u32 = 0;
  let status = MORE;
  while (count < <usize>maxPages) {
    if (p + 6 > limit) break;
    const pgno = bswap(load<u32>(p));
    const flags = <u32>bswap(load<u16>(p, 4));
    if (pgno == 0) {
      if (flags != 0) {
        status = BAD_HEADER;
        break;
      }
      state = horner(state, p, 6);
      p += 6;
      status = END;
      break;
    }
    let size: usize = 0;
    if (flags == 1) {
      if (p + 10 > limit) break;
      const length = bswap(load<u32>(p, 6));
      if (length > bound) {
        status = TOO_LARGE;
        break;
      }
      size = 10 + <usize>length;
      if (p + size > limit) break;
      const expanded = decompress(p + 10, d, length, pageSize, d);
      if (expanded != <i32>pageSize) {
        status = expanded == -1 ? BAD_LZ4 : BAD_LENGTH;
        break;
      }
      state = horner(state, p, 10);
    } else if (flags == 0) {
      const length = expandLegacy(p + 6, limit, d, pageSize, bound);
      if (length <= 0) {
        status = length;
        break;
      }
      size = 6 + <usize>length;
      state = horner(state, p, 6);
      legacy++;
    } else {
      status = BAD_HEADER;
      break;
    }
    state = crc(state, d, pageSize);
    store<u32>(PGNOS + (count << 2), pgno);
    store<u32>(SIZES + (count << 2), <u32>size);
    store<u64>(STATES + (count << 3), state);
    count++;
    d += pageSize;
    p += size;
  }
  store<u64>(RESULT, state);
  store<u32>(RESULT, <u32>(p - INPUT - start), 8);
  store<u32>(RESULT, <u32>count, 12);
  store<u32>(RESULT, legacy, 16);
  return status;
}

/** Expands one LZ4 frame to exactly one page; returns its length, MORE or an error. */
function expandLegacy(p: usize, limit: usize, dst: usize, pageSize: u32, bound: u32): i32 {
  const available = limit - p;
  const cut = available >= <usize>(bound + FRAMING_LIMIT) ? TOO_LARGE : MORE;
  if (available < 7) return MORE;
  if (load<u32>(p) != LZ4_FRAME_MAGIC) return BAD_LZ4;
  const flags = <u32>load<u8>(p, 4);
  const descriptor = <u32>load<u8>(p, 5);
  if ((flags & 0xc2) != 0x40 || (descriptor & 0x8f) != 0 || descriptor < 0x40) return BAD_LZ4;
  if (flags & 1) return UNSUPPORTED;
  const headerSize: usize = flags & 8 ? 10 : 2;
  if (available < 4 + headerSize + 1) return MORE;
  if (((xxh32(p + 4, <u32>headerSize) >> 8) & 255) != <u32>load<u8>(p + 4 + headerSize)) return BAD_LZ4;
  if ((flags & 8) != 0 && load<u64>(p, 6) != <u64>pageSize) return BAD_LENGTH;
  const maxBlock = (<u32>1) << (8 + 2 * (descriptor >> 4));
  let ip = p + 4 + headerSize + 1;
  let written: u32 = 0;
  while (true) {
    if (ip + 4 > limit) return cut;
    const word = load<u32>(ip);
    ip += 4;
    if (word == 0) break;
    const length = word & 0x7fffffff;
    if (length > maxBlock) return BAD_LZ4;
    if (length > bound || <usize>length + (ip - p) > <usize>(bound + FRAMING_LIMIT)) return TOO_LARGE;
    const blockEnd = ip + <usize>length + (flags & 16 ? 4 : 0);
    if (blockEnd > limit) return cut;
    if ((flags & 16) != 0 && load<u32>(ip + length) != xxh32(ip, length)) return BAD_CONTENT_CHECKSUM;
    if (word >> 31) {
      if (length > pageSize - written) return BAD_LENGTH;
      memory.copy(dst + written, ip, length);
      written += length;
    } else {
      const low = flags & 32 ? dst + written : dst;
      const expanded = decompress(ip, dst + written, length, pageSize - written, low);
      if (expanded < 0) return expanded == -1 ? BAD_LZ4 : BAD_LENGTH;
      written += <u32>expanded;
    }
    ip = blockEnd;
  }
  if (flags & 4) {
    if (ip + 4 > limit) return cut;
    if (written == pageSize && load<u32>(ip) != xxh32(dst, pageSize)) return BAD_CONTENT_CHECKSUM;
    ip += 4;
  }
  return written == pageSize ? <i32>(ip - p) : BAD_LENGTH;
}
