/** Answers that are errors: a status, upstream's text, and a word for programs. */
import { formatError } from "../logger.ts";
import { StoreError } from "../store-error.ts";

export type ControlErrorCode =
  | "invalid_body"
  | "body_too_large"
  | "path_required"
  | "replica_required"
  | "invalid_path"
  | "invalid_replica"
  | "unknown_database"
  | "not_open"
  | "conflict"
  | "timeout"
  | "closing"
  | "failed";

export class ControlError extends Error {
  override readonly name = "ControlError";
  readonly status: number;
  readonly code: ControlErrorCode;
  /** Further fields of the body. */
  readonly fields: Readonly<Record<string, unknown>>;

  constructor(
    status: number,
    code: ControlErrorCode,
    message: string,
    fields: Readonly<Record<string, unknown>> = {},
  ) {
    super(message);
    this.status = status;
    this.code = code;
    this.fields = fields;
  }
}

const STORE_CODES = {
  unknown: "unknown_database",
  stopped: "not_open",
  closing: "closing",
} as const;

/** Whatever a handler throws, as an answer. */
export function toControlError(error: unknown): ControlError {
  if (error instanceof ControlError) return error;
  if (error instanceof StoreError) {
    const status = error.kind === "unknown" ? 404 : error.kind === "stopped" ? 409 : 503;
    return new ControlError(status, STORE_CODES[error.kind], error.message);
  }
  const hint = error instanceof Error && "hint" in error ? { hint: error.hint } : {};
  return new ControlError(500, isTimeout(error) ? "timeout" : "failed", formatError(error), hint);
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.name === "TimeoutError";
}
