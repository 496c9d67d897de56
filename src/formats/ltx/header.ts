/** LTX file header (formats §1.1). */
import { FormatError } from "../format-error.ts";
import { isValidPageSize } from "../sqlite-header.ts";
import { formatTXID, MAX_TXID } from "./txid.ts";
import type { TXID } from "./txid.ts";

export const LTX_HEADER_SIZE = 100;
/** pgno and flags before every page frame; six zero bytes end the page block. */
export const LTX_PAGE_HEADER_SIZE = 6;
export const LTX_TRAILER_SIZE = 16;

/** "No checksum tracking": pre- and post-apply checksums are zero. Litestream always sets it, and so do we. */
export const LTX_FLAG_NO_CHECKSUM = 0x2;

/** "LTX1" */
const MAGIC = 0x4c54_5831;
const CHECKSUM_FLAG = 1n << 63n;
/** The largest time a Date can hold, in ms either side of 1970. */
const MAX_TIME_MS = 8.64e15;
const MAX_U32 = 0xffff_ffff;

/** The fields of an LTX header. `minTXID === 1n` makes the file a snapshot: it holds every page. */
export interface LTXHeader {
  readonly flags: number;
  readonly pageSize: number;
  /** Database size in pages after this file. */
  readonly commit: number;
  readonly minTXID: TXID;
  readonly maxTXID: TXID;
  readonly timestampMs: number;
  readonly preApplyChecksum: bigint;
  /** Offset in the WAL of the first frame covered, 0 = not from a WAL. */
  readonly walOffset: number;
  /** Bytes of WAL covered. */
  readonly walSize: number;
  readonly walSalt1: number;
  readonly walSalt2: number;
  readonly nodeID: bigint;
}

/** Makes a header without checksum tracking, as Litestream writes it. FormatError when the fields contradict. */
export function createLTXHeader(fields: {
  readonly pageSize: number;
  readonly commit: number;
  readonly minTXID: TXID;
  readonly maxTXID: TXID;
  readonly timestampMs: number;
  readonly walOffset?: number;
  readonly walSize?: number;
  readonly walSalt1?: number;
  readonly walSalt2?: number;
}): LTXHeader {
  const header: LTXHeader = {
    flags: LTX_FLAG_NO_CHECKSUM,
    pageSize: fields.pageSize,
    commit: fields.commit,
    minTXID: fields.minTXID,
    maxTXID: fields.maxTXID,
    timestampMs: fields.timestampMs,
    preApplyChecksum: 0n,
    walOffset: fields.walOffset ?? 0,
    walSize: fields.walSize ?? 0,
    walSalt1: fields.walSalt1 ?? 0,
    walSalt2: fields.walSalt2 ?? 0,
    nodeID: 0n,
  };
  validateLTXHeader(header);
  return header;
}

/** Whether pre- and post-apply checksums are kept (LiteFS does, Litestream never). */
export function tracksChecksums(header: LTXHeader): boolean {
  return (header.flags & LTX_FLAG_NO_CHECKSUM) === 0;
}

/**
 * The 100 bytes of a header, all integers big-endian.
 *
 *   offset  size  field
 *   0       4     "LTX1"
 *   4       4     flags
 *   8       4     pageSize
 *   12      4     commit
 *   16      8     minTXID
 *   24      8     maxTXID
 *   32      8     timestampMs, signed
 *   40      8     preApplyChecksum
 *   48      8     walOffset
 *   56      8     walSize
 *   64      4     walSalt1
 *   68      4     walSalt2
 *   72      8     nodeID
 *   80      20    reserved, zero
 */
export function encodeLTXHeader(header: LTXHeader): Uint8Array {
  validateLTXHeader(header);
  const bytes = new Uint8Array(LTX_HEADER_SIZE);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC);
  view.setUint32(4, header.flags);
  view.setUint32(8, header.pageSize);
  view.setUint32(12, header.commit);
  view.setBigUint64(16, header.minTXID);
  view.setBigUint64(24, header.maxTXID);
  view.setBigInt64(32, BigInt(header.timestampMs));
  view.setBigUint64(40, header.preApplyChecksum);
  view.setBigUint64(48, BigInt(header.walOffset));
  view.setBigUint64(56, BigInt(header.walSize));
  view.setUint32(64, header.walSalt1);
  view.setUint32(68, header.walSalt2);
  view.setBigUint64(72, header.nodeID);
  return bytes;
}

/** Decodes and validates the first 100 bytes of an LTX file. Reserved bytes are ignored (the file checksum covers them). */
export function decodeLTXHeader(bytes: Uint8Array): LTXHeader {
  if (bytes.length < LTX_HEADER_SIZE) {
    throw new FormatError("truncated", `Cannot read LTX header: ${bytes.length} of 100 bytes`, 0);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, LTX_HEADER_SIZE);
  if (view.getUint32(0) !== MAGIC) {
    throw new FormatError("bad-magic", "Not an LTX file: the magic number is missing", 0);
  }
  const header: LTXHeader = {
    flags: view.getUint32(4),
    pageSize: view.getUint32(8),
    commit: view.getUint32(12),
    minTXID: view.getBigUint64(16),
    maxTXID: view.getBigUint64(24),
    timestampMs: Number(view.getBigInt64(32)),
    preApplyChecksum: view.getBigUint64(40),
    walOffset: Number(view.getBigInt64(48)),
    walSize: Number(view.getBigInt64(56)),
    walSalt1: view.getUint32(64),
    walSalt2: view.getUint32(68),
    nodeID: view.getBigUint64(72),
  };
  validateLTXHeader(header);
  return header;
}

/** The rules of formats §1.1; FormatError names the field that breaks one. */
export function validateLTXHeader(header: LTXHeader): void {
  if ((header.flags & ~LTX_FLAG_NO_CHECKSUM) !== 0) {
    throw new FormatError(
      "bad-flags",
      `Invalid LTX header flags: 0x${header.flags.toString(16)}`,
      4,
    );
  }
  if (!isValidPageSize(header.pageSize)) {
    throw new FormatError(
      "bad-page-size",
      `Invalid page size in LTX header: ${header.pageSize}`,
      8,
    );
  }
  if (!isU32(header.commit)) {
    throw new FormatError(
      "page-out-of-range",
      `Invalid commit in LTX header: ${header.commit}`,
      12,
    );
  }
  validateTXIDs(header);
  if (!Number.isInteger(header.timestampMs) || Math.abs(header.timestampMs) > MAX_TIME_MS) {
    throw new FormatError(
      "bad-timestamp",
      `Invalid timestamp in LTX header: ${header.timestampMs}`,
      32,
    );
  }
  validateWALPosition(header);
  validatePreApplyChecksum(header);
}

function validateTXIDs({ minTXID, maxTXID }: LTXHeader): void {
  if (minTXID < 1n || minTXID > maxTXID || maxTXID > MAX_TXID) {
    throw new FormatError("bad-txid", `Invalid TXIDs in LTX header: ${minTXID}…${maxTXID}`, 16);
  }
}

function validateWALPosition(header: LTXHeader): void {
  const { walOffset, walSize, walSalt1, walSalt2 } = header;
  const inRange =
    Number.isSafeInteger(walOffset) &&
    walOffset >= 0 &&
    Number.isSafeInteger(walSize) &&
    walSize >= 0;
  if (!inRange || !isU32(walSalt1) || !isU32(walSalt2)) {
    throw new FormatError(
      "bad-wal-position",
      `Invalid WAL position in LTX header: offset ${walOffset}, size ${walSize}`,
      48,
    );
  }
  if (walOffset === 0 && (walSalt1 !== 0 || walSalt2 !== 0 || walSize !== 0)) {
    throw new FormatError(
      "bad-wal-position",
      "Invalid WAL position in LTX header: size or salts without an offset",
      48,
    );
  }
}

function validatePreApplyChecksum(header: LTXHeader): void {
  const pre = header.preApplyChecksum;
  const mustBeZero = header.minTXID === 1n || !tracksChecksums(header);
  if (mustBeZero ? pre !== 0n : (pre & CHECKSUM_FLAG) === 0n) {
    throw new FormatError(
      "bad-checksum-field",
      `Invalid pre-apply checksum in LTX header: ${pre.toString(16).padStart(16, "0")}`,
      40,
    );
  }
}

/** FormatError "name-mismatch" unless header and file name give the same TXIDs. */
export function checkLTXName(
  header: LTXHeader,
  name: { readonly minTXID: TXID; readonly maxTXID: TXID },
): void {
  if (header.minTXID === name.minTXID && header.maxTXID === name.maxTXID) return;
  throw new FormatError(
    "name-mismatch",
    `LTX file is named ${formatTXID(name.minTXID)}-${formatTXID(name.maxTXID)} ` +
      `but its header says ${formatTXID(header.minTXID)}-${formatTXID(header.maxTXID)}`,
    16,
  );
}

function isU32(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= MAX_U32;
}
