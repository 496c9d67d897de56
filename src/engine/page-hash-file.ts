/**
 * The file `page-hashes` in the folder of local state: a table with the hash of every page of the database as the newest level-0
 * file leaves it, followed by one record for each level-0 file written since.
 *
 *   table   offset  size  field
 *           0       4     magic "PGH1" as a number
 *           4       4     page size
 *           8       8     TXID of the level-0 file after which the database was so
 *           16      8     that file's checksum, from its trailer
 *           24      4     commit: database size in pages
 *           28      4     zero
 *           32      8·n   xxHash64 of page 1 … commit; anything for the lock page
 *           …       8     CRC-64 state after all of that
 *
 *   record  offset  size  field
 *           0       4     magic "PGHR" as a number
 *           4       4     n: how many pages the level-0 file holds
 *           8       8     its TXID: that of the table or record before, plus one
 *           16      8     its checksum
 *           24      4     its commit
 *           28      4     zero
 *           32      8·n   hashes
 *           …       4·n   page numbers, padded with zero to a multiple of 8
 *           …       8     CRC-64 state after all of that, begun with the one before
 *
 * Numbers are in the machine's byte order, so that they can be used in place; a file from a machine of another order fails the
 * magic. Nothing is flushed: a record or table torn by a crash fails its CRC, which also tells it from what lay there before.
 */
import { CRC_START, updateCRC64 } from "../formats/crc64.ts";
import type { TXID } from "../formats/ltx/txid.ts";

const TABLE_MAGIC = 0x3148_4750;
const RECORD_MAGIC = 0x5248_4750;
const HEAD_SIZE = 32;
const CRC_SIZE = 8;

/** Which level-0 file something belongs to: its number alone may have been given to another one by another program. */
export interface LevelZeroIdentity {
  readonly txid: TXID;
  readonly fileChecksum: bigint;
}

/** Pages and their hashes, in any order. */
export interface PageHashList {
  readonly pgnos: Uint32Array;
  readonly hashes: BigUint64Array;
}

/** The hash of every page of a database. */
export interface PageHashTable {
  readonly pageSize: number;
  /** Database size in pages. */
  readonly commit: number;
  /** Page p at index p − 1. May be longer than `commit`: what lies behind is void. */
  readonly hashes: BigUint64Array;
}

/** Where the valid part of the file ends. */
export interface PageHashEnd extends LevelZeroIdentity {
  readonly pageSize: number;
  readonly crc: bigint;
  readonly tableBytes: number;
  readonly sizeBytes: number;
}

interface Head {
  readonly magic: number;
  readonly field: number;
  readonly identity: LevelZeroIdentity;
  readonly commit: number;
}

export function encodeTable(
  identity: LevelZeroIdentity,
  { pageSize, commit, hashes }: PageHashTable,
): { readonly bytes: Uint8Array; readonly end: PageHashEnd } {
  const bytes = new Uint8Array(HEAD_SIZE + commit * 8 + CRC_SIZE);
  writeHead(bytes, { magic: TABLE_MAGIC, field: pageSize, identity, commit });
  new BigUint64Array(bytes.buffer, HEAD_SIZE, commit).set(hashes.subarray(0, commit));
  const crc = writeCRC(bytes, CRC_START);
  const tableBytes = bytes.length;
  return { bytes, end: { ...identity, pageSize, crc, tableBytes, sizeBytes: tableBytes } };
}

/** The record of the level-0 file that follows `end`. */
export function encodeRecord(
  identity: LevelZeroIdentity,
  commit: number,
  { pgnos, hashes }: PageHashList,
  end: PageHashEnd,
): { readonly bytes: Uint8Array; readonly end: PageHashEnd } {
  const count = pgnos.length;
  const bytes = new Uint8Array(recordSize(count));
  writeHead(bytes, { magic: RECORD_MAGIC, field: count, identity, commit });
  new BigUint64Array(bytes.buffer, HEAD_SIZE, count).set(hashes);
  new Uint32Array(bytes.buffer, HEAD_SIZE + count * 8, count).set(pgnos);
  const crc = writeCRC(bytes, end.crc);
  return { bytes, end: { ...end, ...identity, crc, sizeBytes: end.sizeBytes + bytes.length } };
}

/**
 * Reads a whole file: the table with all valid records applied. Null when not even the table is whole.
 * `bytes` must begin at a multiple of 8 of its buffer.
 */
export function decodePageHashes(
  bytes: Uint8Array,
): { readonly table: PageHashTable; readonly end: PageHashEnd } | null {
  const head = readHead(bytes, 0);
  if (head === null || head.magic !== TABLE_MAGIC) return null;
  const tableBytes = HEAD_SIZE + head.commit * 8 + CRC_SIZE;
  const crc = checkedCRC(bytes, 0, tableBytes, CRC_START);
  if (crc === null) return null;
  const table = new TableBuilder(bytes, head.commit);
  let end: PageHashEnd = {
    ...head.identity,
    pageSize: head.field,
    crc,
    tableBytes,
    sizeBytes: tableBytes,
  };
  for (;;) {
    const record = decodeRecord(bytes, end);
    if (record === null) return { table: table.finish(end.pageSize), end };
    table.apply(record, record.commit);
    end = record.end;
  }
}

/** How long a record of `count` pages is. */
function recordSize(count: number): number {
  return HEAD_SIZE + count * 8 + Math.ceil(count / 2) * 8 + CRC_SIZE;
}

function decodeRecord(
  bytes: Uint8Array,
  before: PageHashEnd,
): (PageHashList & { readonly commit: number; readonly end: PageHashEnd }) | null {
  const start = before.sizeBytes;
  const head = readHead(bytes, start);
  if (head === null || head.magic !== RECORD_MAGIC || head.identity.txid !== before.txid + 1n)
    return null;
  const count = head.field;
  const size = recordSize(count);
  const crc = checkedCRC(bytes, start, size, before.crc);
  if (crc === null) return null;
  const hashesAt = bytes.byteOffset + start + HEAD_SIZE;
  return {
    hashes: new BigUint64Array(bytes.buffer, hashesAt, count),
    pgnos: new Uint32Array(bytes.buffer, hashesAt + count * 8, count),
    commit: head.commit,
    end: { ...before, ...head.identity, crc, sizeBytes: start + size },
  };
}

class TableBuilder {
  #hashes: BigUint64Array;
  #commit: number;

  constructor(bytes: Uint8Array, commit: number) {
    this.#hashes = new BigUint64Array(bytes.buffer, bytes.byteOffset + HEAD_SIZE, commit);
    this.#commit = commit;
  }

  /** A level-0 file holds every page by which the database grew, so that no entry is left over from before a shrink. */
  apply({ pgnos, hashes }: PageHashList, commit: number): void {
    if (commit > this.#hashes.length) {
      const grown = new BigUint64Array(Math.max(commit, this.#hashes.length * 2));
      grown.set(this.#hashes);
      this.#hashes = grown;
    }
    for (let index = 0; index < pgnos.length; index++) {
      this.#hashes[(pgnos[index] ?? 0) - 1] = hashes[index] ?? 0n;
    }
    this.#commit = commit;
  }

  finish(pageSize: number): PageHashTable {
    return { pageSize, commit: this.#commit, hashes: this.#hashes };
  }
}

function writeHead(bytes: Uint8Array, { magic, field, identity, commit }: Head): void {
  const words = new Uint32Array(bytes.buffer, 0, HEAD_SIZE / 4);
  const longs = new BigUint64Array(bytes.buffer, 0, HEAD_SIZE / 8);
  words[0] = magic;
  words[1] = field;
  longs[1] = identity.txid;
  longs[2] = identity.fileChecksum;
  words[6] = commit;
}

function readHead(bytes: Uint8Array, start: number): Head | null {
  if (start + HEAD_SIZE > bytes.length) return null;
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset + start, HEAD_SIZE / 4);
  const longs = new BigUint64Array(bytes.buffer, bytes.byteOffset + start, HEAD_SIZE / 8);
  return {
    magic: words[0] ?? 0,
    field: words[1] ?? 0,
    identity: { txid: longs[1] ?? 0n, fileChecksum: longs[2] ?? 0n },
    commit: words[6] ?? 0,
  };
}

function writeCRC(bytes: Uint8Array, before: bigint): bigint {
  const hashed = bytes.length - CRC_SIZE;
  const crc = updateCRC64(before, bytes.subarray(0, hashed));
  new BigUint64Array(bytes.buffer, hashed, 1)[0] = crc;
  return crc;
}

/** The CRC of the piece when it is whole and right; otherwise null. */
function checkedCRC(bytes: Uint8Array, start: number, size: number, before: bigint): bigint | null {
  if (start + size > bytes.length) return null;
  const hashed = size - CRC_SIZE;
  const crc = updateCRC64(before, bytes.subarray(start, start + hashed));
  const stored = new BigUint64Array(bytes.buffer, bytes.byteOffset + start + hashed, 1)[0];
  return stored === crc ? crc : null;
}
