/** At most so many operations at once on one replica. */
import { raceAbort } from "../abortable.ts";
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

/**
 * Holds a place in the line for each write, delete, and step of a listing or read. Between the chunks of a read no place is
 * held, so any number of reads may be open at once, as a merge of many files needs.
 */
export class LimitedClient extends ForwardingClient {
  readonly #line: Line;

  constructor(inner: ReplicaClient, width: number) {
    super(inner);
    this.#line = new Line(width);
  }

  override list(level: number, options: ListOptions = {}): AsyncIterable<LTXFileInfo> {
    return this.#stepwise(this.inner.list(level, options), options.signal);
  }

  override read(file: LTXFileName, options: OpenOptions = {}): AsyncIterable<Uint8Array> {
    return this.#stepwise(this.inner.read(file, options), options.signal);
  }

  override async write(
    file: LTXFileName,
    body: WriteBody,
    options: WriteOptions,
  ): Promise<LTXFileInfo> {
    using _place = await this.#line.wait(options.signal);
    return await this.inner.write(file, body, options);
  }

  override async copy(
    from: LTXFileInfo,
    to: LTXFileName,
    options: CopyOptions = {},
  ): Promise<LTXFileInfo | undefined> {
    using _place = await this.#line.wait(options.signal);
    return await super.copy(from, to, options);
  }

  override async delete(
    files: readonly LTXFileName[],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    using _place = await this.#line.wait(options.signal);
    await this.inner.delete(files, options);
  }

  async *#stepwise<T>(
    source: AsyncIterable<T>,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<T, void> {
    const iterator = source[Symbol.asyncIterator]();
    let ended = false;
    try {
      for (;;) {
        const step = await this.#step(iterator, signal);
        if (step.done === true) {
          ended = true;
          return;
        }
        yield step.value;
      }
    } finally {
      if (!ended) await iterator.return?.();
    }
  }

  async #step<T>(
    iterator: AsyncIterator<T>,
    signal: AbortSignal | undefined,
  ): Promise<IteratorResult<T>> {
    using _place = await this.#line.wait(signal);
    return await iterator.next();
  }
}

/** First come, first served. */
class Line {
  readonly #width: number;
  readonly #waiting: (() => void)[] = [];
  #taken = 0;

  constructor(width: number) {
    if (!Number.isSafeInteger(width) || width < 1) throw new RangeError(`Invalid limit: ${width}`);
    this.#width = width;
  }

  /** Resolves when it is one's turn; disposing the result lets the next one in. */
  async wait(signal: AbortSignal | undefined): Promise<Disposable> {
    signal?.throwIfAborted();
    if (this.#taken < this.#width) {
      this.#taken += 1;
    } else {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.push(resolve);
      try {
        await raceAbort(promise, signal);
      } catch (error) {
        const index = this.#waiting.indexOf(resolve);
        if (index >= 0) this.#waiting.splice(index, 1);
        // It was our turn already when the abort came.
        else this.#leave();
        throw error;
      }
    }
    return { [Symbol.dispose]: () => this.#leave() };
  }

  /** Hands the place to who waits longest. */
  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#taken -= 1;
    else next();
  }
}
