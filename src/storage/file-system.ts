/** File system calls as the file replica needs them: durable, cleaned up after, and with errors of this layer. */
import { statSync } from "node:fs";
import type { Stats } from "node:fs";
import * as fs from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { abortable } from "./abortable.ts";
import { StorageError } from "./replica-client.ts";
import type { StorageErrorKind, WriteBody } from "./replica-client.ts";

/** Bytes read or copied at once. */
const pieceBytes = 1024 * 1024;
/** A temporary file of a process that lives, or seems to, is left alone until nobody has touched it for this long. */
const staleTempMs = 24 * 3_600_000;
/** One whose process is not on this machine: another machine that shares the folder may still be writing it. */
const orphanTempMs = 10_000;

const TEMP_NAME = /\.([0-9]+)-[0-9]+-[0-9a-f]{8}\.tmp$/;

let tempCount = 0;

/** A name beside `path` that no other process and no other write of this one uses: `<path>.<pid>-<n>-<random>.tmp`. */
export function tempPathOf(path: string): string {
  tempCount += 1;
  const random = Math.floor(Math.random() * 0x1_0000_0000);
  return `${path}.${process.pid}-${tempCount}-${random.toString(16).padStart(8, "0")}.tmp`;
}

/** Removes the temporary files that writers left in `folder` when they died. */
export async function removeLeftovers(folder: string): Promise<void> {
  for (const name of await readFolder(folder)) {
    const owner = TEMP_NAME.exec(name)?.[1];
    if (owner === undefined) continue;
    const path = join(folder, name);
    const stats = await statOrNull(path, "clean up");
    if (stats === null) continue;
    // The change time, for the modification time is set to that of the LTX file before it gets its name.
    const ageMs = Date.now() - stats.ctimeMs;
    if (ageMs > (processLives(Number(owner)) ? staleTempMs : orphanTempMs)) await removeFile(path);
  }
}

function processLives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errnoOf(error) !== "ESRCH";
  }
}

/** Deletes a file; one that is missing counts as deleted. */
export async function removeFile(path: string): Promise<void> {
  try {
    await fs.unlink(path);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw fileError("delete", path, error);
  }
}

/** The names in a folder; none when it is missing. */
export async function readFolder(folder: string): Promise<string[]> {
  try {
    return await fs.readdir(folder);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw fileError("list", folder, error);
  }
}

/** Names of the folders in a folder; none when it does not exist. */
export async function readFolders(folder: string): Promise<string[]> {
  try {
    const items = await fs.readdir(folder, { withFileTypes: true });
    return items.filter((item) => item.isDirectory()).map(({ name }) => name);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw fileError("list", folder, error);
  }
}

export async function statOrNull(path: string, action: string): Promise<Stats | null> {
  try {
    return await fs.stat(path);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return null;
    throw fileError(action, path, error);
  }
}

/** As `statOrNull()`, blocking the thread. */
export function statNowOrNull(path: string, action: string): Stats | null {
  try {
    return statSync(path, { throwIfNoEntry: false }) ?? null;
  } catch (error) {
    throw fileError(action, path, error);
  }
}

/** The modification time in whole milliseconds, as it was set. */
export function modifiedAt(stats: Stats): Date {
  return new Date(Math.round(stats.mtimeMs));
}

/** Makes the names in a folder durable. */
export async function syncFolder(folder: string): Promise<void> {
  // Windows cannot open folders; NTFS journals names by itself.
  if (process.platform === "win32") return;
  await using handle = await fs.open(folder, "r");
  await handle.sync();
}

/** Writes a body from the start of an empty file. */
export async function writeBody(
  handle: FileHandle,
  body: WriteBody,
  signal: AbortSignal | undefined,
): Promise<void> {
  const chunks = body.kind === "bytes" ? [body.bytes] : bodyChunks(body, signal);
  let position = 0;
  for await (const chunk of chunks) {
    for (let written = 0; written < chunk.length;) {
      const { bytesWritten } = await handle.write(
        chunk,
        written,
        chunk.length - written,
        position + written,
      );
      written += bytesWritten;
    }
    position += chunk.length;
  }
}

function bodyChunks(
  body: Exclude<WriteBody, { kind: "bytes" }>,
  signal: AbortSignal | undefined,
): AsyncIterable<Uint8Array> {
  if (body.kind === "stream") return abortable(body.chunks, signal);
  return readPieces(body.path, { signal });
}

export interface PieceOptions {
  readonly offset?: number | undefined;
  readonly length?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The bytes of a file in pieces of up to 1 MiB, each in memory of its own. */
export async function* readPieces(
  path: string,
  options: PieceOptions = {},
): AsyncGenerator<Uint8Array, void> {
  const { offset = 0, length = Infinity, signal } = options;
  signal?.throwIfAborted();
  await using handle = await openForReading(path);
  const { size } = await handle.stat();
  const end = Math.min(offset + length, size);
  for (let position = offset; position < end;) {
    signal?.throwIfAborted();
    const piece = new Uint8Array(Math.min(pieceBytes, end - position));
    const bytesRead = await readAt(handle, path, piece, position);
    if (bytesRead === 0) {
      throw new StorageError(
        "corrupt",
        `Cannot read "${path}": ${size} bytes long when opened, it now ends at ${position}`,
      );
    }
    position += bytesRead;
    yield piece.subarray(0, bytesRead);
  }
}

async function openForReading(path: string): Promise<FileHandle> {
  try {
    return await fs.open(path, "r");
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw fileError("open", path, error);
    throw new StorageError("not-found", `Cannot open "${path}": no such file`, {
      cause: error,
      code: "ENOENT",
    });
  }
}

async function readAt(
  handle: FileHandle,
  path: string,
  into: Uint8Array,
  position: number,
): Promise<number> {
  try {
    return (await handle.read(into, 0, into.length, position)).bytesRead;
  } catch (error) {
    throw fileError("read", path, error);
  }
}

/** Whether a file system said that it has no hard links, or not for this file. */
export function isLinkUnsupported(error: unknown): boolean {
  return ["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK", "EINVAL", "EXDEV"].includes(
    errnoOf(error) ?? "",
  );
}

export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined;
}

/** A failed system call as a StorageError; anything else (a source's failure, an abort) as it is. */
export function fileError(action: string, path: string, error: unknown): unknown {
  const code = errnoOf(error);
  if (error instanceof StorageError || code === undefined || !(error instanceof Error))
    return error;
  if (!("syscall" in error)) return error;
  const { kind, state, hint } = describeErrno(code);
  return new StorageError(kind, `Cannot ${action} "${path}": ${state ?? error.message}`, {
    cause: error,
    code,
    ...(hint === undefined ? {} : { hint }),
  });
}

interface ErrnoMeaning {
  readonly kind: StorageErrorKind;
  readonly state?: string;
  readonly hint?: string;
}

function describeErrno(code: string): ErrnoMeaning {
  switch (code) {
    case "ENOSPC":
      return { kind: "full", state: "no space left on the device" };
    case "EDQUOT":
      return { kind: "full", state: "the disk quota is used up" };
    case "EFBIG":
      return { kind: "full", state: "the file system takes no file of this size" };
    case "EACCES":
    case "EPERM":
      return {
        kind: "denied",
        state: "permission denied",
        hint: "Give the user that runs Litestream the right to read and write the replica's folder",
      };
    case "EROFS":
      return { kind: "denied", state: "the file system is read-only" };
    case "ENOTDIR":
      return { kind: "misconfigured", state: "a part of the path is not a folder" };
    case "EISDIR":
      return { kind: "misconfigured", state: "it is a folder" };
    case "ENAMETOOLONG":
      return { kind: "misconfigured", state: "the path is too long" };
    case "ELOOP":
      return { kind: "misconfigured", state: "too many symbolic links" };
    default:
      return { kind: "unavailable" };
  }
}
