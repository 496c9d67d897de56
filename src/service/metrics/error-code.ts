/** What of an error may become a label: few values, never text that a store or a person wrote. */
import { LocalDiskError } from "../../engine/local-disk-error.ts";
import { isStorageError } from "../../storage/replica-client.ts";

const MAX_CODE_LENGTH = 64;
/** How far the causes of an error are followed. */
const MAX_DEPTH = 5;
const SQLITE_FULL = 13;

/** The store's code, or the kind, or the class of an error. */
export function errorCodeOf(error: unknown): string {
  if (isStorageError(error)) return asLabel(error.code ?? error.kind);
  if (error instanceof LocalDiskError) return `local-${error.kind}`;
  return asLabel(error instanceof Error ? error.name : "unknown");
}

/** Whether an error, or what caused it, says that the local disk is full. */
export function isDiskFull(error: unknown): boolean {
  let cause: unknown = error;
  for (let depth = 0; depth < MAX_DEPTH && cause instanceof Error; depth++) {
    if (cause instanceof LocalDiskError && cause.kind === "full") return true;
    const { code, errcode } = cause as { readonly code?: unknown; readonly errcode?: unknown };
    if (code === "ENOSPC" || code === "EDQUOT" || errcode === SQLITE_FULL) return true;
    cause = cause.cause;
  }
  return false;
}

/** Only letters, digits and what connects them. */
export function asLabel(code: string): string {
  return code.replaceAll(/[^\w.-]/g, "_").slice(0, MAX_CODE_LENGTH);
}
