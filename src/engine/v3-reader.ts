/** Reads objects of v0.3 backups: fetched ahead where they are small, decrypted, decompressed. */
import { FormatError } from "../formats/format-error.ts";
import { LZ4FrameDecoder } from "../formats/lz4-frame.ts";
import { isStorageError, StorageError } from "../storage/replica-client.ts";
import type { ObjectsBeside, ReplicaClient } from "../storage/replica-client.ts";
import { AGE_MAGIC_SIZE, AgeError, decryptAge, isAgeEncrypted } from "./age.ts";
import type { V3Segment, V3Snapshot } from "./v3-inventory.ts";

export type V3BackupObject = V3Snapshot | V3Segment;

/** Objects up to this size are fetched ahead. */
const smallBytes = 1024 * 1024;
/** What may be fetched and not yet read. */
const aheadBytes = 16 * 1024 * 1024;

/** An object of the backup that is damaged, missing, or cannot be decrypted. */
export class V3ObjectError extends Error {
  override readonly name = "V3ObjectError";
  readonly object: V3BackupObject;
  /** How a person can go on, when another copy is not what is needed. */
  readonly hint: string | undefined;
  /** What should come before the object is missing. */
  readonly isGap: boolean;

  constructor(
    object: V3BackupObject,
    message: string,
    details: {
      readonly cause?: unknown;
      readonly hint?: string | undefined;
      readonly isGap?: boolean;
    } = {},
  ) {
    const { cause, hint, isGap = false } = details;
    super(message, cause === undefined ? undefined : { cause });
    this.object = object;
    this.hint = hint;
    this.isGap = isGap;
  }
}

export interface V3ReaderOptions {
  /** Requests at a time. */
  readonly parallelism: number;
  /** Keys of age; not empty: every object has to be encrypted. */
  readonly identities: readonly string[];
  readonly signal?: AbortSignal | undefined;
  /** Is told of stored bytes as they are read. */
  readonly onBytes?: ((byteCount: number) => void) | undefined;
}

/** Reads the objects of one restore. Dispose it: that ends what is under way. */
export class V3Reader implements AsyncDisposable {
  readonly #beside: ObjectsBeside;
  readonly #options: V3ReaderOptions;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  /** Small objects that have not been asked for, in the order in which they will be. */
  readonly #waiting: V3BackupObject[];
  readonly #fetched = new Map<string, Promise<Uint8Array>>();
  #underWay = 0;
  #aheadBytes = 0;

  /** `objects` in the order in which they will be read. */
  constructor(client: ReplicaClient, objects: readonly V3BackupObject[], options: V3ReaderOptions) {
    if (client.beside === undefined) {
      throw new StorageError("misconfigured", `${client.description} cannot hold v0.3 backups`);
    }
    this.#beside = client.beside;
    this.#options = options;
    const { signal } = options;
    this.#signal =
      signal === undefined ? this.#stop.signal : AbortSignal.any([this.#stop.signal, signal]);
    this.#waiting = objects.filter(({ sizeBytes }) => sizeBytes <= smallBytes);
    this.#fetchAhead();
  }

  /**
   * The raw bytes of an object; a chunk is valid until the next one is asked for. Rejects with a V3ObjectError, or with what the
   * storage gave as a failure of its own. The last chunk may come before the end is known to be right: bytes count once
   * the iteration has ended without an error.
   */
  async *read(object: V3BackupObject): AsyncGenerator<Uint8Array, void> {
    try {
      yield* this.#decode(object);
    } catch (error) {
      throw objectProblem(object, error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await Promise.allSettled(this.#fetched.values());
  }

  async *#decode(object: V3BackupObject): AsyncGenerator<Uint8Array, void> {
    const decoder = new LZ4FrameDecoder();
    for await (const chunk of await this.#plainBytes(object)) {
      this.#signal.throwIfAborted();
      yield* decoder.push(chunk);
    }
    decoder.end();
  }

  async #plainBytes(object: V3BackupObject): Promise<AsyncIterable<Uint8Array>> {
    const { identities } = this.#options;
    const stored = new PeekedBytes(this.#storedBytes(object));
    const encrypted = isAgeEncrypted(await stored.peek(AGE_MAGIC_SIZE));
    if (encrypted && identities.length > 0) return decryptAge(stored, identities);
    if (encrypted) {
      throw new V3ObjectError(object, `${nameObject(object)} is encrypted with age`, {
        hint: "Give the key as age.identities of the replica in the configuration file, and name the database instead of a URL",
      });
    }
    if (identities.length === 0) return stored;
    throw new V3ObjectError(
      object,
      `${nameObject(object)} is not encrypted, although age.identities is set`,
      {
        hint: "Somebody else may have put it there. If it is yours, remove age.identities to restore it",
      },
    );
  }

  async *#storedBytes(object: V3BackupObject): AsyncGenerator<Uint8Array, void> {
    const ahead = this.#fetched.get(object.name);
    if (ahead !== undefined) {
      const bytes = await ahead;
      this.#fetched.delete(object.name);
      this.#aheadBytes -= object.sizeBytes;
      this.#fetchAhead();
      this.#options.onBytes?.(bytes.length);
      yield bytes;
      return;
    }
    this.#forget(object);
    for await (const chunk of this.#beside.read(object.name, { signal: this.#signal })) {
      this.#options.onBytes?.(chunk.length);
      yield chunk;
    }
  }

  /** Not fetched ahead any more: it is being read. */
  #forget(object: V3BackupObject): void {
    const index = this.#waiting.indexOf(object);
    if (index >= 0) this.#waiting.splice(index, 1);
  }

  #fetchAhead(): void {
    while (this.#underWay < this.#options.parallelism && !this.#signal.aborted) {
      const [next] = this.#waiting;
      if (next === undefined || this.#aheadBytes + next.sizeBytes > aheadBytes) return;
      this.#waiting.shift();
      this.#underWay += 1;
      this.#aheadBytes += next.sizeBytes;
      const bytes = this.#fetch(next);
      // Reported when the object is read; until then it must not count as unhandled.
      bytes.catch(() => undefined);
      this.#fetched.set(next.name, bytes);
    }
  }

  async #fetch(object: V3BackupObject): Promise<Uint8Array> {
    try {
      const chunks: Uint8Array[] = [];
      for await (const chunk of this.#beside.read(object.name, { signal: this.#signal })) {
        chunks.push(chunk.slice());
      }
      return Buffer.concat(chunks);
    } finally {
      this.#underWay -= 1;
      this.#fetchAhead();
    }
  }
}

/** `snapshot <path>`, `WAL segment <path>` */
export function nameObject({ kind, name }: V3BackupObject): string {
  return `${kind === "snapshot" ? "Snapshot" : "WAL segment"} "${name}"`;
}

function objectProblem(object: V3BackupObject, error: unknown): unknown {
  const name = nameObject(object);
  if (isStorageError(error, "not-found")) {
    return new V3ObjectError(object, `${name} is missing: it was listed, and is gone`, {
      cause: error,
    });
  }
  if (error instanceof FormatError) {
    return new V3ObjectError(object, `${name} is damaged: ${error.message}`, { cause: error });
  }
  if (error instanceof AgeError) {
    return new V3ObjectError(object, `${name} cannot be decrypted with age: ${error.message}`, {
      cause: error,
      hint: "Check age.identities: it needs a key of one of the recipients the backup was written for",
    });
  }
  return error;
}

/** Bytes whose beginning can be looked at first. */
class PeekedBytes implements AsyncIterable<Uint8Array> {
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #seen: Uint8Array[] = [];

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** The first `length` bytes or more; fewer when there are no more. */
  async peek(length: number): Promise<Uint8Array> {
    for (let seen = 0; seen < length;) {
      const step = await this.#source.next();
      if (step.done === true) break;
      this.#seen.push(step.value.slice());
      seen += step.value.length;
    }
    return Buffer.concat(this.#seen);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    try {
      yield* this.#seen;
      for (;;) {
        const step = await this.#source.next();
        if (step.done === true) return;
        yield step.value;
      }
    } finally {
      await this.#source.return?.();
    }
  }
}
