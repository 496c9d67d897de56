/** A replica in memory that counts what it is asked and misbehaves as told. */
import type {
  LTXFileInfo,
  LTXFileName,
  ListOptions,
  OpenOptions,
  ReplicaClient,
  WriteBody,
  WriteOptions,
} from "../../src/storage/replica-client.ts";
import { StorageError } from "../../src/storage/replica-client.ts";
import type { MemoryReplicaClient } from "../../src/storage/memory.ts";

export type Operation = "open" | "conditionalWrites" | "list" | "read" | "write" | "delete";

/** What a script may do to one write: nothing, fail before or after it took effect, let it wait before or after that. */
export type WriteFate =
  | "ok"
  | "fail"
  | "fail-after"
  | Promise<unknown>
  | { readonly after: Promise<unknown> };

export class ScriptedClient implements ReplicaClient {
  readonly inner: MemoryReplicaClient;
  readonly type: string;
  readonly description: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly counts: Record<Operation, number> = {
    open: 0,
    conditionalWrites: 0,
    list: 0,
    read: 0,
    write: 0,
    delete: 0,
  };
  /** Whether the store honours `ifAbsent`. */
  conditional = true;
  /** The fate of each write. */
  onWrite: (file: LTXFileName) => WriteFate = () => "ok";
  /** Called before every other operation; may throw or wait. */
  onRequest: (operation: Operation) => Promise<void> | void = () => {};
  /** Every name whose content was replaced by different bytes. */
  readonly overwritten: string[] = [];
  /** Writes under way, and the most there ever were. */
  inFlight = 0;
  maxInFlight = 0;

  constructor(inner: MemoryReplicaClient) {
    this.inner = inner;
    this.type = inner.type;
    this.description = inner.description;
    this.attributes = inner.attributes;
  }

  async open(signal?: AbortSignal): Promise<void> {
    await this.#begin("open", signal);
  }

  async conditionalWrites(signal?: AbortSignal): Promise<boolean> {
    await this.#begin("conditionalWrites", signal);
    return this.conditional;
  }

  async *list(level: number, options: ListOptions = {}): AsyncIterable<LTXFileInfo> {
    await this.#begin("list", options.signal);
    yield* this.inner.list(level, options);
  }

  async *read(file: LTXFileName, options: OpenOptions = {}): AsyncIterable<Uint8Array> {
    await this.#begin("read", options.signal);
    yield* this.inner.read(file, options);
  }

  async write(file: LTXFileName, body: WriteBody, options: WriteOptions): Promise<LTXFileInfo> {
    this.counts.write++;
    this.inFlight++;
    this.maxInFlight = Math.max(this.maxInFlight, this.inFlight);
    try {
      const fate = this.onWrite(file);
      if (fate === "fail") throw unavailable("write");
      if (fate instanceof Promise) await abortable(fate, options.signal);
      const info = await this.#store(file, body, options);
      if (fate === "fail-after") throw unavailable("write");
      if (typeof fate === "object" && "after" in fate) await abortable(fate.after, options.signal);
      return info;
    } finally {
      this.inFlight--;
    }
  }

  async delete(
    files: readonly LTXFileName[],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    await this.#begin("delete", options.signal);
    await this.inner.delete(files, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  /** Requests of any kind so far. */
  get total(): number {
    return Object.values(this.counts).reduce((sum, count) => sum + count, 0);
  }

  async #store(file: LTXFileName, body: WriteBody, options: WriteOptions): Promise<LTXFileInfo> {
    const before = new Map(this.inner.objects);
    const info = await this.inner.write(file, body, {
      ...options,
      ifAbsent: this.conditional && options.ifAbsent === true,
    });
    for (const [key, { bytes }] of before) {
      const now = this.inner.objects.get(key);
      if (now !== undefined && Buffer.compare(now.bytes, bytes) !== 0) this.overwritten.push(key);
    }
    return info;
  }

  async #begin(operation: Operation, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    this.counts[operation]++;
    await this.onRequest(operation);
    signal?.throwIfAborted();
  }
}

export function unavailable(operation: string): StorageError {
  return new StorageError("unavailable", `Cannot ${operation}: scripted failure`);
}

async function abortable(
  promise: Promise<unknown>,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (signal === undefined) return void (await promise);
  signal.throwIfAborted();
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
