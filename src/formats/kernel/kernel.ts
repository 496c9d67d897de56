/** The hot loops: CRC-64, LZ4, LTX page frames and the WAL scan, as WebAssembly or as plain TypeScript. */
import { createReferenceKernel } from "./reference.ts";
import { createWASMKernel } from "./wasm.ts";

/**
 * One set of hot loops with the memory they work in. Synchronous, one instance per thread, shared by all encoders,
 * decoders and scanners of that thread: what is in its memory is valid only until the next await or the next use by
 * another object. Objects write themselves into `owner` when they put something there, and check it before they rely on it.
 *
 * CRC states are raw: start at `CRC_START`, inverted only when a checksum is stored (see crc64.ts).
 */
export interface Kernel {
  readonly name: "wasm" | "typescript";
  /** Whose data is in `input` and `output`. */
  owner: object | null;
  /** INPUT_SIZE bytes: raw pages, WAL frames or page frames. */
  readonly input: Uint8Array;
  /** OUTPUT_SIZE bytes: page frames or raw pages. */
  readonly output: Uint8Array;
  /** SCRATCH_SIZE bytes of short-lived bytes to hash; not covered by `owner`. */
  readonly scratch: Uint8Array;
  /** MAX_BATCH_PAGES page numbers: in for `encodePages()`, out for `decodeFrames()` and `scanWAL()`. */
  readonly pgnos: Uint32Array;
  /** Out: bytes of each page frame with its header, or the commit size of each WAL frame. */
  readonly sizes: Uint32Array;
  /** In for `encodePages()` and `hashPages()`: where in `input` each raw page starts. */
  readonly offsets: Uint32Array;
  /** Out: the CRC state after each page frame, or the hash of each page. */
  readonly states: BigUint64Array;

  /** Bytes of `input` that the last `decodeFrames()` used up. */
  readonly consumed: number;
  /** Pages that the last `decodeFrames()` wrote to `output`. */
  readonly count: number;
  /** How many of them were in the legacy LZ4-frame form. */
  readonly legacyCount: number;
  /** CRC state after the last `encodePages()` or `decodeFrames()`, the end marker included. */
  readonly state: bigint;
  /** WAL checksum after the last valid frame of `scanWAL()`. */
  readonly checksum1: number;
  readonly checksum2: number;

  /** CRC state after the first `length` bytes of `scratch`. */
  hashScratch(state: bigint, length: number): bigint;
  /** CRC state after `length` bytes of `output` from `offset`. */
  hashOutput(state: bigint, offset: number, length: number): bigint;
  /** CRC state after `byteCount` zero bytes: state(A‖B) = shift(state(A), |B|) ^ stateFromZero(B). */
  shift(state: bigint, byteCount: number): bigint;
  /** Compresses `length` ≤ 65536 bytes of `input` to one LZ4 block in `output`; returns its length. */
  compress(length: number): number;
  /** Expands the LZ4 block in the first `length` bytes of `input` to `output`; returns the length, −1 = malformed or longer than `capacity`. */
  decompress(length: number, capacity: number): number;
  /** Encodes `count` raw pages of `input` (see `offsets`, `pgnos`) as sized page frames to `output`; returns their total length. */
  encodePages(count: number, pageSize: number, state: bigint): number;
  /** xxHash64 of `count` raw pages of `input` (see `offsets`), to `states`. */
  hashPages(count: number, pageSize: number): void;
  /** Decodes page frames of `input[start, end)` to `output`, at most `maxPages`; a `DECODE_…` status. */
  decodeFrames(
    start: number,
    end: number,
    pageSize: number,
    maxPages: number,
    state: bigint,
  ): number;
  /** How many of the first `count` WAL frames in `input` continue the chain (salts and checksum). */
  scanWAL(
    count: number,
    pageSize: number,
    bigEndian: boolean,
    salt1: number,
    salt2: number,
    checksum1: number,
    checksum2: number,
  ): number;
}

let shared: Kernel | undefined;

/** This thread's kernel: WebAssembly with SIMD where there is one, otherwise plain TypeScript. */
export function kernel(): Kernel {
  shared ??= createWASMKernel() ?? createReferenceKernel();
  return shared;
}

/** Makes this thread use a certain kernel, for tests and benchmarks; undefined = the best one. */
export function useKernel(replacement: Kernel | undefined): void {
  shared = replacement;
}
