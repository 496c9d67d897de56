/** What the folder of local state says of a database, without the database, its daemon or its replicas being asked. */
import * as fs from "node:fs/promises";
import { join } from "node:path";
import { parseLTXName } from "../formats/ltx/layout.ts";
import type { TXID } from "../formats/ltx/txid.ts";

export interface LocalState {
  /** In upstream's words. */
  readonly status: "no database" | "ok" | "not initialized" | "error";
  /** Newest level-0 file; undefined without one. */
  readonly txid: TXID | undefined;
  /** Size of the `-wal` file; undefined without a database. */
  readonly walBytes: number | undefined;
  /** What could not be read. */
  readonly error: unknown;
}

/** Reads the state of the database at `path`. */
export async function readLocalState(path: string, metaPath: string): Promise<LocalState> {
  let walBytes: number | undefined;
  try {
    if ((await sizeOf(path)) === undefined) {
      return { status: "no database", txid: undefined, walBytes: undefined, error: undefined };
    }
    walBytes = (await sizeOf(`${path}-wal`)) ?? 0;
    const txid = await newestTXID(join(metaPath, "ltx", "0"));
    const status = txid === undefined ? "not initialized" : "ok";
    return { status, txid, walBytes, error: undefined };
  } catch (error) {
    return { status: "error", txid: undefined, walBytes, error };
  }
}

/** Files below `<metaPath>/ltx` in lexical order, as absolute paths. Undefined: there is no such folder. */
export async function localLTXFiles(metaPath: string): Promise<readonly string[] | undefined> {
  const folder = join(metaPath, "ltx");
  try {
    const entries = await fs.readdir(folder, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => !entry.isDirectory())
      .map((entry) => join(entry.parentPath, entry.name))
      .toSorted((a, b) => (a < b ? -1 : 1));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

async function newestTXID(folder: string): Promise<TXID | undefined> {
  let newest: TXID | undefined;
  let names: string[];
  try {
    names = await fs.readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  for (const name of names) {
    const file = parseLTXName(name);
    if (file !== null && (newest === undefined || file.maxTXID > newest)) newest = file.maxTXID;
  }
  return newest;
}

async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await fs.stat(path)).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
