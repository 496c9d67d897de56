// The memory of the kernel: fixed, so that views on it never detach.

/** Bytes after a buffer that wide copies may touch without meaning it. */
const SLACK: usize = 64;
/** See INPUT_SIZE, OUTPUT_SIZE, SCRATCH_SIZE and MAX_BATCH_PAGES in src/formats/kernel/kernel.ts. */
const INPUT_SIZE: usize = (1 << 20) + (1 << 17);
const OUTPUT_SIZE: usize = (1 << 20) + (1 << 18);
const SCRATCH_SIZE: usize = 1 << 16;
const MAX_PAGES: usize = 2048;

export const INPUT = memory.data(INPUT_SIZE + SLACK, 64);
export const OUTPUT = memory.data(OUTPUT_SIZE + SLACK, 64);
export const SCRATCH = memory.data(SCRATCH_SIZE + SLACK, 64);
export const PGNOS = memory.data(MAX_PAGES * 4, 64);
export const SIZES = memory.data(MAX_PAGES * 4, 64);
export const OFFSETS = memory.data(MAX_PAGES * 4, 64);
export const STATES = memory.data(MAX_PAGES * 8, 64);

/**
 * Results of a call.
 *
 *   offset  size  field
 *   0       8     CRC state
 *   8       4     consumed
 *   12      4     count
 *   16      4     legacy count
 *   20      4     WAL checksum 1
 *   24      4     WAL checksum 2
 */
export const RESULT = memory.data(32, 64);

export function input(): usize {
  return INPUT;
}
export function output(): usize {
  return OUTPUT;
}
export function scratch(): usize {
  return SCRATCH;
}
export function pgnos(): usize {
  return PGNOS;
}
export function sizes(): usize {
  return SIZES;
}
export function offsets(): usize {
  return OFFSETS;
}
export function states(): usize {
  return STATES;
}
export function result(): usize {
  return RESULT;
}
