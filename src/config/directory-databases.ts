/** The databases of a `dir` entry: found by looking, or named by a path inside the folder. */
import { closeSync, existsSync, openSync, readSync, statSync } from "node:fs";
import * as fs from "node:fs/promises";
import { basename, dirname, join, relative, sep } from "node:path";
import { identify, isOpenHere, sameFile, type FileIdentity } from "../sqlite/database-file.ts";
import type { ReplicaOptions } from "../storage/replica-options.ts";
import type { DatabaseConfig, DirectoryConfig, ReplicaConfig } from "./config.ts";
import { compileNamePattern } from "./name-pattern.ts";

const SQLITE_MAGIC = "SQLite format 3\0";

/** A folder below a `dir` that could not be read. */
export interface UnreadableFolder {
  readonly path: string;
  readonly error: unknown;
}

export interface FoundDatabases {
  /** In order of path. */
  readonly databases: readonly DatabaseConfig[];
  /** Folders that were read. */
  readonly folders: readonly string[];
  readonly unreadable: readonly UnreadableFolder[];
}

/**
 * Looks for the SQLite databases of `entry`: files whose name matches and that begin as a database does. Links to
 * folders are not followed. One unreadable folder does not hide the others. Files of `known`, the paths of databases
 * this process has open, are taken as they are and never opened, under whatever name they are met: closing a file
 * drops the locks SQLite holds on it. A second name of a known file is left out.
 */
export async function findDirectoryDatabases(
  entry: DirectoryConfig,
  known: ReadonlySet<string> = new Set(),
): Promise<FoundDatabases> {
  const knownFiles = identities(known);
  const databases: DatabaseConfig[] = [];
  const read: string[] = [];
  const unreadable: UnreadableFolder[] = [];
  const folders = [entry.dir];
  const isRecursive = descends(entry);
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    try {
      const items = await fs.readdir(folder, { withFileTypes: true });
      read.push(folder);
      for (const item of items) {
        const path = join(folder, item.name);
        if (item.isDirectory()) {
          if (isRecursive && !isLocalState(entry, path)) folders.push(path);
        } else if (isMatch(entry, path) && isDatabase(path, known, knownFiles)) {
          databases.push(directoryDatabase(entry, path));
        }
      }
    } catch (error) {
      // A folder below that vanished since it was listed holds nothing any more.
      const isGone = (error as NodeJS.ErrnoException).code === "ENOENT" && folder !== entry.dir;
      if (!isGone) unreadable.push({ path: folder, error });
    }
  }
  const sorted = databases.toSorted((a, b) => (a.path < b.path ? -1 : 1));
  return { databases: sorted, folders: read, unreadable };
}

/** Files beside a database that SQLite makes: never databases. */
export function isSidecar(name: string): boolean {
  return /-(?:wal|shm|journal)$/.test(name);
}

/** The database at the absolute `path` when it belongs to `entry`, whether its file exists or not. */
export function databaseInDirectory(
  entry: DirectoryConfig,
  path: string,
): DatabaseConfig | undefined {
  const below = relative(entry.dir, path);
  if (below === "" || below === ".." || below.startsWith(`..${sep}`)) return undefined;
  if (!descends(entry) && dirname(path) !== entry.dir) return undefined;
  if (!isMatch(entry, path)) return undefined;
  return directoryDatabase(entry, path);
}

/** A pattern with a slash is about the path below the folder, so subfolders are looked into. */
export function descends({ recursive, pattern }: DirectoryConfig): boolean {
  return recursive || pattern.includes("/") || pattern.includes("**");
}

function isMatch({ dir, pattern }: DirectoryConfig, path: string): boolean {
  if (isSidecar(path)) return false;
  const name = pattern.includes("/") ? relative(dir, path).split(sep).join("/") : basename(path);
  return compileNamePattern(pattern)(name);
}

function isLocalState({ metaPath, metaDir }: DirectoryConfig, path: string): boolean {
  return path === metaPath || path === metaDir || /^\..+-litestream$/.test(basename(path));
}

function directoryDatabase(entry: DirectoryConfig, path: string): DatabaseConfig {
  const { dir, metaPath, metaDir } = entry;
  const below = relative(dir, path);
  return {
    ...entry,
    path,
    metaPath: localStateFolder(path, below, metaPath, metaDir),
    replicas: entry.replicas.map((replica) => replicaBelow(replica, below)),
  };
}

function localStateFolder(
  path: string,
  below: string,
  metaPath: string | undefined,
  metaDir: string | undefined,
): string {
  if (metaDir !== undefined) return join(metaDir, `${below}-litestream`);
  const name = `.${basename(path)}-litestream`;
  return join(metaPath === undefined ? dirname(path) : join(metaPath, dirname(below)), name);
}

/** The replica of the database that lies `below` the folder whose replica this is. */
export function replicaBelow(replica: ReplicaConfig, below: string): ReplicaConfig {
  const names = below.split(sep);
  const { options } = replica;
  if (options.type === "memory") {
    return { ...replica, options: { ...options, name: [options.name ?? "", ...names].join("/") } };
  }
  if (options.type === "file") {
    return { ...replica, options: { ...options, path: folderBelow(options.path, names) } };
  }
  const prefix = "path" in options ? (options.path ?? "") : "";
  const path = [prefix.replace(/\/+$/, ""), ...names].filter((part) => part !== "").join("/");
  return { ...replica, options: { ...options, path } as ReplicaOptions };
}

/** Litestream leaves names percent-encoded below a file URL: such a folder, where it exists, stays in use. */
function folderBelow(folder: string, names: readonly string[]): string {
  const plain = join(folder, ...names);
  const encoded = join(folder, ...names.map((name) => encodeURIComponent(name)));
  return encoded !== plain && existsSync(encoded) && !existsSync(plain) ? encoded : plain;
}

function identities(paths: ReadonlySet<string>): readonly FileIdentity[] {
  return [...paths].flatMap((path) => identify(path) ?? []);
}

/** Nothing is awaited in here: see isOpenHere(). */
function isDatabase(
  path: string,
  known: ReadonlySet<string>,
  knownFiles: readonly FileIdentity[],
): boolean {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isFile() !== true) return false;
  if (known.has(path)) return true;
  if (isOpenHere(stat)) return !knownFiles.some((file) => sameFile(file, stat));
  let fd;
  try {
    fd = openSync(path, "r");
  } catch (error) {
    // Gone since the folder was read.
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
  try {
    const header = new Uint8Array(16);
    const count = readSync(fd, header, 0, 16, 0);
    return count === 16 && new TextDecoder("latin1").decode(header) === SQLITE_MAGIC;
  } finally {
    closeSync(fd);
  }
}
