/**
 * Reads a database's `-wal` file. Opened anew for each look: the file may be deleted and made again at any time, and
 * SQLite keeps no locks on it, so closing it is harmless.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import {
  WALScanner,
  WAL_FRAME_HEADER_SIZE,
  WAL_HEADER_SIZE,
  decodeWALHeader,
} from "../formats/wal.ts";
import type { WALHeader } from "../formats/wal.ts";
import { previousFrameOffset, sameMark } from "./sync-plan.ts";
import type { FrameMark, ResumePoint, WALObservation } from "./sync-plan.ts";

/** Bytes scanned between two turns of the event loop: about 1 ms of work each MiB. */
const SLICE_BYTES = 4 << 20;

/** The committed frames of one stretch of the WAL. */
export interface WALStretch {
  /** Page number → WAL offset of the newest committed copy's data. */
  readonly pages: Map<number, number>;
  /** Database size in pages after the last commit; 0 when nothing was committed. */
  readonly commit: number;
  /** Offset behind the last commit frame; the start when nothing was committed. */
  readonly endOffset: number;
  /** Mark of that frame; the start's when nothing was committed. */
  readonly mark: FrameMark;
  /** Stopped at the byte limit: more may follow. */
  readonly limited: boolean;
  /** Valid frames behind the last commit: a transaction under way, or one rolled back. */
  readonly uncommittedFrames: number;
}

export class WALFile implements Disposable {
  readonly #fd: number;
  readonly #scratch = new Uint8Array(WAL_HEADER_SIZE);

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** Null when there is no WAL file. */
  static open(path: string): WALFile | null {
    try {
      return new WALFile(openSync(path, "r"));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
      throw error;
    }
  }

  get sizeBytes(): number {
    return fstatSync(this.#fd).size;
  }

  /** The present header; null when it is short or fails its checksum. FormatError: not a WAL at all. */
  header(): WALHeader | null {
    const count = readSync(this.#fd, this.#scratch, 0, WAL_HEADER_SIZE, 0);
    return count < WAL_HEADER_SIZE ? null : decodeWALHeader(this.#scratch);
  }

  /** Salts and checksums in the header of the frame at `offset`; null when the file ends before. */
  frameMark(offset: number): FrameMark | null {
    const bytes = this.#scratch;
    const count = readSync(this.#fd, bytes, 0, WAL_FRAME_HEADER_SIZE, offset);
    if (count < WAL_FRAME_HEADER_SIZE) return null;
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    return {
      salt1: view.getUint32(8),
      salt2: view.getUint32(12),
      checksum1: view.getUint32(16),
      checksum2: view.getUint32(20),
    };
  }

  /** The facts `planSync` needs. */
  observe(resume: ResumePoint | null): WALObservation {
    const header = this.header();
    const previousFrame =
      resume === null || resume.offset === WAL_HEADER_SIZE
        ? null
        : this.frameMark(previousFrameOffset(resume.offset, resume.pageSize));
    return { sizeBytes: this.sizeBytes, header, previousFrame };
  }

  /** Whether the frame before the resume point is in place, in the present generation, and none of that follows. */
  endsAt(resume: ResumePoint): boolean {
    const { header, previousFrame } = this.observe(resume);
    if (header === null || previousFrame === null || !sameMark(previousFrame, resume.mark))
      return false;
    const { salt1, salt2 } = resume.mark;
    if (header.salt1 !== salt1 || header.salt2 !== salt2) return false;
    const next = this.frameMark(resume.offset);
    return next === null || next.salt1 !== salt1 || next.salt2 !== salt2;
  }

  /** Reads page data at `offset` into `target`; an end of file in between is an error: the frames were verified before. */
  read(target: Uint8Array, targetOffset: number, length: number, offset: number): void {
    const count = readSync(this.#fd, target, targetOffset, length, offset);
    if (count !== length) {
      throw new Error(
        `Cannot read WAL page at offset ${offset}: ${count} of ${length} bytes are left`,
      );
    }
  }

  /**
   * Verifies frames from `offset` on and maps the committed ones, at most about `limitBytes` of them: it stops at the
   * first commit at or after the limit. A transaction is never split.
   */
  async scan(
    start: {
      readonly header: Pick<WALHeader, "pageSize" | "bigEndian">;
      readonly offset: number;
      readonly mark: FrameMark;
    },
    limitBytes: number,
    signal?: AbortSignal,
  ): Promise<WALStretch> {
    const { pageSize, bigEndian } = start.header;
    const frameSize = WAL_FRAME_HEADER_SIZE + pageSize;
    const scanner = new WALScanner({ pageSize, bigEndian, ...start.mark });
    const stretch = new StretchBuilder(start.offset, start.mark);
    let offset = start.offset;
    let sinceTurn = 0;
    for (;;) {
      const buffer = scanner.frames();
      const wanted = scanner.capacityFrames * frameSize;
      const count = Math.floor(readSync(this.#fd, buffer, 0, wanted, offset) / frameSize);
      if (count === 0) return stretch.finish(false);
      const valid = scanner.scan(count);
      let lastCommit = -1;
      let limited = false;
      for (let index = 0; index < valid && !limited; index++) {
        const commit = scanner.commits[index] ?? 0;
        stretch.add(scanner.pgnos[index] ?? 0, offset + index * frameSize + WAL_FRAME_HEADER_SIZE);
        if (commit === 0) continue;
        stretch.commit(commit, offset + (index + 1) * frameSize);
        lastCommit = index;
        limited = stretch.endOffset - start.offset >= limitBytes;
      }
      if (lastCommit >= 0) stretch.mark = markAt(buffer, lastCommit * frameSize);
      if (limited) return stretch.finish(true);
      if (valid < count || count < scanner.capacityFrames) return stretch.finish(false);
      offset += valid * frameSize;
      sinceTurn += valid * frameSize;
      if (sinceTurn < SLICE_BYTES) continue;
      sinceTurn = 0;
      await nextTurn();
      signal?.throwIfAborted();
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}

function markAt(frames: Uint8Array, offset: number): FrameMark {
  const view = new DataView(frames.buffer, frames.byteOffset + offset, WAL_FRAME_HEADER_SIZE);
  return {
    salt1: view.getUint32(8),
    salt2: view.getUint32(12),
    checksum1: view.getUint32(16),
    checksum2: view.getUint32(20),
  };
}

/** Collects frames; what follows the last commit stays out of the result. */
class StretchBuilder {
  endOffset: number;
  /** Mark of the frame that ends at `endOffset`. */
  mark: FrameMark;
  readonly #pages = new Map<number, number>();
  readonly #pendingPgnos: number[] = [];
  readonly #pendingOffsets: number[] = [];
  #commit = 0;

  constructor(offset: number, mark: FrameMark) {
    this.endOffset = offset;
    this.mark = mark;
  }

  add(pgno: number, offset: number): void {
    this.#pendingPgnos.push(pgno);
    this.#pendingOffsets.push(offset);
  }

  commit(commit: number, endOffset: number): void {
    const count = this.#pendingPgnos.length;
    for (let index = 0; index < count; index++) {
      this.#pages.set(this.#pendingPgnos[index] ?? 0, this.#pendingOffsets[index] ?? 0);
    }
    this.#pendingPgnos.length = 0;
    this.#pendingOffsets.length = 0;
    this.#commit = commit;
    this.endOffset = endOffset;
  }

  finish(limited: boolean): WALStretch {
    return {
      pages: this.#pages,
      commit: this.#commit,
      endOffset: this.endOffset,
      mark: this.mark,
      limited,
      uncommittedFrames: this.#pendingPgnos.length,
    };
  }
}
