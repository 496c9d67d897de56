/** A replica in memory on which every operation may fail, be late, or take effect although it failed; it counts and watches. */
import assert from "node:assert/strict";
import { formatLTXName, levelFolder } from "../../src/formats/ltx/layout.ts";
import type { MemoryReplicaClient } from "../../src/storage/memory.ts";
import type {
  CopyOptions,
  ListOptions,
  LTXFileInfo,
  LTXFileName,
  OpenOptions,
  ReplicaClient,
  WriteBody,
  WriteOptions,
} from "../../src/storage/replica-client.ts";
import { StorageError } from "../../src/storage/replica-client.ts";

export type Fault = "ok" | "fail" | "fail-after" | "slow" | "slow-after" | "break";
export type FaultyOperation = "list" | "read" | "write" | "copy" | "delete";

export interface FaultyClientOptions {
  readonly fate: (operation: FaultyOperation, file: LTXFileName | undefined) => Fault;
  /** How long "slow" takes. */
  readonly delay: (signal: AbortSignal | undefined) => Promise<unknown>;
  readonly canCopy?: boolean;
  /** Whether `ifAbsent` is honoured. */
  readonly conditional?: boolean;
}

export class FaultyClient implements ReplicaClient {
  readonly inner: MemoryReplicaClient;
  readonly type: string = "faulty";
  readonly description: string;
  readonly attributes: Readonly<Record<string, string>> = {};
  readonly counts: Record<FaultyOperation, number> = {
    list: 0,
    read: 0,
    write: 0,
    copy: 0,
    delete: 0,
  };
  /** Names that were deleted: none of them may come back with another content. */
  readonly deleted: Map<string, Uint8Array> = new Map();
  copy?: NonNullable<ReplicaClient["copy"]>;
  readonly #options: FaultyClientOptions;

  constructor(inner: MemoryReplicaClient, options: FaultyClientOptions) {
    this.inner = inner;
    this.description = inner.description;
    this.#options = options;
    if (options.canCopy === true) this.copy = (from, to, more) => this.#copy(from, to, more);
  }

  /** Requests of any kind so far. */
  get total(): number {
    return Object.values(this.counts).reduce((sum, count) => sum + count, 0);
  }

  async open(): Promise<void> {}

  async conditionalWrites(): Promise<boolean> {
    return this.#options.conditional ?? true;
  }

  async *list(level: number, options: ListOptions = {}): AsyncIterable<LTXFileInfo> {
    const files = await this.#do("list", undefined, options.signal, async () => {
      const found: LTXFileInfo[] = [];
      for await (const file of this.inner.list(level, options)) found.push(file);
      return found;
    });
    yield* files;
  }

  async *read(file: LTXFileName, options: OpenOptions = {}): AsyncIterable<Uint8Array> {
    const fate = this.#options.fate("read", file);
    this.counts.read++;
    if (fate === "slow") await this.#options.delay(options.signal);
    if (fate === "fail" || fate === "fail-after") throw unavailable("read");
    for await (const chunk of this.inner.read(file, options)) {
      if (fate === "break") {
        yield chunk.subarray(0, chunk.length >> 1);
        throw unavailable("read on");
      }
      yield chunk;
    }
  }

  async write(file: LTXFileName, body: WriteBody, options: WriteOptions): Promise<LTXFileInfo> {
    return this.#do("write", file, options.signal, async () => {
      const conditional = this.#options.conditional ?? true;
      const before = this.inner.objects.get(keyOf(file))?.bytes;
      const info = await this.inner.write(file, body, {
        ...options,
        ifAbsent: conditional && options.ifAbsent === true,
      });
      this.#check(file, before);
      return info;
    });
  }

  async delete(
    files: readonly LTXFileName[],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    return this.#do("delete", files[0], options.signal, async () => {
      for (const file of files) {
        const bytes = this.inner.objects.get(keyOf(file))?.bytes;
        if (bytes !== undefined) this.deleted.set(keyOf(file), bytes);
      }
      await this.inner.delete(files);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  async #copy(
    from: LTXFileInfo,
    to: LTXFileName,
    options: CopyOptions = {},
  ): Promise<LTXFileInfo | undefined> {
    return this.#do("copy", to, options.signal, async () => {
      const copied = await this.inner.copy(from, to, options);
      this.#check(to, undefined);
      return copied;
    });
  }

  #check(file: LTXFileName, before: Uint8Array | undefined): void {
    const now = this.inner.objects.get(keyOf(file))?.bytes;
    for (const earlier of [before, this.deleted.get(keyOf(file))]) {
      if (earlier === undefined || now === undefined) continue;
      assert.ok(
        Buffer.compare(earlier, now) === 0,
        `${keyOf(file)} came back with another content`,
      );
    }
  }

  async #do<T>(
    operation: FaultyOperation,
    file: LTXFileName | undefined,
    signal: AbortSignal | undefined,
    act: () => Promise<T>,
  ): Promise<T> {
    signal?.throwIfAborted();
    this.counts[operation]++;
    const fate = this.#options.fate(operation, file);
    if (fate === "slow") await this.#options.delay(signal);
    if (fate === "fail" || fate === "break") throw unavailable(operation);
    const result = await act();
    if (fate === "fail-after") throw unavailable(operation);
    if (fate === "slow-after") await this.#options.delay(signal);
    return result;
  }
}

function keyOf({ level, minTXID, maxTXID }: LTXFileName): string {
  return `${levelFolder(level)}/${formatLTXName(minTXID, maxTXID)}`;
}

function unavailable(operation: string): StorageError {
  return new StorageError("unavailable", `Cannot ${operation}: injected failure`);
}
