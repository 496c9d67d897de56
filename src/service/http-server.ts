/**
 * The HTTP server of `addr`: metrics and health. It serves no files and reads no bodies; whoever is slow, or opens too many
 * connections, is cut off.
 */
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { formatServerURL, parseBindAddress } from "./bind-address.ts";
import { planHealth, planReadiness } from "./health-plan.ts";
import type { Metrics } from "./metrics/metrics.ts";
import type { DatabaseObservation } from "./observation.ts";

export interface HTTPServerOptions {
  /** As in `addr`. */
  readonly address: string;
  readonly metrics: Metrics;
  readonly observe: () => readonly DatabaseObservation[];
}

export interface HTTPServer extends AsyncDisposable {
  /** Of where it really listens. */
  readonly url: string;
}

/** A header must be complete after this time, an answer taken after the second one. */
const HEADER_TIMEOUT_MS = 10_000;
const IDLE_TIMEOUT_MS = 30_000;
const MAX_CONNECTIONS = 128;
const MAX_HEADER_BYTES = 16_384;

/** Listens; rejects when the address is not to be had. Disposing it ends every connection. */
export async function startHTTPServer(options: HTTPServerOptions): Promise<HTTPServer> {
  const handler = new Handler(options);
  const server = createServer(
    {
      headersTimeout: HEADER_TIMEOUT_MS,
      requestTimeout: IDLE_TIMEOUT_MS,
      connectionsCheckingInterval: HEADER_TIMEOUT_MS,
      maxHeaderSize: MAX_HEADER_BYTES,
    },
    (request, response) => handler.answer(request, response),
  );
  server.maxConnections = MAX_CONNECTIONS;
  // Also a client that asks and never reads the answer.
  server.setTimeout(IDLE_TIMEOUT_MS, (socket) => socket.destroy());
  await listen(server, options.address);
  return {
    url: formatServerURL(server.address() as AddressInfo),
    [Symbol.asyncDispose]: () => close(server),
  };
}

/** Listens on a Go-style address. Rejects with what the system says. */
export async function listen(server: Server, text: string): Promise<void> {
  const { host, port } = parseBindAddress(text);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen({ port, ...(host === undefined ? {} : { host }) }, resolve);
  await promise;
  server.off("error", reject);
}

/** Stops listening and ends every connection. */
export async function close(server: Server): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.close(() => resolve());
  server.closeAllConnections();
  await promise;
}

class Handler {
  readonly #options: HTTPServerOptions;
  #inFlight = 0;

  constructor(options: HTTPServerOptions) {
    this.#options = options;
  }

  answer(request: IncomingMessage, response: ServerResponse): void {
    // Nobody waits for this promise, so that it must not reject.
    this.#route(request, response).catch((error: unknown) => {
      if (response.headersSent) response.destroy();
      else send(response, 500, `${error instanceof Error ? error.message : "unknown error"}\n`);
    });
  }

  async #route(request: IncomingMessage, response: ServerResponse): Promise<void> {
    request.resume();
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://localhost");
    const route = ROUTES.has(pathname);
    if (!route) return send(response, 404, "404 page not found\n");
    if (request.method !== "GET" && request.method !== "HEAD") {
      response.setHeader("Allow", "GET, HEAD");
      return send(response, 405, "Method Not Allowed\n");
    }
    const { observe } = this.#options;
    if (pathname === "/metrics") return await this.#metrics(response);
    if (pathname === "/readyz") return sendState(response, "ready", planReadiness(observe()), 503);
    const status = searchParams.has("strict") ? 503 : 200;
    return sendState(response, "ok", planHealth(observe(), Date.now()), status);
  }

  async #metrics(response: ServerResponse): Promise<void> {
    const { metrics } = this.#options;
    this.#inFlight++;
    try {
      const text = await metrics.text(this.#inFlight);
      metrics.answered("200");
      send(response, 200, text, metrics.contentType);
    } catch (error) {
      metrics.answered("500");
      throw error;
    } finally {
      this.#inFlight--;
    }
  }
}

const ROUTES: ReadonlySet<string> = new Set(["/metrics", "/healthz", "/readyz"]);

function sendState(
  response: ServerResponse,
  good: string,
  troubles: readonly string[],
  status: number,
): void {
  if (troubles.length === 0) send(response, 200, `${good}\n`);
  else send(response, status, `${troubles.join("\n")}\n`);
}

function send(
  response: ServerResponse,
  status: number,
  text: string,
  type: string = "text/plain; charset=utf-8",
): void {
  response.writeHead(status, {
    "Content-Type": type,
    "Content-Length": Buffer.byteLength(text),
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
  });
  response.end(text);
}
