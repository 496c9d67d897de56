/** Small valid LTX files without an encoder: every page a literal-only LZ4 block. */
import { storedChecksum, updateCRC64, CRC_START } from "../../src/formats/crc64.ts";
import { createLTXHeader, encodeLTXHeader } from "../../src/formats/ltx/header.ts";
import type { LTXHeader } from "../../src/formats/ltx/header.ts";
import type { TXID } from "../../src/formats/ltx/txid.ts";

export interface SampleLTX {
  readonly header: LTXHeader;
  readonly bytes: Uint8Array;
}

export interface SampleFields {
  readonly minTXID?: TXID;
  readonly maxTXID: TXID;
  /** Page number → the byte that fills the page. */
  readonly pages: ReadonlyMap<number, number>;
  readonly commit: number;
  readonly pageSize?: number;
  readonly timestampMs?: number;
  readonly walOffset?: number;
  readonly walSize?: number;
}

export function sampleLTX(fields: SampleFields): SampleLTX {
  const {
    maxTXID,
    minTXID = maxTXID,
    pageSize = 512,
    commit,
    timestampMs = 1_700_000_000_000,
  } = fields;
  const wal = {
    walOffset: fields.walOffset ?? 32,
    walSize: fields.walSize ?? 0,
    walSalt1: 7,
    walSalt2: 9,
  };
  const header = createLTXHeader({ pageSize, commit, minTXID, maxTXID, timestampMs, ...wal });
  const parts = [encodeLTXHeader(header)];
  let crc = updateCRC64(CRC_START, parts[0] ?? new Uint8Array());
  let offset = 100;
  const index: number[] = [];
  for (const [pgno, fill] of [...fields.pages].toSorted(([a], [b]) => a - b)) {
    const page = new Uint8Array(pageSize).fill(fill);
    const block = literalBlock(page);
    const head = new Uint8Array(10);
    const view = new DataView(head.buffer);
    view.setUint32(0, pgno);
    view.setUint16(4, 1);
    view.setUint32(6, block.length);
    crc = updateCRC64(updateCRC64(crc, head), page);
    parts.push(head, block);
    const size = head.length + block.length;
    index.push(...uvarint(pgno), ...uvarint(offset), ...uvarint(size));
    offset += size;
  }
  index.push(0);
  const end = new Uint8Array(6 + index.length + 8 + 8);
  end.set(index, 6);
  new DataView(end.buffer).setBigUint64(6 + index.length, BigInt(index.length));
  crc = updateCRC64(crc, end);
  const checksum = new Uint8Array(8);
  new DataView(checksum.buffer).setBigUint64(0, storedChecksum(crc));
  return { header, bytes: new Uint8Array(Buffer.concat([...parts, end, checksum])) };
}

function literalBlock(bytes: Uint8Array): Uint8Array {
  const extra = bytes.length - 15;
  const full = new Uint8Array(Math.floor(extra / 255)).fill(255);
  const lengths = [...full, extra % 255];
  return Uint8Array.from([0xf0, ...lengths, ...bytes]);
}

function uvarint(value: number): number[] {
  const bytes: number[] = [];
  for (; value >= 0x80; value = Math.floor(value / 128)) bytes.push((value % 128) | 0x80);
  return [...bytes, value];
}
