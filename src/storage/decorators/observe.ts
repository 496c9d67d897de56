/** Tells what is done on a replica: one report per operation, for metrics. */
import { isStorageError } from "../replica-client.ts";
import type {
  CopyOptions,
  ListOptions,
  LTXFileInfo,
  LTXFileName,
  OpenOptions,
  ReplicaClient,
  WriteBody,
  WriteOptions,
} from "../replica-client.ts";
import { ForwardingClient } from "./forwarding.ts";

/** One finished operation. */
export interface StorageOperation {
  /** Type of the replica: "s3", "file", … */
  readonly replicaType: string;
  readonly operation: "PUT" | "GET" | "LIST" | "COPY" | "DELETE";
  /** Bytes sent or received; 0 for LIST, COPY and DELETE. */
  readonly bytes: number;
  /** Files written, read, listed, copied or deleted. */
  readonly fileCount: number;
  /** From the call to its end, second attempts included. */
  readonly durationMs: number;
  /** Of a failed operation: the store's code where there is one, else the kind; "aborted" after an abort. */
  readonly errorCode: string | undefined;
}

/** Reports every operation once it is over, however it ended. A read left early counts what it gave. */
export class ObservedClient extends ForwardingClient {
  readonly #report: (operation: StorageOperation) => void;

  constructor(inner: ReplicaClient, report: (operation: StorageOperation) => void) {
    super(inner);
    this.#report = report;
  }

  override async *list(level: number, options: ListOptions = {}): AsyncIterable<LTXFileInfo> {
    using operation = this.#begin("LIST", options.signal);
    for await (const file of operation.watch(this.inner.list(level, options))) {
      operation.fileCount += 1;
      yield file;
    }
  }

  override async *read(file: LTXFileName, options: OpenOptions = {}): AsyncIterable<Uint8Array> {
    using operation = this.#begin("GET", options.signal);
    operation.fileCount = 1;
    for await (const chunk of operation.watch(this.inner.read(file, options))) {
      operation.bytes += chunk.length;
      yield chunk;
    }
  }

  override async write(
    file: LTXFileName,
    body: WriteBody,
    options: WriteOptions,
  ): Promise<LTXFileInfo> {
    using operation = this.#begin("PUT", options.signal);
    const written = await operation.run(this.inner.write(file, body, options));
    operation.bytes = written.sizeBytes;
    operation.fileCount = 1;
    return written;
  }

  override async copy(
    from: LTXFileInfo,
    to: LTXFileName,
    options: CopyOptions = {},
  ): Promise<LTXFileInfo | undefined> {
    if (this.inner.copy === undefined) return undefined;
    using operation = this.#begin("COPY", options.signal);
    const copied = await operation.run(super.copy(from, to, options));
    if (copied !== undefined) operation.fileCount = 1;
    return copied;
  }

  override async delete(
    files: readonly LTXFileName[],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    using operation = this.#begin("DELETE", options.signal);
    await operation.run(this.inner.delete(files, options));
    operation.fileCount = files.length;
  }

  #begin(
    operation: StorageOperation["operation"],
    signal: AbortSignal | undefined,
  ): RunningOperation {
    return new RunningOperation(signal, (outcome) =>
      this.#report({ replicaType: this.type, operation, ...outcome }),
    );
  }
}

type Outcome = Omit<StorageOperation, "replicaType" | "operation">;

class RunningOperation implements Disposable {
  bytes = 0;
  fileCount = 0;
  readonly #startedAt = performance.now();
  readonly #signal: AbortSignal | undefined;
  readonly #report: (outcome: Outcome) => void;
  #errorCode: string | undefined;

  constructor(signal: AbortSignal | undefined, report: (outcome: Outcome) => void) {
    this.#signal = signal;
    this.#report = report;
  }

  async run<T>(call: Promise<T>): Promise<T> {
    try {
      return await call;
    } catch (error) {
      this.#fail(error);
      throw error;
    }
  }

  async *watch<T>(source: AsyncIterable<T>): AsyncGenerator<T, void> {
    try {
      yield* source;
    } catch (error) {
      this.#fail(error);
      throw error;
    }
  }

  [Symbol.dispose](): void {
    const { bytes, fileCount } = this;
    const durationMs = performance.now() - this.#startedAt;
    this.#report({ bytes, fileCount, durationMs, errorCode: this.#errorCode });
  }

  #fail(error: unknown): void {
    if (this.#signal?.aborted === true) this.#errorCode = "aborted";
    else if (isStorageError(error)) this.#errorCode = error.code ?? error.kind;
    else this.#errorCode = error instanceof Error ? error.name : "unknown";
  }
}
