/** Makes LTX files by the letter of formats §1, wrong ones too: the page block, index and trailer are given, the checksum is right. */
import { CRC_START, storedChecksum, updateCRC64 } from "../../src/formats/crc64.ts";
import { kernel } from "../../src/formats/kernel/kernel.ts";
import type { Kernel } from "../../src/formats/kernel/kernel.ts";

export interface CraftedPage {
  readonly pgno: number;
  /** Raw bytes: what is hashed. */
  readonly data: Uint8Array;
  readonly flags?: number;
  /** Compressed bytes; default: one LZ4 block of `data`. */
  readonly block?: Uint8Array;
  /** The size word; default: length of the block. */
  readonly sizeWord?: number;
}

export interface CraftedFile {
  /** Header fields that differ from a level-0 file of TXID 2, page size 512, commit 4. */
  readonly flags?: number;
  readonly pageSize?: number;
  readonly commit?: number;
  readonly minTXID?: bigint;
  readonly maxTXID?: bigint;
  readonly timestampMs?: bigint;
  readonly preApplyChecksum?: bigint;
  readonly walOffset?: bigint;
  readonly walSize?: bigint;
  readonly walSalt1?: number;
  readonly magic?: number;
  readonly pages: readonly CraftedPage[];
  /** Changes the index triples before they are written. */
  readonly editIndex?: (triples: bigint[][]) => void;
  readonly indexBytes?: Uint8Array;
  readonly indexLength?: bigint;
  readonly postApplyChecksum?: bigint;
  /** Changes the stored file checksum. */
  readonly editChecksum?: (checksum: bigint) => bigint;
}

export function craftLTX(file: CraftedFile): Uint8Array {
  const parts: Uint8Array[] = [header(file)];
  let state = updateCRC64(CRC_START, parts[0] as Uint8Array);
  let offset = 100;
  const triples: bigint[][] = [];
  for (const page of file.pages) {
    const flags = page.flags ?? 1;
    const block = page.block ?? compressBlock(page.data);
    const head = new Uint8Array(flags === 1 ? 10 : 6);
    const view = new DataView(head.buffer);
    view.setUint32(0, page.pgno);
    view.setUint16(4, flags);
    if (flags === 1) view.setUint32(6, page.sizeWord ?? block.length);
    parts.push(head, block);
    state = updateCRC64(updateCRC64(state, head), page.data);
    triples.push([BigInt(page.pgno), BigInt(offset), BigInt(head.length + block.length)]);
    offset += head.length + block.length;
  }
  file.editIndex?.(triples);
  const index = file.indexBytes ?? concatBytes([...triples.flat().map(uvarint), Uint8Array.of(0)]);
  const tail = concatBytes([
    new Uint8Array(6),
    index,
    u64(file.indexLength ?? BigInt(index.length)),
    u64(file.postApplyChecksum ?? 0n),
  ]);
  const checksum = storedChecksum(updateCRC64(state, tail));
  parts.push(tail, u64(file.editChecksum?.(checksum) ?? checksum));
  return concatBytes(parts);
}

function header(file: CraftedFile): Uint8Array {
  const bytes = new Uint8Array(100);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, file.magic ?? 0x4c54_5831);
  view.setUint32(4, file.flags ?? 2);
  view.setUint32(8, file.pageSize ?? 512);
  view.setUint32(12, file.commit ?? 4);
  view.setBigUint64(16, file.minTXID ?? 2n);
  view.setBigUint64(24, file.maxTXID ?? file.minTXID ?? 2n);
  view.setBigInt64(32, file.timestampMs ?? 1_700_000_000_000n);
  view.setBigUint64(40, file.preApplyChecksum ?? 0n);
  view.setBigInt64(48, file.walOffset ?? 0n);
  view.setBigInt64(56, file.walSize ?? 0n);
  view.setUint32(64, file.walSalt1 ?? 0);
  return bytes;
}

/** One LZ4 block, by the thread's kernel or the one given. */
export function compressBlock(data: Uint8Array, k: Kernel = kernel()): Uint8Array {
  k.owner = null;
  k.input.set(data);
  return k.output.slice(0, k.compress(data.length));
}

export function uvarint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
  bytes.push(Number(rest));
  return Uint8Array.from(bytes);
}

export function u64(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value);
  return bytes;
}

export function concatBytes(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
