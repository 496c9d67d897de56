/**
 * Real servers for tests, each in a temporary folder on ports of its own, stopped when its handle is disposed:
 *
 *     await using ceph = await startCephRGW();
 *     // ceph.endpoint, ceph.bucket, ceph.env …
 *
 * What is missing is installed (apt or pip), which needs root. Whoever cannot install gets a reason to skip from
 * `missingServer()`; with CI=true there is no skipping.
 */
import { execFile, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { promisify } from "node:util";

const run = promisify(execFile);
const scripts = import.meta.dirname;

/** Ports from the base that ceph-rgw.sh uses, and the TLS port after them. */
const cephPorts = 28;

export interface S3Server extends AsyncDisposable {
  readonly endpoint: string;
  /** https, where the server has it. */
  readonly tlsEndpoint: string | undefined;
  /** File of the certificate that tlsEndpoint shows. */
  readonly caFile: string | undefined;
  readonly region: string;
  readonly bucket: string;
  readonly accessKeyID: string;
  readonly secretAccessKey: string;
  /** Everything that the script wrote into its env file. */
  readonly env: Readonly<Record<string, string>>;
}

export type ServerName = "ceph" | "swift";

const commands: Readonly<Record<ServerName, readonly string[]>> = {
  ceph: ["/usr/bin/radosgw", "/usr/bin/ceph-osd", "/usr/bin/ceph-mon"],
  swift: ["/usr/bin/swift-proxy-server", "/usr/bin/swift-object-server"],
};

/**
 * Why the tests of a server cannot run here: undefined when they can. With CI=true they have to: then there is no reason,
 * and they fail by what is missing.
 */
export function missingServer(name: ServerName): string | undefined {
  const isRoot = process.getuid?.() === 0;
  const isInstalled = commands[name].every((command) => existsSync(command));
  if (isInstalled || isRoot || process.env["CI"] === "true") return undefined;
  return `${name} is not installed, and installing it needs root: run \`sudo test/servers/${scriptOf(name)} install\``;
}

/** Ceph RADOS Gateway, the software of Linode Object Storage. `env` takes the variables of ceph-rgw.sh. */
export async function startCephRGW(env: Readonly<Record<string, string>> = {}): Promise<S3Server> {
  const port = await freePorts(cephPorts);
  return startS3Server("ceph", {
    RGW_PORT: String(port),
    RGW_TLS_PORT: String(port + cephPorts - 1),
    ...env,
  });
}

/** OpenStack Swift with its S3 layer: strict about region and Content-MD5, without conditional writes. */
export async function startSwiftS3(env: Readonly<Record<string, string>> = {}): Promise<S3Server> {
  return startS3Server("swift", { SWIFT_PORT: String(await freePorts(4)), ...env });
}

async function startS3Server(
  name: ServerName,
  variables: Readonly<Record<string, string>>,
): Promise<S3Server> {
  const script = join(scripts, scriptOf(name));
  // Names that lead to a proxy would lead the scripts' own requests away from loopback.
  const env = { ...process.env, ...variables, HTTP_PROXY: "", HTTPS_PROXY: "" };
  await run("bash", [script, "install"], { env, maxBuffer: 1 << 26 });
  const folder = await mkdtemp(join(tmpdir(), `${name}-`));
  const stop = async (): Promise<void> => {
    await run("bash", [script, "stop", folder, "--purge"], { env });
  };
  try {
    const { stdout } = await run("bash", [script, "start", folder], { env });
    const values = parseEnv(stdout);
    const value = (key: string): string => values[key] ?? "";
    return {
      endpoint: value("S3_ENDPOINT"),
      tlsEndpoint: values["S3_TLS_ENDPOINT"],
      caFile: values["S3_CA"],
      region: value("S3_REGION"),
      bucket: value("S3_BUCKET"),
      accessKeyID: value("AWS_ACCESS_KEY_ID"),
      secretAccessKey: value("AWS_SECRET_ACCESS_KEY"),
      env: values,
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function scriptOf(name: ServerName): string {
  return name === "ceph" ? "ceph-rgw.sh" : "swift-s3.sh";
}

function parseEnv(text: string): Record<string, string> {
  const values: Record<string, string> = {};
  for (const line of text.split("\n")) {
    const [, name, value] = /^([A-Z0-9_]+)=(.*)$/.exec(line) ?? [];
    if (name !== undefined && value !== undefined) values[name] = value;
  }
  return values;
}

/** Faults of a proxy, as faultproxy.mjs explains them. */
export interface Faults {
  readonly latencyMs?: number;
  readonly jitterMs?: number;
  readonly rateBps?: number;
  readonly refuse?: boolean;
  readonly blackhole?: boolean;
  readonly resetAfterUp?: number;
  readonly resetAfterDown?: number;
  readonly closeAfterDown?: number;
  readonly corruptDownAt?: number;
  readonly httpStatus?: number;
  readonly httpBody?: string;
  readonly httpHeaders?: Readonly<Record<string, string>>;
  /** Only exchanges whose first bytes match. */
  readonly match?: string;
  /** Only the next so many. */
  readonly times?: number;
}

export interface FaultCounts {
  readonly conns: number;
  readonly exchanges: number;
  readonly up: number;
  readonly down: number;
  /** Exchanges that met a fault. */
  readonly hits: number;
  readonly live: number;
}

export interface FaultProxy extends AsyncDisposable {
  readonly port: number;
  /** Puts these faults in force instead of all others; none: everything passes. */
  setFaults(faults: Faults): Promise<void>;
  /** Resets every live connection. */
  dropConnections(): Promise<void>;
  counts(): Promise<FaultCounts>;
}

/** A proxy to `target` (host:port) that does harm on request. */
export async function startFaultProxy(target: string): Promise<FaultProxy> {
  const tool = await startTool("faultproxy.mjs", ["--target", target]);
  const control = async (body?: object): Promise<FaultCounts> => {
    const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
    const reply = await fetch(`http://127.0.0.1:${tool.ready["control"]}/`, init);
    if (!reply.ok) throw new Error(`The fault proxy refused: ${await reply.text()}`);
    return (await reply.json()) as FaultCounts;
  };
  return {
    port: tool.ready["listen"] ?? 0,
    setFaults: async (faults) => {
      await control({ reset: true, ...faults });
    },
    dropConnections: async () => {
      await control({ drop: true });
    },
    counts: () => control(),
    [Symbol.asyncDispose]: tool.stop,
  };
}

export interface ConnectMap extends AsyncDisposable {
  /** For HTTPS_PROXY and HTTP_PROXY. */
  readonly url: string;
}

/** A proxy that leads real names to ports of this machine: `{ "[.]linodeobjects[.]com:443": 7443 }`. */
export async function startConnectMap(
  ports: Readonly<Record<string, number>>,
): Promise<ConnectMap> {
  const rules = Object.entries(ports).map(([pattern, port]) => `${pattern}=${port}`);
  const tool = await startTool("connectmap.mjs", rules);
  return { url: `http://127.0.0.1:${tool.ready["listen"]}`, [Symbol.asyncDispose]: tool.stop };
}

/** The path of the real Litestream, for tests and benchmarks; installed by pip below the temporary folder. */
export async function peerBinary(version = "0.5.17"): Promise<string> {
  const folder = join(tmpdir(), "litestream-peer");
  await mkdir(folder, { recursive: true });
  const { stdout } = await run("bash", [join(scripts, "peer.sh"), "install", folder, version]);
  return stdout.trim();
}

interface Tool {
  /** What it printed when it was ready. */
  readonly ready: Readonly<Record<string, number>>;
  readonly stop: () => Promise<void>;
}

async function startTool(script: string, args: readonly string[]): Promise<Tool> {
  const child = spawn(process.execPath, [join(scripts, script), ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const line = await firstLine(child, script);
  return {
    ready: JSON.parse(line) as Record<string, number>,
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill();
      await once(child, "exit");
    },
  };
}

async function firstLine(child: ChildProcess, script: string): Promise<string> {
  if (child.stdout === null) throw new Error(`${script} has no output`);
  for await (const line of createInterface({ input: child.stdout })) return line;
  throw new Error(`${script} ended before it was ready`);
}

/** The first of `count` ports in a row that nobody listens on. */
async function freePorts(count: number): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt += 1) {
    const base = 10_000 + 50 * Math.floor(Math.random() * 440);
    const free = await Promise.all(
      Array.from({ length: count }, (_, index) => isFree(base + index)),
    );
    if (free.every(Boolean)) return base;
  }
  throw new Error(`No ${count} free ports in a row were found`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}
