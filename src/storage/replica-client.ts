/**
 * The contract every storage place keeps. The engine sees nothing else of storage.
 *
 * Promises every implementation makes:
 *  - a file becomes visible whole or not at all;
 *  - a level lists in order of (minTXID, maxTXID), whatever order the store answers in;
 *  - names that are not LTX names are ignored by listings;
 *  - every method honours its `signal` and rejects with the signal's reason once aborted.
 */
import type { LTXHeader } from "../formats/ltx/header.ts";
import type { TXID } from "../formats/ltx/txid.ts";

/** One LTX file as a listing or a write reports it. */
export interface LTXFileInfo {
  /** 0 = one file per sync, 1…8 = compacted, 9 = snapshots. */
  readonly level: number;
  readonly minTXID: TXID;
  readonly maxTXID: TXID;
  readonly sizeBytes: number;
  /**
   * Time of the file. With `withTimestamps` it is the LTX header's timestamp, otherwise whatever the
   * listing gives without further requests (on S3: the upload time).
   */
  readonly createdAt: Date;
}

export interface ListOptions {
  /** First TXID wanted: files with minTXID ≥ from are listed. Default: all. */
  readonly from?: TXID;
  /** Ask for header timestamps even where that costs a request per file. */
  readonly withTimestamps?: boolean;
  /** This thread has nothing else to do: local system calls may block it, which is several times faster. */
  readonly mayBlock?: boolean;
  readonly signal?: AbortSignal;
}

export interface OpenOptions {
  /** First byte wanted. Default 0. */
  readonly offset?: number;
  /** Bytes wanted. Default: to the end of the file. Fewer arrive only when the file ends earlier. */
  readonly length?: number;
  readonly signal?: AbortSignal;
}

/**
 * What to write: bytes in memory, a local file (sent in large pieces), or a stream of unknown length. Bytes must not change
 * before the write settles; a chunk of a stream is used up when the next one is asked for.
 */
export type WriteBody =
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "file"; readonly path: string; readonly sizeBytes: number }
  | {
      readonly kind: "stream";
      readonly chunks: AsyncIterable<Uint8Array>;
      /** About how much will come, at most: places that upload in parts choose their size by it. */
      readonly sizeHintBytes?: number;
    };

export interface WriteOptions {
  /** The LTX header's timestamp; stored so that a listing can give it back. */
  readonly createdAt: Date;
  /** Create only: fail with StorageError("exists") when the name is taken. Ignored where `conditionalWrites` is false. */
  readonly ifAbsent?: boolean;
  readonly signal?: AbortSignal;
}

export interface CopyOptions {
  /** As for a write. */
  readonly ifAbsent?: boolean;
  readonly signal?: AbortSignal;
}

/** A name in one level. */
export interface LTXFileName {
  readonly level: number;
  readonly minTXID: TXID;
  readonly maxTXID: TXID;
}

export interface ReplicaClient extends AsyncDisposable {
  /** "file", "s3", "memory", … as in messages, metrics and JSON. */
  readonly type: string;
  /** Where this is, for messages: no secrets. */
  readonly description: string;
  /** Attributes upstream logs with "replicating to" (bucket, path, region, endpoint, …). Values hold no secrets. */
  readonly attributes: Readonly<Record<string, string>>;

  /** Validates credentials and reachability as far as that is free of cost; idempotent. */
  open(signal?: AbortSignal): Promise<void>;
  /** Whether `ifAbsent` is honoured. May probe the store on first use and remembers the verdict. */
  conditionalWrites(signal?: AbortSignal): Promise<boolean>;
  /** Files of one level in TXID order. A missing folder or prefix is an empty list. */
  list(level: number, options?: ListOptions): AsyncIterable<LTXFileInfo>;
  /**
   * The bytes of a file. Rejects with StorageError("not-found") when it does not exist, before the first chunk.
   * A stream that ends before `length` bytes although the file is longer is an error, never a short success.
   */
  read(file: LTXFileName, options?: OpenOptions): AsyncIterable<Uint8Array>;
  /** Where the file lies on this machine, for a place that keeps it there as it is: it may be read directly. */
  localPath?(file: LTXFileName): string | undefined;
  /** Writes one file atomically and returns what a listing would say of it. */
  write(file: LTXFileName, body: WriteBody, options: WriteOptions): Promise<LTXFileInfo>;
  /**
   * Copies a file to another name within the place, with its time and without its bytes passing through here; visible whole or not
   * at all. Undefined: this file cannot be copied so, write it. `ifAbsent` as write(); StorageError("not-found") when there is no
   * source.
   */
  copy?(
    from: LTXFileInfo,
    to: LTXFileName,
    options?: CopyOptions,
  ): Promise<LTXFileInfo | undefined>;
  /** Deletes files; missing ones count as deleted. */
  delete(files: readonly LTXFileName[], options?: { readonly signal?: AbortSignal }): Promise<void>;
  /**
   * Looks into the folder `below` (`""`, `a/b`) this replica's path, where replicas of other databases may lie. A missing
   * folder is empty. Absent or undefined: the place cannot tell.
   */
  lookBelow?(
    below: string,
    options?: { readonly signal?: AbortSignal },
  ): Promise<FolderBelow | undefined>;
  /** What lies beside the level folders, where the place can give it: v0.3 backups, the identity marker. */
  readonly beside?: ObjectsBeside | undefined;
}

/** A folder at or below the path of a replica. */
export interface FolderBelow {
  /** Whether it has folders as a replica does. */
  readonly isReplica: boolean;
  /** Names of all folders directly in it. */
  readonly folders: readonly string[];
}

/** An object below the replica path that is not an LTX file. */
export interface ObjectInfo {
  /** Path below the replica path with `/`: `generations/0123456789abcdef/wal/00000000_00000000.wal.lz4`. */
  readonly name: string;
  readonly sizeBytes: number;
  /** When it was stored (modification or upload time). */
  readonly createdAt: Date;
}

/** Access to objects by their path below the replica path. Names use `/`, without a leading one and without `..`. */
export interface ObjectsBeside {
  /** All objects whose name starts with `folder/`, recursively, in order of name. A missing folder is an empty list. */
  list(folder: string, options?: { readonly signal?: AbortSignal }): AsyncIterable<ObjectInfo>;
  /** As ReplicaClient.read(). */
  read(name: string, options?: OpenOptions): AsyncIterable<Uint8Array>;
  /** Writes a small object atomically. With `ifAbsent` as ReplicaClient.write(). */
  write(
    name: string,
    bytes: Uint8Array,
    options?: { readonly ifAbsent?: boolean; readonly signal?: AbortSignal },
  ): Promise<void>;
  /** Deletes it; a missing one counts as deleted. */
  delete(name: string, options?: { readonly signal?: AbortSignal }): Promise<void>;
}

export type StorageErrorKind =
  /** The object does not exist. */
  | "not-found"
  /** A create-only write lost: the name is taken. */
  | "exists"
  /** Credentials missing, wrong or without the right needed. Retrying does not help. */
  | "denied"
  /** The place itself is missing or misconfigured (no such bucket, wrong region, bad certificate). */
  | "misconfigured"
  /** No answer, throttled, 5xx, connection broken: retrying may help. */
  | "unavailable"
  /** The store said or gave something that cannot be right (truncated body, bad XML, wrong length). */
  | "corrupt"
  /** Not enough room where it was to be written. */
  | "full";

/** A failure of a storage place. `message` says the action, the object and what was found. */
export class StorageError extends Error {
  override readonly name = "StorageError";
  readonly kind: StorageErrorKind;
  /** How a person can fix it, where that is known. */
  readonly hint: string | undefined;
  /** HTTP status or store error code, where there is one: for metrics. */
  readonly code: string | undefined;

  constructor(
    kind: StorageErrorKind,
    message: string,
    options: { readonly cause?: unknown; readonly hint?: string; readonly code?: string } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.kind = kind;
    this.hint = options.hint;
    this.code = options.code;
  }
}

/** Whether `error` is a StorageError of that kind. */
export function isStorageError(error: unknown, kind?: StorageErrorKind): error is StorageError {
  return error instanceof StorageError && (kind === undefined || error.kind === kind);
}

/** The order of every listing: by minTXID, then maxTXID. */
export function compareLTXFiles(a: LTXFileName, b: LTXFileName): number {
  return compareTXID(a.minTXID, b.minTXID) || compareTXID(a.maxTXID, b.maxTXID);
}

function compareTXID(a: TXID, b: TXID): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** The LTXFileInfo a place reports after writing `file`. */
export function writtenInfo(file: LTXFileName, sizeBytes: number, createdAt: Date): LTXFileInfo {
  return { ...file, sizeBytes, createdAt };
}

/** The createdAt of a file with this header. */
export function headerTime(header: LTXHeader): Date {
  return new Date(header.timestampMs);
}
