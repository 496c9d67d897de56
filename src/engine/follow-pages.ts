/** New pages of a followed database, proven, in a file beside it: nothing is applied before all of it has been checked. */
import {
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  rmSync,
  writeSync,
} from "node:fs";
import { setImmediate } from "node:timers/promises";
import { FormatError } from "../formats/format-error.ts";
import { LTXDecoder } from "../formats/ltx/decoder.ts";
import type { LTXSummary } from "../formats/ltx/decoder.ts";
import { checkLTXName } from "../formats/ltx/header.ts";
import { decodeSQLiteHeader, lockPgno, SQLITE_HEADER_SIZE } from "../formats/sqlite-header.ts";
import type { LTXFileInfo, ReplicaClient } from "../storage/replica-client.ts";
import { fileProblem } from "./restore-chain.ts";
import { DatabasePages, GrowthCheck } from "./restore-pages.ts";
import { fetchFiles } from "./restore-reader.ts";

/** The files cannot be applied page by page: the whole state has to be read again. */
export class ImageNeededError extends Error {
  override readonly name = "ImageNeededError";
}

/** A set of pages in a file in which each has its place; disposing removes the file. */
export class FollowPages implements Disposable {
  readonly pageSize: number;
  /** Size of the database that has these pages, in pages. */
  readonly commit: number;
  readonly #path: string;
  readonly #fd: number;
  readonly #present: Uint8Array | undefined;

  /** `present`: one bit for each page number; without it the file holds all pages. */
  constructor(file: OpenFile, pageSize: number, commit: number, present?: Uint8Array) {
    this.#path = file.path;
    this.#fd = file.fd;
    this.pageSize = pageSize;
    this.commit = commit;
    this.#present = present;
  }

  /** Whether a page is among them; never the lock page. */
  has(pgno: number): boolean {
    if (pgno < 1 || pgno > this.commit || pgno === lockPgno(this.pageSize)) return false;
    return this.#present === undefined || hasBit(this.#present, pgno);
  }

  /** Reads a page into `target` at `offset`. */
  read(target: Uint8Array, offset: number, pgno: number): void {
    const { pageSize } = this;
    const count = readSync(this.#fd, target, offset, pageSize, (pgno - 1) * pageSize);
    if (count < pageSize)
      throw new Error(`Cannot read page ${pgno} of "${this.#path}": it is short`);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
    rmSync(this.#path, { force: true });
  }
}

interface OpenFile {
  readonly path: string;
  readonly fd: number;
}

export interface FetchPagesOptions {
  /** Where the pages are put. */
  readonly path: string;
  /** The database they are for. */
  readonly pageSize: number;
  readonly pageCount: number;
  readonly parallelism: number;
  readonly signal: AbortSignal;
}

/**
 * Fetches files that continue each other, newest first; each is proven whole. ChainFileError for one that is damaged,
 * missing or lying; ImageNeededError when the page size has changed or the pages do not fit the database.
 */
export async function fetchPages(
  client: ReplicaClient,
  files: readonly LTXFileInfo[],
  options: FetchPagesOptions,
): Promise<FollowPages> {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC;
  const file = { path: options.path, fd: openSync(options.path, flags, 0o600) };
  try {
    const collector = new PageCollector(file.fd, options);
    const newestFirst = files.toReversed();
    for await (const { file: info, chunks } of fetchFiles(client, newestFirst, options)) {
      try {
        await collector.add(info, chunks, options.signal);
      } catch (error) {
        throw fileProblem(info, error);
      }
    }
    return collector.finish(file);
  } catch (error) {
    closeSync(file.fd);
    rmSync(file.path, { force: true });
    throw error;
  }
}

/** All pages of a restored database file. */
export function pagesOfImage(path: string): FollowPages {
  const file = { path, fd: openSync(path, "r") };
  try {
    const header = new Uint8Array(SQLITE_HEADER_SIZE);
    readSync(file.fd, header, 0, header.length, 0);
    const { pageSize } = decodeSQLiteHeader(header);
    return new FollowPages(file, pageSize, fstatSync(file.fd).size / pageSize);
  } catch (error) {
    closeSync(file.fd);
    throw error;
  }
}

class PageCollector {
  readonly #fd: number;
  readonly #options: FetchPagesOptions;
  #pages: DatabasePages | undefined;
  #present = new Uint8Array(0);
  #newer: { readonly file: LTXFileInfo; readonly growth: GrowthCheck } | undefined;

  constructor(fd: number, options: FetchPagesOptions) {
    this.#fd = fd;
    this.#options = options;
  }

  async add(
    file: LTXFileInfo,
    chunks: AsyncIterable<Uint8Array>,
    signal: AbortSignal,
  ): Promise<void> {
    const decoder = new LTXDecoder();
    let growth: GrowthCheck | undefined;
    let pages: DatabasePages | undefined;
    for await (const chunk of chunks) {
      signal.throwIfAborted();
      decoder.push(chunk);
      for (let batch = decoder.read(); batch !== null; batch = decoder.read()) {
        const { header } = decoder;
        if (header === undefined) throw new Error("Pages before the header");
        growth ??= new GrowthCheck(header.pageSize, header.commit);
        pages ??= this.#pagesFor(header);
        growth.add(batch);
        pages?.write(batch);
      }
      await setImmediate();
    }
    const { header } = decoder.end();
    checkLTXName(header, file);
    if (growth === undefined) throw new FormatError("missing-page", "It holds no pages");
    if (header.pageSize !== this.#options.pageSize) {
      throw new ImageNeededError(
        `The page size changes from ${this.#options.pageSize} to ${header.pageSize}`,
      );
    }
    this.#proveGrowth(header.commit);
    this.#newer = { file, growth };
  }

  finish(file: OpenFile): FollowPages {
    const pages = this.#pages;
    if (pages === undefined) throw new Error("There is nothing to apply");
    this.#proveGrowth(this.#options.pageCount);
    return new FollowPages(file, pages.pageSize, pages.commit, this.#present);
  }

  /** Where the pages of a file go; nowhere when they are of another size, which counts once the file is proven. */
  #pagesFor({ pageSize, commit }: LTXSummary["header"]): DatabasePages | undefined {
    if (pageSize !== this.#options.pageSize) return undefined;
    if (this.#pages === undefined) {
      this.#present = new Uint8Array((commit >>> 3) + 1);
      ftruncateSync(this.#fd, commit * pageSize);
      this.#pages = new DatabasePages((...args) => this.#write(...args), pageSize, commit);
    }
    return this.#pages;
  }

  #write(bytes: Uint8Array, start: number, end: number, position: number): void {
    const { pageSize } = this.#options;
    for (let done = start; done < end;) {
      done += writeSync(this.#fd, bytes, done, end - done, position + done - start);
    }
    const first = position / pageSize + 1;
    for (let index = 0; index < (end - start) / pageSize; index++) {
      setBit(this.#present, first + index);
    }
  }

  #proveGrowth(previousCommit: number): void {
    if (this.#newer === undefined) return;
    const { file, growth } = this.#newer;
    try {
      growth.prove(previousCommit);
    } catch (error) {
      throw fileProblem(file, error);
    }
  }
}

export function hasBit(bits: Uint8Array, pgno: number): boolean {
  return ((bits[pgno >>> 3] ?? 0) & (1 << (pgno & 7))) !== 0;
}

export function setBit(bits: Uint8Array, pgno: number): void {
  bits[pgno >>> 3] = (bits[pgno >>> 3] ?? 0) | (1 << (pgno & 7));
}
