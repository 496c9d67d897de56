/** Sizes and status codes that both kernels share; assembly/memory.ts and assembly/frames.ts repeat them. */

/** Raw bytes of pages in one batch. */
export const BATCH_BYTES: number = 1 << 20;
/** Most pages (or WAL frames) one call handles: a batch of the smallest pages. */
export const MAX_BATCH_PAGES: number = BATCH_BYTES / 512;
/** Room for a batch of raw pages, of WAL frames, or of page frames plus one that is still incomplete. */
export const INPUT_SIZE: number = BATCH_BYTES + (1 << 17);
/** Room for the frames of `INPUT_SIZE` incompressible bytes. */
export const OUTPUT_SIZE: number = BATCH_BYTES + (1 << 18);
export const SCRATCH_SIZE: number = 1 << 16;

/** Bytes of LZ4 framing that a legacy page frame may have beyond the bound of its data. */
export const LEGACY_FRAMING_LIMIT = 4096;

/** What `decodeFrames()` came to; negative = malformed, at the frame that starts at `consumed`. */
export const DECODE_MORE = 0;
export const DECODE_END = 1;
export const DECODE_BAD_HEADER: number = -1;
export const DECODE_TOO_LARGE: number = -2;
export const DECODE_BAD_LZ4: number = -3;
export const DECODE_BAD_LENGTH: number = -4;
export const DECODE_BAD_CONTENT_CHECKSUM: number = -5;
export const DECODE_UNSUPPORTED: number = -6;
