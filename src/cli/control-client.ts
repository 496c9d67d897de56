/** Asks a running daemon over its control socket. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { configPath, loadConfig } from "../config/load.ts";
import { expandPath } from "../config/expand-path.ts";
import { SOCKET_SETTINGS } from "../config/settings.ts";
import { UsageError } from "./errors.ts";
import type { CommandIO } from "./io.ts";

/** Flags of every command that asks a daemon. */
export const SOCKET_FLAG = {
  kind: "string",
  value: "PATH",
  help: ["Path to control socket (default: /var/run/litestream.sock)."],
} as const;

/** The daemon says itself that there was no more time: the client waits a little longer for its answer. */
const GRACE_MS = 2_000;

export type JSONObject = Readonly<Record<string, unknown>>;

export interface DaemonRequest {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly body?: unknown;
  readonly socket: string;
  /** 0: no limit. */
  readonly timeoutSeconds: number;
  /** What failed, when the daemon says no: "sync" gives "sync failed: …". */
  readonly what: string;
  /** How to go on, by the code of the daemon's refusal; "unreachable": there is no daemon. */
  readonly hints?: Readonly<Record<string, string>>;
}

/**
 * The socket: `-socket`, `$LITESTREAM_SOCKET`, `socket.path` of a configuration that can be read, or the default. A
 * configuration named by `configFlag` has to be readable.
 */
export async function socketPath(
  flag: string | undefined,
  io: CommandIO,
  configFlag?: string,
): Promise<string> {
  const named = [flag, io.env["LITESTREAM_SOCKET"]].find(
    (path) => path !== undefined && path !== "",
  );
  if (named !== undefined) return expandPath(named, io.cwd);
  const path = await configuredPath(io, configFlag);
  const own = io.env["XDG_RUNTIME_DIR"];
  if (path !== SOCKET_SETTINGS.path.default || own === undefined || existsSync(path)) return path;
  const fallback = join(own, "litestream.sock");
  return existsSync(fallback) ? fallback : path;
}

async function configuredPath(io: CommandIO, configFlag: string | undefined): Promise<string> {
  try {
    const options = { env: io.env, cwd: io.cwd };
    return (await loadConfig(configPath(configFlag, options), options)).socket.path;
  } catch (error) {
    if (configFlag !== undefined) throw error;
    // A configuration that is missing or broken is the daemon's affair: there is the default.
    return SOCKET_SETTINGS.path.default;
  }
}

/** The body of a 200; UsageError in upstream's words otherwise. */
export async function askDaemon(asked: DaemonRequest): Promise<JSONObject> {
  const { status, text } = await send(asked);
  const body = parseBody(text);
  if (status === 200 && body !== undefined) return body;
  const { error = `status ${status}`, code } = body ?? {};
  const hint = body?.["hint"] ?? asked.hints?.[String(code)];
  throw new UsageError(`${asked.what} failed: ${String(error)}`, {
    hint: typeof hint === "string" ? hint : undefined,
  });
}

async function send(
  asked: DaemonRequest,
): Promise<{ readonly status: number; readonly text: string }> {
  // Most of what this command would load; without a socket there is nobody to ask.
  const { request } = await import("node:http");
  const { method, path, body, socket, timeoutSeconds } = asked;
  const { promise, resolve, reject } = Promise.withResolvers<{
    readonly status: number;
    readonly text: string;
  }>();
  const signal =
    timeoutSeconds === 0
      ? new AbortController().signal
      : AbortSignal.timeout(Math.max(1, timeoutSeconds * 1000) + GRACE_MS);
  const fail = (error: unknown): void => reject(connectError(asked, signal, error));
  const sent = request(
    { socketPath: socket, method, path, signal, headers: { "Content-Type": "application/json" } },
    (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", fail);
      response.on("end", () =>
        resolve({
          status: response.statusCode ?? 0,
          text: Buffer.concat(chunks).toString("utf8"),
        }),
      );
    },
  );
  sent.on("error", fail);
  sent.end(body === undefined ? undefined : JSON.stringify(body));
  return await promise;
}

/** As Go's HTTP client words it. */
function connectError(asked: DaemonRequest, signal: AbortSignal, error: unknown): UsageError {
  const { method, path, socket } = asked;
  const code = (error as NodeJS.ErrnoException).code ?? "";
  const words: Readonly<Record<string, string>> = {
    ENOENT: "no such file or directory",
    ECONNREFUSED: "connection refused",
    EACCES: "permission denied",
    ENOTSOCK: "socket operation on non-socket",
  };
  const reason = signal.aborted
    ? "context deadline exceeded"
    : words[code] === undefined
      ? (error as Error).message
      : `dial unix ${socket}: connect: ${words[code]}`;
  const verb = method === "GET" ? "Get" : "Post";
  return new UsageError(
    `failed to connect to control socket: ${verb} "http://localhost${path}": ${reason}`,
    {
      cause: undefined,
      hint:
        code === "ENOENT" || code === "ECONNREFUSED"
          ? (asked.hints?.["unreachable"] ??
            'Run "litestream replicate" with "socket: {enabled: true}", or name its socket with -socket')
          : undefined,
    },
  );
}

function parseBody(text: string): JSONObject | undefined {
  try {
    const body: unknown = JSON.parse(text, reviveWhole);
    return typeof body === "object" && body !== null ? (body as JSONObject) : undefined;
  } catch {
    return undefined;
  }
}

/** Whole numbers beyond what a number holds are kept as bigint. */
function reviveWhole(
  _key: string,
  value: unknown,
  context?: { readonly source?: string },
): unknown {
  const source = context?.source ?? "";
  const isLost = typeof value === "number" && !Number.isSafeInteger(value);
  return isLost && /^-?\d+$/.test(source) ? BigInt(source) : value;
}
