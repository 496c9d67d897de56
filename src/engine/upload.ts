/**
 * What a replica does with its store, one step each: listing what is there, comparing, sending one level-0 file, sending a snapshot. Nothing here
 * remembers anything.
 */
import { LTX_TRAILER_SIZE } from "../formats/ltx/header.ts";
import { formatLTXName, SNAPSHOT_LEVEL } from "../formats/ltx/layout.ts";
import { mergeLTX } from "../formats/ltx/merge.ts";
import { formatTXID } from "../formats/ltx/txid.ts";
import type { TXID } from "../formats/ltx/txid.ts";
import { headerTime, isStorageError, StorageError } from "../storage/replica-client.ts";
import type {
  LTXFileInfo,
  LTXFileName,
  ReplicaClient,
  WriteBody,
} from "../storage/replica-client.ts";
import { readLocalFile } from "./local-ltx.ts";
import type { LocalLTX, LocalLTXFile } from "./local-ltx.ts";
import { findFile, isEqual, readRemoteHeader, readTrailer } from "./stored-file.ts";
import { isSameState } from "./upload-plan.ts";
import type { Comparison, LocalRun, RemoteFiles } from "./upload-plan.ts";

/** Files up to this size are read at once and sent from memory; longer ones are left to the store's client to read. */
export const MAX_BODY_IN_MEMORY: number = 256 * 1024;

/** One side of a conflict. `fileChecksum` is the last 8 bytes of the file as 16 hex digits, "" when they cannot be read. */
export interface ConflictSide {
  readonly sizeBytes: number;
  readonly fileChecksum: string;
  readonly createdAt: Date;
}

/** Somebody else's file stands where ours should be. */
export class ReplicaConflictError extends Error {
  override readonly name = "ReplicaConflictError";
  readonly file: LTXFileName;
  readonly ours: ConflictSide | undefined;
  readonly theirs: ConflictSide;
  /** Why files of ours behind the conflicting one could not be taken back. */
  withdrawalError: unknown;
  readonly hint: string =
    "Another program writes to this replica path, or wrote to it from the same local state. Stop it, or give each its own path; then restart: " +
    "a full image above everything in the replica is taken";

  constructor(
    replica: string,
    file: LTXFileName,
    ours: ConflictSide | undefined,
    theirs: ConflictSide,
  ) {
    const name = `level ${file.level} file ${formatLTXName(file.minTXID, file.maxTXID)}`;
    const mine = ours === undefined ? "we have none" : `ours is ${describeSide(ours)}`;
    super(
      `Conflict in replica "${replica}" at ${name}: ${mine}, theirs is ${describeSide(theirs)}`,
    );
    this.file = file;
    this.ours = ours;
    this.theirs = theirs;
  }
}

/** Lists every level: the newest file of each, and the level-0 files that matter to the local run. */
export async function listRemote(
  client: ReplicaClient,
  local: LocalRun,
  signal: AbortSignal,
): Promise<RemoteFiles> {
  const level0: LTXFileInfo[] = [];
  const from = local.oldestTXID > 1n ? local.oldestTXID - 1n : 1n;
  const findNewest = async (level: number): Promise<LTXFileInfo | undefined> => {
    let newest: LTXFileInfo | undefined;
    for await (const file of client.list(level, level === 0 ? { from, signal } : { signal })) {
      if (newest === undefined || file.maxTXID > newest.maxTXID) newest = file;
      if (level === 0 && file.minTXID === file.maxTXID) level0.push(file);
    }
    return newest;
  };
  const levels = Array.from({ length: SNAPSHOT_LEVEL + 1 }, (_, level) => level);
  return { newest: await Promise.all(levels.map(findNewest)), level0 };
}

/** Compares remote files with the local files that end at the same TXID. */
export async function compareFiles(
  client: ReplicaClient,
  local: LocalLTX,
  files: readonly LTXFileInfo[],
  signal: AbortSignal,
): Promise<Comparison[]> {
  const compare = async (file: LTXFileInfo): Promise<Comparison> => {
    const ours = local.read(file.maxTXID);
    const equal =
      file.level === 0
        ? await isSameFile(client, ours, file, signal)
        : isSameState(ours.header, await readRemoteHeader(client, file, signal));
    return { file, equal };
  };
  return await Promise.all(files.map(compare));
}

/** How a file got into the store: by this write, or it was there with the same content. */
export type UploadOutcome = "written" | "present";

/**
 * Sends one level-0 file. With `ifAbsent` a file that is there already counts as sent when size and trailer are ours (an earlier
 * acknowledgement was lost), otherwise ReplicaConflictError.
 */
export async function uploadFile(
  client: ReplicaClient,
  file: LocalLTXFile,
  ifAbsent: boolean,
  signal: AbortSignal,
): Promise<UploadOutcome> {
  const name = level0Name(file.txid);
  try {
    await client.write(name, bodyOf(file), {
      createdAt: headerTime(file.header),
      ifAbsent,
      signal,
    });
    return "written";
  } catch (error) {
    if (!isStorageError(error, "exists")) throw error;
  }
  const theirs = await findFile(client, name, signal);
  if (theirs === undefined) throw vanished(client, name);
  if (await isSameFile(client, file, theirs, signal)) return "present";
  throw await conflict(client, name, file, theirs, signal);
}

/** Sends the full image `file` as the level-9 snapshot of its TXID: the same page frames under another header. Returns its size. */
export async function uploadSnapshot(
  client: ReplicaClient,
  file: LocalLTXFile,
  ifAbsent: boolean,
  signal: AbortSignal,
): Promise<number> {
  const name: LTXFileName = { level: SNAPSHOT_LEVEL, minTXID: 1n, maxTXID: file.txid };
  const input = { minTXID: file.txid, maxTXID: file.txid, open: () => contentOf(file, signal) };
  const chunks = mergeLTX([input], { minTXID: 1n, signal });
  try {
    const info = await client.write(
      name,
      { kind: "stream", chunks },
      { createdAt: headerTime(file.header), ifAbsent, signal },
    );
    return info.sizeBytes;
  } catch (error) {
    if (!isStorageError(error, "exists")) throw error;
  }
  const theirs = await findFile(client, name, signal);
  if (theirs === undefined) throw vanished(client, name);
  if (isSameState(file.header, await readRemoteHeader(client, name, signal)))
    return theirs.sizeBytes;
  throw await conflict(client, name, file, theirs, signal);
}

/**
 * For stores without create-only writes: looks at the first files above `position`. Ours are fine (their acknowledgement was lost); anything else
 * is a second writer: ReplicaConflictError.
 */
export async function checkSoleWriter(
  client: ReplicaClient,
  local: LocalLTX,
  position: TXID,
  limit: number,
  signal: AbortSignal,
): Promise<void> {
  let seen = 0;
  for await (const theirs of client.list(0, { from: position + 1n, signal })) {
    const ours = local.has(theirs.maxTXID) ? local.read(theirs.maxTXID) : undefined;
    if (ours === undefined || !(await isSameFile(client, ours, theirs, signal))) {
      throw await conflict(client, theirs, ours, theirs, signal);
    }
    if (++seen === limit) return;
  }
}

/** Those of the first `limit` level-0 numbers above `position` whose files in the store are ours. */
export async function listOwnFiles(
  client: ReplicaClient,
  local: LocalLTX,
  position: TXID,
  limit: number,
  signal: AbortSignal,
): Promise<LTXFileInfo[]> {
  const own: LTXFileInfo[] = [];
  for await (const file of client.list(0, { from: position + 1n, signal })) {
    if (file.maxTXID > position + BigInt(limit)) break;
    if (!local.has(file.maxTXID)) continue;
    if (await isSameFile(client, local.read(file.maxTXID), file, signal)) own.push(file);
  }
  return own;
}

function level0Name(txid: TXID): LTXFileName {
  return { level: 0, minTXID: txid, maxTXID: txid };
}

function bodyOf(file: LocalLTXFile): WriteBody {
  if (file.bytes !== undefined) return { kind: "bytes", bytes: file.bytes };
  return { kind: "file", path: file.path, sizeBytes: file.sizeBytes };
}

async function* contentOf(
  file: LocalLTXFile,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (file.bytes === undefined) yield* readLocalFile(file, signal);
  else yield file.bytes;
}

async function isSameFile(
  client: ReplicaClient,
  ours: LocalLTXFile,
  theirs: LTXFileInfo | undefined,
  signal: AbortSignal,
): Promise<boolean> {
  if (theirs === undefined || theirs.sizeBytes !== ours.sizeBytes) return false;
  return isEqual(ours.trailer, await readTrailer(client, theirs, signal));
}

async function conflict(
  client: ReplicaClient,
  name: LTXFileName,
  ours: LocalLTXFile | undefined,
  theirs: LTXFileInfo,
  signal: AbortSignal,
): Promise<ReplicaConflictError> {
  const trailer =
    theirs.sizeBytes < LTX_TRAILER_SIZE
      ? new Uint8Array()
      : await readTrailer(client, theirs, signal);
  return new ReplicaConflictError(
    client.description,
    { level: name.level, minTXID: name.minTXID, maxTXID: name.maxTXID },
    ours && {
      sizeBytes: ours.sizeBytes,
      fileChecksum: checksumText(ours.trailer),
      createdAt: headerTime(ours.header),
    },
    {
      sizeBytes: theirs.sizeBytes,
      fileChecksum: checksumText(trailer),
      createdAt: theirs.createdAt,
    },
  );
}

function vanished(client: ReplicaClient, name: LTXFileName): StorageError {
  const text = `level ${name.level} file ${formatLTXName(name.minTXID, name.maxTXID)}`;
  return new StorageError(
    "unavailable",
    `Cannot write ${text} to "${client.description}": it is said to exist but is not listed`,
  );
}

function describeSide(side: ConflictSide): string {
  return `${side.sizeBytes} bytes, checksum ${side.fileChecksum || "unreadable"}, of ${side.createdAt.toISOString()}`;
}

function checksumText(trailer: Uint8Array): string {
  if (trailer.length < LTX_TRAILER_SIZE) return "";
  return formatTXID(new DataView(trailer.buffer, trailer.byteOffset).getBigUint64(8));
}
