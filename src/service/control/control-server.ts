/** The control socket: HTTP/1.1 over a Unix socket, with upstream's endpoints, statuses and texts. */
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { ControlError, toControlError } from "./control-error.ts";
import type { ControlContext, ControlHandler } from "./context.ts";
import { streamEvents } from "./event-stream.ts";
import { encodeGoJSON } from "./go-json.ts";
import { info, list, replicaStatus, syncStatus, txid } from "./info-endpoints.ts";
import { register, unregister } from "./registration-endpoints.ts";
import { snapshot, start, stop, sync } from "./replication-endpoints.ts";
import { listenAtSocket } from "./socket-file.ts";

interface Route {
  readonly method: "GET" | "POST";
  readonly handler: ControlHandler | "events";
}

const ROUTES: ReadonlyMap<string, Route> = new Map([
  ["/start", { method: "POST", handler: start }],
  ["/stop", { method: "POST", handler: stop }],
  ["/sync", { method: "POST", handler: sync }],
  ["/register", { method: "POST", handler: register }],
  ["/unregister", { method: "POST", handler: unregister }],
  ["/snapshot", { method: "POST", handler: snapshot }],
  ["/txid", { method: "GET", handler: txid }],
  ["/list", { method: "GET", handler: list }],
  ["/info", { method: "GET", handler: info }],
  ["/status", { method: "GET", handler: replicaStatus }],
  ["/events", { method: "GET", handler: "events" }],
  ["/debug/sync-status", { method: "GET", handler: syncStatus }],
]);

const MAX_BODY_BYTES = 1 << 20;
const MAX_CONNECTIONS = 256;
/** For the whole of a request to arrive. */
const REQUEST_TIMEOUT_MS = 10_000;
/** What is being answered when the program ends may finish for so long. */
const DRAIN_MS = 5_000;

export interface ControlServerOptions extends ControlContext {
  readonly path: string;
  readonly mode: number;
}

export class ControlServer implements AsyncDisposable {
  readonly path: string;
  readonly #server: Server;

  private constructor(path: string, server: Server) {
    this.path = path;
    this.#server = server;
  }

  /** Binds the socket; requests are answered from then on. */
  static async listen(options: ControlServerOptions): Promise<ControlServer> {
    const server = createServer({
      requestTimeout: REQUEST_TIMEOUT_MS,
      headersTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: 1_000,
      keepAlive: false,
    });
    server.maxConnections = MAX_CONNECTIONS;
    server.on("request", (request, response) => void answer(request, response, options));
    await listenAtSocket(server, options.path, options.mode);
    return new ControlServer(options.path, server);
  }

  /** Answers what is under way, for a while, and removes the socket. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    this.#server.closeIdleConnections();
    const late = setTimeout(() => this.#server.closeAllConnections(), DRAIN_MS);
    await promise;
    clearTimeout(late);
  }
}

/** Never rejects. */
async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  context: ControlContext,
): Promise<void> {
  const url = URL.parse(request.url ?? "/", "http://localhost");
  const route = url === null ? undefined : ROUTES.get(url.pathname);
  if (url === null || route === undefined) return sendText(response, 404, "404 page not found");
  const { method = "" } = request;
  if (method !== route.method && !(method === "HEAD" && route.method === "GET")) {
    response.setHeader("Allow", route.method === "GET" ? "GET, HEAD" : "POST");
    return sendText(response, 405, "Method Not Allowed");
  }
  if (route.handler === "events") {
    const database = url.searchParams.get("path");
    if (method === "HEAD") sendJSON(response, 200, {});
    else
      streamEvents(
        response,
        context.hub,
        database === null ? undefined : context.resolvePath(database),
      );
    return;
  }
  const gone = new AbortController();
  response.once("close", () => gone.abort(new Error("The client went away")));
  try {
    const body = await readBody(request);
    const query = url.searchParams;
    sendJSON(response, 200, await route.handler({ body, query, signal: gone.signal }, context));
  } catch (error) {
    const { status: code, code: word, message, fields } = toControlError(error);
    const { details, ...more } = fields;
    // The rest of a body that is too large is not waited for.
    if (!request.complete) response.setHeader("Connection", "close");
    sendJSON(response, code, { error: message, details, code: word, ...more });
  }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES)
      throw new ControlError(413, "body_too_large", "request body too large");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function sendJSON(response: ServerResponse, status: number, value: unknown): void {
  const text = encodeGoJSON(value);
  response.writeHead(status, {
    "Content-Type": "application/json",
    "Content-Length": Buffer.byteLength(text),
  });
  response.end(text);
}

function sendText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, {
    "Content-Type": "text/plain; charset=utf-8",
    "X-Content-Type-Options": "nosniff",
    "Content-Length": Buffer.byteLength(text) + 1,
  });
  response.end(`${text}\n`);
}
