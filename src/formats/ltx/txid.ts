/** Transaction IDs: 64-bit counters, one per level-0 file. Text form: 16 lower-case hex digits. */

export type TXID = bigint;

export const MAX_TXID: TXID = 0xffff_ffff_ffff_ffffn;

const TXID_TEXT = /^[0-9a-f]{16}$/;

/** 16 lower-case hex digits. */
export function formatTXID(txid: TXID): string {
  if (txid < 0n || txid > MAX_TXID) throw new RangeError(`TXID out of range: ${txid}`);
  return txid.toString(16).padStart(16, "0");
}

/** Parses exactly 16 lower-case hex digits; SyntaxError otherwise. */
export function parseTXID(text: string): TXID {
  if (!TXID_TEXT.test(text))
    throw new SyntaxError(`Invalid TXID "${text}": 16 hex digits expected`);
  return BigInt(`0x${text}`);
}
