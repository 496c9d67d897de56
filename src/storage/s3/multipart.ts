/** Uploads in parts: bodies cut into buffers, several in flight, nothing left behind on failure. */
import { abortable } from "../abortable.ts";
import { readPieces } from "../file-system.ts";
import { StorageError } from "../replica-client.ts";
import type { WriteBody } from "../replica-client.ts";
import type { PartPlan } from "./multipart-plan.ts";

/** One multipart upload of a store. */
export interface MultipartUpload {
  /** Sends part `number`, counted from 1. */
  readonly putPart: (
    number: number,
    bytes: Uint8Array,
    signal: AbortSignal,
  ) => Promise<UploadedPart>;
  readonly complete: (parts: readonly UploadedPart[]) => Promise<void>;
  /** Makes the store forget the parts. */
  readonly abandon: () => Promise<void>;
}

export interface UploadedPart {
  readonly number: number;
  readonly etag: string;
  /** Base64 of the part's CRC-32, where the store has checked one: AWS wants it again with the completion. */
  readonly crc32?: string;
}

/** Cuts a body into parts of the planned sizes, each in memory that is not used again. An empty body is one empty part. */
export async function* bodyParts(
  body: WriteBody,
  plan: PartPlan,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void> {
  switch (body.kind) {
    case "bytes":
      yield* sliceParts(body.bytes, plan);
      return;
    case "stream":
      yield* joinParts(abortable(body.chunks, signal), plan);
      return;
    case "file": {
      let sizeBytes = 0;
      for await (const part of joinParts(readPieces(body.path, { signal }), plan)) {
        sizeBytes += part.length;
        if (sizeBytes > body.sizeBytes) break;
        yield part;
      }
      if (sizeBytes === body.sizeBytes) return;
      throw new StorageError(
        "corrupt",
        `Cannot send "${body.path}": ${body.sizeBytes} bytes announced, ${sizeBytes} read`,
      );
    }
  }
}

function* sliceParts(bytes: Uint8Array, plan: PartPlan): Generator<Uint8Array, void> {
  let offset = 0;
  let number = 1;
  do {
    const end = Math.min(bytes.length, offset + plan.sizeOfPart(number));
    yield bytes.subarray(offset, end);
    offset = end;
    number += 1;
  } while (offset < bytes.length);
}

async function* joinParts(
  chunks: AsyncIterable<Uint8Array>,
  plan: PartPlan,
): AsyncGenerator<Uint8Array, void> {
  let number = 1;
  let part = new PartBuffer(plan.sizeOfPart(number));
  for await (const chunk of chunks) {
    for (let taken = 0; taken < chunk.length;) {
      // A full part is handed on only when more follows, so that a body of one part is known to be one.
      if (part.isFull) {
        yield part.bytes;
        number += 1;
        part = new PartBuffer(plan.sizeOfPart(number));
      }
      taken += part.append(chunk.subarray(taken));
    }
  }
  yield part.bytes;
}

/** Bytes up to a limit in memory that grows as they come: most bodies are far smaller than a part. */
class PartBuffer {
  readonly #limit: number;
  #memory: Buffer;
  #length = 0;

  constructor(limit: number) {
    this.#limit = limit;
    this.#memory = Buffer.allocUnsafeSlow(Math.min(limit, 64 * 1024));
  }

  get isFull(): boolean {
    return this.#length === this.#limit;
  }

  get bytes(): Uint8Array {
    return this.#memory.subarray(0, this.#length);
  }

  /** Takes what fits and returns how much that was. */
  append(bytes: Uint8Array): number {
    const taken = bytes.subarray(0, this.#limit - this.#length);
    const length = this.#length + taken.length;
    if (length > this.#memory.length) {
      const grown = Buffer.allocUnsafeSlow(
        Math.min(this.#limit, Math.max(length, this.#memory.length * 4)),
      );
      this.#memory.copy(grown, 0, 0, this.#length);
      this.#memory = grown;
    }
    this.#memory.set(taken, this.#length);
    this.#length = length;
    return taken.length;
  }
}

/**
 * Sends all parts, `inFlight` at once, and completes the upload. On any failure, of a part or of their source, or an
 * abort, everything under way is cancelled and the upload abandoned before the first error is thrown.
 * @returns the bytes sent
 */
export async function uploadParts(
  upload: MultipartUpload,
  parts: AsyncIterable<Uint8Array>,
  inFlight: number,
  signal?: AbortSignal,
): Promise<number> {
  const stop = new AbortController();
  const either = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
  const running = new Set<Promise<void>>();
  const done: UploadedPart[] = [];
  let sizeBytes = 0;
  let number = 0;
  try {
    for await (const bytes of abortable(parts, either)) {
      number += 1;
      sizeBytes += bytes.length;
      const sending = upload.putPart(number, bytes, either).then(
        (part) => {
          done.push(part);
          running.delete(sending);
        },
        (error: unknown) => {
          // Ends the source, the other parts, and this loop, all with this error.
          stop.abort(error);
          running.delete(sending);
        },
      );
      running.add(sending);
      if (running.size >= inFlight) await Promise.race(running);
      either.throwIfAborted();
    }
    await Promise.all(running);
    either.throwIfAborted();
    await upload.complete(done.toSorted((a, b) => a.number - b.number));
    return sizeBytes;
  } catch (error) {
    stop.abort(error);
    await Promise.all(running);
    await upload.abandon();
    throw error;
  }
}
