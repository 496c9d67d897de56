/** Replicas in a folder of a file system: `<path>/ltx/<level>/<name>`, the time of a file as its mtime. */
import { constants } from "node:fs";
import * as fs from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { formatLTXName, levelFolder, parseLTXName } from "../formats/ltx/layout.ts";
import { raceAbort } from "./abortable.ts";
import {
  errnoOf,
  fileError,
  isLinkUnsupported,
  modifiedAt,
  readFolder,
  readFolders,
  readPieces,
  removeFile,
  removeLeftovers,
  statNowOrNull,
  statOrNull,
  syncFolder,
  tempPathOf,
  writeBody,
} from "./file-system.ts";
import { StorageError, writtenInfo } from "./replica-client.ts";
import type {
  CopyOptions,
  FolderBelow,
  ListOptions,
  LTXFileInfo,
  LTXFileName,
  ObjectInfo,
  ObjectsBeside,
  OpenOptions,
  ReplicaClient,
  WriteBody,
  WriteOptions,
} from "./replica-client.ts";
import type { FileReplicaOptions } from "./replica-options.ts";

const statsAtOnce = 64;

interface Publication {
  /** Where the file appears. */
  readonly path: string;
  readonly createdAt: Date;
  readonly ifAbsent: boolean;
  readonly signal: AbortSignal | undefined;
}

export class FileReplicaClient implements ReplicaClient {
  readonly type: string = "file";
  readonly description: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly beside: ObjectsBeside;
  readonly #options: FileReplicaOptions;
  readonly #root: string;
  /** Folders that exist and hold no leftovers of writers that died. */
  readonly #readyFolders = new Set<string>();
  #linkWorks: boolean | undefined;

  constructor(options: FileReplicaOptions) {
    this.#options = options;
    this.#root = resolve(options.path);
    this.description = `file://${this.#root}`;
    this.attributes = { path: this.#root };
    this.beside = {
      list: (folder, { signal } = {}) => this.#listBeside(folder, signal),
      read: (name, openOptions = {}) => readPieces(this.#besidePath(name), openOptions),
      write: (name, bytes, { ifAbsent = false, signal } = {}) =>
        this.#writeBeside(this.#besidePath(name), bytes, ifAbsent, signal),
      delete: (name, { signal } = {}) => deleteFiles([this.#besidePath(name)], signal),
    };
  }

  async open(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const stats = await statOrNull(this.#root, "open");
    if (stats === null || stats.isDirectory()) return;
    throw new StorageError("misconfigured", `Cannot open "${this.#root}": it is not a folder`, {
      hint: "A file replica is a folder: name another path",
    });
  }

  /** Whether the file system has hard links: a link is how a name is taken at most once. */
  async conditionalWrites(signal?: AbortSignal): Promise<boolean> {
    signal?.throwIfAborted();
    if (this.#linkWorks !== undefined) return this.#linkWorks;
    await this.#makeFolder(this.#root);
    const probe = join(this.#root, "link-probe");
    const temp = tempPathOf(probe);
    const name = tempPathOf(probe);
    try {
      await fs.writeFile(temp, "", { flag: "wx", mode: 0o600 });
      await this.#linkName(temp, name);
    } catch (error) {
      throw fileError("write", temp, error);
    } finally {
      await removeFile(temp);
      await removeFile(name);
    }
    this.#linkWorks ??= true;
    return this.#linkWorks;
  }

  async *list(level: number, options: ListOptions = {}): AsyncIterable<LTXFileInfo> {
    const { signal, from = 0n, mayBlock = false } = options;
    signal?.throwIfAborted();
    const folder = join(this.#root, levelFolder(level));
    const names: LTXFileName[] = [];
    // LTX names sort as their TXIDs do.
    for (const name of (await readFolder(folder)).toSorted()) {
      const txids = parseLTXName(name);
      if (txids !== null && txids.minTXID >= from) names.push({ level, ...txids });
    }
    for (let start = 0; start < names.length; start += statsAtOnce) {
      signal?.throwIfAborted();
      const batch = names.slice(start, start + statsAtOnce);
      const found = mayBlock
        ? batch.map((file) => statNowOrNull(this.#pathOf(file), "list"))
        : await Promise.all(batch.map(async (file) => statOrNull(this.#pathOf(file), "list")));
      for (const [index, file] of batch.entries()) {
        const stats = found[index];
        // Null: deleted since the folder was read.
        if (stats?.isFile() === true) yield writtenInfo(file, stats.size, modifiedAt(stats));
      }
    }
  }

  localPath(file: LTXFileName): string {
    return this.#pathOf(file);
  }

  read(file: LTXFileName, options: OpenOptions = {}): AsyncIterable<Uint8Array> {
    return readPieces(this.#pathOf(file), options);
  }

  async write(file: LTXFileName, body: WriteBody, options: WriteOptions): Promise<LTXFileInfo> {
    const { createdAt, ifAbsent = false, signal } = options;
    signal?.throwIfAborted();
    const path = this.#pathOf(file);
    const sizeBytes = await this.#publish({ path, createdAt, ifAbsent, signal }, body);
    return writtenInfo(file, sizeBytes, createdAt);
  }

  /** A second name for the same blocks: files of a replica are never changed, only replaced. */
  async copy(
    from: LTXFileInfo,
    to: LTXFileName,
    options: CopyOptions = {},
  ): Promise<LTXFileInfo | undefined> {
    options.signal?.throwIfAborted();
    const source = this.#pathOf(from);
    const path = this.#pathOf(to);
    const folder = dirname(path);
    await this.#prepareFolder(folder);
    const temp = tempPathOf(path);
    try {
      if (!(await this.#linkName(source, temp))) return undefined;
      const stats = await fs.stat(temp);
      if (options.ifAbsent === true) await this.#linkName(temp, path);
      else await fs.rename(temp, path);
      await removeFile(temp);
      await syncFolder(folder);
      return writtenInfo(to, stats.size, modifiedAt(stats));
    } catch (error) {
      this.#readyFolders.delete(folder);
      // As in write(): the first error is the one to report.
      await removeFile(temp).catch(() => undefined);
      if (errnoOf(error) === "ENOENT") {
        throw new StorageError("not-found", `Cannot copy "${source}": no such file`, {
          cause: error,
        });
      }
      throw fileError("write", path, error);
    }
  }

  async delete(
    files: readonly LTXFileName[],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    await deleteFiles(
      files.map((file) => this.#pathOf(file)),
      options.signal,
    );
  }

  /** Links to folders are not followed. */
  async lookBelow(
    below: string,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<FolderBelow> {
    options.signal?.throwIfAborted();
    const folders = await readFolders(below === "" ? this.#root : this.#besidePath(below));
    return { isReplica: folders.includes("ltx") || folders.includes("generations"), folders };
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #pathOf(file: LTXFileName): string {
    // Not join(): it would spend most of the time of a long listing on taking the path apart again.
    return `${this.#root}/${levelFolder(file.level)}/${formatLTXName(file.minTXID, file.maxTXID)}`;
  }

  #besidePath(name: string): string {
    const path = resolve(this.#root, name);
    if (path.startsWith(join(this.#root, "/"))) return path;
    throw new RangeError(`Object name "${name}" leads out of the replica`);
  }

  /** Writes a temporary file beside the final name, makes it durable, then names it. Returns its size. */
  async #publish(to: Publication, body: WriteBody): Promise<number> {
    const folder = dirname(to.path);
    await this.#prepareFolder(folder);
    const temp = tempPathOf(to.path);
    try {
      const sizeBytes = await this.#writeTemp(temp, body, to);
      to.signal?.throwIfAborted();
      await this.#giveName(temp, to);
      await syncFolder(folder);
      return sizeBytes;
    } catch (error) {
      this.#readyFolders.delete(folder);
      // The first error is the one to report; what cannot be removed now goes with the next write's clean-up.
      await removeFile(temp).catch(() => undefined);
      throw fileError("write", to.path, error);
    }
  }

  async #writeTemp(
    temp: string,
    body: WriteBody,
    { createdAt, signal }: Publication,
  ): Promise<number> {
    const isFile = body.kind === "file";
    if (isFile) await raceAbort(copyFile(body.path, temp), signal);
    const mode = this.#options.fileMode ?? 0o600;
    await using handle = await fs.open(temp, isFile ? "r+" : "wx", mode);
    // A copy has the source's mode, a new file what the umask left of ours.
    if (isFile || this.#options.fileMode !== undefined) await handle.chmod(mode);
    await this.#giveOwner(handle);
    if (!isFile) await writeBody(handle, body, signal);
    const { size } = await handle.stat();
    if (body.kind === "file" && size !== body.sizeBytes) {
      throw new StorageError(
        "corrupt",
        `Cannot copy "${body.path}": ${body.sizeBytes} bytes announced, ${size} copied`,
      );
    }
    const seconds = fileTime(createdAt);
    await handle.utimes(seconds, seconds);
    await handle.sync();
    return size;
  }

  async #giveName(temp: string, { path, ifAbsent }: Publication): Promise<void> {
    if (ifAbsent && (await this.#linkName(temp, path))) {
      await fs.unlink(temp);
      return;
    }
    if (ifAbsent && (await statOrNull(path, "write")) !== null) throw nameTaken(path);
    await fs.rename(temp, path);
  }

  /** Gives a file a second name by link(2), which fails when it is taken. False: no links on this file system. */
  async #linkName(from: string, to: string): Promise<boolean> {
    if (this.#linkWorks === false) return false;
    try {
      await fs.link(from, to);
      return true;
    } catch (error) {
      if (errnoOf(error) === "EEXIST") throw nameTaken(to, error);
      if (!isLinkUnsupported(error)) throw error;
      this.#linkWorks = false;
      return false;
    }
  }

  async #giveOwner(handle: FileHandle): Promise<void> {
    const { uid, gid } = this.#options;
    if (uid === undefined && gid === undefined) return;
    const stats = await handle.stat();
    const owner = { uid: uid ?? stats.uid, gid: gid ?? stats.gid };
    if (stats.uid !== owner.uid || stats.gid !== owner.gid)
      await handle.chown(owner.uid, owner.gid);
  }

  /** Makes a folder and removes what writers that died have left in it; once per client and after a failure. */
  async #prepareFolder(folder: string): Promise<void> {
    if (this.#readyFolders.has(folder)) return;
    await this.#makeFolder(folder);
    await removeLeftovers(folder);
    this.#readyFolders.add(folder);
  }

  async #makeFolder(folder: string): Promise<void> {
    try {
      const mode = this.#options.folderMode ?? 0o700;
      const topmost = await fs.mkdir(folder, { recursive: true, mode });
      if (topmost === undefined) return;
      for (let path = folder; ; path = dirname(path)) {
        await this.#adoptFolder(path);
        await syncFolder(dirname(path));
        if (path === resolve(topmost)) return;
      }
    } catch (error) {
      throw fileError("create folder", folder, error);
    }
  }

  async #adoptFolder(path: string): Promise<void> {
    const { folderMode, uid, gid } = this.#options;
    if (folderMode !== undefined) await fs.chmod(path, folderMode);
    if (uid === undefined && gid === undefined) return;
    const stats = await fs.stat(path);
    await fs.chown(path, uid ?? stats.uid, gid ?? stats.gid);
  }

  async #writeBeside(
    path: string,
    bytes: Uint8Array,
    ifAbsent: boolean,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    signal?.throwIfAborted();
    const to = { path, createdAt: new Date(), ifAbsent, signal };
    await this.#publish(to, { kind: "bytes", bytes });
  }

  async *#listBeside(folder: string, signal: AbortSignal | undefined): AsyncIterable<ObjectInfo> {
    signal?.throwIfAborted();
    for (const name of (await readFolder(this.#besidePath(folder))).toSorted()) {
      signal?.throwIfAborted();
      const path = `${folder}/${name}`;
      const stats = await statOrNull(this.#besidePath(path), "list");
      if (stats?.isDirectory() === true) yield* this.#listBeside(path, signal);
      else if (stats !== null)
        yield { name: path, sizeBytes: stats.size, createdAt: modifiedAt(stats) };
    }
  }
}

/**
 * Copies a file in the kernel, without a byte in our memory; shares the blocks where the file system can (Btrfs, XFS, APFS).
 * Once begun it goes on to its end, even when nobody waits for it any more.
 */
async function copyFile(from: string, to: string): Promise<void> {
  await fs.copyFile(from, to, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
}

async function deleteFiles(
  paths: readonly string[],
  signal: AbortSignal | undefined,
): Promise<void> {
  for (const path of paths) {
    signal?.throwIfAborted();
    await removeFile(path);
  }
}

function nameTaken(path: string, cause?: unknown): StorageError {
  return new StorageError("exists", `Cannot create "${path}": it exists already`, { cause });
}

/** Distance of the numbers that stand for the seconds of our days. */
const SECONDS_STEP = 2 ** -22;

/**
 * A time for `utimes`, in seconds: the least that does not lie before the millisecond. The nearest number often does, and a restore to just
 * that millisecond would take the file.
 */
function fileTime(time: Date): number {
  const seconds = time.getTime() / 1_000;
  const nanoseconds = Math.trunc((seconds - Math.floor(seconds)) * 1e9);
  return nanoseconds < time.getUTCMilliseconds() * 1e6 ? seconds + SECONDS_STEP : seconds;
}
