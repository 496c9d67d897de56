/** LITESTREAM_S3_DEBUG: what is sent and what comes back, one line each, without secrets. */
import type { S3Client } from "@aws-sdk/client-s3";
import type { Environment } from "./settings.ts";

const MODES = [
  "signing",
  "request",
  "request-with-body",
  "response",
  "response-with-body",
  "retries",
  "all",
] as const;
type DebugMode = (typeof MODES)[number];

/** The modes in a comma list, and what in it is none. */
export function parseDebugModes(text: string | undefined): {
  readonly modes: ReadonlySet<DebugMode>;
  readonly unknown: readonly string[];
} {
  const words = (text ?? "").split(",").map((word) => word.trim().toLowerCase());
  const given = words.filter((word) => word !== "");
  return {
    modes: new Set(MODES.filter((mode) => given.includes(mode))),
    unknown: given.filter((word) => !(MODES as readonly string[]).includes(word)),
  };
}

/** Whether second attempts are to be told. */
export function wantsRetries(environment: Environment): boolean {
  const { modes } = parseDebugModes(environment["LITESTREAM_S3_DEBUG"]);
  return modes.has("retries") || modes.has("all");
}

interface Message {
  readonly method?: string;
  readonly hostname?: string;
  readonly path?: string;
  readonly query?: Readonly<Record<string, string | null | string[]>>;
  readonly statusCode?: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: unknown;
}

/** Bodies are shown only when they are text of the protocol, and not beyond this. */
const maxBodyCharacters = 2_000;

/** Tells `debug` of every request after it is signed, and of every reply. Bodies that are data are given as a size. */
export function traceRequests(
  client: S3Client,
  environment: Environment,
  debug: (line: string) => void,
): void {
  const { modes } = parseDebugModes(environment["LITESTREAM_S3_DEBUG"]);
  if (modes.size === 0) return;
  const has = (...wanted: DebugMode[]): boolean =>
    modes.has("all") || wanted.some((mode) => modes.has(mode));
  client.middlewareStack.add(
    (next) => async (args) => {
      const request = args.request as Message;
      if (has("request", "request-with-body", "signing"))
        debug(describeRequest(request, has("signing")));
      if (has("request-with-body") && typeof request.body === "string") {
        debug(`s3 request body ${request.body.slice(0, maxBodyCharacters)}`);
      }
      const result = await next(args);
      const response = result.response as Message;
      if (has("response", "response-with-body")) {
        debug(`s3 response ${response.statusCode} ${JSON.stringify(response.headers)}`);
      }
      return result;
    },
    // The last thing before a request leaves.
    { step: "deserialize", priority: "low", name: "litestreamDebug" },
  );
}

function describeRequest(request: Message, withSignature: boolean): string {
  const headers = { ...request.headers };
  for (const name of Object.keys(headers)) {
    if (/customer-key$|security-token/i.test(name)) headers[name] = "hidden";
    if (/^authorization$/i.test(name) && !withSignature) headers[name] = "hidden";
  }
  const query = JSON.stringify(request.query ?? {});
  return `s3 request ${request.method} ${request.hostname}${request.path} ${query} ${JSON.stringify(headers)}`;
}
