/** One sync: what was committed since the last one becomes a level-0 file. Carries out what `planSync` decides. */
import type { LTXHeader } from "../formats/ltx/header.ts";
import type { TXID } from "../formats/ltx/txid.ts";
import { WAL_FRAME_HEADER_SIZE, WAL_HEADER_SIZE } from "../formats/wal.ts";
import type { WALHeader } from "../formats/wal.ts";
import { writeLevelZero } from "./level-zero.ts";
import type { LevelZeroJob, LevelZeroTarget } from "./level-zero.ts";
import { writeResumePoint } from "./resume-point.ts";
import { framesBefore, planImage, planSync, previousFrameOffset, sameMark } from "./sync-plan.ts";
import type { FrameMark, ResumePoint, SyncPlan } from "./sync-plan.ts";
import { WALFile } from "./wal-file.ts";
import type { WALStretch } from "./wal-file.ts";

/** How often a sync starts over because the WAL was restarted or overwritten while it was read. */
const MAX_ATTEMPTS = 4;

export interface SyncTarget extends LevelZeroTarget {
  readonly metaPath: string;
  /** Committed frames of the present WAL generation as SQLite itself counts them; null when it cannot be asked now. */
  readonly committedFrames: () => number | null;
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
  /** Why every page was read and those that differ from the newest file's state were written, when it was so. */
  readonly difference: ImageDifference | undefined;
  /** Stopped at the byte limit: sync again at once. */
  readonly limited: boolean;
}

export interface ImageDifference {
  readonly reason: string;
  /** Pages of the whole database. */
  readonly databasePages: number;
}

export type SyncOutcome =
  | SyncResult
  | { readonly kind: "idle"; readonly uncommittedFrames: number }
  /** Continuity was lost, every page was compared, and all are as the newest file left them. */
  | { readonly kind: "unchanged"; readonly difference: ImageDifference }
  /** There is no WAL with a valid header: a commit must make one first. */
  | { readonly kind: "no-wal" }
  /** SQLite shows its readers commits that the chain of checksums does not reach: see `settle`. */
  | {
      readonly kind: "chain-broken";
      readonly validFrames: number;
      readonly committedFrames: number;
    };

/** A moment at which the database file alone held the whole state. */
export interface SettledState {
  readonly header: WALHeader;
  /** Where the WAL ended, and the mark of its last frame. */
  readonly offset: number;
  readonly mark: FrameMark;
  readonly commit: number;
}

interface ImageRequest {
  readonly reason: string;
  /** A difference does not do: the chain starts anew. */
  readonly mustBeFull: boolean;
}

/** The level-0 writer of one open database. The read lock must be held while `run` works. */
export class Sync {
  readonly #target: SyncTarget;
  readonly #walPath: string;
  #resume: ResumePoint | null;
  /** Every new file gets the number after this one. */
  #txid: TXID;
  /** The next run takes an image although continuity may hold. */
  #imageRequest: ImageRequest | null = null;
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
    if (this.#imageRequest?.mustBeFull !== true) this.#imageRequest = { reason, mustBeFull: true };
  }

  /**
   * Nothing about the WAL counts as known any more, after a restart neither: flushed to disk before the caller lets anybody restart
   * the WAL. The next run takes an image.
   */
  distrust(reason: string): void {
    const newest = this.#target.local.newestHeader();
    this.#sealed = false;
    this.#imageRequest ??= { reason, mustBeFull: false };
    if (this.#resume === null) return;
    this.#resume = { ...this.#resume, mark: { ...this.#resume.mark, ...UNKNOWN_CHECKSUM } };
    if (newest !== undefined)
      writeResumePoint(this.#target.metaPath, newest, this.#resume, { isFlushed: true });
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
          `Cannot copy the WAL of "${this.#target.database.path}": it was restarted, or the database replaced, ${MAX_ATTEMPTS} times while it was read`,
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
    const { pageSize } = this.#target;
    const plan: SyncPlan =
      this.#imageRequest === null
        ? planSync(observation, this.#resume, { pageSize, ino, sealed: this.#sealed })
        : { kind: "full-image", reason: this.#imageRequest.reason };
    // Awaited here: the WAL is closed when this function is left.
    switch (plan.kind) {
      case "continue": {
        const next = wal.frameMark(plan.offset);
        if (next === null || !isOfGeneration(next, plan.mark))
          return { kind: "idle", uncommittedFrames: 0 };
        return await this.#copy(
          { header, offset: plan.offset, mark: plan.mark },
          wal,
          limitBytes,
          signal,
        );
      }
      case "new-generation": {
        const start = { header, offset: WAL_HEADER_SIZE, mark: headerMark(header) };
        return await this.#copy(start, wal, limitBytes, signal);
      }
      case "continue-after-restart":
        return await this.#continueAfterRestart(plan, wal, header, signal);
      case "full-image":
        return await this.#writeImage(plan.reason, wal, header, signal);
    }
  }

  /** Copies what is committed from a proven start on. */
  async #copy(
    start: WALStart,
    wal: WALFile,
    limitBytes: number,
    signal?: AbortSignal,
  ): Promise<SyncOutcome | "disturbed"> {
    const { header, offset } = start;
    const { stretch, missing } = await this.#scanAll(start, wal, limitBytes, signal);
    if (stretch.commit === 0) {
      if (!sameHeader(wal.header(), header)) return "disturbed";
      if (missing !== null) return missing;
      if (this.#resume?.offset !== offset || !isOfGeneration(this.#resume.mark, header))
        this.#moveTo(header, stretch, this.#resume?.commit ?? 0);
      return { kind: "idle", uncommittedFrames: stretch.uncommittedFrames };
    }
    return this.#write({ wal, header, walOffset: offset, stretch, signal });
  }

  /**
   * Scans, and asks SQLite when frames are there and none is committed: it may know of more commits than the chain reaches. Its
   * answer is checked by a second scan, for they may have come between. `missing` counts only if the WAL was not restarted since.
   */
  async #scanAll(
    start: WALStart,
    wal: WALFile,
    limitBytes: number,
    signal?: AbortSignal,
  ): Promise<{ stretch: WALStretch; missing: (SyncOutcome & { kind: "chain-broken" }) | null }> {
    const first = await wal.scan(start, limitBytes, signal);
    const next = first.commit === 0 ? wal.frameMark(start.offset) : null;
    if (next === null || !isOfGeneration(next, start.header))
      return { stretch: first, missing: null };
    const committedFrames = this.#target.committedFrames();
    const validFrames = framesBefore(start.offset, this.#target.pageSize);
    if (committedFrames === null || committedFrames <= validFrames)
      return { stretch: first, missing: null };
    const stretch = await wal.scan(start, limitBytes, signal);
    return { stretch, missing: { kind: "chain-broken", validFrames, committedFrames } };
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
    if (this.#hasUnreachedFrames(tail, plan, wal)) {
      const reason = "WAL was restarted, and its old end has frames that no checksum proves";
      return this.#writeImage(reason, wal, header, signal);
    }
    const start = { header, offset: WAL_HEADER_SIZE, mark: headerMark(header) };
    const { stretch: head, missing } = await this.#scanAll(start, wal, Infinity, signal);
    const stretch = joinStretches(tail, head);
    const tailIntact = (): boolean => {
      const mark = wal.frameMark(previousFrameOffset(plan.tailOffset, this.#target.pageSize));
      return mark !== null && sameMark(mark, plan.tailMark);
    };
    if (stretch.commit === 0) {
      // Nothing new, but the old generation is known to be complete: remember the restart before it is overwritten.
      if (!tailIntact() || !sameHeader(wal.header(), header)) return "disturbed";
      if (missing !== null) return missing;
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

  /**
   * Whether frames of the old generation lie where its chain does not reach: left over from a transaction that was rolled back, or
   * committed with a broken chain. Nothing tells which once the WAL was restarted.
   */
  #hasUnreachedFrames(
    tail: WALStretch,
    plan: SyncPlan & { kind: "continue-after-restart" },
    wal: WALFile,
  ): boolean {
    const frames = tail.uncommittedFrames * (WAL_FRAME_HEADER_SIZE + this.#target.pageSize);
    const next = wal.frameMark(tail.endOffset + frames);
    return next !== null && isOfGeneration(next, plan.tailMark);
  }

  /** Reads every page; writes those that differ from the state our newest file leaves, or all. */
  async #writeImage(
    reason: string,
    wal: WALFile,
    header: WALHeader,
    signal?: AbortSignal,
  ): Promise<SyncOutcome | "disturbed"> {
    const { database, pageSize } = this.#target;
    const committedFrames = this.#target.committedFrames();
    const start = { header, offset: WAL_HEADER_SIZE, mark: headerMark(header) };
    const stretch = await wal.scan(start, Infinity, signal);
    const validFrames = framesBefore(stretch.endOffset, pageSize);
    if (committedFrames !== null && committedFrames > validFrames) {
      if (!sameHeader(wal.header(), header)) return "disturbed";
      return { kind: "chain-broken", validFrames, committedFrames };
    }
    // SQLite has restarted the WAL and not said so in the file yet: what lies there is void.
    if (
      (this.#target.committedFrames() ?? Infinity) < validFrames &&
      sameHeader(wal.header(), header)
    )
      return { kind: "no-wal" };
    const commit = stretch.commit || Math.floor(database.sizeBytes / pageSize);
    return this.#write({
      wal,
      header,
      walOffset: WAL_HEADER_SIZE,
      stretch: { ...stretch, commit, limited: false },
      image: reason,
      signal,
    });
  }

  /**
   * To be called when everything is backfilled and nobody can commit: takes down the state that the database file holds from now on,
   * as long as the read lock stays where it is. Null: the WAL is not what SQLite says.
   */
  settled(walFrames: number): SettledState | null {
    const { database, pageSize } = this.#target;
    using wal = WALFile.open(this.#walPath);
    const header = wal?.header() ?? null;
    if (wal === null || header === null || walFrames === 0) return null;
    const offset = WAL_HEADER_SIZE + walFrames * (WAL_FRAME_HEADER_SIZE + pageSize);
    const mark = wal.frameMark(previousFrameOffset(offset, pageSize));
    const commit = Math.floor(database.sizeBytes / pageSize);
    return mark === null ? null : { header, offset, mark, commit };
  }

  /** Takes the image of a settled state from the database file alone, and continues behind it. */
  async runSettled(
    state: SettledState,
    reason: string,
    signal?: AbortSignal,
  ): Promise<SyncOutcome> {
    const { header, offset, mark, commit } = state;
    const outcome = await this.#write({
      wal: null,
      header,
      walOffset: WAL_HEADER_SIZE,
      stretch: {
        pages: new Map(),
        commit,
        endOffset: offset,
        mark,
        limited: false,
        uncommittedFrames: 0,
      },
      image: reason,
      signal,
    });
    if (outcome === "disturbed")
      throw new Error(`Cannot read "${this.#target.database.path}" as it was settled`);
    return outcome;
  }

  async #write(job: {
    /** Null: every page comes from the database file. */
    readonly wal: WALFile | null;
    readonly header: WALHeader;
    readonly walOffset: number;
    readonly stretch: WALStretch;
    /** Why every page is read; by default the changed ones are. */
    readonly image?: string;
    /** Whether what was read is still what was verified, asked after the last read. */
    readonly intact?: () => boolean;
    readonly signal: AbortSignal | undefined;
  }): Promise<SyncOutcome | "disturbed"> {
    const { stretch, header, wal, image } = job;
    const selection =
      image === undefined
        ? { kind: "changed" as const, previousCommit: this.#resume?.commit ?? 0 }
        : await this.#selectForImage();
    const difference =
      image !== undefined && selection.kind === "different"
        ? { reason: image, databasePages: stretch.commit }
        : undefined;
    const written = await writeLevelZero(this.#target, {
      txid: this.#txid + 1n,
      wal,
      header,
      walOffset: job.walOffset,
      stretch,
      selection,
      intact: () =>
        (wal === null || sameHeader(wal.header(), header)) &&
        // The WAL is found by its name, so pages of a file that has lost its own do not go with it.
        this.#target.database.isCurrent() &&
        (job.intact?.() ?? true),
      signal: job.signal,
    });
    if (written === "disturbed") return "disturbed";
    this.#imageRequest = null;
    if (written === "unchanged") {
      this.#moveTo(header, stretch, stretch.commit);
      if (difference === undefined) throw new Error("Only a difference can be empty");
      return { kind: "unchanged", difference };
    }
    this.#txid = written.header.maxTXID;
    this.#moveTo(header, stretch, stretch.commit, written.header);
    return {
      kind: "written",
      txid: this.#txid,
      pageCount: written.pageCount,
      walBytes: stretch.endOffset - job.walOffset,
      sizeBytes: written.sizeBytes,
      durationMs: written.durationMs,
      image: difference === undefined ? image : undefined,
      difference,
      limited: stretch.limited,
    };
  }

  /** Which pages an image needs. */
  async #selectForImage(): Promise<LevelZeroJob["selection"]> {
    const { hashes, local, pageSize } = this.#target;
    const facts = {
      mustBeFull: this.#imageRequest?.mustBeFull ?? false,
      txid: this.#txid,
      newestTXID: local.newestTXID,
    };
    if (planImage(facts) === "full") return { kind: "all" };
    const table = await hashes.load();
    return table === null || table.pageSize !== pageSize
      ? { kind: "all" }
      : { kind: "different", table };
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

/** Where a scan begins: proven to be the end of what is copied. */
interface WALStart {
  readonly header: WALHeader;
  readonly offset: number;
  readonly mark: FrameMark;
}

/** What no frame's checksum is. */
const UNKNOWN_CHECKSUM = { checksum1: -1, checksum2: -1 } as const;

function isOfGeneration(
  mark: { readonly salt1: number; readonly salt2: number },
  generation: { readonly salt1: number; readonly salt2: number },
): boolean {
  return mark.salt1 === generation.salt1 && mark.salt2 === generation.salt2;
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
