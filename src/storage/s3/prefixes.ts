/**
 * Key prefixes. Upstream joins path and level by `/` whatever the path is, so `s3://bucket` gives keys `./0000/…` and
 * `s3://bucket/` gives `/0000/…`. We write the same keys, and when reading a replica without a path we look for all
 * three spellings, the exact one first.
 */
import { StorageError } from "../replica-client.ts";

/** Prefixes under which a replica may lie; the first is the one to write to. */
export function prefixSpellings(path: string): readonly [string, ...string[]] {
  if (path === ".") return ["./", "/", ""];
  if (path === "") return ["/", "./", ""];
  return [`${path}/`];
}

/** The prefix to write to where a store refuses keys with `.` segments or a leading slash. */
export const CLEAN_PREFIX = "";

/** Whether the folder names below a prefix are those of a replica. */
export function holdsReplica(prefix: string, folders: readonly string[]): boolean {
  return folders.some((folder) => /^(?:000[0-9]|generations)\/$/.test(folder.slice(prefix.length)));
}

/** Whether a store's answer says that it does not take keys of this shape. */
export function isKeyRefused(error: unknown): boolean {
  return (
    error instanceof StorageError &&
    /^(?:XMinioInvalid\w*|InvalidObjectName|InvalidKey\w*|InvalidURI|KeyNotAllowed|InvalidArgument|InvalidRequest|400)$/.test(
      error.code ?? "",
    )
  );
}
