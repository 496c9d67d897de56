/** The thread in which checkpoints run, shared by all databases of the process; started when first needed. */
import type { Worker } from "node:worker_threads";
import type { CheckpointResult } from "./checkpoint.ts";
import type { CheckpointReply, CheckpointRequest } from "./checkpoint-worker.ts";
import { SQLiteError } from "./driver.ts";
import { startWorker } from "./start-worker.ts";

/** A request without its number; one member of the union at a time keeps its fields. */
type Unnumbered<R> = R extends unknown ? Omit<R, "id"> : never;

interface Waiter {
  resolve(result: CheckpointResult | null): void;
  reject(error: unknown): void;
}

export class CheckpointThread implements AsyncDisposable {
  #worker: Worker | null = null;
  #nextId = 1;
  #lastUsedAt = 0;
  readonly #waiting = new Map<number, Waiter>();
  readonly #connected = new Set<string>();

  /** Runs a passive checkpoint of the database at `path`. */
  async checkpoint(path: string): Promise<CheckpointResult> {
    this.#connected.add(path);
    const result = await this.#ask({ kind: "checkpoint", path });
    if (result === null) throw new Error("The checkpoint thread answered without a result");
    return result;
  }

  /** Flushes the file behind descriptor `fd` to disk. */
  async flush(fd: number): Promise<void> {
    await this.#ask({ kind: "flush", fd });
  }

  /** Closes the thread's connection to the database, if it has one. Needed before the database's own descriptor is closed. */
  async release(path: string): Promise<void> {
    if (this.#connected.delete(path)) await this.#ask({ kind: "release", path });
  }

  /** Ends the thread when nothing was asked of it for `unusedMs`; the next request starts it again. */
  async stopIfUnused(now: number, unusedMs: number): Promise<void> {
    if (this.#worker === null || this.#waiting.size > 0 || this.#connected.size > 0) return;
    if (now - this.#lastUsedAt >= unusedMs) await this.#stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop();
  }

  #ask(request: Unnumbered<CheckpointRequest>): Promise<CheckpointResult | null> {
    const worker = (this.#worker ??= this.#start());
    const id = this.#nextId++;
    this.#lastUsedAt = performance.now();
    worker.ref();
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      worker.postMessage({ ...request, id });
    });
  }

  #start(): Worker {
    const worker = startWorker("checkpoint-worker");
    worker.on("message", (reply: CheckpointReply) => this.#settle(reply, worker));
    worker.on("error", (error) => this.#fail(worker, error));
    worker.on("exit", () => this.#fail(worker, new Error("The checkpoint thread ended")));
    worker.unref();
    return worker;
  }

  #settle(reply: CheckpointReply, worker: Worker): void {
    const waiter = this.#waiting.get(reply.id);
    this.#waiting.delete(reply.id);
    this.#lastUsedAt = performance.now();
    if (this.#waiting.size === 0) worker.unref();
    if ("result" in reply) waiter?.resolve(reply.result);
    else waiter?.reject(asError(reply.message, reply.code));
  }

  #fail(worker: Worker, error: unknown): void {
    if (this.#worker !== worker) return;
    this.#worker = null;
    this.#connected.clear();
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const waiter of waiting) waiter.reject(error);
  }

  async #stop(): Promise<void> {
    const worker = this.#worker;
    if (worker === null) return;
    for (const path of this.#connected) await this.release(path);
    this.#worker = null;
    await worker.terminate();
  }
}

function asError(message: string, code: number | undefined): Error {
  return code === undefined ? new Error(message) : new SQLiteError(message, code);
}
