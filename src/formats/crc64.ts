/** CRC-64/ISO (formats §2.1), computed by the thread's kernel. */
import { kernel } from "./kernel/kernel.ts";
import { SCRATCH_SIZE } from "./kernel/memory.ts";

/** The state before the first byte. A state becomes a checksum by inverting it. */
export const CRC_START: bigint = 0xffff_ffff_ffff_ffffn;

const ALL_ONES = 0xffff_ffff_ffff_ffffn;
const CHECKSUM_FLAG = 1n << 63n;

/** CRC state after `bytes`. */
export function updateCRC64(state: bigint, bytes: Uint8Array): bigint {
  const { scratch } = kernel();
  for (let start = 0; start < bytes.length; start += SCRATCH_SIZE) {
    const end = Math.min(start + SCRATCH_SIZE, bytes.length);
    scratch.set(bytes.subarray(start, end));
    state = kernel().hashScratch(state, end - start);
  }
  return state;
}

/** The plain CRC of a state. */
export function finishCRC64(state: bigint): bigint {
  return state ^ ALL_ONES;
}

/** A CRC state in its stored form: bit 63 is always set. */
export function storedChecksum(state: bigint): bigint {
  return finishCRC64(state) | CHECKSUM_FLAG;
}

/** CRC-64/ISO of `bytes`. */
export function crc64(bytes: Uint8Array): bigint {
  return finishCRC64(updateCRC64(CRC_START, bytes));
}
