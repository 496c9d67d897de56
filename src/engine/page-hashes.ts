/**
 * Keeps the hashes of all pages as the newest level-0 file leaves them, so that an image after lost continuity needs only the pages
 * that differ (R3). In memory is only where the file ends; the table is read when it is needed.
 *
 * The table is never trusted alone: it counts when its end is the newest local level-0 file by number and checksum, or when
 * all that is missing can be read from local files that follow one it names. Losing it costs a full image, nothing else, so that no
 * failure here fails a sync: it drops the table and is reported.
 */
import {
  closeSync,
  constants,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { LTXDecoder } from "../formats/ltx/decoder.ts";
import { LTXFrameEncoder } from "../formats/ltx/frame-encoder.ts";
import { LTX_TRAILER_SIZE } from "../formats/ltx/header.ts";
import type { TXID } from "../formats/ltx/txid.ts";
import type { LocalLTX, LocalLTXFile } from "./local-ltx.ts";
import { readLocalFile } from "./local-ltx.ts";
import { decodePageHashes, encodeRecord, encodeTable } from "./page-hash-file.ts";
import type {
  LevelZeroIdentity,
  PageHashEnd,
  PageHashList,
  PageHashTable,
} from "./page-hash-file.ts";

const FILE_NAME = "page-hashes";
/** Records are merged into the table when they are longer than it, and than this. */
const MIN_MERGE_BYTES = 256 << 10;
/** No table for more pages: it would be 64 MiB in memory while it is used. 32 GiB of 4 KiB pages. */
export const MAX_HASHED_PAGES: number = 1 << 23;
/** More than this is not read again to catch up: a full image is not much dearer. */
const MAX_CATCH_UP_BYTES = 256 << 20;

/** A level-0 file that was just published. */
export interface HashedFile extends LevelZeroIdentity {
  readonly commit: number;
  /** What it holds; null when nothing was hashed. */
  readonly list: PageHashList | null;
  /** It holds every page. */
  readonly isImage: boolean;
}

export class PageHashes {
  readonly #path: string;
  readonly #pageSize: number;
  readonly #local: LocalLTX;
  readonly #onLost: (error: unknown) => void;
  /** Null: there is no table; undefined: the file was not looked at yet. */
  #end: PageHashEnd | null | undefined;

  constructor(options: {
    readonly metaPath: string;
    readonly pageSize: number;
    readonly local: LocalLTX;
    /** Told when the file could not be kept; it is gone then. */
    readonly onLost: (error: unknown) => void;
  }) {
    this.#path = pageHashesPath(options.metaPath);
    this.#pageSize = options.pageSize;
    this.#local = options.local;
    this.#onLost = options.onLost;
  }

  /** Takes note of a new level-0 file: a table for an image, a record for anything else that follows. */
  async note(file: HashedFile): Promise<void> {
    await this.#orDrop(async () => {
      if (file.list === null) {
        this.#drop();
        return;
      }
      if (file.isImage) {
        this.#begin(file, file.list);
        return;
      }
      const end = await this.#reach(file.txid - 1n);
      if (end !== null) this.#append(file, file.commit, file.list, end);
    });
  }

  /** The hashes of all pages after the newest local level-0 file, or null when they are not known for certain. */
  async load(): Promise<PageHashTable | null> {
    return await this.#orDrop(async () => {
      const end = await this.#reach(this.#local.newestTXID);
      if (end === null) return null;
      const content = this.#read();
      return content !== null && isSame(content.end, end) ? content.table : null;
    });
  }

  /** Merges the records into the table when they have become long. To be called when nobody waits. */
  async tidy(): Promise<void> {
    const end = this.#end;
    if (end === null || end === undefined) return;
    if (end.sizeBytes - end.tableBytes <= Math.max(end.tableBytes, MIN_MERGE_BYTES)) return;
    await this.#orDrop(async () => {
      const content = this.#read();
      if (content !== null && isSame(content.end, end)) this.#replace(end, content.table);
      else this.#drop();
    });
  }

  #begin(file: HashedFile, { pgnos, hashes }: PageHashList): void {
    const table = new BigUint64Array(file.commit);
    for (let index = 0; index < pgnos.length; index++) {
      table[(pgnos[index] ?? 0) - 1] = hashes[index] ?? 0n;
    }
    this.#replace(file, { pageSize: this.#pageSize, commit: file.commit, hashes: table });
  }

  #replace(file: LevelZeroIdentity, table: PageHashTable): void {
    const { txid, fileChecksum } = file;
    const { bytes, end } = encodeTable({ txid, fileChecksum }, table);
    // Not flushed: after a power loss its CRC tells whether it arrived.
    const temp = `${this.#path}.tmp`;
    const fd = openSync(temp, "w", 0o600);
    try {
      writeAll(fd, bytes, 0);
    } finally {
      closeSync(fd);
    }
    renameSync(temp, this.#path);
    this.#end = end;
  }

  #append(file: LevelZeroIdentity, commit: number, list: PageHashList, before: PageHashEnd): void {
    const { txid, fileChecksum } = file;
    const { bytes, end } = encodeRecord({ txid, fileChecksum }, commit, list, before);
    const fd = openSync(this.#path, constants.O_WRONLY);
    try {
      writeAll(fd, bytes, before.sizeBytes);
    } finally {
      closeSync(fd);
    }
    this.#end = end;
  }

  /** The end of the file, once it describes the database after level-0 file `txid`; null when it cannot. */
  async #reach(txid: TXID): Promise<PageHashEnd | null> {
    if (this.#end === undefined) this.#end = this.#provenEnd();
    let end = this.#end;
    if (end === null || end.txid > txid) return this.#drop();
    let sizeBytes = 0;
    while (end.txid < txid) {
      if (!this.#local.has(end.txid + 1n)) return this.#drop();
      const file = this.#local.read(end.txid + 1n);
      sizeBytes += file.sizeBytes;
      if (file.header.pageSize !== this.#pageSize || sizeBytes > MAX_CATCH_UP_BYTES)
        return this.#drop();
      this.#append(identityOf(file), file.header.commit, await hashFile(file), end);
      end = this.#end ?? end;
    }
    return end;
  }

  /** The end as the file says, if the local level-0 file it names is that very file. */
  #provenEnd(): PageHashEnd | null {
    const end = this.#read()?.end;
    if (end === undefined || end.pageSize !== this.#pageSize || !this.#local.has(end.txid))
      return null;
    return isSame(identityOf(this.#local.read(end.txid)), end) ? end : null;
  }

  #read(): ReturnType<typeof decodePageHashes> {
    try {
      const bytes = readFileSync(this.#path);
      // Small files come from a shared buffer, at any offset.
      return decodePageHashes(bytes.byteOffset % 8 === 0 ? bytes : Uint8Array.from(bytes));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
      throw error;
    }
  }

  #drop(): null {
    if (this.#end !== null) rmSync(this.#path, { force: true });
    this.#end = null;
    return null;
  }

  async #orDrop<T>(action: () => Promise<T>): Promise<T | null> {
    try {
      return await action();
    } catch (error) {
      this.#end = null;
      try {
        rmSync(this.#path, { force: true });
        this.#onLost(error);
      } catch (removal) {
        // Nor is what stays believed: its end falls behind the newest file.
        this.#onLost(new AggregateError([error, removal], `Cannot keep "${this.#path}"`));
      }
      return null;
    }
  }
}

export function pageHashesPath(metaPath: string): string {
  return join(metaPath, FILE_NAME);
}

function writeAll(fd: number, bytes: Uint8Array, position: number): void {
  let done = 0;
  while (done < bytes.length) {
    done += writeSync(fd, bytes, done, bytes.length - done, position + done);
  }
}

function isSame(a: LevelZeroIdentity, b: LevelZeroIdentity): boolean {
  return a.txid === b.txid && a.fileChecksum === b.fileChecksum;
}

function identityOf({ txid, trailer }: LocalLTXFile): LevelZeroIdentity {
  const view = new DataView(trailer.buffer, trailer.byteOffset, LTX_TRAILER_SIZE);
  return { txid, fileChecksum: view.getBigUint64(8) };
}

async function hashFile(file: LocalLTXFile): Promise<PageHashList> {
  const list = new PageHashCollector();
  const hasher = new LTXFrameEncoder(file.header.pageSize);
  const decoder = new LTXDecoder();
  for await (const chunk of readLocalFile(file, new AbortController().signal)) {
    decoder.push(chunk);
    for (let batch = decoder.read(); batch !== null; batch = decoder.read()) {
      hasher.pages().set(batch.pages);
      list.add(batch.pgnos.slice(0, batch.count), hasher.hash(batch.count));
    }
  }
  decoder.end();
  return list.finish();
}

/** Collects hashes of pages, batch by batch. */
export class PageHashCollector {
  #pgnos = new Uint32Array(256);
  #hashes = new BigUint64Array(256);
  #count = 0;

  add(pgnos: Uint32Array, hashes: BigUint64Array): void {
    const count = this.#count + pgnos.length;
    if (count > this.#pgnos.length) this.#grow(Math.max(count, this.#pgnos.length * 2));
    this.#pgnos.set(pgnos, this.#count);
    this.#hashes.set(hashes.subarray(0, pgnos.length), this.#count);
    this.#count = count;
  }

  finish(): PageHashList {
    return {
      pgnos: this.#pgnos.subarray(0, this.#count),
      hashes: this.#hashes.subarray(0, this.#count),
    };
  }

  #grow(capacity: number): void {
    const pgnos = new Uint32Array(capacity);
    const hashes = new BigUint64Array(capacity);
    pgnos.set(this.#pgnos);
    hashes.set(this.#hashes);
    this.#pgnos = pgnos;
    this.#hashes = hashes;
  }
}
