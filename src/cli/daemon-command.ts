/** What the commands that ask a daemon have in common: flags, one path, an answer as text or JSON. */
import { expandPath } from "../config/expand-path.ts";
import { encodeGoJSON } from "../service/control/go-json.ts";
import { SOCKET_FLAG } from "./control-client.ts";
import { UsageError } from "./errors.ts";
import type { CommandIO } from "./io.ts";
import { JSON_FLAG } from "./usage.ts";

// An interface would not do as a table of flags.
// oxlint-disable-next-line typescript/consistent-type-definitions
type DaemonFlags = {
  readonly socket: typeof SOCKET_FLAG;
  readonly json: typeof JSON_FLAG;
  readonly timeout: {
    readonly kind: "integer";
    readonly value: string;
    readonly help: readonly string[];
  };
};

/** The flags, with `seconds` as the default of `-timeout`. */
export function daemonFlags(seconds: number): DaemonFlags {
  return {
    timeout: {
      kind: "integer",
      value: "SECONDS",
      help: [`Maximum time to wait in seconds (default: ${seconds}).`],
    },
    socket: SOCKET_FLAG,
    json: JSON_FLAG,
  };
}

/** The one database path of the command, absolute: the daemon has a working directory of its own. */
export function databaseArgument(
  positionals: readonly string[],
  example: string,
  io: CommandIO,
): string {
  const [path, ...more] = positionals;
  if (path === undefined || path === "")
    throw new UsageError("database path required", { example });
  if (more.length > 0) throw new UsageError("too many arguments");
  return expandPath(path, io.cwd);
}

export function refusePositionals(positionals: readonly string[]): void {
  if (positionals.length > 0) throw new UsageError("too many arguments");
}

export function requirePositive(timeoutSeconds: number): void {
  if (timeoutSeconds <= 0) throw new UsageError("timeout must be greater than 0");
}

/** `name: value` lines, or the fields as JSON. */
export function printAnswer(
  fields: Readonly<Record<string, unknown>>,
  json: boolean,
  io: CommandIO,
): void {
  if (json) {
    io.stdout(encodeGoJSON(fields, 2));
    return;
  }
  const lines = Object.entries(fields).filter(([, value]) => value !== undefined);
  io.stdout(lines.map(([name, value]) => `${name}: ${String(value)}\n`).join(""));
}
