/**
 * The one file descriptor this process opens of a database file.
 *
 * The lock rule: closing any descriptor of a database file drops every POSIX lock the process holds on it, SQLite's
 * among them. So the descriptor is opened before the first SQLite connection and closed after the last one, and
 * nothing else here ever opens the file; `stat` is harmless.
 */
import { closeSync, constants, fstatSync, fsync, openSync, readSync, statSync } from "node:fs";
import { promisify } from "node:util";

const fsyncAsync = promisify(fsync);

/** Which file a path leads to. */
export interface FileIdentity {
  readonly dev: number;
  readonly ino: number;
}

export function sameFile(a: FileIdentity, b: FileIdentity): boolean {
  return a.dev === b.dev && a.ino === b.ino;
}

/** How often each file is open here, by device and inode. */
const openHere = new Map<string, number>();

/**
 * Whether this process has the file open as a database: then nobody else may open and close it. True at once when a
 * DatabaseFile is made, so a check and an open, read and close without anything awaited between them are safe.
 */
export function isOpenHere(file: FileIdentity): boolean {
  return openHere.has(fileKey(file));
}

function fileKey({ dev, ino }: FileIdentity): string {
  return `${dev}:${ino}`;
}

/** The file at `path` by `stat`, or null when there is none. */
export function identify(path: string): FileIdentity | null {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? null : { dev: stat.dev, ino: stat.ino };
}

export class DatabaseFile implements Disposable {
  readonly path: string;
  readonly identity: FileIdentity;
  /** Owner and mode, for the files made beside it. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly #fd: number;
  #open = true;

  /** Opens the file for reading. Must come before any SQLite connection to it. */
  constructor(path: string) {
    this.path = path;
    this.#fd = openSync(path, constants.O_RDONLY);
    const stat = fstatSync(this.#fd);
    this.identity = { dev: stat.dev, ino: stat.ino };
    const key = fileKey(this.identity);
    openHere.set(key, (openHere.get(key) ?? 0) + 1);
    this.mode = stat.mode & 0o777;
    this.uid = stat.uid;
    this.gid = stat.gid;
  }

  get sizeBytes(): number {
    return fstatSync(this.#fd).size;
  }

  /** Whether `path` still leads to this file. */
  isCurrent(): boolean {
    const now = identify(this.path);
    return now !== null && sameFile(now, this.identity);
  }

  /** Reads up to `length` bytes at `position` into `target` at `targetOffset`; fewer only at the end of the file. */
  read(target: Uint8Array, targetOffset: number, length: number, position: number): number {
    let done = 0;
    while (done < length) {
      const count = readSync(this.#fd, target, targetOffset + done, length - done, position + done);
      if (count === 0) break;
      done += count;
    }
    return done;
  }

  /** The descriptor's number, for an fsync in another thread of this process. */
  get descriptor(): number {
    return this.#fd;
  }

  /** Flushes the file to disk without blocking this thread. */
  sync(): Promise<void> {
    return fsyncAsync(this.#fd);
  }

  /** Only after the last SQLite connection to the file is closed. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    closeSync(this.#fd);
    const key = fileKey(this.identity);
    const left = (openHere.get(key) ?? 1) - 1;
    if (left === 0) openHere.delete(key);
    else openHere.set(key, left);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
