/** What every endpoint does with what a client sends. */
import { ControlError } from "./control-error.ts";
import type { ControlContext } from "./context.ts";
import { BodyError } from "./go-json.ts";

/** A body that cannot be read is the client's mistake. */
export function decode<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof BodyError)) throw error;
    throw new ControlError(400, "invalid_body", "invalid request body", { details: error.message });
  }
}

/** The absolute path of a database. */
export function readPath(path: string | undefined | null, { resolvePath }: ControlContext): string {
  if (path === undefined || path === null || path === "")
    throw new ControlError(400, "path_required", "path required");
  if (path.includes("\0")) throw new ControlError(400, "invalid_path", "invalid path: holds a NUL");
  return resolvePath(path);
}
