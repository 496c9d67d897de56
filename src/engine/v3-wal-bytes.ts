/** One WAL of a v0.3 backup as a stream of bytes: its segments joined, and compared where they overlap. */
import { hintBefore, missingSegment } from "./restore-v3-plan.ts";
import type { V3WAL } from "./restore-v3-plan.ts";
import type { V3Segment } from "./v3-inventory.ts";
import { nameObject, V3ObjectError } from "./v3-reader.ts";
import type { V3Reader } from "./v3-reader.ts";

/** What a segment contributed: bytes [start, end) of the WAL. */
interface Part {
  readonly segment: V3Segment;
  readonly start: number;
  readonly end: number;
}

/**
 * Bytes of the WAL in order; a chunk is valid until the next one is asked for. Segments may overlap (two daemons on one replica write
 * such), as long as they agree; a hole between them is a V3ObjectError. To compare, what was read before is read again: overlaps are rare,
 * and nothing has to be kept for them.
 */
export class V3WALBytes implements AsyncIterable<Uint8Array> {
  /** The segment that is being read. */
  current: V3Segment;
  /** Bytes of the WAL so far. */
  sizeBytes = 0;
  readonly #reader: V3Reader;
  readonly #wal: V3WAL;
  readonly #parts: Part[] = [];

  constructor(reader: V3Reader, wal: V3WAL) {
    const [first] = wal.segments;
    if (first === undefined) throw new RangeError(`WAL ${wal.index} has no segments`);
    this.current = first;
    this.#reader = reader;
    this.#wal = wal;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void> {
    for (const segment of this.#wal.segments) {
      if (segment.offset > this.sizeBytes) throw this.#gapBefore(segment);
      this.current = segment;
      yield* this.#readSegment(segment);
    }
  }

  async *#readSegment(segment: V3Segment): AsyncGenerator<Uint8Array, void> {
    const start = this.sizeBytes;
    await using known = new ByteCursor(this.#readAgain(segment.offset, start));
    let at = segment.offset;
    for await (const chunk of this.#reader.read(segment)) {
      const overlap = Math.min(chunk.length, Math.max(0, start - at));
      if (!(await known.matches(chunk.subarray(0, overlap)))) throw contradiction(segment);
      at += chunk.length;
      this.sizeBytes = Math.max(start, at);
      if (overlap < chunk.length) yield chunk.subarray(overlap);
    }
    if (at > start) this.#parts.push({ segment, start, end: at });
  }

  /** Bytes [from, to) of the WAL, which were read before. */
  async *#readAgain(from: number, to: number): AsyncGenerator<Uint8Array, void> {
    for (const { segment, start, end } of this.#parts) {
      const first = Math.max(from, start);
      const last = Math.min(to, end);
      if (first >= last) continue;
      let at = segment.offset;
      for await (const chunk of this.#reader.read(segment)) {
        const piece = chunk.subarray(Math.max(0, first - at), Math.max(0, last - at));
        at += chunk.length;
        if (piece.length > 0) yield piece;
      }
    }
  }

  #gapBefore(segment: V3Segment): V3ObjectError {
    const { index } = this.#wal;
    return new V3ObjectError(segment, missingSegment(segment, index, this.sizeBytes), {
      isGap: true,
      hint: hintBefore(this.current),
    });
  }
}

function contradiction(segment: V3Segment): V3ObjectError {
  return new V3ObjectError(
    segment,
    `${nameObject(segment)} contradicts the segments before it: they hold other bytes for the same offset`,
  );
}

/** Compares a stream of bytes with pieces of any size. */
class ByteCursor implements AsyncDisposable {
  readonly #source: AsyncGenerator<Uint8Array, void>;
  #chunk: Uint8Array = new Uint8Array();

  constructor(source: AsyncGenerator<Uint8Array, void>) {
    this.#source = source;
  }

  /** Whether the next bytes are these. */
  async matches(bytes: Uint8Array): Promise<boolean> {
    for (let at = 0; at < bytes.length;) {
      if (this.#chunk.length === 0) {
        const step = await this.#source.next();
        if (step.done === true) return false;
        this.#chunk = step.value;
        continue;
      }
      const length = Math.min(this.#chunk.length, bytes.length - at);
      if (Buffer.compare(this.#chunk.subarray(0, length), bytes.subarray(at, at + length)) !== 0) {
        return false;
      }
      this.#chunk = this.#chunk.subarray(length);
      at += length;
    }
    return true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#source.return();
  }
}
