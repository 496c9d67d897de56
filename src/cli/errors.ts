/** Errors as the command line prints them: `Error: …`, then how to go on. */

export interface UsageErrorDetails {
  /** A command that would work: the `Try:` line. */
  readonly example?: string | undefined;
  /** How to fix it: the `Hint:` line. */
  readonly hint?: string | undefined;
  readonly cause?: unknown;
}

/** A mistake in the arguments, or a failure told in the words of the command line. */
export class UsageError extends Error {
  override readonly name = "UsageError";
  readonly example: string | undefined;
  readonly hint: string | undefined;

  constructor(message: string, details: UsageErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.example = details.example;
    this.hint = details.hint;
  }
}

/** A command that ends with a code of its own and has said everything there is to say. */
export class ExitCode extends Error {
  override readonly name = "ExitCode";
  readonly code: number;

  constructor(code: number) {
    super(`Exit with code ${code}`);
    this.code = code;
  }
}

/** The lines for stderr. Errors of our own kinds give their message; a bug gives its stack. */
export function formatCLIError(error: unknown): string {
  if (!(error instanceof Error)) return `Error: ${String(error)}\n`;
  const lines = [`Error: ${messageOf(error)}`];
  const example = "example" in error ? error.example : undefined;
  if (typeof example === "string") lines.push(`Try: ${example}`);
  const hint = "hint" in error ? error.hint : undefined;
  if (typeof hint === "string" && hint !== "") lines.push(`Hint: ${hint}`);
  if (isBug(error) && error.stack !== undefined) lines.push(error.stack);
  return `${lines.join("\n")}\n`;
}

function messageOf(error: Error): string {
  const { message, cause } = error;
  if (!(cause instanceof Error) || cause.message === "" || message.includes(cause.message)) {
    return message;
  }
  return `${message}: ${messageOf(cause)}`;
}

function isBug(error: Error): boolean {
  return error instanceof TypeError || error instanceof ReferenceError;
}
