/** Fetches the files of a chain, several requests at a time, and hands them out in order. */
import { closeSync, openSync, readSync } from "node:fs";
import { StorageError } from "../storage/replica-client.ts";
import type { LTXFileInfo, OpenOptions, ReplicaClient } from "../storage/replica-client.ts";

/** Files up to this size are fetched by one request, larger ones in ranges of it. */
const pieceBytes = 2 * 1024 * 1024;
/** What may be on its way or waiting at a time. */
const aheadBytes = 16 * 1024 * 1024;

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

/** The bytes of one file, in order. To be consumed before the next file is asked for. */
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
  readonly chunks: Promise<readonly Uint8Array[]>;
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
  #underWay = 0;
  #aheadBytes = 0;
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
      this.#fill();
      const piece = this.#fetched.shift();
      if (piece === undefined) throw new Error("More files were taken than asked for");
      isLast = piece.isLast;
      const chunks = await piece.chunks;
      this.#aheadBytes -= piece.sizeBytes;
      this.#fill();
      yield* chunks;
    }
  }

  /** Waits for what is under way, whatever becomes of it. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#fetched.map((piece) => piece.chunks));
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
      const chunks = this.#fetch(piece);
      // Reported when the piece is taken; until then it must not count as unhandled.
      chunks.catch(() => undefined);
      this.#fetched.push({ ...piece, chunks });
      this.#advance();
    }
  }

  #mayHold({ sizeBytes }: Piece): boolean {
    return this.#fetched.length === 0 || this.#aheadBytes + sizeBytes <= aheadBytes;
  }

  async #fetch({ file, open }: Piece): Promise<readonly Uint8Array[]> {
    try {
      const chunks: Uint8Array[] = [];
      for await (const chunk of this.#client.read(file, { ...open, signal: this.#signal })) {
        chunks.push(chunk);
      }
      return chunks;
    } finally {
      this.#underWay -= 1;
      this.#fill();
    }
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
