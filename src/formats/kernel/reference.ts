/** The kernel in plain TypeScript: the reference the WebAssembly one is tested against, and the fallback. */
import { CRC64State, shiftCRC64 } from "./crc64-fold.ts";
import type { Kernel } from "./kernel.ts";
import { expandLegacyFrame } from "./legacy-frame.ts";
import { byteView, compressBlock, decompressBlock, lz4Bound, LZ4_MALFORMED } from "./lz4.ts";
import type { ByteView } from "./lz4.ts";
import {
  DECODE_BAD_HEADER,
  DECODE_BAD_LENGTH,
  DECODE_BAD_LZ4,
  DECODE_END,
  DECODE_MORE,
  DECODE_TOO_LARGE,
  INPUT_SIZE,
  MAX_BATCH_PAGES,
  OUTPUT_SIZE,
  SCRATCH_SIZE,
} from "./memory.ts";
import { xxh64 } from "./xxh64.ts";

/** Bytes after a buffer that wide copies may touch without meaning it. */
const SLACK = 64;
const OUTPUT_START = INPUT_SIZE + SLACK;
const SCRATCH_START = OUTPUT_START + OUTPUT_SIZE + SLACK;
const MEMORY_SIZE = SCRATCH_START + SCRATCH_SIZE;

export function createReferenceKernel(): Kernel {
  return new ReferenceKernel();
}

class ReferenceKernel implements Kernel {
  readonly name = "typescript";
  owner: object | null = null;
  readonly input: Uint8Array;
  readonly output: Uint8Array;
  readonly scratch: Uint8Array;
  readonly pgnos = new Uint32Array(MAX_BATCH_PAGES);
  readonly sizes = new Uint32Array(MAX_BATCH_PAGES);
  readonly offsets = new Uint32Array(MAX_BATCH_PAGES);
  readonly states = new BigUint64Array(MAX_BATCH_PAGES);
  consumed = 0;
  count = 0;
  legacyCount = 0;
  checksum1 = 0;
  checksum2 = 0;
  readonly #memory: ByteView;
  readonly #words: Int32Array;
  readonly #stateWords: Int32Array;
  readonly #crc: CRC64State;

  constructor() {
    const buffer = new ArrayBuffer(MEMORY_SIZE);
    this.input = new Uint8Array(buffer, 0, INPUT_SIZE);
    this.output = new Uint8Array(buffer, OUTPUT_START, OUTPUT_SIZE);
    this.scratch = new Uint8Array(buffer, SCRATCH_START, SCRATCH_SIZE);
    this.#memory = byteView(new Uint8Array(buffer));
    this.#words = new Int32Array(buffer);
    this.#stateWords = new Int32Array(this.states.buffer);
    this.#crc = new CRC64State(buffer);
  }

  get state(): bigint {
    return this.#crc.value;
  }

  hashScratch(state: bigint, length: number): bigint {
    return this.#hash(state, SCRATCH_START, length);
  }

  hashOutput(state: bigint, offset: number, length: number): bigint {
    return this.#hash(state, OUTPUT_START + offset, length);
  }

  hashPages(count: number, pageSize: number): void {
    for (let index = 0; index < count; index++) {
      const start = this.offsets[index] ?? 0;
      this.states[index] = xxh64(this.input.subarray(start, start + pageSize));
    }
  }

  #hash(state: bigint, start: number, length: number): bigint {
    const before = this.#crc.value;
    this.#crc.value = state;
    this.#crc.update(start, length);
    const after = this.#crc.value;
    this.#crc.value = before;
    return after;
  }

  shift(state: bigint, byteCount: number): bigint {
    return shiftCRC64(state, byteCount);
  }

  compress(length: number): number {
    return compressBlock(this.#memory, 0, length, this.#memory, OUTPUT_START);
  }

  decompress(length: number, capacity: number): number {
    return decompressBlock(this.#memory, 0, length, this.#memory, OUTPUT_START, capacity);
  }

  encodePages(count: number, pageSize: number, state: bigint): number {
    const memory = this.#memory;
    const crc = this.#crc;
    crc.value = state;
    let out = OUTPUT_START;
    for (let i = 0; i < count; i++) {
      const source = this.offsets[i] as number;
      memory.view.setUint32(out, this.pgnos[i] as number);
      memory.view.setUint16(out + 4, 1);
      const length = compressBlock(memory, source, pageSize, memory, out + 10);
      memory.view.setUint32(out + 6, length);
      crc.update(out, 10);
      crc.update(source, pageSize);
      this.#saveState(i);
      this.sizes[i] = length + 10;
      out += length + 10;
    }
    return out - OUTPUT_START;
  }

  decodeFrames(
    start: number,
    end: number,
    pageSize: number,
    maxPages: number,
    state: bigint,
  ): number {
    this.#crc.value = state;
    this.consumed = 0;
    this.count = 0;
    this.legacyCount = 0;
    let status = DECODE_MORE;
    while (status === DECODE_MORE && this.count < maxPages) {
      const at = start + this.consumed;
      const size = this.#decodeFrame(at, end, pageSize);
      if (size === 0) break;
      if (size < 0) {
        status = size;
      } else if (size === 6) {
        status = DECODE_END;
        this.consumed += size;
      } else {
        this.#saveState(this.count);
        this.sizes[this.count++] = size;
        this.consumed += size;
      }
    }
    return status;
  }

  /** Decodes the frame at `at`; returns its size (6 = the end marker), 0 = incomplete, negative = a status. */
  #decodeFrame(at: number, end: number, pageSize: number): number {
    const memory = this.#memory;
    const out = OUTPUT_START + this.count * pageSize;
    if (at + 6 > end) return DECODE_MORE;
    const pgno = memory.view.getUint32(at);
    const flags = memory.view.getUint16(at + 4);
    if (flags > 1 || (pgno === 0 && flags !== 0)) return DECODE_BAD_HEADER;
    if (pgno === 0) {
      this.#crc.update(at, 6);
      return 6;
    }
    let size = 6;
    if (flags === 1) {
      if (at + 10 > end) return DECODE_MORE;
      const length = memory.view.getUint32(at + 6);
      if (length > lz4Bound(pageSize)) return DECODE_TOO_LARGE;
      size = 10 + length;
      if (at + size > end) return DECODE_MORE;
      const expanded = decompressBlock(memory, at + 10, at + size, memory, out, pageSize);
      if (expanded !== pageSize) {
        return expanded === LZ4_MALFORMED ? DECODE_BAD_LZ4 : DECODE_BAD_LENGTH;
      }
      this.#crc.update(at, 10);
    } else {
      const length = expandLegacyFrame(memory, at + 6, end, out, pageSize);
      if (length <= 0) return length;
      size = 6 + length;
      this.#crc.update(at, 6);
      this.legacyCount++;
    }
    this.#crc.update(out, pageSize);
    this.pgnos[this.count] = pgno;
    return size;
  }

  scanWAL(
    count: number,
    pageSize: number,
    bigEndian: boolean,
    salt1: number,
    salt2: number,
    checksum1: number,
    checksum2: number,
  ): number {
    const { view } = this.#memory;
    const frameSize = 24 + pageSize;
    let valid = 0;
    this.checksum1 = checksum1;
    this.checksum2 = checksum2;
    while (valid < count) {
      const at = valid * frameSize;
      if (view.getUint32(at + 8) !== salt1 || view.getUint32(at + 12) !== salt2) break;
      if (bigEndian) this.#sumBigEndian(at, pageSize);
      else this.#sumLittleEndian(at, pageSize);
      if (view.getInt32(at + 16) !== this.#sum1 || view.getInt32(at + 20) !== this.#sum2) break;
      this.checksum1 = this.#sum1 >>> 0;
      this.checksum2 = this.#sum2 >>> 0;
      this.pgnos[valid] = view.getUint32(at);
      this.sizes[valid] = view.getUint32(at + 4);
      valid++;
    }
    return valid;
  }

  #sum1 = 0;
  #sum2 = 0;

  /** The additions depend on each other; associated like this, two of three do not wait for the step before. */
  #sumLittleEndian(at: number, pageSize: number): void {
    const words = this.#words;
    const first = at >> 2;
    let x = this.checksum1 | 0;
    let y = this.checksum2 | 0;
    x = ((((words[first] as number) + x) | 0) + y) | 0;
    y = ((((words[first + 1] as number) + y) | 0) + x) | 0;
    const end = first + 6 + (pageSize >> 2);
    for (let i = first + 6; i < end; i += 4) {
      x = ((((words[i] as number) + x) | 0) + y) | 0;
      y = ((((words[i + 1] as number) + y) | 0) + x) | 0;
      x = ((((words[i + 2] as number) + x) | 0) + y) | 0;
      y = ((((words[i + 3] as number) + y) | 0) + x) | 0;
    }
    this.#sum1 = x;
    this.#sum2 = y;
  }

  #sumBigEndian(at: number, pageSize: number): void {
    const { view } = this.#memory;
    let x = this.checksum1 | 0;
    let y = this.checksum2 | 0;
    x = (((view.getInt32(at) + x) | 0) + y) | 0;
    y = (((view.getInt32(at + 4) + y) | 0) + x) | 0;
    const end = at + 24 + pageSize;
    for (let i = at + 24; i < end; i += 8) {
      x = (((view.getInt32(i) + x) | 0) + y) | 0;
      y = (((view.getInt32(i + 4) + y) | 0) + x) | 0;
    }
    this.#sum1 = x;
    this.#sum2 = y;
  }

  /** Without making a bigint per page. */
  #saveState(i: number): void {
    this.#stateWords[2 * i] = this.#crc.low;
    this.#stateWords[2 * i + 1] = this.#crc.high;
  }
}
