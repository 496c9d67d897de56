/** The timed applications, as processes of their own. */
import { spawn } from "node:child_process";
import type { ChildProcessByStdio } from "node:child_process";
import path from "node:path";
import { createInterface } from "node:readline";
import type { Readable, Writable } from "node:stream";

/** A running writer of bench/writers. It leaves at the end of the scope, without closing its databases. */
export class Writer implements AsyncDisposable {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>;
  readonly #exited: Promise<string>;
  readonly #lines: AsyncIterator<string>;

  constructor(script: string, args: readonly string[]) {
    const file = path.join(import.meta.dirname, "writers", script);
    const child = spawn(process.execPath, [file, ...args], { stdio: ["pipe", "pipe", "inherit"] });
    this.#process = child;
    this.#lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    this.#exited = new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code, signal) => resolve(String(code ?? signal)));
    });
  }

  /** The next line of its output, parsed from JSON. */
  async nextLine<T>(): Promise<T> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`The writer ended early, with ${await this.#exited}`);
    return JSON.parse(value);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.stdin.end();
    await this.#exited;
  }
}
