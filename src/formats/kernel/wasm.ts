import type { Kernel } from "./kernel.ts";

/** The WebAssembly kernel, or null where WebAssembly or its SIMD instructions are missing. */
export function createWASMKernel(): Kernel | null {
  return null;
}
