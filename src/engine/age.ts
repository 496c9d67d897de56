/** Decrypts age files as streams: Litestream 0.3 could encrypt its backups. */
import { ReadableStream } from "node:stream/web";

const MAGIC = "age-encryption.org/v1";

/** Length of the bytes that tell an age file. */
export const AGE_MAGIC_SIZE: number = MAGIC.length;

/** A file that cannot be decrypted, or a key that is none. */
export class AgeError extends Error {
  override readonly name = "AgeError";
}

/** Whether bytes start like an age file. */
export function isAgeEncrypted(bytes: Uint8Array): boolean {
  return (
    bytes.length >= MAGIC.length &&
    Buffer.from(bytes.buffer, bytes.byteOffset, MAGIC.length).toString("latin1") === MAGIC
  );
}

/**
 * The keys in `texts`, each the content of a key file: one key a line, `#` starts a comment. Throws AgeError when a line
 * is no key, without quoting it.
 */
export function readAgeIdentities(texts: readonly string[]): readonly string[] {
  const lines = texts.flatMap((text) => text.split(/\r?\n/)).map((line) => line.trim());
  const keys = lines.filter((line) => line !== "" && !line.startsWith("#"));
  for (const key of keys) {
    if (/^AGE-SECRET-KEY-(?:PQ-)?1[0-9A-Z]+$/.test(key)) continue;
    throw new AgeError("Invalid age identity: it does not start with AGE-SECRET-KEY-1");
  }
  return keys;
}

/** The plain bytes of an age file. Rejects with an AgeError when no key fits or the file is damaged. */
export async function* decryptAge(
  chunks: AsyncIterable<Uint8Array>,
  identities: readonly string[],
): AsyncGenerator<Uint8Array, void> {
  const { Decrypter } = await import("age-encryption");
  const source = new SourceStream(chunks);
  try {
    const decrypter = new Decrypter();
    for (const identity of identities) decrypter.addIdentity(identity);
    const plain = await decrypter.decrypt(source.stream);
    for await (const chunk of plain as unknown as ReadableStream<Uint8Array>) yield chunk;
  } catch (error) {
    // A storage that fails is not a file that is damaged.
    if (source.failure !== undefined) throw source.failure.reason;
    throw new AgeError(`Cannot decrypt: ${(error as Error).message}`, { cause: error });
  } finally {
    await source.close();
  }
}

/** An iterable as a stream that remembers how it failed. */
class SourceStream {
  failure: { readonly reason: unknown } | undefined;
  readonly stream: ReadableStream<Uint8Array>;
  readonly #iterator: AsyncIterator<Uint8Array>;

  constructor(chunks: AsyncIterable<Uint8Array>) {
    this.#iterator = chunks[Symbol.asyncIterator]();
    this.stream = new ReadableStream<Uint8Array>({ pull: (controller) => this.#pull(controller) });
  }

  async close(): Promise<void> {
    await this.#iterator.return?.();
  }

  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    try {
      const step = await this.#iterator.next();
      if (step.done === true) controller.close();
      else controller.enqueue(step.value.slice());
    } catch (error) {
      this.failure = { reason: error };
      controller.error(error);
    }
  }
}
