/** A real S3 server for a measure: Ceph RADOS Gateway on loopback, with a proxy in front of it that counts requests. */
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import http from "node:http";
import path from "node:path";
import { cacheFolder } from "./data.ts";

/** Away from the ports that the tests use. */
const GATEWAY_PORT = 8480;
const BUCKET = "bench";

export interface S3Server {
  /** Replica URL of a prefix, through the counting proxy or straight to the server. */
  url(prefix: string, counted?: boolean): string;
  /** Credentials, as the environment variables that both programs read. */
  readonly env: Readonly<Record<string, string>>;
  /** Requests that came through the proxy since the start. */
  requests(): number;
}

/** Starts the server with an empty bucket, runs `work` and stops the server. */
export async function withS3<T>(work: (server: S3Server) => Promise<T>): Promise<T> {
  const folder = fs.mkdtempSync(path.join(cacheFolder(), "rgw-"));
  try {
    gateway(["install"]);
    const settings = gateway(["start", folder]);
    await using proxy = await CountingProxy.start(GATEWAY_PORT);
    const {
      AWS_ACCESS_KEY_ID = "",
      AWS_SECRET_ACCESS_KEY = "",
      S3_REGION = "",
    } = parseEnv(settings);
    return await work({
      url: (prefix, counted = false) => {
        const port = counted ? proxy.port : GATEWAY_PORT;
        return `s3://${BUCKET}/${prefix}?endpoint=http://127.0.0.1:${port}&region=${S3_REGION}&forcePathStyle=true`;
      },
      env: { AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY },
      requests: () => proxy.requests,
    });
  } finally {
    gateway(["stop", folder, "--purge"]);
  }
}

function gateway(args: readonly string[]): string {
  const script = path.resolve(import.meta.dirname, "../test/servers/ceph-rgw.sh");
  const env = {
    ...process.env,
    RGW_PORT: String(GATEWAY_PORT),
    RGW_TLS_PORT: "0",
    RGW_BUCKET: BUCKET,
  };
  return execFileSync(script, args, {
    encoding: "utf8",
    env,
    stdio: ["ignore", "pipe", "inherit"],
  });
}

function parseEnv(text: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    [...text.matchAll(/^(\w+)=(.*)$/gm)].map(([, key, value]) => [key, value]),
  );
}

/** Passes requests on unchanged (the signed Host header too) and counts them. */
class CountingProxy implements AsyncDisposable {
  requests = 0;
  readonly #server: http.Server;

  private constructor(server: http.Server) {
    this.#server = server;
  }

  static async start(targetPort: number): Promise<CountingProxy> {
    const agent = new http.Agent({ keepAlive: true });
    const server = http.createServer();
    const proxy = new CountingProxy(server);
    server.on("request", (incoming, answer) => {
      proxy.requests++;
      const { method, url: target, headers } = incoming;
      const request = http.request({
        agent,
        host: "127.0.0.1",
        port: targetPort,
        setHost: false,
        ...(method === undefined ? {} : { method }),
        ...(target === undefined ? {} : { path: target }),
        headers,
      });
      request.once("response", (response) => {
        answer.writeHead(response.statusCode ?? 502, response.headers);
        response.pipe(answer);
      });
      request.once("error", (error) => answer.destroy(error));
      incoming.pipe(request);
    });
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(0, "127.0.0.1", resolve);
    });
    return proxy;
  }

  get port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === "string")
      throw new Error("The proxy does not listen");
    return address.port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
