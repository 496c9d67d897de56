/** Failures of the local level-0 folder: what was tried, on which file, for which transaction, and how to fix it. */
import { formatTXID } from "../formats/ltx/txid.ts";
import type { TXID } from "../formats/ltx/txid.ts";

export type LocalDiskErrorKind =
  /** No space, quota or inodes left. */
  | "full"
  /** A level-0 file that should be there is not. */
  | "missing"
  /** A level-0 file whose bytes contradict its name or the format. */
  | "corrupt"
  /** Everything else: permissions, descriptors, the device. The files themselves are not in doubt. */
  | "io";

/** What was being done: as in the message "Cannot sync …". */
export type LocalDiskAction =
  | "create"
  | "write"
  | "sync"
  | "publish"
  | "open"
  | "read"
  | "list"
  | "delete";

export interface LocalDiskErrorDetails {
  readonly action: LocalDiskAction;
  readonly path: string;
  readonly txid?: TXID | undefined;
  readonly cause?: unknown;
}

/** `kind` "missing" and "corrupt" mean that the local history is broken; resetting it is safe and costs a full image. */
export class LocalDiskError extends Error {
  override readonly name = "LocalDiskError";
  readonly kind: LocalDiskErrorKind;
  readonly action: LocalDiskAction;
  readonly path: string;
  readonly txid: TXID | undefined;
  readonly hint: string | undefined;

  constructor(kind: LocalDiskErrorKind, state: string, details: LocalDiskErrorDetails) {
    const { action, path, txid, cause } = details;
    const transaction = txid === undefined ? "" : ` (TXID ${formatTXID(txid)})`;
    super(
      `Cannot ${action} "${path}"${transaction}: ${state}`,
      cause === undefined ? undefined : { cause },
    );
    this.kind = kind;
    this.action = action;
    this.path = path;
    this.txid = txid;
    this.hint = HINTS[kind];
  }
}

/** Wraps what a file system call threw. A LocalDiskError passes through unchanged. */
export function localDiskError(cause: unknown, details: LocalDiskErrorDetails): LocalDiskError {
  if (cause instanceof LocalDiskError) return cause;
  const code = errorCode(cause);
  const wrapped = { ...details, cause };
  if (code !== undefined && FULL_CODES.has(code))
    return new LocalDiskError("full", "no space left on the disk", wrapped);
  if (code === "ENOENT") return new LocalDiskError("missing", "no such file", wrapped);
  return new LocalDiskError("io", code ?? String(cause), wrapped);
}

/** Whether the local history is broken, so that only a reset and a full image can go on from here. */
export function isLocalHistoryBroken(error: unknown): error is LocalDiskError {
  return error instanceof LocalDiskError && (error.kind === "missing" || error.kind === "corrupt");
}

const FULL_CODES = new Set(["ENOSPC", "EDQUOT", "EFBIG"]);

const RESET_HINT =
  'Run "litestream reset <database>" while replication is stopped, or set "auto-recover: true": ' +
  "local files are discarded and a full image is uploaded";

const HINTS: Readonly<Record<LocalDiskErrorKind, string | undefined>> = {
  full: "Free space on this disk: replication goes on by itself, and the application is not affected",
  missing: RESET_HINT,
  corrupt: RESET_HINT,
  io: undefined,
};

function errorCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string"
    ? error.code
    : undefined;
}
