import type { Kernel } from "./kernel.ts";

/** The kernel in plain TypeScript: the reference, and the fallback. */
export function createReferenceKernel(): Kernel {
  throw new Error("Not built yet");
}
