/**
 * Makes one file of several, in the store: a merge that streams through, or a copy within the store when a file is alone.
 *
 * Bounded whatever the number of inputs: no input stays open; each is read in windows whose size all inputs share.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { setImmediate as nextTurn } from "node:timers/promises";
import { FormatError } from "../formats/format-error.ts";
import { LTXDecoder } from "../formats/ltx/decoder.ts";
import {
  checkLTXName,
  decodeLTXHeader,
  LTX_HEADER_SIZE,
  LTX_TRAILER_SIZE,
} from "../formats/ltx/header.ts";
import type { LTXHeader } from "../formats/ltx/header.ts";
import { formatLTXName } from "../formats/ltx/layout.ts";
import { mergeLTX } from "../formats/ltx/merge.ts";
import type { MergeInput, MergeOptions } from "../formats/ltx/merge.ts";
import { headerTime, isStorageError, StorageError } from "../storage/replica-client.ts";
import type { LTXFileInfo, LTXFileName, ReplicaClient } from "../storage/replica-client.ts";
import { localDiskError } from "./local-disk-error.ts";
import { findFile, isEqual, readRemoteHeader, readTrailer } from "./stored-file.ts";
import { ReplicaConflictError } from "./upload.ts";

/** Bytes read ahead of all inputs of a merge together, and the bounds of one input's window. */
const WINDOW_BYTES: number = 16 << 20;
const MIN_WINDOW_BYTES: number = 64 << 10;
const MAX_LOCAL_WINDOW_BYTES: number = 1 << 20;
const MAX_REMOTE_WINDOW_BYTES: number = 8 << 20;
/** With no more inputs than this, files of a replica on this machine stay open during a merge. */
const MAX_OPEN_FILES = 32;
/** Bytes read between two turns of the event loop, where reading does not wait for anything. */
const SLICE_BYTES: number = 4 << 20;

export interface CompactionJob {
  readonly client: ReplicaClient;
  /** In order, each continuing the one before. */
  readonly files: readonly LTXFileInfo[];
  readonly level: number;
  /** 1n makes a snapshot of files that hold every page. Default: that of the first file. */
  readonly minTXID?: bigint;
  /** Path of a local file with the same bytes as the store's, where there is one. */
  readonly localPathOf: (file: LTXFileInfo) => string | undefined;
  readonly signal: AbortSignal;
}

export interface CompactedFile {
  readonly file: LTXFileInfo;
  readonly method: "merged" | "copied" | "present";
}

/** A source is not what it should be: `file` has to be left out. */
export class DamagedFileError extends Error {
  override readonly name = "DamagedFileError";
  readonly file: LTXFileInfo;

  constructor(file: LTXFileInfo, cause: unknown) {
    const name = `level ${file.level} file ${formatLTXName(file.minTXID, file.maxTXID)}`;
    super(`${name} is damaged: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
    this.file = file;
  }
}

/**
 * Copies `file` to `to` within the store. Undefined: it has to be sent. A file that is there already is taken for ours when it is
 * the same one.
 */
export async function copyWithinStore(
  client: ReplicaClient,
  file: LTXFileInfo,
  to: LTXFileName,
  signal: AbortSignal,
): Promise<CompactedFile | undefined> {
  if (client.copy === undefined) return undefined;
  try {
    const ifAbsent = await client.conditionalWrites(signal);
    const copied = await client.copy(file, to, { ifAbsent, signal });
    return copied && { file: copied, method: "copied" };
  } catch (error) {
    if (!isStorageError(error, "exists")) throw error;
  }
  const theirs = await requireListed(client, to, signal);
  const trailer = await readTrailer(client, file, signal);
  const isSame =
    theirs.sizeBytes === file.sizeBytes &&
    isEqual(trailer, await readTrailer(client, theirs, signal));
  if (isSame) return { file: theirs, method: "present" };
  return await judge(client, theirs, await readRemoteHeader(client, file, signal), signal);
}

/**
 * Merges the files into one of `level`, created only if its name is free. A file that stands there already counts as ours when it is
 * byte for byte what would be written (an earlier acknowledgement was lost), or made of the same transactions by another program.
 *
 * DamagedFileError, StorageError, FormatError "page-size-mismatch", ReplicaConflictError.
 */
export async function compactFiles(job: CompactionJob): Promise<CompactedFile> {
  const { client, files, level, signal } = job;
  const first = files[0];
  const last = files.at(-1);
  if (first === undefined || last === undefined) throw new RangeError("No files to compact");
  const to: LTXFileName = {
    level,
    minTXID: job.minTXID ?? first.minTXID,
    maxTXID: last.maxTXID,
  };
  const ifAbsent = await client.conditionalWrites(signal);
  let output = await MergeOutput.start(job);
  try {
    await using merged = output;
    const sizeHintBytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    const body = { kind: "stream", chunks: merged.chunks(), sizeHintBytes } as const;
    const createdAt = headerTime(merged.header);
    return {
      file: await client.write(to, body, { createdAt, ifAbsent, signal }),
      method: "merged",
    };
  } catch (error) {
    if (!isStorageError(error, "exists")) throw await blame(error, job);
  }
  const theirs = await requireListed(client, to, signal);
  // Whoever refuses the name early has not asked for the whole content.
  if (!output.isComplete) output = await MergeOutput.drain(job);
  const isSame =
    theirs.sizeBytes === output.sizeBytes &&
    isEqual(output.trailer, await readTrailer(client, theirs, signal));
  if (isSame) return { file: theirs, method: "present" };
  return await judge(client, theirs, output.header, signal);
}

/** Reads and proves a whole file. DamagedFileError when it is not valid. */
export async function proveFile(
  file: LTXFileInfo,
  chunks: AsyncIterable<Uint8Array>,
): Promise<void> {
  const decoder = new LTXDecoder();
  try {
    for await (const chunk of chunks) {
      decoder.push(chunk);
      while (decoder.read() !== null);
    }
    checkLTXName(decoder.end().header, file);
  } catch (error) {
    if (error instanceof FormatError) throw new DamagedFileError(file, error);
    throw error;
  }
}

/** Page sizes of files by their headers: one small read each. */
export async function readPageSizes(
  client: ReplicaClient,
  files: readonly LTXFileInfo[],
  signal: AbortSignal,
): Promise<Map<LTXFileInfo, number>> {
  const sizes = new Map<LTXFileInfo, number>();
  for (const file of files)
    sizes.set(file, (await readRemoteHeader(client, file, signal)).pageSize);
  return sizes;
}

/** The bytes a merge gives out, with what is needed to compare them afterwards. */
class MergeOutput implements AsyncDisposable {
  readonly header: LTXHeader;
  readonly #chunks: AsyncGenerator<Uint8Array, void, undefined>;
  readonly #first: Uint8Array;
  #tail: Uint8Array = new Uint8Array(0);
  sizeBytes = 0;
  isComplete = false;

  private constructor(
    chunks: AsyncGenerator<Uint8Array, void, undefined>,
    first: Uint8Array,
    header: LTXHeader,
  ) {
    this.#chunks = chunks;
    this.#first = first;
    this.header = header;
  }

  /** Reads as far as the first chunk, which holds the header. */
  static async start(job: CompactionJob): Promise<MergeOutput> {
    const { signal, minTXID } = job;
    const options: MergeOptions = { signal, ...(minTXID === undefined ? {} : { minTXID }) };
    const chunks = mergeLTX(mergeInputs(job), options);
    try {
      const first = await chunks.next();
      if (first.done === true) throw new Error("A merge gave nothing");
      return new MergeOutput(
        chunks,
        first.value,
        decodeLTXHeader(first.value.subarray(0, LTX_HEADER_SIZE)),
      );
    } catch (error) {
      await chunks.return();
      throw await blame(error, job);
    }
  }

  /** Runs a merge to its end for the sake of its size and checksum. */
  static async drain(job: CompactionJob): Promise<MergeOutput> {
    await using output = await MergeOutput.start(job);
    for await (const _chunk of output.chunks());
    return output;
  }

  /** The last 16 bytes, once complete. */
  get trailer(): Uint8Array {
    return this.#tail;
  }

  async *chunks(): AsyncGenerator<Uint8Array, void, undefined> {
    this.#account(this.#first);
    yield this.#first;
    for await (const chunk of this.#chunks) {
      this.#account(chunk);
      yield chunk;
    }
    this.isComplete = true;
  }

  #account(chunk: Uint8Array): void {
    this.sizeBytes += chunk.length;
    const joined = new Uint8Array(this.#tail.length + Math.min(chunk.length, LTX_TRAILER_SIZE));
    joined.set(this.#tail);
    joined.set(chunk.subarray(-LTX_TRAILER_SIZE), this.#tail.length);
    this.#tail = joined.slice(-LTX_TRAILER_SIZE);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#chunks.return();
  }
}

/** Lets other work of the process get its turn, however small the files are. */
class Slices {
  #sinceTurn = 0;

  async count(bytes: number): Promise<void> {
    this.#sinceTurn += bytes;
    if (this.#sinceTurn < SLICE_BYTES) return;
    this.#sinceTurn = 0;
    await nextTurn();
  }
}

function mergeInputs(job: CompactionJob): MergeInput[] {
  const slices = new Slices();
  const share = Math.max(MIN_WINDOW_BYTES, Math.floor(WINDOW_BYTES / job.files.length));
  return job.files.map((file) => ({
    minTXID: file.minTXID,
    maxTXID: file.maxTXID,
    open: () => openSource(job, file, share, slices),
  }));
}

function openSource(
  job: CompactionJob,
  file: LTXFileInfo,
  shareBytes: number,
  slices: Slices,
): AsyncIterable<Uint8Array> {
  const { client, signal } = job;
  const local = job.localPathOf(file);
  const windowBytes = Math.min(shareBytes, MAX_LOCAL_WINDOW_BYTES);
  if (local !== undefined) return readMetaFile(local, file, { windowBytes, slices }, signal);
  const path = client.localPath?.(file);
  if (path !== undefined) {
    const staysOpen = job.files.length <= MAX_OPEN_FILES;
    return readPlaceFile(path, file, { windowBytes, staysOpen }, signal);
  }
  return readWindows(client, file, Math.min(shareBytes, MAX_REMOTE_WINDOW_BYTES), signal);
}

/** A file of the local level-0 folder: written a moment ago, so its blocks are in memory. */
async function* readMetaFile(
  path: string,
  file: LTXFileInfo,
  how: { readonly windowBytes: number; readonly slices: Slices },
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const buffer = newWindow(how.windowBytes, file);
  for (let offset = 0; offset < file.sizeBytes;) {
    signal.throwIfAborted();
    const chunk = buffer.subarray(0, file.sizeBytes - offset);
    try {
      const fd = openSync(path, "r");
      try {
        fill(fd, chunk, offset);
      } finally {
        closeSync(fd);
      }
    } catch (error) {
      throw localDiskError(error, { action: "read", path, txid: file.maxTXID });
    }
    offset += chunk.length;
    await how.slices.count(chunk.length);
    yield chunk;
  }
}

/** One buffer per input: a merge has used up a chunk when it asks for the next one. */
function newWindow(windowBytes: number, file: LTXFileInfo): Uint8Array {
  return new Uint8Array(Math.min(windowBytes, file.sizeBytes));
}

function fill(fd: number, chunk: Uint8Array, offset: number): void {
  let done = 0;
  while (done < chunk.length) {
    const count = readSync(fd, chunk, done, chunk.length - done, offset + done);
    if (count === 0) throw new Error(`the file ended at ${offset + done} bytes`);
    done += count;
  }
}

/** A file of a replica on this machine. Its disk may be slow or hang: never waited for by the thread. */
async function* readPlaceFile(
  path: string,
  file: LTXFileInfo,
  how: { readonly windowBytes: number; readonly staysOpen: boolean },
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const buffer = newWindow(how.windowBytes, file);
  await using kept = how.staysOpen ? await openPlaceFile(path) : undefined;
  for (let offset = 0; offset < file.sizeBytes;) {
    signal.throwIfAborted();
    const chunk = buffer.subarray(0, file.sizeBytes - offset);
    const count =
      kept === undefined
        ? await readOnce(path, chunk, offset)
        : await readPlace(kept, path, chunk, offset);
    offset += count;
    yield chunk.subarray(0, count);
  }
}

async function readOnce(path: string, chunk: Uint8Array, offset: number): Promise<number> {
  await using handle = await openPlaceFile(path);
  return await readPlace(handle, path, chunk, offset);
}

async function openPlaceFile(path: string): Promise<FileHandle> {
  try {
    return await open(path, "r");
  } catch (error) {
    throw placeError(path, error);
  }
}

/** Some bytes at least. */
async function readPlace(
  handle: FileHandle,
  path: string,
  chunk: Uint8Array,
  offset: number,
): Promise<number> {
  let count: number;
  try {
    ({ bytesRead: count } = await handle.read(chunk, 0, chunk.length, offset));
  } catch (error) {
    throw placeError(path, error);
  }
  if (count > 0) return count;
  throw new StorageError("corrupt", `Cannot read "${path}": it ended after ${offset} bytes`);
}

function placeError(path: string, cause: unknown): StorageError {
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
  const kind = code === "ENOENT" ? "not-found" : "unavailable";
  return new StorageError(kind, `Cannot read "${path}"`, { cause, code });
}

/** A file far away: one request per window, so that no connection stays open while the merge is busy with other files. */
async function* readWindows(
  client: ReplicaClient,
  file: LTXFileInfo,
  windowBytes: number,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const buffer = newWindow(windowBytes, file);
  for (let offset = 0; offset < file.sizeBytes;) {
    const window = buffer.subarray(0, file.sizeBytes - offset);
    const { length } = window;
    let done = 0;
    for await (const chunk of client.read(file, { offset, length, signal })) {
      window.set(chunk.subarray(0, length - done), done);
      done += Math.min(chunk.length, length - done);
    }
    if (done < length) {
      const name = `level ${file.level} file ${formatLTXName(file.minTXID, file.maxTXID)}`;
      throw new StorageError(
        "corrupt",
        `Cannot read ${name}: ${offset + done} of ${file.sizeBytes} bytes are there`,
      );
    }
    offset += length;
    yield window;
  }
}

/** A format error as a DamagedFileError of the file it is about; others as they are. Reads the inputs again, one by one. */
async function blame(error: unknown, job: CompactionJob): Promise<unknown> {
  if (!(error instanceof FormatError) || !isDamage(error)) return error;
  for (const file of job.files) {
    try {
      await proveFile(file, openSource(job, file, MAX_LOCAL_WINDOW_BYTES, new Slices()));
    } catch (cause) {
      return cause;
    }
  }
  // Each is valid alone, so it is their combination: the later one of the pair was named.
  const named = job.files.find(({ minTXID, maxTXID }) =>
    error.message.includes(formatLTXName(minTXID, maxTXID)),
  );
  return named === undefined ? error : new DamagedFileError(named, error);
}

function isDamage(error: FormatError): boolean {
  return error.kind !== "page-size-mismatch" && error.kind !== "not-contiguous";
}

/** Another file stands in our place: fine when it ends in the same state, made of the same transactions. */
async function judge(
  client: ReplicaClient,
  theirs: LTXFileInfo,
  ours: LTXHeader,
  signal: AbortSignal,
): Promise<CompactedFile> {
  const header = await readRemoteHeader(client, theirs, signal);
  const isEquivalent =
    header.pageSize === ours.pageSize &&
    header.commit === ours.commit &&
    header.timestampMs === ours.timestampMs &&
    header.minTXID === ours.minTXID &&
    header.maxTXID === ours.maxTXID;
  if (isEquivalent) return { file: theirs, method: "present" };
  throw new ReplicaConflictError(client.description, theirs, undefined, {
    sizeBytes: theirs.sizeBytes,
    fileChecksum: "",
    createdAt: theirs.createdAt,
  });
}

async function requireListed(
  client: ReplicaClient,
  name: LTXFileName,
  signal: AbortSignal,
): Promise<LTXFileInfo> {
  const found = await findFile(client, name, signal);
  if (found !== undefined) return found;
  const text = `level ${name.level} file ${formatLTXName(name.minTXID, name.maxTXID)}`;
  throw new StorageError(
    "unavailable",
    `Cannot write ${text} to "${client.description}": it is said to exist but is not listed`,
  );
}
