/** v0.3 backups made by hand, in a memory replica: snapshots and WAL segments as LZ4 frames (formats §10). */
import { XXH32 } from "../../src/formats/kernel/xxh32.ts";
import { formatV3SegmentName, formatV3SnapshotName } from "../../src/formats/v3.ts";
import { sumWAL } from "../../src/formats/wal.ts";
import { MemoryReplicaClient } from "../../src/storage/memory.ts";

export const GENERATION = "0123456789abcdef";

/** A backup; objects are stored one second apart, from the epoch on. */
export class V3Replica {
  readonly client: MemoryReplicaClient = new MemoryReplicaClient();
  #seconds = 0;

  snapshot(index: number, image: Uint8Array, generation: string = GENERATION): void {
    this.put(`generations/${generation}/snapshots/${formatV3SnapshotName(index)}`, lz4(image));
  }

  segment(index: number, offset: number, bytes: Uint8Array, generation: string = GENERATION): void {
    const name = formatV3SegmentName({ index, offset });
    this.put(`generations/${generation}/wal/${name}`, lz4(bytes));
  }

  put(name: string, bytes: Uint8Array): void {
    this.#seconds += 1;
    this.client.objects.set(name, { bytes, createdAt: new Date(this.#seconds * 1000) });
  }
}

/** An LZ4 frame of stored blocks, with a content checksum as Litestream writes it. */
export function lz4(bytes: Uint8Array): Uint8Array {
  const blockSize = 4 * 1024 * 1024;
  const parts: Uint8Array[] = [LZ4_HEADER];
  const hash = new XXH32();
  for (let at = 0; at < bytes.length; at += blockSize) {
    const block = bytes.subarray(at, at + blockSize);
    parts.push(word((block.length | 0x8000_0000) >>> 0), block);
    hash.update(new DataView(block.buffer, block.byteOffset, block.byteLength), 0, block.length);
  }
  parts.push(word(0), word(hash.digest()));
  return Buffer.concat(parts);
}

/** Magic, flags (independent blocks, content checksum), 4 MiB blocks, the header's checksum. */
export const LZ4_HEADER: Uint8Array = Uint8Array.from([0x04, 0x22, 0x4d, 0x18, 0x64, 0x70, 0xb9]);

function word(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

/** Writes a WAL frame by frame, with right checksums. */
export class WALWriter {
  readonly pageSize: number;
  readonly #salts: readonly [number, number];
  #sum: readonly [number, number] = [0, 0];
  readonly header: Uint8Array;

  constructor(pageSize: number, salts: readonly [number, number] = [1, 2]) {
    this.pageSize = pageSize;
    this.#salts = salts;
    this.header = new Uint8Array(32);
    const view = new DataView(this.header.buffer);
    for (const [index, field] of [0x377f_0682, 3_007_000, pageSize, 0, ...salts].entries()) {
      view.setUint32(index * 4, field);
    }
    this.#sum = sumWAL(this.header.subarray(0, 24), false);
    view.setUint32(24, this.#sum[0]);
    view.setUint32(28, this.#sum[1]);
  }

  /** The header of the frame of a page; `commit` is the page count where it ends a transaction. */
  frameHeader(pgno: number, page: Uint8Array, commit: number): Uint8Array {
    const header = new Uint8Array(24);
    const view = new DataView(header.buffer);
    view.setUint32(0, pgno);
    view.setUint32(4, commit);
    view.setUint32(8, this.#salts[0]);
    view.setUint32(12, this.#salts[1]);
    this.#sum = sumWAL(header.subarray(0, 8), false, ...this.#sum);
    this.#sum = sumWAL(page, false, ...this.#sum);
    view.setUint32(16, this.#sum[0]);
    view.setUint32(20, this.#sum[1]);
    return header;
  }

  frame(pgno: number, page: Uint8Array, commit: number): Uint8Array {
    return Buffer.concat([this.frameHeader(pgno, page, commit), page]);
  }
}
