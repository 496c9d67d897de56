/** The child of `-exec`: started without a shell, gets our signals, is killed when it does not end. */
import { spawn, type ChildProcess } from "node:child_process";
import { constants } from "node:os";
import { UsageError } from "./errors.ts";
import type { ShutdownSignal } from "./io.ts";

/** How a child ended. */
export interface ChildEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface ChildOptions {
  readonly words: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /**
   * A process group of its own: a terminal's Ctrl-C then reaches the child once, from us. Without a terminal the child
   * stays in our group, so that who kills the group kills both.
   */
  readonly ownGroup: boolean;
}

/** A running child. */
export class ExecChild {
  readonly ended: Promise<ChildEnd>;
  readonly #process: ChildProcess;
  #hasEnded = false;

  constructor(child: ChildProcess) {
    this.#process = child;
    this.ended = new Promise((resolve) => {
      child.once("exit", (code, signal) => {
        this.#hasEnded = true;
        resolve({ code, signal });
      });
    });
  }

  /** Passes a signal on; nothing when the child has ended. */
  forward(signal: ShutdownSignal | "SIGKILL"): void {
    if (!this.#hasEnded) this.#process.kill(signal);
  }
}

/** Starts the child. Rejects with UsageError in upstream's words when it cannot be started. */
export function startChild(options: ChildOptions): Promise<ExecChild> {
  const [program = "", ...args] = options.words;
  const child = spawn(program, args, {
    stdio: "inherit",
    env: options.env,
    cwd: options.cwd,
    detached: options.ownGroup,
  });
  return new Promise((resolve, reject) => {
    child.once("spawn", () => resolve(new ExecChild(child)));
    child.once("error", (error) => reject(startError(program, error)));
  });
}

/** Upstream's words for a child that did not end well: `exit status 3`, `signal: killed`. */
export function describeChildEnd({ code, signal }: ChildEnd): string {
  return signal === null ? `exit status ${code ?? 1}` : `signal: ${signalName(signal)}`;
}

/** The exit code a shell would report. */
export function childExitCode({ code, signal }: ChildEnd): number {
  return signal === null ? (code ?? 1) : 128 + constants.signals[signal];
}

/** Go's names of the signals that matter here. */
export function signalName(signal: NodeJS.Signals): string {
  const names: Partial<Record<NodeJS.Signals, string>> = {
    SIGHUP: "hangup",
    SIGINT: "interrupt",
    SIGKILL: "killed",
    SIGTERM: "terminated",
    SIGSEGV: "segmentation fault",
    SIGABRT: "aborted",
  };
  return names[signal] ?? signal;
}

function startError(program: string, error: NodeJS.ErrnoException): UsageError {
  // Go's words: a path is tried as it is, a name is looked for first.
  if (program.includes("/")) {
    const why = error.code === "ENOENT" ? "no such file or directory" : error.message;
    return new UsageError(`cannot start exec command: fork/exec ${program}: ${why}`);
  }
  const why = error.code === "ENOENT" ? "executable file not found in $PATH" : error.message;
  return new UsageError(`cannot start exec command: exec: ${JSON.stringify(program)}: ${why}`);
}
