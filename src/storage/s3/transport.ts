/** Connections to an S3 endpoint: keep-alive, timeouts, proxies, certificate authorities. */
import { readFileSync } from "node:fs";
import { Agent as HTTPAgent } from "node:http";
import type { AgentOptions } from "node:http";
import { Agent as HTTPSAgent } from "node:https";
import { getCACertificates } from "node:tls";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import { StorageError } from "../replica-client.ts";
import { hostOf } from "./settings.ts";
import type { Environment } from "./settings.ts";

/** More than a merge has files open; the SDK's default of 50 makes the 51st unread body wait for ever. */
const maxSockets = 512;
const connectTimeoutMs = 30_000;
/** Silence on a connection in use. There is no limit for a whole request: large bodies take their time. */
const silenceTimeoutMs = 60_000;
/** Below the 60 s after which servers close idle connections (Ceph: 65 s), so that none is used while it closes. */
const idleTimeoutMs = 50_000;

export interface TransportSettings {
  readonly endpoint: string | undefined;
  readonly skipVerify: boolean;
  readonly environment: Environment;
  readonly silenceTimeoutMs?: number | undefined;
  readonly idleTimeoutMs?: number | undefined;
}

/** The SDK's request handler with connections of ours. Closing it is the owner's: `destroy()`. */
export function createTransport(settings: TransportSettings): NodeHttpHandler {
  const options: AgentOptions = {
    keepAlive: true,
    maxSockets,
    timeout: settings.idleTimeoutMs ?? idleTimeoutMs,
    ...proxyOptions(settings),
  };
  return new NodeHttpHandler({
    connectionTimeout: connectTimeoutMs,
    socketTimeout: settings.silenceTimeoutMs ?? silenceTimeoutMs,
    httpAgent: new HTTPAgent(options),
    httpsAgent: new HTTPSAgent({
      ...options,
      rejectUnauthorized: !settings.skipVerify,
      ...authorityOptions(settings.environment),
    }),
  });
}

/**
 * HTTP_PROXY, HTTPS_PROXY and NO_PROXY in either case. As in Go, loopback is never asked for through a proxy. Keys go
 * through HTTPS_PROXY untouched; for HTTP_PROXY Node rewrites the path of a request as any URL, so that keys of the
 * spelling `./0000/…` are then refused for their signature.
 */
function proxyOptions({ endpoint, environment }: TransportSettings): AgentOptions {
  const host = endpoint === undefined ? "" : hostOf(endpoint);
  if (/^(?:localhost|127\.[\d.]+|\[::1\])(?::\d+)?$/i.test(host)) return {};
  const proxyEnv: Record<string, string> = {};
  for (const name of ["http_proxy", "https_proxy", "no_proxy"]) {
    const value = environment[name] ?? environment[name.toUpperCase()];
    if (value !== undefined && value !== "") proxyEnv[name] = withScheme(name, value);
  }
  return proxyEnv["http_proxy"] === undefined && proxyEnv["https_proxy"] === undefined
    ? {}
    : { proxyEnv };
}

/** Go takes `proxy:3128` for an http proxy; Node wants a URL. */
function withScheme(name: string, value: string): string {
  return name === "no_proxy" || /^[a-z]+:\/\//i.test(value) ? value : `http://${value}`;
}

/** AWS_CA_BUNDLE and SSL_CERT_FILE add to the authorities; NODE_EXTRA_CA_CERTS is among the defaults already. */
function authorityOptions(environment: Environment): { readonly ca?: string[] } {
  const files = [environment["AWS_CA_BUNDLE"], environment["SSL_CERT_FILE"]].filter(
    (file) => file !== undefined && file !== "",
  );
  if (files.length === 0) return {};
  return { ca: [...getCACertificates("default"), ...files.map((file) => readBundle(file ?? ""))] };
}

function readBundle(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new StorageError("misconfigured", `Cannot read the certificates in "${file}"`, {
      cause: error,
      hint: "AWS_CA_BUNDLE and SSL_CERT_FILE name a file of PEM certificates",
    });
  }
}
