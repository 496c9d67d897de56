/** LTX trailer (formats §1.4). */
export interface LTXTrailer {
  /** Rolling database checksum after this file, 0 when untracked. */
  readonly postApplyChecksum: bigint;
  /** CRC-64 over the logical file, bit 63 set. */
  readonly fileChecksum: bigint;
}
