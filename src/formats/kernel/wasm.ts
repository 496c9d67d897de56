/** The WebAssembly kernel (assembly/*.ts), with SIMD. */
import { KERNEL_BASE64 } from "./kernel.generated.ts";
import type { Kernel } from "./kernel.ts";
import { INPUT_SIZE, MAX_BATCH_PAGES, OUTPUT_SIZE, SCRATCH_SIZE } from "./memory.ts";

/** The exports of assembly/index.ts. */
interface KernelExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  input(): number;
  output(): number;
  scratch(): number;
  pgnos(): number;
  sizes(): number;
  offsets(): number;
  states(): number;
  result(): number;
  init(): void;
  crc(state: bigint, start: number, length: number): bigint;
  shift(state: bigint, byteCount: bigint): bigint;
  compress(source: number, target: number, length: number): number;
  decompress(source: number, target: number, length: number, capacity: number, low: number): number;
  encodePages(count: number, pageSize: number, state: bigint): number;
  hashPages(count: number, pageSize: number): void;
  decodeFrames(
    start: number,
    end: number,
    pageSize: number,
    maxPages: number,
    state: bigint,
  ): number;
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

/** The WebAssembly kernel, or null where WebAssembly or its SIMD instructions are missing. */
export function createWASMKernel(): Kernel | null {
  const exports = instantiate();
  if (exports === null) return null;
  exports.init();
  const buffer = exports.memory.buffer;
  const inputStart = exports.input();
  const outputStart = exports.output();
  const scratchStart = exports.scratch();
  const result = new DataView(buffer, exports.result(), 32);
  return {
    name: "wasm",
    owner: null,
    input: new Uint8Array(buffer, inputStart, INPUT_SIZE),
    output: new Uint8Array(buffer, outputStart, OUTPUT_SIZE),
    scratch: new Uint8Array(buffer, scratchStart, SCRATCH_SIZE),
    pgnos: new Uint32Array(buffer, exports.pgnos(), MAX_BATCH_PAGES),
    sizes: new Uint32Array(buffer, exports.sizes(), MAX_BATCH_PAGES),
    offsets: new Uint32Array(buffer, exports.offsets(), MAX_BATCH_PAGES),
    states: new BigUint64Array(buffer, exports.states(), MAX_BATCH_PAGES),
    get state() {
      return result.getBigUint64(0, true);
    },
    get consumed() {
      return result.getUint32(8, true);
    },
    get count() {
      return result.getUint32(12, true);
    },
    get legacyCount() {
      return result.getUint32(16, true);
    },
    get checksum1() {
      return result.getUint32(20, true);
    },
    get checksum2() {
      return result.getUint32(24, true);
    },
    hashScratch: (state, length) => BigInt.asUintN(64, exports.crc(state, scratchStart, length)),
    hashOutput: (state, offset, length) =>
      BigInt.asUintN(64, exports.crc(state, outputStart + offset, length)),
    shift: (state, byteCount) => BigInt.asUintN(64, exports.shift(state, BigInt(byteCount))),
    compress: (length) => exports.compress(inputStart, outputStart, length),
    decompress: (length, capacity) =>
      exports.decompress(inputStart, outputStart, length, capacity, outputStart),
    encodePages: (count, pageSize, state) => exports.encodePages(count, pageSize, state),
    hashPages: (count, pageSize) => exports.hashPages(count, pageSize),
    decodeFrames: (start, end, pageSize, maxPages, state) =>
      exports.decodeFrames(start, end, pageSize, maxPages, state),
    scanWAL: (count, pageSize, bigEndian, salt1, salt2, checksum1, checksum2) =>
      exports.scanWAL(count, pageSize, bigEndian, salt1, salt2, checksum1, checksum2),
  };
}

/** The part of WebAssembly used here: neither lib.esnext nor the Node types declare it. */
interface WebAssemblyAPI {
  validate(bytes: Uint8Array): boolean;
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: object };
}

function instantiate(): KernelExports | null {
  const api = (globalThis as unknown as { readonly WebAssembly?: WebAssemblyAPI }).WebAssembly;
  const bytes = Uint8Array.from(atob(KERNEL_BASE64), (char) => char.charCodeAt(0));
  // False on engines without SIMD: the plain kernel takes over.
  if (!api?.validate(bytes)) return null;
  const { exports } = new api.Instance(new api.Module(bytes));
  return exports as KernelExports;
}
