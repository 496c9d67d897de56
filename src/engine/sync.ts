/** One sync: what was committed since the last one becomes a level-0 file. Carries out what `planSync` decides. */
import type { LTXHeader } from "../formats/ltx/header.ts";
import { createLTXHeader } from "../formats/ltx/header.ts";
import type { TXID } from "../formats/ltx/txid.ts";
import { WAL_FRAME_HEADER_SIZE, WAL_HEADER_SIZE } from "../formats/wal.ts";
import type { WALHeader } from "../formats/wal.ts";
import type { DatabaseFile } from "../sqlite/database-file.ts";
import type { Clock } from "./clock.ts";
import type { LocalLTX } from "./local-ltx.ts";
import { writeLTXFile } from "./ltx-file.ts";
import type { PageSelection } from "./ltx-file.ts";
import { writeResumePoint } from "./resume-point.ts";
import { framesBefore, planSync, previousFrameOffset, sameMark } from "./sync-plan.ts";
import type { FrameMark, ResumePoint, SyncPlan } from "./sync-plan.ts";
import { WALFile } from "./wal-file.ts";
import type { WALStretch } from "./wal-file.ts";

/** How often a sync starts over because the WAL was restarted or overwritten while it was read. */
const MAX_ATTEMPTS = 4;

export interface SyncTarget {
  readonly database: DatabaseFile;
  readonly pageSize: number;
  readonly metaPath: string;
  readonly local: LocalLTX;
  readonly clock: Clock;
}

export interface SyncResult {
  readonly kind: "written";
  readonly txid: TXID;
  readonly pageCount: number;
  readonly walBytes: number;
  readonly sizeBytes: number;
  readonly durationMs: number;
  /** Why every page was written, when it was. */
  readonly image: string | undefined;
  /** Stopped at the byte limit: sync again at once. */
  readonly limited: boolean;
}

export type SyncOutcome =
  | SyncResult
  | { readonly kind: "idle"; readonly uncommittedFrames: number }
  /** There is no WAL with a valid header: a commit must make one first. */
  | { readonly kind: "no-wal" };

/** The level-0 writer of one open database. The read lock must be held while `run` works. */
export class Sync {
  readonly #target: SyncTarget;
  readonly #walPath: string;
  #resume: ResumePoint | null;
  /** Every new file gets the number after this one. */
  #txid: TXID;
  /** Takes a full image at the next run although continuity may hold. */
  #imageReason: string | null = null;
  /** See `planSync`. */
  #sealed = false;

  constructor(
    target: SyncTarget,
    start: { readonly txid: TXID; readonly resume: ResumePoint | null },
  ) {
    this.#target = target;
    this.#walPath = `${target.database.path}-wal`;
    this.#resume = start.resume;
    this.#txid = start.txid;
  }

  /** TXID of the newest level-0 file, or the greatest number known to be taken. */
  get txid(): TXID {
    return this.#txid;
  }

  /** Where the next run starts; null when nothing is known. */
  get resume(): ResumePoint | null {
    return this.#resume;
  }

  /** Frames of the present WAL generation that are copied. */
  get copiedFrames(): number {
    return this.#resume === null ? 0 : framesBefore(this.#resume.offset, this.#resume.pageSize);
  }

  /** End of what is copied, as an offset in the WAL. */
  get walOffset(): number {
    return this.#resume?.offset ?? 0;
  }

  /** A checkpoint ended with everything copied and backfilled, and the read lock is on slot 0. */
  seal(): void {
    this.#sealed = true;
  }

  /** The read lock was moved or lost since. */
  unseal(): void {
    this.#sealed = false;
  }

  /** The next run writes every page, for the reason given. */
  requireImage(reason: string): void {
    this.#imageReason ??= reason;
  }

  /** Which WAL generation the resume point is in. */
  get generation(): string {
    const mark = this.#resume?.mark;
    return mark === undefined ? "" : `${mark.salt1}-${mark.salt2}`;
  }

  /** Numbers above `txid` from now on. */
  numberAbove(txid: TXID): void {
    if (txid > this.#txid) this.#txid = txid;
  }

  /** Whether at least `frames` valid-looking frames lie behind the resume point: one short read. */
  hasPending(frames: number): boolean {
    const resume = this.#resume;
    if (resume === null) return true;
    using wal = WALFile.open(this.#walPath);
    const header = wal?.header() ?? null;
    if (wal === null || header === null) return false;
    const restarted = header.salt1 !== resume.mark.salt1 || header.salt2 !== resume.mark.salt2;
    const offset = restarted ? WAL_HEADER_SIZE : resume.offset;
    const mark = wal.frameMark(offset + (frames - 1) * (WAL_FRAME_HEADER_SIZE + resume.pageSize));
    return mark !== null && mark.salt1 === header.salt1 && mark.salt2 === header.salt2;
  }

  /** Copies what is committed, at most about `limitBytes` of WAL (an image is never limited). */
  async run(limitBytes: number, signal?: AbortSignal): Promise<SyncOutcome> {
    for (let attempt = 1; ; attempt++) {
      const outcome = await this.#attempt(limitBytes, signal);
      if (outcome !== "disturbed") return outcome;
      if (attempt === MAX_ATTEMPTS) {
        throw new Error(
          `Cannot copy the WAL of "${this.#target.database.path}": it was restarted ${MAX_ATTEMPTS} times while it was read`,
        );
      }
    }
  }

  async #attempt(limitBytes: number, signal?: AbortSignal): Promise<SyncOutcome | "disturbed"> {
    using wal = WALFile.open(this.#walPath);
    const observation = wal?.observe(this.#resume) ?? {
      sizeBytes: 0,
      header: null,
      previousFrame: null,
    };
    const { header } = observation;
    if (wal === null || header === null) return { kind: "no-wal" };
    const { ino } = this.#target.database.identity;
    const plan: SyncPlan =
      this.#imageReason === null
        ? planSync(observation, this.#resume, {
            pageSize: this.#target.pageSize,
            ino,
            sealed: this.#sealed,
          })
        : { kind: "full-image", reason: this.#imageReason };
    // Awaited here: the WAL is closed when this function is left.
    switch (plan.kind) {
      case "continue":
        return await this.#continue(plan, wal, header, limitBytes, signal);
      case "new-generation":
        return await this.#startGeneration(wal, header, limitBytes, signal);
      case "continue-after-restart":
        return await this.#continueAfterRestart(plan, wal, header, signal);
      case "full-image":
        return await this.#writeImage(plan.reason, wal, header, signal);
    }
  }

  async #continue(
    plan: SyncPlan & { kind: "continue" },
    wal: WALFile,
    header: WALHeader,
    limitBytes: number,
    signal?: AbortSignal,
  ): Promise<SyncOutcome | "disturbed"> {
    const next = wal.frameMark(plan.offset);
    if (next === null || next.salt1 !== plan.mark.salt1 || next.salt2 !== plan.mark.salt2) {
      return { kind: "idle", uncommittedFrames: 0 };
    }
    const stretch = await wal.scan(
      { header, offset: plan.offset, mark: plan.mark },
      limitBytes,
      signal,
    );
    if (stretch.commit === 0) return { kind: "idle", uncommittedFrames: stretch.uncommittedFrames };
    return this.#write({
      wal,
      header,
      walOffset: plan.offset,
      stretch,
      signal,
    });
  }

  async #startGeneration(
    wal: WALFile,
    header: WALHeader,
    limitBytes: number,
    signal?: AbortSignal,
  ): Promise<SyncOutcome | "disturbed"> {
    const start = { header, offset: WAL_HEADER_SIZE, mark: headerMark(header) };
    const stretch = await wal.scan(start, limitBytes, signal);
    if (stretch.commit === 0) {
      if (!sameHeader(wal.header(), header)) return "disturbed";
      this.#moveTo(header, stretch, this.#resume?.commit ?? 0);
      return { kind: "idle", uncommittedFrames: stretch.uncommittedFrames };
    }
    return this.#write({
      wal,
      header,
      walOffset: WAL_HEADER_SIZE,
      stretch,
      signal,
    });
  }

  /** Tail of the old generation and start of the new one as one file: growth pages may already be the newer ones. */
  async #continueAfterRestart(
    plan: SyncPlan & { kind: "continue-after-restart" },
    wal: WALFile,
    header: WALHeader,
    signal?: AbortSignal,
  ): Promise<SyncOutcome | "disturbed"> {
    const tail = await wal.scan(
      { header, offset: plan.tailOffset, mark: plan.tailMark },
      Infinity,
      signal,
    );
    const head = await wal.scan(
      { header, offset: WAL_HEADER_SIZE, mark: headerMark(header) },
      Infinity,
      signal,
    );
    const stretch = joinStretches(tail, head);
    const tailIntact = (): boolean => {
      const mark = wal.frameMark(previousFrameOffset(plan.tailOffset, this.#target.pageSize));
      return mark !== null && sameMark(mark, plan.tailMark);
    };
    if (stretch.commit === 0) {
      // Nothing new, but the old generation is known to be complete: remember the restart before it is overwritten.
      if (!tailIntact() || !sameHeader(wal.header(), header)) return "disturbed";
      this.#moveTo(header, head, this.#resume?.commit ?? 0);
      return { kind: "idle", uncommittedFrames: head.uncommittedFrames };
    }
    return this.#write({
      wal,
      header,
      walOffset: WAL_HEADER_SIZE,
      stretch,
      intact: tailIntact,
      signal,
    });
  }

  async #writeImage(
    reason: string,
    wal: WALFile,
    header: WALHeader,
    signal?: AbortSignal,
  ): Promise<SyncOutcome | "disturbed"> {
    const start = { header, offset: WAL_HEADER_SIZE, mark: headerMark(header) };
    const stretch = await wal.scan(start, Infinity, signal);
    const commit =
      stretch.commit || Math.floor(this.#target.database.sizeBytes / this.#target.pageSize);
    return this.#write({
      wal,
      header,
      walOffset: WAL_HEADER_SIZE,
      stretch: { ...stretch, commit, limited: false },
      image: reason,
      signal,
    });
  }

  async #write(job: {
    readonly wal: WALFile;
    readonly header: WALHeader;
    readonly walOffset: number;
    readonly stretch: WALStretch;
    /** Why every page is written; by default the changed ones are. */
    readonly image?: string;
    /** Whether what was read is still what was verified, asked after the last read. */
    readonly intact?: () => boolean;
    readonly signal: AbortSignal | undefined;
  }): Promise<SyncOutcome | "disturbed"> {
    const { local, database, clock, pageSize } = this.#target;
    const { stretch, header } = job;
    const startedAt = clock.monotonic();
    const txid = this.#txid + 1n;
    const walSize = stretch.endOffset - job.walOffset;
    const ltx = createLTXHeader({
      pageSize,
      commit: stretch.commit,
      minTXID: txid,
      maxTXID: txid,
      timestampMs: clock.now(),
      walOffset: job.walOffset,
      walSize,
      walSalt1: header.salt1,
      walSalt2: header.salt2,
    });
    const selection: PageSelection =
      job.image === undefined
        ? { kind: "changed", previousCommit: this.#resume?.commit ?? 0 }
        : { kind: "all" };
    const temp = local.createTemp(txid);
    let written;
    let intact;
    try {
      const source = { database, wal: job.wal, pages: stretch.pages };
      written = await writeLTXFile(temp, ltx, selection, source, job.signal);
      intact = sameHeader(job.wal.header(), header) && (job.intact?.() ?? true);
    } catch (error) {
      local.discard(temp);
      throw error;
    }
    if (!intact) {
      local.discard(temp);
      return "disturbed";
    }
    await local.publish(temp, ltx);
    this.#txid = txid;
    this.#imageReason = null;
    this.#moveTo(header, stretch, stretch.commit, ltx);
    return {
      kind: "written",
      txid,
      pageCount: written.pageCount,
      walBytes: walSize,
      sizeBytes: written.sizeBytes,
      durationMs: clock.monotonic() - startedAt,
      image: job.image,
      limited: stretch.limited,
    };
  }

  #moveTo(header: WALHeader, stretch: WALStretch, commit: number, newest?: LTXHeader): void {
    const { database, pageSize, metaPath, local } = this.#target;
    this.#sealed = false;
    this.#resume = {
      txid: this.#txid,
      commit,
      pageSize,
      offset: stretch.endOffset,
      mark: stretch.mark,
      bigEndian: header.bigEndian,
      ino: database.identity.ino,
    };
    const newestHeader = newest ?? local.newestHeader();
    if (newestHeader !== undefined) writeResumePoint(metaPath, newestHeader, this.#resume);
  }
}

/** The state before a generation's first frame. */
function headerMark(header: WALHeader): FrameMark {
  const { salt1, salt2, checksum1, checksum2 } = header;
  return { salt1, salt2, checksum1, checksum2 };
}

function sameHeader(a: WALHeader | null, b: WALHeader): boolean {
  return a !== null && sameMark(headerMark(a), headerMark(b));
}

/** What the newer stretch holds wins; position and mark are the newer one's. */
function joinStretches(tail: WALStretch, head: WALStretch): WALStretch {
  const pages = new Map(tail.pages);
  for (const [pgno, offset] of head.pages) pages.set(pgno, offset);
  return { ...head, pages, commit: head.commit || tail.commit, limited: false };
}
