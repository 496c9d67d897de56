/** Public names of the entry point "./ltx": LTX files in any JavaScript runtime, browsers too. */
export { FormatError } from "../format-error.ts";
export type { FormatErrorKind } from "../format-error.ts";
export { decodeFrames, LTXDecoder, verifyLTX } from "./decoder.ts";
export type { LTXSummary, PageBatch } from "./decoder.ts";
export { LTXEncoder } from "./encoder.ts";
export { LTXFrameEncoder } from "./frame-encoder.ts";
export type { EncodedFrames } from "./frame-encoder.ts";
export {
  checkLTXName,
  createLTXHeader,
  decodeLTXHeader,
  encodeLTXHeader,
  LTX_HEADER_SIZE,
  LTX_TRAILER_SIZE,
} from "./header.ts";
export type { LTXHeader } from "./header.ts";
export { formatLTXName, parseLTXName } from "./layout.ts";
export { mergeLTX } from "./merge.ts";
export type { MergeInput, MergeOptions } from "./merge.ts";
export {
  decodePageIndex,
  findPage,
  INDEX_TAIL_SIZE,
  locatePageIndex,
  sliceTail,
} from "./page-index.ts";
export type { PageIndex, PageIndexBounds, PageIndexRange } from "./page-index.ts";
export { formatTXID, parseTXID } from "./txid.ts";
export type { TXID } from "./txid.ts";
