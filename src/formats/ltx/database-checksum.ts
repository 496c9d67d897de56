/** Rolling database checksum of snapshots that track it (formats §2.3): written by LiteFS and its like, never by Litestream. */
import { CRC_START, storedChecksum } from "../crc64.ts";
import { FormatError } from "../format-error.ts";
import { kernel } from "../kernel/kernel.ts";
import { tracksChecksums } from "./header.ts";
import type { LTXHeader } from "./header.ts";
import { EMPTY_DATABASE_CHECKSUM } from "./trailer.ts";

export class DatabaseChecksum {
  #checksum = EMPTY_DATABASE_CHECKSUM;

  /** Only a tracked snapshot can be checked alone: other files change a database that is not at hand. */
  static for(header: LTXHeader): DatabaseChecksum | undefined {
    return tracksChecksums(header) && header.minTXID === 1n ? new DatabaseChecksum() : undefined;
  }

  /** Adds the `count` pages that lie in kernel output. */
  add(count: number, pageSize: number): void {
    const k = kernel();
    const pgno = new DataView(k.scratch.buffer, k.scratch.byteOffset, 4);
    for (let i = 0; i < count; i++) {
      pgno.setUint32(0, k.pgnos[i] as number);
      const state = k.hashOutput(k.hashScratch(CRC_START, 4), i * pageSize, pageSize);
      this.#checksum = EMPTY_DATABASE_CHECKSUM | (this.#checksum ^ storedChecksum(state));
    }
  }

  /** FormatError "database-checksum". */
  check(postApplyChecksum: bigint): void {
    if (this.#checksum === postApplyChecksum) return;
    throw new FormatError(
      "database-checksum",
      `Database checksum is ${this.#checksum.toString(16)}, the trailer says ${postApplyChecksum.toString(16)}`,
    );
  }
}
