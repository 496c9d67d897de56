/** Threads that compress pages for one snapshot. They live as long as it does. */
import type { Worker } from "node:worker_threads";
import { startWorker } from "../sqlite/start-worker.ts";
import type { FrameReply, FrameRequest } from "./frame-worker.ts";

/** Batches under way per thread: one being compressed, one waiting, so that no thread waits for the main one. */
const BATCHES_PER_THREAD = 2;

interface Waiter {
  resolve(reply: FrameReply): void;
  reject(error: unknown): void;
}

export class FrameThreads implements AsyncDisposable {
  readonly #threads: FrameThread[];
  readonly #spare: Uint8Array<ArrayBuffer>[] = [];
  readonly #batchBytes: number;
  #next = 0;

  /** `batchBytes`: room for the pages of a batch. */
  constructor(count: number, pageSize: number, batchBytes: number) {
    this.#threads = Array.from({ length: count }, () => new FrameThread(pageSize));
    this.#batchBytes = batchBytes;
  }

  /** How many batches may be under way: the bound of what this holds in memory. */
  get capacity(): number {
    return this.#threads.length * BATCHES_PER_THREAD;
  }

  /** Memory for the pages of one batch. */
  pages(): Uint8Array<ArrayBuffer> {
    return this.#spare.pop() ?? new Uint8Array(this.#batchBytes);
  }

  /** Compresses a batch whose pages lie in `pages()`. Rejects when its thread fails or is ended. */
  async encode(request: FrameRequest): Promise<FrameReply> {
    const thread = this.#threads[this.#next++ % this.#threads.length];
    if (thread === undefined) throw new RangeError("Cannot compress pages: there are no threads");
    const reply = await thread.encode(request);
    this.#spare.push(reply.pages);
    return reply;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.end()));
  }
}

/** Answers come in the order of the requests. */
class FrameThread {
  readonly #worker: Worker;
  readonly #waiting: Waiter[] = [];
  #failure: Error | undefined;

  constructor(pageSize: number) {
    const worker = startWorker("frame-worker", { name: "pages", workerData: { pageSize } });
    worker.on("message", (reply: FrameReply) => this.#waiting.shift()?.resolve(reply));
    worker.on("error", (cause) => this.#fail(new Error("Cannot compress pages", { cause })));
    worker.on("exit", () => this.#fail(new Error("Cannot compress pages: the thread ended")));
    this.#worker = worker;
  }

  encode(request: FrameRequest): Promise<FrameReply> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#worker.postMessage(request, [request.pages.buffer, request.pgnos.buffer]);
    });
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const waiter of this.#waiting.splice(0)) waiter.reject(this.#failure);
  }
}
