/**
 * The MCP server of `mcp-addr`: streamable HTTP at any path, each request for itself, without sessions. A page in a browser gets
 * nowhere: its origin, and the name it found us under, must be this machine's.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Server } from "@modelcontextprotocol/sdk/server/index.js";
import { StreamableHTTPServerTransport } from "@modelcontextprotocol/sdk/server/streamableHttp.js";
import { CallToolRequestSchema, ListToolsRequestSchema } from "@modelcontextprotocol/sdk/types.js";
import { formatServerURL } from "../service/bind-address.ts";
import { close, listen } from "../service/http-server.ts";
import type { HTTPServer } from "../service/http-server.ts";
import type { CommandIO } from "./io.ts";
import { callTool, MCP_TOOLS } from "./mcp-tools.ts";
import type { MCPContext, MCPTool } from "./mcp-tools.ts";

export interface MCPServerOptions {
  /** As in `mcp-addr`; without a host it is this machine's own. */
  readonly address: string;
  /** Clients must send it as bearer token. */
  readonly token: string | undefined;
  readonly configPath: string | undefined;
  readonly io: CommandIO;
}

const HEADER_TIMEOUT_MS = 30_000;
const MAX_CONNECTIONS = 64;
const MAX_BODY_BYTES = 1 << 20;
const LOOPBACK_NAMES: ReadonlySet<string> = new Set(["localhost", "127.0.0.1", "[::1]"]);

/** Listens; rejects when the address is not to be had. Disposing it ends every connection. */
export async function startMCPServer(options: MCPServerOptions): Promise<HTTPServer> {
  const server = createServer({ headersTimeout: HEADER_TIMEOUT_MS }, (request, response) => {
    // Nobody waits for this promise, so that it must not reject.
    answer(request, response, options).catch(() => {
      if (response.headersSent) response.destroy();
      else refuse(response, 500, "internal error");
    });
  });
  server.maxConnections = MAX_CONNECTIONS;
  const { address } = options;
  await listen(server, address.startsWith(":") ? `localhost${address}` : address);
  return {
    url: formatServerURL(server.address() as AddressInfo),
    [Symbol.asyncDispose]: () => close(server),
  };
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  options: MCPServerOptions,
): Promise<void> {
  const refusal = refusalOf(request, options);
  if (refusal !== undefined) return refuse(response, ...refusal);
  if (request.method !== "POST") {
    response.setHeader("Allow", "POST");
    return refuse(response, 405, "this server keeps no sessions and sends no events");
  }
  const body = await readBody(request);
  if (body === undefined) return refuse(response, 413, "request is too large");
  let message: unknown;
  try {
    message = JSON.parse(body);
  } catch {
    return refuse(response, 400, "body is not JSON");
  }
  const server = createMCPServer({ configPath: options.configPath, io: options.io });
  const transport = new StreamableHTTPServerTransport({ enableJsonResponse: true });
  response.on("close", () => {
    // Closing twice, or what a client has left behind, is no failure.
    server.close().catch(() => {});
  });
  await server.connect(transport);
  await transport.handleRequest(request, response, message);
}

function refusalOf(
  request: IncomingMessage,
  { token }: MCPServerOptions,
): readonly [number, string] | undefined {
  const { origin, host = "", authorization = "" } = request.headers;
  if (origin !== undefined && !isLoopbackName(hostOf(origin)))
    return [403, "origin is not allowed"];
  if (token === undefined) return isLoopbackName(host) ? undefined : [403, "host is not allowed"];
  return isSame(authorization, `Bearer ${token}`) ? undefined : [401, "token is missing or wrong"];
}

function hostOf(origin: string): string {
  return URL.canParse(origin) ? new URL(origin).host : "";
}

function isLoopbackName(host: string): boolean {
  return LOOPBACK_NAMES.has(host.replace(/:\d+$/, "").toLowerCase());
}

/** Compares without telling by its duration how much was right. */
function isSame(a: string, b: string): boolean {
  return timingSafeEqual(digest(a), digest(b));
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

function createMCPServer(context: MCPContext): Server {
  const server = new Server(
    { name: "Litestream MCP Server", version: "1.0.0" },
    { capabilities: { tools: {} } },
  );
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: MCP_TOOLS.map(describeTool) }));
  server.setRequestHandler(CallToolRequestSchema, async ({ params }) => {
    const tool = MCP_TOOLS.find(({ name }) => name === params.name);
    if (tool === undefined) throw new Error(`tool '${params.name}' not found`);
    const { text, isError } = await callTool(tool, params.arguments ?? {}, context);
    return { content: [{ type: "text", text }], ...(isError ? { isError } : {}) };
  });
  return server;
}

function describeTool(tool: MCPTool): {
  readonly name: string;
  readonly description: string;
  readonly inputSchema: { type: "object"; properties: Record<string, object>; required: string[] };
  readonly annotations: Readonly<Record<string, boolean>>;
} {
  const { name, description, readOnly } = tool;
  return {
    name,
    description,
    inputSchema: {
      type: "object",
      properties: { ...tool.arguments },
      required: [...tool.required],
    },
    annotations: {
      readOnlyHint: readOnly,
      destructiveHint: name === "litestream_reset",
      idempotentHint: readOnly,
      openWorldHint: true,
    },
  };
}

/** Undefined: more than is allowed. */
async function readBody(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    length += chunk.length;
    if (length > MAX_BODY_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function refuse(response: ServerResponse, status: number, message: string): void {
  response.writeHead(status, { "Content-Type": "text/plain; charset=utf-8", Connection: "close" });
  response.end(`${message}\n`);
}
