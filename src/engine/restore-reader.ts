/** Fetches the files of a chain, several requests at a time, and hands them out in order. */
import { closeSync, openSync, readSync } from "node:fs";
import { StorageError } from "../storage/replica-client.ts";
import { collectYoungGarbage } from "./young-garbage.ts";
import type { LTXFileInfo, OpenOptions, ReplicaClient } from "../storage/replica-client.ts";

/** Files up to this size are fetched by one request, larger ones in ranges of it. */
const pieceBytes = 1.5 * 1024 * 1024;
/** What may be on its way or waiting at a time. */
const aheadBytes = 8 * pieceBytes;
/** Bytes fetched after which the buffers they came in are collected. */
const collectEveryBytes = 2 * pieceBytes;
/** From this size on, pieces are gathered in memory that is used again. */
const pooledBytes = 256 * 1024;

/** Puts bytes into memory that somebody else chooses and says how many. */
export interface MemoryFiller {
  fill(fill: (memory: Uint8Array) => number): number;
}

/**
 * Reads a file of this machine, blocking the thread, and gives the size of each piece. `sizeBytes` is what
 * the listing says. StorageErrors as of a ReplicaClient.
 */
export function* readLocalFile(
  path: string,
  sizeBytes: number,
  target: MemoryFiller,
): Generator<number, void> {
  const fd = local("open", path, () => openSync(path, "r"));
  try {
    for (let left = sizeBytes; ;) {
      let isFull = false;
      const byteCount = target.fill((memory) => {
        const count = local("read", path, () => readSync(fd, memory, 0, memory.length, null));
        isFull = count === memory.length;
        return count;
      });
      left -= byteCount;
      if (byteCount > 0) yield byteCount;
      // Whatever the listing said, the file is read to its end, which shows in a read that does not fill the memory.
      if (byteCount === 0 || (left <= 0 && !isFull)) return;
    }
  } finally {
    closeSync(fd);
  }
}

function local<T>(action: string, path: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    const { code = "", message } = error as NodeJS.ErrnoException;
    const kind = code === "ENOENT" ? "not-found" : code === "EACCES" ? "denied" : "unavailable";
    throw new StorageError(kind, `Cannot ${action} "${path}": ${message}`, { cause: error, code });
  }
}

/**
 * The bytes of one file, in order, to be consumed before the next file is asked for. A chunk is valid until the next one is
 * asked for.
 */
export interface FetchedFile {
  readonly file: LTXFileInfo;
  readonly chunks: AsyncIterable<Uint8Array>;
}

interface Piece {
  readonly file: LTXFileInfo;
  readonly open: OpenOptions;
  readonly sizeBytes: number;
  readonly isLast: boolean;
}

interface FetchedPiece extends Piece {
  readonly bytes: Promise<Uint8Array<ArrayBuffer>>;
}

/**
 * Yields `files` in the order given. Leaving the loop stops what is under way. Failures come out of `chunks`, as the client
 * gave them.
 */
export async function* fetchFiles(
  client: ReplicaClient,
  files: readonly LTXFileInfo[],
  {
    parallelism,
    signal,
  }: { readonly parallelism: number; readonly signal: AbortSignal | undefined },
): AsyncGenerator<FetchedFile, void> {
  const stop = new AbortController();
  const fetchSignal = signal === undefined ? stop.signal : AbortSignal.any([stop.signal, signal]);
  const queue = new PieceQueue(client, piecesOf(files), parallelism, fetchSignal);
  try {
    for (const file of files) yield { file, chunks: queue.takeFile() };
  } finally {
    stop.abort();
    await queue.settle();
  }
}

class PieceQueue {
  readonly #client: ReplicaClient;
  readonly #waiting: Iterator<Piece>;
  readonly #parallelism: number;
  readonly #signal: AbortSignal;
  readonly #fetched: FetchedPiece[] = [];
  readonly #pool: ArrayBuffer[] = [];
  #underWay = 0;
  #aheadBytes = 0;
  #uncollected = 0;
  #next: Piece | undefined;

  constructor(
    client: ReplicaClient,
    pieces: Iterator<Piece>,
    parallelism: number,
    signal: AbortSignal,
  ) {
    this.#client = client;
    this.#waiting = pieces;
    this.#parallelism = parallelism;
    this.#signal = signal;
    this.#advance();
  }

  async *takeFile(): AsyncGenerator<Uint8Array, void> {
    for (let isLast = false; !isLast;) {
      this.#signal.throwIfAborted();
      this.#fill();
      const piece = this.#fetched.shift();
      if (piece === undefined) throw new Error("More files were taken than asked for");
      isLast = piece.isLast;
      const bytes = await piece.bytes;
      yield bytes;
      if (bytes.buffer.byteLength === pieceBytes) this.#pool.push(bytes.buffer);
      this.#aheadBytes -= piece.sizeBytes;
    }
  }

  /** Waits for what is under way, whatever becomes of it. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#fetched.map((piece) => piece.bytes));
  }

  #advance(): void {
    const { done, value } = this.#waiting.next();
    this.#next = done === true ? undefined : value;
  }

  #fill(): void {
    if (this.#signal.aborted) return;
    while (
      this.#next !== undefined &&
      this.#underWay < this.#parallelism &&
      this.#mayHold(this.#next)
    ) {
      const piece = this.#next;
      this.#underWay += 1;
      this.#aheadBytes += piece.sizeBytes;
      const bytes = this.#fetch(piece);
      // Reported when the piece is taken; until then it must not count as unhandled.
      bytes.catch(() => undefined);
      this.#fetched.push({ ...piece, bytes });
      this.#advance();
    }
  }

  #mayHold({ sizeBytes }: Piece): boolean {
    return this.#fetched.length === 0 || this.#aheadBytes + sizeBytes <= aheadBytes;
  }

  async #fetch(piece: Piece): Promise<Uint8Array<ArrayBuffer>> {
    try {
      return await this.#gather(piece);
    } finally {
      this.#underWay -= 1;
      this.#fill();
    }
  }

  /** Copies what comes, so that the chunks of the client die young: kept until used they would pile up as garbage. */
  async #gather({ file, open, sizeBytes }: Piece): Promise<Uint8Array<ArrayBuffer>> {
    const memory = new Uint8Array(this.#memory(sizeBytes));
    let gathered = 0;
    for await (const chunk of this.#client.read(file, { ...open, signal: this.#signal })) {
      if (gathered + chunk.length > sizeBytes) {
        throw new StorageError("corrupt", `More came than the ${sizeBytes} bytes asked for`);
      }
      memory.set(chunk, gathered);
      gathered += chunk.length;
      this.#uncollected += chunk.length;
    }
    if (this.#uncollected >= collectEveryBytes) {
      this.#uncollected = 0;
      collectYoungGarbage();
    }
    return memory.subarray(0, gathered);
  }

  #memory(sizeBytes: number): ArrayBuffer {
    if (sizeBytes < pooledBytes) return new ArrayBuffer(sizeBytes);
    return this.#pool.pop() ?? new ArrayBuffer(pieceBytes);
  }
}

function* piecesOf(files: readonly LTXFileInfo[]): Generator<Piece, void> {
  for (const file of files) {
    const { sizeBytes } = file;
    if (sizeBytes <= pieceBytes) {
      yield { file, open: {}, sizeBytes, isLast: true };
      continue;
    }
    for (let offset = 0; offset < sizeBytes; offset += pieceBytes) {
      const length = Math.min(pieceBytes, sizeBytes - offset);
      const isLast = offset + length === sizeBytes;
      yield { file, open: { offset, length }, sizeBytes: length, isLast };
    }
  }
}
