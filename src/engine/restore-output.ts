/** Where a restore writes: a temporary file that becomes the database only when it is complete. */
import {
  closeSync,
  constants,
  fstatSync,
  fsync,
  ftruncateSync,
  openSync,
  writeSync,
} from "node:fs";
import * as fs from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { promisify } from "node:util";
import { findDatabaseUser } from "./open-files.ts";
import { RestoreError } from "./restore-error.ts";
import { acquireRestoreLock, errnoOf, statOrNull } from "./restore-lock.ts";
import type { RestoreLock } from "./restore-lock.ts";

const SIDECARS = ["-wal", "-shm", "-journal"] as const;

export interface RestoreOutputOptions {
  /** Where the database shall appear. */
  readonly outputPath: string;
  /** Replace what is there. */
  readonly force: boolean;
  /** Mode of parent folders that have to be made. Default 0700. */
  readonly folderMode?: number;
}

/**
 * Checks that a database may appear at a path: RestoreError "output-exists", "sidecar-exists", "output-invalid" or
 * "database-in-use" otherwise. Changes nothing.
 */
export async function checkRestoreOutput({
  outputPath,
  force,
}: RestoreOutputOptions): Promise<void> {
  const stats = await statOrNull(outputPath);
  if (stats !== null && !stats.isFile()) {
    const what = stats.isDirectory() ? "a directory" : "not a regular file";
    throw new RestoreError(
      "output-invalid",
      `cannot restore, output path is ${what}: ${outputPath}`,
      { hint: "Name the database file with -o" },
    );
  }
  if (!force) return refuseExisting(outputPath, stats?.size ?? 0);
  const pid = await findDatabaseUser(outputPath);
  if (pid !== undefined) {
    throw new RestoreError(
      "database-in-use",
      `Cannot restore, the database is open in process ${pid}: ${outputPath}`,
      { hint: "Stop that process first: it would go on with the old database" },
    );
  }
}

async function refuseExisting(outputPath: string, size: number): Promise<void> {
  if (size > 0) {
    throw new RestoreError(
      "output-exists",
      `cannot restore, output path already exists and is not empty: ${outputPath}. Use -force to overwrite`,
    );
  }
  for (const suffix of SIDECARS) {
    if ((await statOrNull(outputPath + suffix)) === null) continue;
    throw new RestoreError(
      "sidecar-exists",
      `cannot restore, SQLite sidecar path already exists: ${outputPath}${suffix}. Use -force to overwrite`,
      {
        hint: "SQLite would apply it to the restored database: delete it unless it holds data you need",
      },
    );
  }
}

/**
 * Opens the temporary file `<outputPath>.tmp`. Only one restore at a time gets it for a path (RestoreError
 * "output-busy"); one left by a process that died is removed. Disposing without `publish()` leaves nothing behind.
 */
export async function openRestoreOutput(options: RestoreOutputOptions): Promise<RestoreOutput> {
  await checkRestoreOutput(options);
  const outputPath = resolve(options.outputPath);
  return attempt(outputPath, async () => {
    await makeFolder(dirname(outputPath), options.folderMode ?? 0o700);
    const lock = await acquireRestoreLock(`${outputPath}.tmp-lock`, options.outputPath);
    try {
      const tempPath = `${outputPath}.tmp`;
      // Never truncated, always removed: after a crash in publish() it can be another name of the finished database.
      await removeTemp(tempPath);
      const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL;
      const fd = openSync(tempPath, flags, 0o666);
      return new RestoreOutput({ ...options, outputPath }, tempPath, fd, lock);
    } catch (error) {
      await lock.release();
      throw error;
    }
  });
}

export class RestoreOutput implements AsyncDisposable {
  readonly tempPath: string;
  readonly #fd: number;
  readonly #options: RestoreOutputOptions;
  readonly #lock: RestoreLock;
  #published = false;

  constructor(options: RestoreOutputOptions, tempPath: string, fd: number, lock: RestoreLock) {
    this.#options = options;
    this.tempPath = tempPath;
    this.#fd = fd;
    this.#lock = lock;
  }

  /** Drops everything written and gives the file its size, all zeros. */
  reset(sizeBytes: number): void {
    this.#attempt(() => {
      ftruncateSync(this.#fd, 0);
      ftruncateSync(this.#fd, sizeBytes);
    });
  }

  /** Writes bytes [start, end) of `bytes` at a position of the file. */
  write(bytes: Uint8Array, start: number, end: number, position: number): void {
    this.#attempt(() => {
      for (let done = start; done < end;) {
        done += writeSync(this.#fd, bytes, done, end - done, position + done - start);
      }
    });
  }

  /** Cuts the file off, or lengthens it with zeros. */
  resize(sizeBytes: number): void {
    this.#attempt(() => ftruncateSync(this.#fd, sizeBytes));
  }

  /** Makes the file durable under its temporary name. */
  async sync(): Promise<void> {
    await attempt(this.#options.outputPath, () => promisify(fsync)(this.#fd));
  }

  /** Gives the finished, durable file its name, replacing what is there only under `force`. */
  async publish(): Promise<void> {
    await checkRestoreOutput(this.#options);
    await attempt(this.#options.outputPath, () => this.#giveName());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    closeSync(this.#fd);
    try {
      if (!this.#published) await removeTemp(this.tempPath);
    } finally {
      await this.#lock.release();
    }
  }

  async #giveName(): Promise<void> {
    const { outputPath, force } = this.#options;
    const named = await statOrNull(this.tempPath);
    if (named?.ino !== fstatSync(this.#fd).ino) {
      throw new RestoreError(
        "output-busy",
        `Cannot restore, another process has replaced the temporary file: ${this.tempPath}`,
      );
    }
    const existing = await statOrNull(outputPath);
    if (existing !== null && force) {
      await this.#keepOwner(existing.mode, existing.uid, existing.gid);
    }
    if (force) await replaceDatabase(this.tempPath, outputPath);
    else if (existing !== null) await fs.rename(this.tempPath, outputPath);
    else await nameDatabase(this.tempPath, outputPath);
    this.#published = true;
    await syncFolder(dirname(outputPath));
  }

  #attempt(action: () => void): void {
    try {
      action();
    } catch (error) {
      throw outputFailure(this.#options.outputPath, error);
    }
  }

  async #keepOwner(mode: number, uid: number, gid: number): Promise<void> {
    await fs.chmod(this.tempPath, mode & 0o7777);
    try {
      await fs.chown(this.tempPath, uid, gid);
    } catch (error) {
      // Only root may give files away; like Litestream, keep what we can.
      if (errnoOf(error) !== "EPERM") throw error;
    }
  }
}

/**
 * Puts a new database in the place of an old one and its sidecars. Whatever moment the machine dies, SQLite never finds
 * an old `-wal` or `-journal` beside the new file: they lose their names, durably, before the new file gets its own. In
 * between there is the old database as of its last checkpoint, with its `-wal` kept as `-wal.replaced`.
 */
async function replaceDatabase(tempPath: string, outputPath: string): Promise<void> {
  const moved: string[] = [];
  try {
    for (const suffix of SIDECARS) {
      const path = outputPath + suffix;
      if ((await statOrNull(path)) === null) continue;
      await fs.rename(path, `${path}.replaced`);
      moved.push(path);
    }
    await syncFolder(dirname(outputPath));
    await fs.rename(tempPath, outputPath);
  } catch (error) {
    for (const path of moved) await fs.rename(`${path}.replaced`, path);
    throw error;
  }
  await syncFolder(dirname(outputPath));
  for (const suffix of SIDECARS) await fs.rm(`${outputPath}${suffix}.replaced`, { force: true });
}

/** Gives a file a name that nothing has yet: a link fails when it is taken, a rename would replace it. */
async function nameDatabase(tempPath: string, outputPath: string): Promise<void> {
  try {
    await fs.link(tempPath, outputPath);
  } catch (error) {
    if (errnoOf(error) === "EEXIST") {
      throw new RestoreError(
        "output-exists",
        `cannot restore, output path appeared during the restore: ${outputPath}. Use -force to overwrite`,
        { cause: error },
      );
    }
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EMLINK"].includes(errnoOf(error)))
      throw error;
    await fs.rename(tempPath, outputPath);
    return;
  }
  await fs.unlink(tempPath);
}

async function removeTemp(tempPath: string): Promise<void> {
  for (const suffix of ["", ...SIDECARS]) await fs.rm(tempPath + suffix, { force: true });
}

/** Makes a folder and its missing parents, each durable in the one above. */
async function makeFolder(folder: string, mode: number): Promise<void> {
  const topmost = await fs.mkdir(folder, { recursive: true, mode });
  if (topmost === undefined) return;
  for (let path = folder; ; path = dirname(path)) {
    await syncFolder(dirname(path));
    if (path === resolve(topmost)) return;
  }
}

async function syncFolder(folder: string): Promise<void> {
  // Windows cannot open folders; NTFS journals names by itself.
  if (process.platform === "win32") return;
  await using handle = await fs.open(folder, "r");
  await handle.sync();
}

async function attempt<T>(outputPath: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action();
  } catch (error) {
    throw outputFailure(outputPath, error);
  }
}

/** A failed system call on the output as a RestoreError; anything else as it is. */
export function outputFailure(outputPath: string, error: unknown): unknown {
  if (!(error instanceof Error) || !("syscall" in error)) return error;
  return new RestoreError("output-failed", `Cannot write "${outputPath}": ${error.message}`, {
    cause: error,
    hint: outputHint(errnoOf(error)),
  });
}

function outputHint(code: string): string | undefined {
  switch (code) {
    case "ENOSPC":
    case "EDQUOT":
      return "Make room there, or restore to another disk with -o";
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return "Restore to a folder where this user may write, with -o";
    default:
      return undefined;
  }
}
