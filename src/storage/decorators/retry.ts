/** Second attempts: whole calls again after a failure that may pass, broken reads from where they broke. */
import { backoffMs, sleepFor, withAttempts } from "../backoff.ts";
import type { Backoff } from "../backoff.ts";
import { compareLTXFiles, isStorageError } from "../replica-client.ts";
import type {
  CopyOptions,
  FolderBelow,
  ListOptions,
  LTXFileInfo,
  LTXFileName,
  ObjectsBeside,
  OpenOptions,
  ReplicaClient,
  WriteBody,
  WriteOptions,
} from "../replica-client.ts";
import { ForwardingClient } from "./forwarding.ts";

export interface RetryOptions {
  /** For whole calls. One attempt where the place itself repeats its requests. */
  readonly calls: Backoff;
  /** For reads: how often in a row one may break without a byte of progress. */
  readonly reads: Backoff;
}

/**
 * Repeats what failed as "unavailable"; anything else (not found, exists, denied, misconfigured, full, corrupt, an abort)
 * is final. A write from a stream is never repeated, for its source is used up.
 */
export class RetryingClient extends ForwardingClient {
  readonly #options: RetryOptions;

  constructor(inner: ReplicaClient, options: RetryOptions) {
    super(inner);
    this.#options = options;
  }

  override async open(signal?: AbortSignal): Promise<void> {
    await this.#again(() => this.inner.open(signal), signal);
  }

  override async conditionalWrites(signal?: AbortSignal): Promise<boolean> {
    return this.#again(() => this.inner.conditionalWrites(signal), signal);
  }

  override async *list(level: number, options: ListOptions = {}): AsyncIterable<LTXFileInfo> {
    let last: LTXFileInfo | undefined;
    let broken = 0;
    for (;;) {
      const from = last?.minTXID ?? options.from;
      try {
        const files = this.inner.list(level, {
          ...options,
          ...(from === undefined ? {} : { from }),
        });
        for await (const file of files) {
          // Listed before the listing broke.
          if (last !== undefined && compareLTXFiles(file, last) <= 0) continue;
          last = file;
          broken = 0;
          yield file;
        }
        return;
      } catch (error) {
        broken += 1;
        await pauseOrThrow(error, broken, this.#options.calls, options.signal);
      }
    }
  }

  override read(file: LTXFileName, options: OpenOptions = {}): AsyncIterable<Uint8Array> {
    return readOn((range) => this.inner.read(file, range), options, this.#options.reads);
  }

  override async write(
    file: LTXFileName,
    body: WriteBody,
    options: WriteOptions,
  ): Promise<LTXFileInfo> {
    if (body.kind === "stream") return this.inner.write(file, body, options);
    return this.#again(() => this.inner.write(file, body, options), options.signal);
  }

  override async copy(
    from: LTXFileInfo,
    to: LTXFileName,
    options: CopyOptions = {},
  ): Promise<LTXFileInfo | undefined> {
    return this.#again(() => super.copy(from, to, options), options.signal);
  }

  override async delete(
    files: readonly LTXFileName[],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    await this.#again(() => this.inner.delete(files, options), options.signal);
  }

  override async lookBelow(
    below: string,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<FolderBelow | undefined> {
    return this.#again(() => super.lookBelow(below, options), options.signal);
  }

  override get beside(): ObjectsBeside | undefined {
    const { beside } = this.inner;
    if (beside === undefined) return undefined;
    return {
      list: (folder, options) => beside.list(folder, options),
      read: (name, options = {}) =>
        readOn((range) => beside.read(name, range), options, this.#options.reads),
      write: (name, bytes, options = {}) =>
        this.#again(() => beside.write(name, bytes, options), options.signal),
      delete: (name, options = {}) =>
        this.#again(() => beside.delete(name, options), options.signal),
    };
  }

  async #again<T>(call: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
    return withAttempts(this.#options.calls, call, isPassing, signal);
  }
}

/** Reads a range; after a break, opens again at the first byte that has not been handed out. */
async function* readOn(
  open: (range: OpenOptions) => AsyncIterable<Uint8Array>,
  options: OpenOptions,
  backoff: Backoff,
): AsyncGenerator<Uint8Array, void> {
  let { offset = 0, length } = options;
  let broken = 0;
  for (;;) {
    try {
      const range = { ...options, offset, ...(length === undefined ? {} : { length }) };
      for await (const chunk of open(range)) {
        offset += chunk.length;
        if (length !== undefined) length -= chunk.length;
        broken = 0;
        yield chunk;
      }
      return;
    } catch (error) {
      // Broken after the last byte that was wanted.
      if (length === 0 && isPassing(error)) return;
      broken += 1;
      await pauseOrThrow(error, broken, backoff, options.signal);
    }
  }
}

async function pauseOrThrow(
  error: unknown,
  broken: number,
  backoff: Backoff,
  signal: AbortSignal | undefined,
): Promise<void> {
  signal?.throwIfAborted();
  if (broken >= backoff.attempts || !isPassing(error)) throw error;
  await (backoff.sleep ?? sleepFor)(backoffMs(broken, backoff), signal);
}

function isPassing(error: unknown): boolean {
  return isStorageError(error, "unavailable");
}
