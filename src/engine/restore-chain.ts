/** Turns the files of a chain into the pages of a database, newest file first. */
import { setImmediate } from "node:timers/promises";
import { FormatError } from "../formats/format-error.ts";
import { LTXDecoder } from "../formats/ltx/decoder.ts";
import { checkLTXName } from "../formats/ltx/header.ts";
import type { LTXHeader } from "../formats/ltx/header.ts";
import { formatLTXName } from "../formats/ltx/layout.ts";
import { dataPageCount } from "../formats/sqlite-header.ts";
import { isStorageError } from "../storage/replica-client.ts";
import type { LTXFileInfo, LTXFileName, ReplicaClient } from "../storage/replica-client.ts";
import type { RestoreOutput } from "./restore-output.ts";
import { DatabasePages, GrowthCheck } from "./restore-pages.ts";
import type { WriteAt } from "./restore-pages.ts";
import { fetchFiles, readLocalFile } from "./restore-reader.ts";

/** Bytes of input after which other work of the process gets its turn. */
const sliceBytes = 4 * 1024 * 1024;

/** A file of the chain that is not what it should be. */
export class ChainFileError extends Error {
  override readonly name = "ChainFileError";
  readonly file: LTXFileInfo;

  constructor(file: LTXFileInfo, message: string, cause?: unknown) {
    super(message, { cause });
    this.file = file;
  }
}

/** The files do not give every page: there is no complete database among them. */
export class IncompleteChainError extends Error {
  override readonly name = "IncompleteChainError";
}

export interface ChainOptions {
  readonly parallelism: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: ChainProgress) => void) | undefined;
}

export interface ChainProgress {
  readonly filesDone: number;
  readonly filesTotal: number;
  readonly bytesRead: number;
  /** Of all files; files that turn out not to be needed are skipped at the end. */
  readonly bytesTotal: number;
}

export interface ChainResult {
  readonly pageCount: number;
  readonly pageSize: number;
  readonly filesRead: number;
  readonly bytesRead: number;
}

/**
 * Writes the state after the last of `files` to `output`. Each page comes from the newest file that has it; reading ends
 * with the file that completes the database. Every file that is read is read whole, for its checksum proves all of it: bytes
 * that only a page index vouches for are never trusted, and a page is never taken from an older file because a newer one
 * could not be believed.
 *
 * ChainFileError for a damaged, missing or lying file; IncompleteChainError when pages remain that no file has.
 */
export async function applyChain(
  client: ReplicaClient,
  files: readonly LTXFileInfo[],
  output: RestoreOutput,
  options: ChainOptions,
): Promise<ChainResult> {
  const progress = new Progress(files, options);
  const state = new ChainState(output, progress.bytesTotal);
  const newestFirst = files.toReversed();
  const paths = newestFirst.map((file) => client.localPath?.(file));
  if (paths.every((path) => path !== undefined)) {
    await applyLocalFiles(newestFirst, paths, state, progress, options);
  } else {
    await applyFetchedFiles(client, newestFirst, state, progress, options);
  }
  const { commit, pageSize } = state.finish();
  const { filesDone, bytesRead } = progress;
  return { pageCount: commit, pageSize, filesRead: filesDone, bytesRead };
}

/** `level 0 file 0000000000000005-0000000000000005.ltx` */
export function describeFile({ level, minTXID, maxTXID }: LTXFileName): string {
  return `level ${level} file ${formatLTXName(minTXID, maxTXID)}`;
}

/** Counts, reports, and says when other work of the process should get its turn. */
class Progress {
  filesDone = 0;
  bytesRead = 0;
  readonly #files: readonly LTXFileInfo[];
  readonly bytesTotal: number;
  readonly #report: ChainOptions["onProgress"];
  #untilTurn = sliceBytes;

  constructor(files: readonly LTXFileInfo[], { onProgress }: ChainOptions) {
    this.#files = files;
    this.bytesTotal = files.reduce((sum, file) => sum + file.sizeBytes, 0);
    this.#report = onProgress;
  }

  /** Whether a slice of work is done. */
  add(byteCount: number): boolean {
    this.bytesRead += byteCount;
    this.#untilTurn -= byteCount;
    if (this.#untilTurn > 0) return false;
    this.#untilTurn = sliceBytes;
    this.#tell();
    return true;
  }

  endFile(): void {
    this.filesDone += 1;
    this.#tell();
  }

  #tell(): void {
    const { filesDone, bytesRead, bytesTotal } = this;
    this.#report?.({ filesDone, filesTotal: this.#files.length, bytesRead, bytesTotal });
  }
}

/** Files on this machine go straight into the decoder's memory. */
async function applyLocalFiles(
  files: readonly LTXFileInfo[],
  paths: readonly string[],
  state: ChainState,
  progress: Progress,
  { signal }: ChainOptions,
): Promise<void> {
  for (const [index, file] of files.entries()) {
    try {
      const reader = state.openFile(file);
      for (const byteCount of readLocalFile(paths[index] ?? "", file.sizeBytes, reader)) {
        signal?.throwIfAborted();
        if (progress.add(byteCount)) await setImmediate();
      }
      reader.end();
    } catch (error) {
      throw fileProblem(file, error);
    }
    progress.endFile();
    if (state.isComplete) return;
  }
}

/** Other files are fetched ahead of need. */
async function applyFetchedFiles(
  client: ReplicaClient,
  files: readonly LTXFileInfo[],
  state: ChainState,
  progress: Progress,
  { parallelism, signal }: ChainOptions,
): Promise<void> {
  for await (const { file, chunks } of fetchFiles(client, files, { parallelism, signal })) {
    try {
      const reader = state.openFile(file);
      for await (const chunk of chunks) {
        signal?.throwIfAborted();
        reader.push(chunk);
        if (progress.add(chunk.length)) await setImmediate();
      }
      reader.end();
    } catch (error) {
      throw fileProblem(file, error);
    }
    progress.endFile();
    if (state.isComplete) return;
  }
}

/** Where the bytes of one file go. */
interface FileReader {
  push(chunk: Uint8Array): void;
  /** Lets `fill` put bytes into the decoder's memory and say how many; returns that. */
  fill(fill: (memory: Uint8Array) => number): number;
  end(): void;
}

/** The database as far as the files seen so far give it. */
class ChainState {
  readonly #output: RestoreOutput;
  readonly #bytesTotal: number;
  #pages: DatabasePages | undefined;
  /** The file before, which is the next newer one. */
  #newer: { readonly file: LTXFileInfo; readonly growth: GrowthCheck } | undefined;

  /** `bytesTotal`: of all files of the chain. */
  constructor(output: RestoreOutput, bytesTotal: number) {
    this.#output = output;
    this.#bytesTotal = bytesTotal;
  }

  get isComplete(): boolean {
    return this.#pages?.missingCount === 0;
  }

  openFile(file: LTXFileInfo): FileReader {
    const decoder = new LTXDecoder();
    let growth: GrowthCheck | undefined;
    let refusal: IncompleteChainError | undefined;
    const readPages = (): void => {
      for (let batch = decoder.read(); batch !== null; batch = decoder.read()) {
        const { header } = decoder;
        if (header === undefined) throw new Error("Pages before the header");
        if (growth === undefined) {
          growth = new GrowthCheck(header.pageSize, header.commit);
          refusal = this.#begin(file, header);
        }
        growth.add(batch);
        if (refusal === undefined) this.#pages?.write(batch);
      }
    };
    return {
      push: (chunk) => {
        decoder.push(chunk);
        readPages();
      },
      fill: (fill) => {
        const byteCount = fill(decoder.buffer());
        decoder.filled(byteCount);
        readPages();
        return byteCount;
      },
      end: () => {
        // Only now is it known that the header is what was written.
        const { header } = decoder.end();
        checkLTXName(header, file);
        if (growth === undefined) throw new FormatError("missing-page", "It holds no pages");
        if (refusal !== undefined) throw refusal;
        this.#proveGrowth(header.commit);
        this.#newer = { file, growth };
      },
    };
  }

  finish(): DatabasePages {
    const pages = this.#pages;
    if (pages === undefined) throw new IncompleteChainError("No file was read");
    if (pages.missingCount > 0) {
      throw new IncompleteChainError(
        `Page ${pages.firstMissing()} of ${pages.commit} is in none of the files (${pages.missingCount} such pages)`,
      );
    }
    return pages;
  }

  /** The header is known. Gives what speaks against the chain, should the file prove to be undamaged. */
  #begin(file: LTXFileInfo, { pageSize, commit }: LTXHeader): IncompleteChainError | undefined {
    if (this.#pages === undefined) {
      if (!canHold(this.#bytesTotal, pageSize, commit)) {
        return new IncompleteChainError(
          `The files are too small for the ${commit} pages of the database`,
        );
      }
      this.#output.reset(commit * pageSize);
      const write: WriteAt = (...args) => this.#output.write(...args);
      this.#pages = new DatabasePages(write, pageSize, commit);
    } else if (this.#pages.pageSize !== pageSize) {
      return new IncompleteChainError(
        `The page size changes from ${pageSize} to ${this.#pages.pageSize} after ${describeFile(file)}, ` +
          "but no file after it holds the whole database",
      );
    }
    return undefined;
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

/** Whether files of this size can hold a database: each page takes a header, a size and at best one byte per 255. */
function canHold(byteCount: number, pageSize: number, commit: number): boolean {
  return dataPageCount(commit, pageSize) * (10 + Math.floor(pageSize / 255)) <= byteCount;
}

/** What is wrong with a file as a ChainFileError; any other failure as it is. */
export function fileProblem(file: LTXFileInfo, error: unknown): unknown {
  if (error instanceof FormatError) {
    return new ChainFileError(file, `${describeFile(file)} is damaged: ${error.message}`, error);
  }
  if (isStorageError(error, "not-found")) {
    return new ChainFileError(file, `${describeFile(file)} is missing: ${error.message}`, error);
  }
  if (isStorageError(error, "corrupt")) {
    return new ChainFileError(file, `${describeFile(file)} is unreadable: ${error.message}`, error);
  }
  return error;
}
