/** Puts the transactions of WALs into a database file, each only when it is complete and proven by its checksums. */
import { closeSync, openSync, readSync, rmSync, writeSync } from "node:fs";
import {
  decodeWALFrameHeader,
  decodeWALHeader,
  WAL_FRAME_HEADER_SIZE,
  WAL_HEADER_SIZE,
  WALScanner,
} from "../formats/wal.ts";
import type { WALHeader } from "../formats/wal.ts";
import { FormatError } from "../formats/format-error.ts";

/** An open transaction up to this size waits in memory, a longer one in a file. */
const memoryBytes = 8 * 1024 * 1024;

/** Where pages go. */
export interface PageSink {
  /** Writes bytes [start, end) of `bytes` at a position of the database. */
  write(bytes: Uint8Array, start: number, end: number, position: number): void;
}

export interface WALOutcome {
  /** Pages of the database after the last transaction; undefined when there was none. */
  readonly commit: number | undefined;
  /** Bytes of an unfinished transaction or frame at the end. */
  readonly unfinishedBytes: number;
  /** Bytes behind the end of the WAL: frames of an earlier use of the file. */
  readonly staleBytes: number;
}

/**
 * Applies one WAL, given from its first byte in chunks of any size.
 *
 *   using applier = new WALApplier(sink, { spoolPath, pageSize });
 *   for await (const bytes of wal) applier.push(bytes);
 *   const { commit } = applier.end();
 *
 * FormatError when the WAL is not one, has another page size, or its chain of checksums breaks. Transactions before that
 * are in the database then: throw it away.
 */
export class WALApplier implements Disposable {
  readonly #sink: PageSink;
  readonly #pageSize: number | undefined;
  readonly #transaction: OpenTransaction;
  #header: WALHeader | undefined;
  #scanner: WALScanner | undefined;
  /** Bytes that have not been scanned. */
  #buffer = new Uint8Array(WAL_HEADER_SIZE);
  #filled = 0;
  /** Offset in the WAL of the buffer's first byte. */
  #offset = 0;
  #commit: number | undefined;
  #staleBytes = 0;

  /** `spoolPath`: a file to be made when a transaction is too long for memory. `pageSize`: undefined takes any. */
  constructor(
    sink: PageSink,
    options: { readonly spoolPath: string; readonly pageSize: number | undefined },
  ) {
    this.#sink = sink;
    this.#pageSize = options.pageSize;
    this.#transaction = new OpenTransaction(options.spoolPath);
  }

  get pageSize(): number | undefined {
    return this.#header?.pageSize;
  }

  push(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length;) {
      if (this.#staleBytes > 0) {
        this.#staleBytes += chunk.length - at;
        return;
      }
      const length = Math.min(chunk.length - at, this.#buffer.length - this.#filled);
      this.#buffer.set(chunk.subarray(at, at + length), this.#filled);
      this.#filled += length;
      at += length;
      if (this.#filled === this.#buffer.length) this.#takeBuffer();
    }
  }

  end(): WALOutcome {
    if (this.#scanner !== undefined) this.#takeBuffer();
    else if (this.#filled > 0) {
      throw new FormatError("truncated", `WAL header has ${this.#filled} of 32 bytes`, 0);
    }
    return {
      commit: this.#commit,
      unfinishedBytes: this.#transaction.sizeBytes + this.#filled,
      staleBytes: this.#staleBytes,
    };
  }

  [Symbol.dispose](): void {
    this.#transaction.clear();
  }

  #takeBuffer(): void {
    if (this.#scanner === undefined) this.#takeHeader();
    else this.#takeFrames(this.#scanner);
  }

  #takeHeader(): void {
    const header = decodeWALHeader(this.#buffer);
    if (header === null) {
      throw new FormatError("content-checksum", "Checksum of the WAL header is wrong", 0);
    }
    if (this.#pageSize !== undefined && header.pageSize !== this.#pageSize) {
      throw new FormatError(
        "bad-page-size",
        `WAL has pages of ${header.pageSize} bytes, the database of ${this.#pageSize}`,
        8,
      );
    }
    this.#header = header;
    this.#scanner = new WALScanner(header);
    this.#buffer = new Uint8Array(this.#scanner.capacityFrames * this.#scanner.frameSize);
    this.#filled = 0;
    this.#offset = WAL_HEADER_SIZE;
  }

  /** Scans the whole frames in the buffer. */
  #takeFrames(scanner: WALScanner): void {
    const { frameSize } = scanner;
    const count = Math.floor(this.#filled / frameSize);
    if (count === 0) return;
    const used = count * frameSize;
    scanner.frames().set(this.#buffer.subarray(0, used));
    const valid = scanner.scan(count);
    this.#applyFrames(scanner, valid);
    if (valid < count) {
      this.#checkStale(valid * frameSize);
      this.#staleBytes = this.#filled - valid * frameSize;
      this.#filled = 0;
      return;
    }
    this.#buffer.copyWithin(0, used, this.#filled);
    this.#filled -= used;
    this.#offset += used;
  }

  #applyFrames(scanner: WALScanner, valid: number): void {
    const { frameSize, commits } = scanner;
    let committed = 0;
    for (let i = 0; i < valid; i++) {
      const commit = commits[i] ?? 0;
      if (commit === 0) continue;
      committed = i + 1;
      this.#commit = commit;
    }
    if (committed > 0) {
      this.#transaction.apply((frames) => this.#writePages(frames, frameSize));
      this.#writePages(this.#buffer.subarray(0, committed * frameSize), frameSize);
    }
    this.#transaction.add(this.#buffer.subarray(committed * frameSize, valid * frameSize));
  }

  /** As a checkpoint does it, also for pages behind the end of the database: what is too long is cut off in the end. */
  #writePages(frames: Uint8Array, frameSize: number): void {
    const pageSize = frameSize - WAL_FRAME_HEADER_SIZE;
    const view = new DataView(frames.buffer, frames.byteOffset, frames.byteLength);
    for (let at = 0; at < frames.length; at += frameSize) {
      const pgno = view.getUint32(at);
      if (pgno === 0)
        throw new FormatError("bad-page-header", "WAL has a frame for page 0", this.#offset);
      const start = at + WAL_FRAME_HEADER_SIZE;
      this.#sink.write(frames, start, start + pageSize, (pgno - 1) * pageSize);
    }
  }

  /**
   * A frame that does not continue the chain: with other salts it was there before the WAL was restarted, and SQLite would
   * stop here as well. With the same salts it is damaged.
   */
  #checkStale(at: number): void {
    const frame = decodeWALFrameHeader(this.#buffer.subarray(at));
    const { salt1, salt2 } = this.#header as WALHeader;
    if (frame.salt1 !== salt1 || frame.salt2 !== salt2) return;
    throw new FormatError(
      "content-checksum",
      `WAL frame at offset ${this.#offset + at} does not continue the chain of checksums`,
      this.#offset + at,
    );
  }
}

/** Frames of a transaction that has not been committed yet, in order. */
class OpenTransaction {
  readonly #path: string;
  #chunks: Uint8Array[] = [];
  #inMemory = 0;
  /** Where chunks lie in the file: each is of whole frames. */
  #pieces: { readonly offset: number; readonly length: number }[] = [];
  #spool: { readonly fd: number; sizeBytes: number } | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  get sizeBytes(): number {
    return this.#inMemory + (this.#spool?.sizeBytes ?? 0);
  }

  add(frames: Uint8Array): void {
    if (frames.length === 0) return;
    this.#chunks.push(frames.slice());
    this.#inMemory += frames.length;
    if (this.#inMemory > memoryBytes) this.#moveToFile();
  }

  /** Hands out all frames, some at a time, and forgets them. */
  apply(write: (frames: Uint8Array) => void): void {
    if (this.#spool !== undefined) {
      const { fd, sizeBytes } = this.#spool;
      for (const { offset, length } of this.#pieces) {
        const frames = new Uint8Array(length);
        for (let done = 0; done < length;) {
          const count = readSync(fd, frames, done, length - done, offset + done);
          if (count === 0) throw new Error(`Spool file is shorter than ${sizeBytes} bytes`);
          done += count;
        }
        write(frames);
      }
    }
    for (const frames of this.#chunks) write(frames);
    this.clear();
  }

  clear(): void {
    this.#chunks = [];
    this.#inMemory = 0;
    this.#pieces = [];
    if (this.#spool === undefined) return;
    closeSync(this.#spool.fd);
    this.#spool = undefined;
    rmSync(this.#path, { force: true });
  }

  #moveToFile(): void {
    this.#spool ??= { fd: openSync(this.#path, "wx+", 0o600), sizeBytes: 0 };
    const spool = this.#spool;
    for (const chunk of this.#chunks) {
      for (let done = 0; done < chunk.length;) {
        done += writeSync(spool.fd, chunk, done, chunk.length - done, spool.sizeBytes + done);
      }
      this.#pieces.push({ offset: spool.sizeBytes, length: chunk.length });
      spool.sizeBytes += chunk.length;
    }
    this.#chunks = [];
    this.#inMemory = 0;
  }
}
