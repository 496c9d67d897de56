/** The databases of a `dir` entry: found by looking, or named by a path inside the folder. */
import { existsSync } from "node:fs";
import * as fs from "node:fs/promises";
import { basename, dirname, join, relative, sep } from "node:path";
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
  readonly unreadable: readonly UnreadableFolder[];
}

/**
 * Looks for the SQLite databases of `entry`: files whose base name matches and that begin as a database does.
 * Links to folders are not followed. One unreadable folder does not hide the others.
 */
export async function findDirectoryDatabases(entry: DirectoryConfig): Promise<FoundDatabases> {
  const matches = compileNamePattern(entry.pattern);
  const databases: DatabaseConfig[] = [];
  const unreadable: UnreadableFolder[] = [];
  const folders = [entry.dir];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    try {
      for (const item of await fs.readdir(folder, { withFileTypes: true })) {
        const path = join(folder, item.name);
        if (item.isDirectory()) {
          if (entry.recursive) folders.push(path);
        } else if (matches(item.name) && (await isDatabase(path))) {
          databases.push(directoryDatabase(entry, path));
        }
      }
    } catch (error) {
      unreadable.push({ path: folder, error });
    }
  }
  return { databases: databases.toSorted((a, b) => (a.path < b.path ? -1 : 1)), unreadable };
}

/** The database at the absolute `path` when it belongs to `entry`, whether its file exists or not. */
export function databaseInDirectory(
  entry: DirectoryConfig,
  path: string,
): DatabaseConfig | undefined {
  const below = relative(entry.dir, path);
  if (below === "" || below === ".." || below.startsWith(`..${sep}`)) return undefined;
  if (!entry.recursive && dirname(path) !== entry.dir) return undefined;
  if (!compileNamePattern(entry.pattern)(basename(path))) return undefined;
  return directoryDatabase(entry, path);
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

function replicaBelow(replica: ReplicaConfig, below: string): ReplicaConfig {
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

async function isDatabase(path: string): Promise<boolean> {
  let file;
  try {
    file = await fs.open(path, "r");
  } catch (error) {
    // Gone since the folder was read, or a link that leads nowhere.
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
  await using opened = file;
  if (!(await opened.stat()).isFile()) return false;
  const { buffer, bytesRead } = await opened.read(new Uint8Array(16), 0, 16, 0);
  return bytesRead === 16 && new TextDecoder("latin1").decode(buffer) === SQLITE_MAGIC;
}
