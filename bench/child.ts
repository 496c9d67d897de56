/** Child processes whose time, processor time and memory are measured (Linux: from /proc). */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import fs from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import type { Program } from "./programs.ts";

/** The kernel counts processor time in /proc/PID/stat in hundredths of a second. */
const TICK_MS = 10;
const MEMORY_POLL_MS = 5;
const STOP_LIMIT_MS = 60_000;

/** What one finished command took. */
export interface Cost {
  readonly wallMs: number;
  /** User and system time of the process and all its threads, to 10 ms. */
  readonly cpuMs: number;
  /** The largest resident set. */
  readonly peakBytes: number;
}

/** A moment of a running process. */
export interface Usage {
  readonly cpuMs: number;
  readonly residentBytes: number;
  readonly peakBytes: number;
}

export interface ChildOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Receives standard output and error of the program. */
  readonly logFile: string;
}

/** Runs a command of `program` to its end; an exit status other than 0 is an error with the end of its output. */
export async function runToEnd(
  program: Program,
  args: readonly string[],
  options: ChildOptions,
): Promise<Cost> {
  const cpuBefore = reapedChildrenCPU();
  const startedAt = performance.now();
  await using child = MeasuredChild.start(program, args, options);
  let peakBytes = 0;
  const poll = setInterval(() => {
    peakBytes = Math.max(peakBytes, child.usage()?.peakBytes ?? 0);
  }, MEMORY_POLL_MS);
  const status = await child.exited;
  const wallMs = performance.now() - startedAt;
  clearInterval(poll);
  if (status !== "0") {
    throw new Error(
      `${program.name} ${args[0]} ended with ${status}:\n${logTail(options.logFile)}`,
    );
  }
  return { wallMs, cpuMs: reapedChildrenCPU() - cpuBefore, peakBytes };
}

/** A program that runs until it is stopped. */
export class MeasuredChild implements AsyncDisposable {
  /** Exit code as text, or the name of the signal that ended it. */
  readonly exited: Promise<string>;
  readonly #process: ChildProcess;
  readonly #logFile: string;

  private constructor(child: ChildProcess, logFile: string) {
    this.#process = child;
    this.#logFile = logFile;
    // An interrupted run leaves nothing behind.
    const kill = (): void => void child.kill("SIGKILL");
    process.once("exit", kill);
    this.exited = new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code, signal) => {
        process.off("exit", kill);
        resolve(String(code ?? signal));
      });
    });
  }

  static start(program: Program, args: readonly string[], options: ChildOptions): MeasuredChild {
    const [file, ...first] = program.command;
    const log = fs.openSync(options.logFile, "a");
    const child = spawn(file, [...first, ...args], {
      stdio: ["ignore", log, log],
      env: { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? "", ...options.env },
    });
    fs.closeSync(log);
    return new MeasuredChild(child, options.logFile);
  }

  /** Processor time and memory so far; null once the process is gone. */
  usage(): Usage | null {
    const folder = `/proc/${this.#process.pid}`;
    try {
      const status = fs.readFileSync(`${folder}/status`, "latin1");
      const residentBytes = statusBytes(status, "VmRSS");
      const peakBytes = statusBytes(status, "VmHWM");
      if (residentBytes === null || peakBytes === null) return null;
      return { cpuMs: processCPU(folder), residentBytes, peakBytes };
    } catch (error) {
      if (isGone(error)) return null;
      throw error;
    }
  }

  /** Like usage(), for a process that must still be running. */
  runningUsage(): Usage {
    const usage = this.usage();
    if (!usage) throw new Error(`The program ended early:\n${logTail(this.#logFile)}`);
    return usage;
  }

  /** Asks the program to stop and waits for its end. */
  async stop(): Promise<void> {
    this.#process.kill("SIGTERM");
    const inTime = await Promise.race([
      this.exited.then(() => true),
      sleep(STOP_LIMIT_MS, false, { ref: false }),
    ]);
    if (!inTime) this.#process.kill("SIGKILL");
    await this.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) await this.stop();
  }
}

/**
 * Processor time of a live process. The nanosecond counters of its threads are exact for short work but forget threads
 * that have ended; the tick counters remember those.
 */
function processCPU(folder: string): number {
  let nanoseconds = 0;
  for (const thread of fs.readdirSync(`${folder}/task`)) {
    const counters = fs.readFileSync(`${folder}/task/${thread}/schedstat`, "latin1");
    nanoseconds += Number(counters.split(" ")[0]);
  }
  const { user, system } = statTicks(`${folder}/stat`, 0);
  return Math.max(nanoseconds / 1e6, (user + system - 1) * TICK_MS);
}

/** Processor time of all children of this process that have ended so far. */
function reapedChildrenCPU(): number {
  const { user, system } = statTicks("/proc/self/stat", 2);
  return (user + system) * TICK_MS;
}

/** Fields utime and stime (proc(5): 14 and 15, counted from the end of the name), or those `skip` further on. */
function statTicks(file: string, skip: number): { user: number; system: number } {
  const text = fs.readFileSync(file, "latin1");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { user: Number(fields[11 + skip]), system: Number(fields[12 + skip]) };
}

function statusBytes(status: string, key: string): number | null {
  const match = new RegExp(`^${key}:\\s+(\\d+) kB`, "m").exec(status);
  return match ? Number(match[1]) * 1024 : null;
}

function isGone(error: unknown): boolean {
  return (
    error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ESRCH")
  );
}

function logTail(logFile: string): string {
  return fs.readFileSync(logFile, "utf8").trim().split("\n").slice(-20).join("\n");
}
