/** SQLite write-ahead log: header, frames and their checksum chain (formats §8). */
import { FormatError } from "./format-error.ts";
import { kernel } from "./kernel/kernel.ts";
import { INPUT_SIZE, MAX_BATCH_PAGES } from "./kernel/memory.ts";
import { isValidPageSize } from "./sqlite-header.ts";

export const WAL_HEADER_SIZE = 32;
export const WAL_FRAME_HEADER_SIZE = 24;

/** The last bit tells the byte order of the checksum: 0 little-endian, 1 big-endian. */
const MAGIC = 0x377f_0682;
const VERSION = 3_007_000;

export interface WALHeader {
  /** Byte order of the words that are summed; all fields themselves are big-endian. */
  readonly bigEndian: boolean;
  readonly pageSize: number;
  readonly checkpointSequence: number;
  /** Incremented at each restart of the WAL. */
  readonly salt1: number;
  /** Random at each restart. */
  readonly salt2: number;
  readonly checksum1: number;
  readonly checksum2: number;
}

/** Where a scan starts: the state before its first frame, from the header or from the frame before. */
export interface WALScanStart {
  readonly pageSize: number;
  readonly bigEndian: boolean;
  readonly salt1: number;
  readonly salt2: number;
  readonly checksum1: number;
  readonly checksum2: number;
}

/**
 * Decodes the first 32 bytes of a WAL, all fields big-endian.
 *
 *   offset  size  field
 *   0       4     magic 377f0682 or 377f0683
 *   4       4     version 3007000
 *   8       4     page size
 *   12      4     checkpoint sequence
 *   16      4     salt1
 *   20      4     salt2
 *   24      8     checksum over bytes 0…23
 *
 * Null when the header is short or its checksum is wrong: SQLite takes such a WAL as empty.
 * FormatError "bad-magic", "unsupported" (version) or "bad-page-size".
 */
export function decodeWALHeader(bytes: Uint8Array): WALHeader | null {
  if (bytes.length < WAL_HEADER_SIZE) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, WAL_HEADER_SIZE);
  const magic = view.getUint32(0);
  if (((magic ^ MAGIC) & ~1) !== 0) {
    throw new FormatError("bad-magic", `Not a SQLite WAL: magic is 0x${magic.toString(16)}`, 0);
  }
  const bigEndian = (magic & 1) === 1;
  const [checksum1, checksum2] = sumWAL(bytes.subarray(0, 24), bigEndian);
  if (checksum1 !== view.getUint32(24) || checksum2 !== view.getUint32(28)) return null;
  if (view.getUint32(4) !== VERSION) {
    throw new FormatError("unsupported", `Unknown WAL version: ${view.getUint32(4)}`, 4);
  }
  const pageSize = view.getUint32(8);
  if (!isValidPageSize(pageSize)) {
    throw new FormatError("bad-page-size", `Invalid page size in WAL header: ${pageSize}`, 8);
  }
  return {
    bigEndian,
    pageSize,
    checkpointSequence: view.getUint32(12),
    salt1: view.getUint32(16),
    salt2: view.getUint32(20),
    checksum1,
    checksum2,
  };
}

/** The 24 bytes before each page in a WAL. */
export interface WALFrameHeader {
  readonly pgno: number;
  /** Database size in pages when the frame ends a transaction, otherwise 0. */
  readonly commit: number;
  readonly salt1: number;
  readonly salt2: number;
  readonly checksum1: number;
  readonly checksum2: number;
}

/** Decodes a frame header without verifying it; `bytes` holds at least 24. FormatError "truncated". */
export function decodeWALFrameHeader(bytes: Uint8Array): WALFrameHeader {
  if (bytes.length < WAL_FRAME_HEADER_SIZE) {
    throw new FormatError("truncated", `Cannot read WAL frame header: ${bytes.length} of 24 bytes`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, WAL_FRAME_HEADER_SIZE);
  return {
    pgno: view.getUint32(0),
    commit: view.getUint32(4),
    salt1: view.getUint32(8),
    salt2: view.getUint32(12),
    checksum1: view.getUint32(16),
    checksum2: view.getUint32(20),
  };
}

/** Offset in the WAL of a frame, by its 0-based number. */
export function walFrameOffset(frame: number, pageSize: number): number {
  return WAL_HEADER_SIZE + frame * (WAL_FRAME_HEADER_SIZE + pageSize);
}

/** SQLite's WAL checksum of `bytes` (a multiple of 8), continued from a state. */
export function sumWAL(
  bytes: Uint8Array,
  bigEndian: boolean,
  checksum1 = 0,
  checksum2 = 0,
): readonly [checksum1: number, checksum2: number] {
  if (bytes.length % 8 !== 0)
    throw new RangeError(`Cannot sum ${bytes.length} bytes: not a multiple of 8`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let sum1 = checksum1 | 0;
  let sum2 = checksum2 | 0;
  for (let i = 0; i < bytes.length; i += 8) {
    sum1 = (sum1 + view.getInt32(i, !bigEndian) + sum2) | 0;
    sum2 = (sum2 + view.getInt32(i + 4, !bigEndian) + sum1) | 0;
  }
  return [sum1 >>> 0, sum2 >>> 0];
}

/**
 * Verifies WAL frames batch by batch in kernel memory.
 *
 *   const scanner = new WALScanner(decodeWALHeader(…));
 *   const bytes = fs.readSync(fd, scanner.frames(), 0, …, offset);
 *   const valid = scanner.scan(Math.floor(bytes / scanner.frameSize));   // at once, without an await between
 *   for (let i = 0; i < valid; i++) use(scanner.pgnos[i], scanner.commits[i]);
 *
 * When `valid` is less than the frames given, the valid WAL ends there at present. The scan can go on later from the same place.
 */
export class WALScanner {
  readonly pageSize: number;
  readonly frameSize: number;
  /** How many frames fit in `frames()`: about 1 MiB. */
  readonly capacityFrames: number;
  /** Page number of each frame of the last scan (own memory). */
  readonly pgnos: Uint32Array;
  /** Commit size of each frame of the last scan, 0 = not a commit (own memory). */
  readonly commits: Uint32Array;
  /** State after the last valid frame; settable, to go back to a commit. */
  checksum1: number;
  checksum2: number;
  readonly #start: WALScanStart;
  #count = 0;

  constructor(start: WALScanStart) {
    if (!isValidPageSize(start.pageSize))
      throw new RangeError(`Invalid page size: ${start.pageSize}`);
    this.#start = start;
    this.pageSize = start.pageSize;
    this.frameSize = WAL_FRAME_HEADER_SIZE + start.pageSize;
    this.capacityFrames = Math.min(MAX_BATCH_PAGES, Math.floor(INPUT_SIZE / this.frameSize));
    this.pgnos = new Uint32Array(this.capacityFrames);
    this.commits = new Uint32Array(this.capacityFrames);
    this.checksum1 = start.checksum1;
    this.checksum2 = start.checksum2;
  }

  /** Valid frames in the last scan. */
  get count(): number {
    return this.#count;
  }

  /** Kernel memory for `capacityFrames` whole frames. Fill it, then call `scan()` at once. */
  frames(): Uint8Array {
    const k = kernel();
    k.owner = this;
    return k.input.subarray(0, this.capacityFrames * this.frameSize);
  }

  /** Verifies the first `count` frames in `frames()`; returns how many continue the chain. */
  scan(count: number): number {
    const k = kernel();
    if (k.owner !== this) throw new Error("Kernel was used by another between frames() and scan()");
    if (count > this.capacityFrames) throw new RangeError(`${count} frames are more than fit`);
    const { pageSize, bigEndian, salt1, salt2 } = this.#start;
    this.#count = k.scanWAL(
      count,
      pageSize,
      bigEndian,
      salt1,
      salt2,
      this.checksum1,
      this.checksum2,
    );
    this.checksum1 = k.checksum1;
    this.checksum2 = k.checksum2;
    for (let i = 0; i < this.#count; i++) {
      this.pgnos[i] = k.pgnos[i] as number;
      this.commits[i] = k.sizes[i] as number;
    }
    return this.#count;
  }
}
