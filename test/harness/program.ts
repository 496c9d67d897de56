/** The program under test as a black box: ours, or the real Litestream as its peer. */
import { execFileSync, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { within } from "./wait.ts";

const root = resolve(import.meta.dirname, "../..");

export const PEER_VERSION = "0.5.17";

export interface Program {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  /** Whether this is the real Litestream: some tests show what it gets wrong. */
  readonly isPeer: boolean;
}

export interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly elapsedMs: number;
}

export interface StartOptions {
  /** Added to a bare environment: nothing of the caller's LITESTREAM_*, AWS_* or proxy variables gets through. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

/** The program that this run of the tests drives: `LITESTREAM_PROGRAM=ours` (default), `peer`, or the path of a script of ours. */
export function programUnderTest(): Program {
  const choice = process.env["LITESTREAM_PROGRAM"] ?? "ours";
  if (choice === "ours") return ours();
  if (choice === "peer") return peer();
  if (!existsSync(choice))
    throw new Error(`LITESTREAM_PROGRAM must be "ours", "peer" or a script, not "${choice}"`);
  return { name: choice, command: [process.execPath, choice], isPeer: false };
}

export function ours(): Program {
  if (!existsSync(resolve(root, "dist/program/litestream.js")))
    throw new Error("Nothing built: run `npm run build` first");
  return {
    name: "litestream-ts",
    command: [process.execPath, resolve(root, "bin/litestream.js")],
    isPeer: false,
  };
}

/** The real Litestream of that version, installed on first use; PEER_DIR says where. */
export function peer(version: string = PEER_VERSION): Program {
  const folder = process.env["PEER_DIR"] ?? resolve(root, "node_modules/.cache/peer");
  const installer = resolve(root, "test/servers/peer.sh");
  const path = execFileSync(installer, ["install", folder, version], { encoding: "utf8" }).trim();
  return { name: `Litestream ${version}`, command: [path], isPeer: true };
}

/** Runs the program to its end; kills it and fails when that takes longer than `timeoutMs`. */
export async function run(
  program: Program,
  args: readonly string[],
  { timeoutMs = 30_000, ...options }: StartOptions & { readonly timeoutMs?: number } = {},
): Promise<Outcome> {
  await using running = start(program, args, options);
  return await within(timeoutMs, `"${args.join(" ")}" of ${program.name}`, running.exited);
}

/** As `run`, but anything other than exit status 0 is an error that shows the output. */
export async function succeed(
  program: Program,
  args: readonly string[],
  options?: StartOptions & { readonly timeoutMs?: number },
): Promise<Outcome> {
  const outcome = await run(program, args, options);
  if (outcome.code !== 0)
    throw new Error(`${program.name} ${args.join(" ")}: ${describe(outcome)}`);
  return outcome;
}

/** "exit 1 after 40 ms: last line", then the end of the output: for messages. */
export function describe(outcome: Outcome): string {
  const text = `${outcome.stdout}${outcome.stderr}`.trim();
  const lastLine = text.split("\n").at(-1) ?? "";
  return `${outcome.signal ?? `exit ${outcome.code}`} after ${Math.round(outcome.elapsedMs)} ms: ${lastLine}\n${text.slice(-2000)}`;
}

/** Starts the program and returns at once. */
export function start(
  program: Program,
  args: readonly string[],
  options: StartOptions = {},
): RunningProgram {
  const [command, ...first] = program.command;
  const child = spawn(command, [...first, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    cwd: options.cwd,
    env: { ...bareEnvironment(), ...options.env },
  });
  return new RunningProgram(child);
}

function bareEnvironment(): Record<string, string> {
  const kept = ["PATH", "HOME", "TMPDIR", "LANG", "TZ"];
  return Object.fromEntries(
    kept.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
}

export class RunningProgram implements AsyncDisposable {
  readonly exited: Promise<Outcome>;
  readonly #child: ChildProcess;
  #stdout = "";
  #stderr = "";

  constructor(child: ChildProcess) {
    this.#child = child;
    const startedAt = performance.now();
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.#stdout += text;
    });
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#stderr += text;
    });
    this.exited = new Promise((resolveExit, reject) => {
      child.on("error", reject);
      child.on("close", (code, signal) => {
        const elapsedMs = performance.now() - startedAt;
        resolveExit({ code, signal, stdout: this.#stdout, stderr: this.#stderr, elapsedMs });
      });
    });
  }

  /** Process id. */
  get pid(): number {
    if (this.#child.pid === undefined) throw new Error("The program could not be started");
    return this.#child.pid;
  }

  /** Everything it printed so far. */
  get output(): string {
    return this.#stdout + this.#stderr;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** SIGTERM, then waits for the end. */
  async stop(timeoutMs: number = 40_000): Promise<Outcome> {
    this.signal("SIGTERM");
    return await within(timeoutMs, "Stopping by SIGTERM", this.exited);
  }

  /** kill -9 and the wait for it. */
  async kill(): Promise<Outcome> {
    this.signal("SIGKILL");
    return await this.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.isRunning) await this.kill();
  }
}
