/** The parts of an open database, opened in the order the lock rule demands and closed in the reverse one. */
import { mkdirSync, statSync } from "node:fs";
import { dirname } from "node:path";
import type { TXID } from "../formats/ltx/txid.ts";
import { FormatError } from "../formats/format-error.ts";
import type { LTXHeader } from "../formats/ltx/header.ts";
import { SQLITE_HEADER_SIZE, decodeSQLiteHeader } from "../formats/sqlite-header.ts";
import { WAL_FRAME_HEADER_SIZE, WAL_HEADER_SIZE } from "../formats/wal.ts";
import { countCommittedFrames } from "../sqlite/checkpoint.ts";
import type { CheckpointThread } from "../sqlite/checkpoint-thread.ts";
import { openWriter } from "../sqlite/connection.ts";
import { DatabaseFile, identify, sameFile } from "../sqlite/database-file.ts";
import type { FileIdentity } from "../sqlite/database-file.ts";
import type { OpenConnection } from "../sqlite/driver.ts";
import { ReadLock } from "../sqlite/read-lock.ts";
import type { RestingConnection } from "../sqlite/resting-connection.ts";
import type { Clock } from "./clock.ts";
import { notADatabase } from "./database-error.ts";
import { isLocalHistoryBroken } from "./local-disk-error.ts";
import { LocalLTX } from "./local-ltx.ts";
import { PageHashes } from "./page-hashes.ts";
import { readResumePoint } from "./resume-point.ts";
import { Sync } from "./sync.ts";
import type { ResumePoint } from "./sync-plan.ts";
import { deriveResumePoint } from "./takeover.ts";
import { WALFile } from "./wal-file.ts";

export interface OpenedDatabase {
  /** Path with symbolic links resolved: where SQLite puts the WAL. */
  readonly path: string;
  readonly pageSize: number;
  /** The journal mode found, when it had to be changed to WAL. */
  readonly convertedFrom: string | undefined;
  readonly file: DatabaseFile;
  readonly writer: RestingConnection;
  readonly readLock: ReadLock;
  readonly local: LocalLTX;
  readonly sync: Sync;
  readonly hashes: PageHashes;
  /** The WAL file shrinks to this when a commit of ours restarts it. */
  readonly walLimitBytes: number;
  /** The `-wal` and `-shm` files SQLite works with. */
  readonly wal: FileIdentity;
  readonly shm: FileIdentity;
}

export interface OpenDatabaseOptions {
  readonly path: string;
  readonly metaPath: string;
  /** The local level-0 folder, when it is open already: there may be one object per folder. */
  readonly local: LocalLTX | null;
  readonly openConnection: OpenConnection;
  readonly clock: Clock;
  readonly walLimitFrames: number;
  /** New files are numbered above this. */
  readonly floorTXID: TXID;
  /** Discard local files whose newest one is missing or corrupt, and start over with a full image. */
  readonly forgetBrokenFiles: boolean;
  /** Told when the page hashes could not be kept: the next image will be a full one. */
  readonly onPageHashesLost: (error: unknown) => void;
}

/**
 * Opens a database for replication: WAL mode, bookkeeping tables, the read lock, the local folder and the point where the
 * last sync ended. Nothing stays open when a step fails.
 */
export function openDatabase(options: OpenDatabaseOptions): OpenedDatabase {
  const { path, openConnection } = options;
  using stack = new DisposableStack();
  const file = stack.use(new DatabaseFile(path));
  checkHeader(file);
  const opened = openWriter(
    openConnection,
    path,
    (bytes) => WAL_HEADER_SIZE + options.walLimitFrames * (WAL_FRAME_HEADER_SIZE + bytes),
  );
  const { connection: writer, pageSize, walLimitBytes, convertedFrom } = opened;
  stack.use(writer);
  const readLock = stack.use(new ReadLock(openConnection, path));
  const local = options.local ?? openLocal(options.metaPath, file);
  const resume = findResumePoint(options, local, file);
  const floor = local.reservedTXID > options.floorTXID ? local.reservedTXID : options.floorTXID;
  const { metaPath } = options;
  const hashes = new PageHashes({ metaPath, pageSize, local, onLost: options.onPageHashesLost });
  const target = {
    database: file,
    pageSize,
    metaPath,
    local,
    hashes,
    clock: options.clock,
    committedFrames: () => countCommittedFrames(writer),
  };
  const sync = new Sync(target, { txid: floor, resume });
  if (resume === null && floor > 0n) sync.requireImage("there are no local files to continue from");
  const wal = identify(`${path}-wal`);
  const shm = identify(`${path}-shm`);
  // A reader in WAL mode has both, so what has no name now was removed while it was opened, and nobody could tell later.
  if (wal === null || shm === null)
    throw new Error(`Cannot open database "${path}": its -wal or -shm file was removed meanwhile`);
  stack.move();
  return {
    path,
    pageSize,
    convertedFrom,
    file,
    writer,
    readLock,
    local,
    sync,
    hashes,
    walLimitBytes,
    wal,
    shm,
  };
}

/** Closes everything; the read-only connection goes last but for the file, so that the WAL stays in place. */
export async function closeDatabase(
  opened: OpenedDatabase,
  thread: CheckpointThread,
): Promise<void> {
  try {
    await thread.release(opened.path);
  } finally {
    opened.writer.close();
    opened.readLock.close();
    opened.file.close();
  }
}

/** What about the files on disk is no longer what was opened, in words; null when all is as it was. */
export function findReplacement(opened: OpenedDatabase): string | null {
  if (!opened.file.isCurrent()) return "the database file was replaced or removed";
  if (isAnother(opened.shm, identify(`${opened.path}-shm`)))
    return "the -shm file was replaced or removed";
  if (isAnother(opened.wal, identify(`${opened.path}-wal`)))
    return "the -wal file was replaced or removed";
  return null;
}

function isAnother(before: FileIdentity, now: FileIdentity | null): boolean {
  return now === null || !sameFile(before, now);
}

/** An empty file is a database to SQLite; anything else must say that it is one. */
function checkHeader(file: DatabaseFile): void {
  const bytes = new Uint8Array(SQLITE_HEADER_SIZE);
  const count = file.read(bytes, 0, bytes.length, 0);
  if (count === 0) return;
  try {
    decodeSQLiteHeader(bytes.subarray(0, count));
  } catch (error) {
    throw error instanceof FormatError ? notADatabase(file.path, error) : error;
  }
}

function openLocal(metaPath: string, file: DatabaseFile): LocalLTX {
  const directory = statSync(dirname(file.path));
  const directoryMode = directory.mode & 0o777;
  mkdirSync(metaPath, { recursive: true, mode: directoryMode });
  return LocalLTX.open(metaPath, {
    fileMode: file.mode,
    directoryMode,
    uid: file.uid,
    gid: file.gid,
  });
}

function findResumePoint(
  options: OpenDatabaseOptions,
  local: LocalLTX,
  file: DatabaseFile,
): ResumePoint | null {
  let newest: LTXHeader | undefined;
  try {
    newest = local.newestHeader();
  } catch (error) {
    if (!options.forgetBrokenFiles || !isLocalHistoryBroken(error)) throw error;
    local.reset();
  }
  if (newest === undefined) return null;
  const stored = readResumePoint(options.metaPath, newest);
  if (stored !== null) return stored;
  using wal = WALFile.open(`${file.path}-wal`);
  return deriveResumePoint(local.path(newest.maxTXID), newest, wal, file.identity);
}
