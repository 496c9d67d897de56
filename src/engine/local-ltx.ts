/**
 * The local level-0 folder `<meta>/ltx/0` of one database: atomic publishing, the cached list, trimming.
 *
 * File system calls are synchronous where they are short; what waits for the disk (fsync) does not hold up the thread. Only one
 * LocalLTX may exist per folder, because the list is read once, at the opening, and kept from then on.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  unlinkSync,
} from "node:fs";
import { open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { FormatError } from "../formats/format-error.ts";
import {
  checkLTXName,
  decodeLTXHeader,
  LTX_HEADER_SIZE,
  LTX_TRAILER_SIZE,
} from "../formats/ltx/header.ts";
import type { LTXHeader } from "../formats/ltx/header.ts";
import { formatLTXName, parseLTXName } from "../formats/ltx/layout.ts";
import type { TXID } from "../formats/ltx/txid.ts";
import { LocalDiskError, localDiskError } from "./local-disk-error.ts";
import type { LocalDiskAction } from "./local-disk-error.ts";

/** Whose files these are: taken from the database file and its directory, as Litestream does. */
export interface LocalLTXOwner {
  /** Permission bits of the database file, for files. */
  readonly fileMode: number;
  /** Permission bits of the database's directory, for directories. */
  readonly directoryMode: number;
  readonly uid: number;
  readonly gid: number;
}

/** A file being written: `<name>.ltx.tmp`. Whoever gets it publishes or discards it. */
export interface LocalLTXTemp {
  readonly txid: TXID;
  readonly fd: number;
  readonly path: string;
}

/** What a level-0 file says of itself. */
export interface LocalLTXFile {
  readonly txid: TXID;
  readonly path: string;
  readonly sizeBytes: number;
  readonly header: LTXHeader;
  /** The last 16 bytes: post-apply and file checksum. */
  readonly trailer: Uint8Array;
  /** The whole file when it was asked for and is no longer than asked. */
  readonly bytes: Uint8Array | undefined;
}

export class LocalLTX {
  /** `<meta>/ltx/0` */
  readonly folder: string;
  readonly #owner: LocalLTXOwner;
  /** Ascending, without holes: `#oldest` … `#newest`; 0n and 0n when empty. */
  #oldest: TXID = 0n;
  #newest: TXID = 0n;
  #reserved: TXID = 0n;
  /** Files below a hole, left by a power loss during trimming or by other programs. */
  #strays: TXID[] = [];
  #newestHeader: LTXHeader | undefined;

  private constructor(folder: string, owner: LocalLTXOwner) {
    this.folder = folder;
    this.#owner = owner;
  }

  /** Makes the folder if need be, removes what an interrupted write left in `<meta>/ltx/*`, reads the list. */
  static open(metaPath: string, owner: LocalLTXOwner): LocalLTX {
    const local = new LocalLTX(join(metaPath, "ltx", "0"), owner);
    try {
      makeFolder(local.folder, owner);
      removeTemporaryFiles(join(metaPath, "ltx"));
      local.#readList();
    } catch (error) {
      throw localDiskError(error, { action: "list", path: local.folder });
    }
    return local;
  }

  /** Oldest TXID of the run without holes that ends at `newestTXID`; 0 when the folder is empty. */
  get oldestTXID(): TXID {
    return this.#oldest;
  }

  /** Newest TXID that can be read here; 0 when the folder is empty. */
  get newestTXID(): TXID {
    return this.#newest;
  }

  /** Greatest TXID any name in the folder has used: numbers up to here must not be given again. */
  get reservedTXID(): TXID {
    return this.#reserved;
  }

  has(txid: TXID): boolean {
    return txid > 0n && txid >= this.#oldest && txid <= this.#newest;
  }

  path(txid: TXID): string {
    return join(this.folder, formatLTXName(txid, txid));
  }

  /** Header of the newest file, read once; undefined when the folder is empty. LocalDiskError when it is missing or corrupt. */
  newestHeader(): LTXHeader | undefined {
    if (this.#newest === 0n) return undefined;
    this.#newestHeader ??= this.read(this.#newest).header;
    return this.#newestHeader;
  }

  /**
   * Opens a file and checks size, header, name and trailer fields; its pages are not read. With `maxBytes`, the content of a file that is
   * no longer comes along. LocalDiskError "missing" or "corrupt" when it cannot be used.
   */
  read(txid: TXID, options: { readonly maxBytes?: number } = {}): LocalLTXFile {
    const path = this.path(txid);
    return attempt("read", path, txid, () => {
      const fd = openSync(path, "r");
      try {
        return readFile(fd, path, txid, options.maxBytes ?? 0);
      } finally {
        closeSync(fd);
      }
    });
  }

  /** Creates `<name>.ltx.tmp` with the database file's mode and owner, empty, opened for writing and reading. */
  createTemp(txid: TXID): LocalLTXTemp {
    const path = `${this.path(txid)}.tmp`;
    return attempt("create", path, txid, () => {
      const fd = openSync(path, "w+", this.#owner.fileMode);
      try {
        takeOwner(fd, this.#owner);
      } catch (error) {
        closeSync(fd);
        throw error;
      }
      return { txid, fd, path };
    });
  }

  /**
   * Makes a finished file durable and visible: fsync, close, rename, fsync of the directory; the disk's time does not hold up this
   * thread. Afterwards it is the newest. On an error nothing is visible, the temporary file is gone and its descriptor closed, so
   * the caller may simply try again.
   */
  async publish(temp: LocalLTXTemp, header: LTXHeader): Promise<void> {
    this.#checkNext(temp.txid, header);
    const path = this.path(temp.txid);
    try {
      await attemptLater("sync", temp.path, temp.txid, () => syncAndCloseInBackground(temp.fd));
      attempt("publish", path, temp.txid, () => renameSync(temp.path, path));
    } catch (error) {
      removeIfPresent(temp.path);
      throw error;
    }
    try {
      await attemptLater("sync", this.folder, temp.txid, () =>
        syncAndCloseInBackground(openSync(this.folder, "r")),
      );
    } catch (error) {
      // The name may or may not survive a power loss: it must not count as published, nor be uploaded.
      removeIfPresent(path);
      throw error;
    }
    this.adopt(temp.txid, header);
  }

  /** Takes over a file that another thread published in this folder. */
  adopt(txid: TXID, header: LTXHeader): void {
    this.#checkNext(txid, header);
    // A number that was skipped (TXIDs above a remote maximum) starts a new run.
    if (this.#newest !== 0n && txid !== this.#newest + 1n) {
      this.#strays = [...this.#strays, ...run(this.#oldest, this.#newest)];
      this.#oldest = txid;
    }
    if (this.#oldest === 0n) this.#oldest = txid;
    this.#newest = txid;
    this.#reserved = txid > this.#reserved ? txid : this.#reserved;
    this.#newestHeader = header;
  }

  /** Closes and removes a file that shall not be published. */
  discard(temp: LocalLTXTemp): void {
    closeSync(temp.fd);
    removeIfPresent(temp.path);
  }

  /** Removes files with a TXID below `keepFrom`, never the newest. Returns how many. */
  trim(keepFrom: TXID): number {
    const end = keepFrom > this.#newest ? this.#newest : keepFrom;
    const victims = [
      ...this.#strays.filter((txid) => txid < keepFrom),
      ...run(this.#oldest, end - 1n),
    ];
    if (this.#newest === 0n || victims.length === 0) return 0;
    // Oldest first: what a crash leaves is still a run without holes.
    for (const txid of victims)
      attempt("delete", this.path(txid), txid, () => removeIfPresent(this.path(txid)));
    this.#strays = this.#strays.filter((txid) => txid >= keepFrom);
    if (end > this.#oldest) this.#oldest = end;
    return victims.length;
  }

  /** Forgets the local history: removes every LTX file here. `reservedTXID` stays, so that no number comes back. */
  reset(): void {
    attempt("delete", this.folder, undefined, () => {
      // Somebody may have removed the whole folder: that is a reason for a reset.
      makeFolder(this.folder, this.#owner);
      this.#removeAll();
    });
    this.#oldest = 0n;
    this.#newest = 0n;
    this.#strays = [];
    this.#newestHeader = undefined;
    this.#syncFolder(undefined);
  }

  #removeAll(): void {
    for (const name of readdirSync(this.folder)) {
      if (parseLTXName(name) !== null) removeIfPresent(join(this.folder, name));
    }
  }

  #checkNext(txid: TXID, header: LTXHeader): void {
    checkLTXName(header, { minTXID: txid, maxTXID: txid });
    if (txid <= this.#reserved) throw new RangeError(`TXID ${txid} is not above ${this.#reserved}`);
  }

  #syncFolder(txid: TXID | undefined): void {
    attempt("sync", this.folder, txid, () => syncFolder(this.folder));
  }

  #readList(): void {
    const txids: TXID[] = [];
    for (const name of readdirSync(this.folder)) {
      const parsed = parseLTXName(name);
      if (parsed === null) continue;
      if (parsed.maxTXID > this.#reserved) this.#reserved = parsed.maxTXID;
      if (parsed.minTXID === parsed.maxTXID) txids.push(parsed.maxTXID);
    }
    txids.sort((a, b) => (a < b ? -1 : 1));
    this.#newest = txids.at(-1) ?? 0n;
    let start = txids.length - 1;
    while (start > 0 && txids[start - 1] === (txids[start] ?? 0n) - 1n) start--;
    this.#oldest = txids[start] ?? 0n;
    this.#strays = txids.slice(0, Math.max(0, start));
  }
}

/** The bytes of a local file, in chunks of memory of their own. LocalDiskError when it is gone, cut short or unreadable. */
export async function* readLocalFile(
  file: LocalLTXFile,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    await using handle = await open(file.path, "r");
    let position = 0;
    while (position < file.sizeBytes) {
      signal.throwIfAborted();
      const chunk = new Uint8Array(Math.min(READ_CHUNK_SIZE, file.sizeBytes - position));
      const { bytesRead } = await handle.read(chunk, 0, chunk.length, position);
      if (bytesRead === 0)
        throw new Error(`the file ended at ${position} of ${file.sizeBytes} bytes`);
      position += bytesRead;
      yield bytesRead === chunk.length ? chunk : chunk.subarray(0, bytesRead);
    }
  } catch (error) {
    if (signal.aborted) throw error;
    throw localDiskError(error, { action: "read", path: file.path, txid: file.txid });
  }
}

const fsyncInBackground = promisify(fsync);

const READ_CHUNK_SIZE = 1 << 20;

/** Runs a file system step; whatever it throws becomes a LocalDiskError that says what was tried. */
function attempt<T>(
  action: LocalDiskAction,
  path: string,
  txid: TXID | undefined,
  step: () => T,
): T {
  try {
    return step();
  } catch (error) {
    throw localDiskError(error, { action, path, txid });
  }
}

async function attemptLater<T>(
  action: LocalDiskAction,
  path: string,
  txid: TXID | undefined,
  step: () => Promise<T>,
): Promise<T> {
  try {
    return await step();
  } catch (error) {
    throw localDiskError(error, { action, path, txid });
  }
}

function readFile(fd: number, path: string, txid: TXID, maxBytes: number): LocalLTXFile {
  const sizeBytes = fstatSync(fd).size;
  const corrupt = (state: string, cause?: unknown): LocalDiskError =>
    new LocalDiskError("corrupt", state, { action: "read", path, txid, cause });
  if (sizeBytes < MIN_LTX_SIZE) throw corrupt(`${sizeBytes} bytes are too few for an LTX file`);
  const whole = sizeBytes <= maxBytes ? readExactly(fd, 0, sizeBytes) : undefined;
  const head = whole?.subarray(0, LTX_HEADER_SIZE) ?? readExactly(fd, 0, LTX_HEADER_SIZE);
  const trailer =
    whole?.slice(-LTX_TRAILER_SIZE) ??
    readExactly(fd, sizeBytes - LTX_TRAILER_SIZE, LTX_TRAILER_SIZE);
  // The high bit is set in every file checksum: a file torn or filled with zeros seldom passes.
  if (((trailer[8] ?? 0) & 0x80) === 0) throw corrupt("it has no valid trailer");
  try {
    const header = decodeLTXHeader(head);
    checkLTXName(header, { minTXID: txid, maxTXID: txid });
    return { txid, path, sizeBytes, header, trailer, bytes: whole };
  } catch (error) {
    if (error instanceof FormatError) throw corrupt(error.message, error);
    throw error;
  }
}

/** Header, end of pages, an empty index with its length, trailer. */
const MIN_LTX_SIZE = LTX_HEADER_SIZE + 6 + 9 + LTX_TRAILER_SIZE;

function readExactly(fd: number, position: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const count = readSync(fd, bytes, done, length - done, position + done);
    if (count === 0) throw new Error(`the file ended at ${position + done} while it was read`);
    done += count;
  }
  return bytes;
}

function removeTemporaryFiles(ltxFolder: string): void {
  for (const level of readdirSync(ltxFolder, { withFileTypes: true })) {
    if (!level.isDirectory()) continue;
    const folder = join(ltxFolder, level.name);
    for (const name of readdirSync(folder)) {
      if (name.endsWith(".tmp")) removeIfPresent(join(folder, name));
    }
  }
}

/** Makes the folder and what is missing above it, each durable in its parent. */
function makeFolder(path: string, owner: LocalLTXOwner): void {
  if (existsSync(path)) return;
  const parent = dirname(path);
  makeFolder(parent, owner);
  mkdirSync(path);
  // mkdir's mode is cut by the umask; the owner may only be given away by root.
  chmodSync(path, owner.directoryMode & 0o7777);
  if (mayChangeOwner(owner)) chownSync(path, owner.uid, owner.gid);
  syncFolder(parent);
}

function takeOwner(fd: number, owner: LocalLTXOwner): void {
  const stat = fstatSync(fd);
  if ((stat.mode & 0o777) !== (owner.fileMode & 0o777)) fchmodSync(fd, owner.fileMode & 0o777);
  const foreign = stat.uid !== owner.uid || stat.gid !== owner.gid;
  if (foreign && mayChangeOwner(owner)) fchownSync(fd, owner.uid, owner.gid);
}

/** Root may give files to anybody; others keep their own, as Litestream does. */
function mayChangeOwner(owner: LocalLTXOwner): boolean {
  return process.getuid?.() === 0 && owner.uid >= 0 && owner.gid >= 0;
}

async function syncAndCloseInBackground(fd: number): Promise<void> {
  try {
    await fsyncInBackground(fd);
  } finally {
    closeSync(fd);
  }
}

function syncAndClose(fd: number): void {
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function syncFolder(path: string): void {
  syncAndClose(openSync(path, "r"));
}

function removeIfPresent(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
  }
}

function run(first: TXID, last: TXID): TXID[] {
  const txids: TXID[] = [];
  for (let txid = first; txid > 0n && txid <= last; txid++) txids.push(txid);
  return txids;
}
