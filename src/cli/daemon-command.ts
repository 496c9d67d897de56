/** What the commands that ask a daemon have in common: flags, one path, an answer as text or JSON. */
import { expandPath } from "../config/expand-path.ts";
import { encodeGoJSON } from "../service/control/go-json.ts";
import { askDaemon, socketPath, SOCKET_FLAG, type JSONObject } from "./control-client.ts";
import { UsageError } from "./errors.ts";
import { parseFlags } from "./flags.ts";
import type { CommandIO } from "./io.ts";
import { commandUsage, JSON_FLAG } from "./usage.ts";

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

const QUERY_TIMEOUT_SECONDS = 10;

/** A question without arguments, answered as text or, with `-json`, as the daemon's own JSON. */
export interface DaemonQuery {
  /** Name of the command, and of the endpoint. */
  readonly name: string;
  readonly about: string;
  readonly toText: (answer: JSONObject) => string;
}

/** Runs a command that only asks. */
export async function runQuery(
  { name, about, toText }: DaemonQuery,
  args: readonly string[],
  io: CommandIO,
): Promise<number> {
  const known = daemonFlags(QUERY_TIMEOUT_SECONDS);
  const parsed = parseFlags(args, known);
  if (parsed.kind === "help") {
    const command = `litestream ${name}`;
    const more = `Examples:

\t$ ${command}
\t$ ${command} -json
\t$ ${command} -socket /tmp/litestream.sock`;
    io.stdout(commandUsage({ about, forms: [`${command} [OPTIONS]`], flags: known, more }));
    return 0;
  }
  const { flags, positionals } = parsed;
  if (positionals.length > 0) throw new UsageError("too many arguments");
  const timeoutSeconds = flags.timeout ?? QUERY_TIMEOUT_SECONDS;
  requirePositive(timeoutSeconds);
  const socket = await socketPath(flags.socket, io);
  const path = `/${name}`;
  const answer = await askDaemon({ method: "GET", path, socket, timeoutSeconds, what: name });
  io.stdout(flags.json === true ? encodeGoJSON(answer, 2) : toText(answer));
  return 0;
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
