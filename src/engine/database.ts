/** One replicated database: owns its open parts and carries out one tick of replication at a time. */
import { realpathSync, statSync } from "node:fs";
import { resolve } from "node:path";
import type { TXID } from "../formats/ltx/txid.ts";
import { WAL_FRAME_HEADER_SIZE } from "../formats/wal.ts";
import type { CheckpointThread } from "../sqlite/checkpoint-thread.ts";
import { bumpSequence } from "../sqlite/connection.ts";
import { isBusy } from "../sqlite/driver.ts";
import type { OpenConnection } from "../sqlite/driver.ts";
import { repairChain } from "./chain-repair.ts";
import { checkpoint, leaveSlotZero } from "./checkpoint.ts";
import type { CheckpointTarget } from "./checkpoint.ts";
import { MAX_THRESHOLD_RAISE, planCheckpoint } from "./checkpoint-plan.ts";
import type { CheckpointSettings } from "./checkpoint-plan.ts";
import type { Clock } from "./clock.ts";
import { explainOpenError } from "./database-error.ts";
import type { EmitEvent } from "./events.ts";
import { FIFOLock } from "./fifo-lock.ts";
import type { LocalLTX } from "./local-ltx.ts";
import { closeDatabase, findReplacement, openDatabase } from "./opened-database.ts";
import type { OpenedDatabase } from "./opened-database.ts";
import { DatabaseView } from "./snapshot.ts";
import type { SyncOutcome, SyncResult } from "./sync.ts";
import type { ResumePoint } from "./sync-plan.ts";
import { WALFile } from "./wal-file.ts";

export interface DatabaseOptions {
  /** Absolute path as configured; symbolic links are followed when it is opened. */
  readonly path: string;
  /** Absolute path of the folder for local files, `.<name>-litestream` beside the database by default. */
  readonly metaPath: string;
  readonly checkpoint: CheckpointSettings;
  /** About how much WAL one level-0 file covers at most; 0 = no limit. */
  readonly maxSyncWALBytes: number;
  /** How long a checkpoint waits for the write lock, trying again and again. */
  readonly busyTimeoutMs: number;
  /** Discard broken local files and go on with a full image instead of failing. */
  readonly autoRecover: boolean;
}

export interface DatabaseDependencies {
  readonly openConnection: OpenConnection;
  readonly checkpointThread: CheckpointThread;
  readonly clock: Clock;
  readonly emit: EmitEvent;
  /** Called after each new level-0 file. */
  readonly onWritten: (result: SyncResult) => void;
}

export interface TickReport {
  /** "waiting": there is no database file; "busy": somebody held a lock that was needed, try again soon. */
  readonly state: "waiting" | "busy" | "open";
  /** Frames copied in this tick. */
  readonly frames: number;
  /** Level-0 files written in this tick. */
  readonly files: number;
  /** Frames of a transaction that is not committed yet. */
  readonly uncommittedFrames: number;
}

/** Ticks of a database since it was made. */
export interface TickTotals {
  readonly count: number;
  readonly errorCount: number;
  readonly durationMs: number;
  /** Epoch ms of the first failure since the last success. */
  readonly failingSinceMs: number | undefined;
}

/** Smooths the copy rate over about this many ticks. */
const RATE_TICKS = 4;
/** The WAL file shrinks to this multiple of the largest threshold. */
const WAL_LIMIT_RATIO = 1.5;

export class Database {
  readonly path: string;
  readonly metaPath: string;
  readonly #options: DatabaseOptions;
  readonly #deps: DatabaseDependencies;
  readonly #lock = new FIFOLock();
  #opened: OpenedDatabase | null = null;
  #local: LocalLTX | null = null;
  #floorTXID: TXID = 0n;
  /** Set while a full image is wanted that could not be taken yet. */
  #imageReason: string | null = null;
  #copiedFrames = 0;
  #framesPerMs = 0;
  #rateAt: { readonly at: number; readonly frames: number };
  #lastCheckpointAt: number;
  #syncedSinceCheckpoint = false;
  #blocked: { readonly frames: number; readonly at: number } | null = null;
  /** The value of `#slotZero` for which descriptors were given back. */
  #renewed: { readonly generation: string; readonly frames: number } | null = null;
  /** Whether a checkpoint of ours took all that is copied: the next commit can restart the WAL. */
  #allBackfilled = false;
  /** Where the copy stood when a checkpoint left the read lock on slot 0. */
  #slotZero: { readonly generation: string; readonly frames: number } | null = null;
  #announcedWaiting = false;
  /** Found by the last sync: nothing more can be copied before it is repaired. */
  #brokenChain: (SyncOutcome & { kind: "chain-broken" }) | null = null;
  #announcedBroken = false;
  /** Snapshots being read: they end before the files are closed. */
  readonly #views = new Set<DatabaseView>();
  #tickCount = 0;
  #tickErrorCount = 0;
  #tickMs = 0;
  #failingSinceMs: number | undefined;

  constructor(options: DatabaseOptions, deps: DatabaseDependencies) {
    this.path = resolve(options.path);
    this.metaPath = options.metaPath;
    this.#options = options;
    this.#deps = deps;
    const now = deps.clock.monotonic();
    this.#rateAt = { at: now, frames: 0 };
    this.#lastCheckpointAt = now;
  }

  /** TXID of the newest level-0 file; 0 before the first. */
  get txid(): TXID {
    return this.#opened?.sync.txid ?? this.#floorTXID;
  }

  /** The local level-0 folder, from the first time the database was opened on. */
  get local(): LocalLTX | null {
    return this.#local;
  }

  /** Where SQLite puts the database's WAL, less its suffix: links are followed once it was opened. */
  get watchPath(): string {
    return this.#opened?.path ?? this.path;
  }

  /** Frames copied per millisecond of late. */
  get framesPerMs(): number {
    return this.#framesPerMs;
  }

  /** Ticks so far, and how long they took. */
  get ticks(): TickTotals {
    return {
      count: this.#tickCount,
      errorCount: this.#tickErrorCount,
      durationMs: this.#tickMs,
      failingSinceMs: this.#failingSinceMs,
    };
  }

  /** End of what is copied of the present WAL, in bytes. */
  get walOffset(): number {
    return this.#opened?.sync.walOffset ?? 0;
  }

  /** Whether at least `frames` frames wait to be copied: one short read. */
  hasPending(frames: number): boolean {
    return this.#opened?.sync.hasPending(frames) ?? true;
  }

  /** Opens the database if there is one; "waiting" otherwise. Opening twice is not an error. */
  open(): Promise<"open" | "waiting"> {
    return this.#lock.run(() => Promise.resolve(this.#openIfPresent()));
  }

  /** Copies everything committed and checkpoints when that is due. */
  tick(signal?: AbortSignal): Promise<TickReport> {
    return this.#lock.run(() => this.#countedTick(signal));
  }

  /**
   * Starts a new chain at the next tick: every page is written, numbered above `above`. Local files up to `forgetTXID` are
   * another history: while there are any, all go first. Files that came after a later start stay.
   */
  startOver(reason: string, above: TXID, forgetTXID: TXID): Promise<void> {
    return this.#lock.run(async () => {
      this.#floorTXID = above > this.#floorTXID ? above : this.#floorTXID;
      this.#imageReason = reason;
      this.#opened?.sync.numberAbove(this.#floorTXID);
      this.#opened?.sync.requireImage(reason);
      const oldestTXID = this.#local?.oldestTXID ?? 0n;
      if (oldestTXID > 0n && oldestTXID <= forgetTXID) this.#local?.reset();
    });
  }

  /**
   * The database as it is now, for a snapshot: see DatabaseView. Copies everything first. Null: there is no database file, or
   * somebody held a lock that was needed. Whoever gets it closes it.
   */
  view(signal?: AbortSignal): Promise<DatabaseView | null> {
    return this.#lock.run(() => this.#openView(signal));
  }

  /** Gives descriptors back that only a busy database needs. */
  rest(): Promise<void> {
    return this.#lock.run(async () => {
      if (this.#opened === null) return;
      this.#opened.writer.rest();
      this.#opened.readLock.rest();
      await this.#deps.checkpointThread.release(this.#opened.path);
      this.#giveDescriptorsBack(this.#opened);
    });
  }

  /**
   * After a checkpoint three descriptors are left that nobody uses. They are worth a moment without the read lock only when that
   * moment can lose nothing: everything is copied and in the database file, and the WAL is found as it was.
   */
  #giveDescriptorsBack({ readLock, sync, path }: OpenedDatabase): void {
    if (this.#slotZero === null || this.#views.size > 0 || this.#renewed === this.#slotZero) return;
    if (!isWALEnd(path, sync.resume)) return;
    try {
      readLock.renew();
    } catch (error) {
      // The next tick takes the lock again, and says so.
      if (!isBusy(error)) throw error;
    } finally {
      // Whoever restarted the WAL in that moment is found by the next proof of continuity.
      if (!readLock.held || !isWALEnd(path, sync.resume)) {
        sync.unseal();
        this.#slotZero = null;
      }
      this.#renewed = this.#slotZero;
    }
  }

  /**
   * To be called last, before everything is uploaded and closed: leaves one frame in the WAL that is copied but not
   * checkpointed. While it is there nobody can restart the WAL, so whatever is committed until the next start follows the
   * copied frames, and the next program, ours or Litestream, goes on without a full image. True: there is a new file.
   */
  leaveFrame(signal?: AbortSignal): Promise<boolean> {
    return this.#lock.run(async () => {
      if (this.#opened === null || !this.#allBackfilled) return false;
      try {
        bumpSequence(this.#opened.writer);
      } catch (error) {
        if (isBusy(error)) return false;
        throw error;
      }
      await this.#syncAll(signal);
      this.#slotZero = null;
      this.#opened.sync.unseal();
      // The frame alone is no reason for another checkpoint.
      this.#syncedSinceCheckpoint = false;
      return true;
    });
  }

  /** Closes the database; the WAL stays in place. */
  close(): Promise<void> {
    return this.#lock.run(() => this.#close());
  }

  #openIfPresent(): "open" | "waiting" {
    if (this.#opened !== null) return "open";
    const { clock, emit, openConnection } = this.#deps;
    if (isMissing(this.path)) return this.#wait();
    let opened: OpenedDatabase;
    try {
      opened = openDatabase({
        path: realpathSync(this.path),
        metaPath: this.metaPath,
        local: this.#local,
        openConnection,
        clock,
        walLimitFrames: Math.ceil(
          WAL_LIMIT_RATIO * MAX_THRESHOLD_RAISE * this.#options.checkpoint.minFrames,
        ),
        floorTXID: this.#floorTXID,
        forgetBrokenFiles: this.#options.autoRecover,
        onPageHashesLost: (error) => emit({ type: "page-hashes-lost", database: this.path, error }),
      });
    } catch (error) {
      // Renamed or removed in this very moment.
      if (isMissing(this.path)) return this.#wait();
      throw explainOpenError(error, this.path);
    }
    if (this.#imageReason !== null) opened.sync.requireImage(this.#imageReason);
    this.#opened = opened;
    this.#local = opened.local;
    this.#slotZero = null;
    this.#brokenChain = null;
    this.#announcedWaiting = false;
    if (opened.convertedFrom !== undefined) {
      emit({
        type: "database-converted-to-wal",
        database: this.path,
        previousMode: opened.convertedFrom,
      });
    }
    emit({
      type: "database-opened",
      database: this.path,
      pageSize: opened.pageSize,
      txid: opened.sync.txid,
    });
    return "open";
  }

  #wait(): "waiting" {
    if (!this.#announcedWaiting) {
      this.#announcedWaiting = true;
      const reason = "there is no database file";
      this.#deps.emit({ type: "database-waiting", database: this.path, reason });
    }
    return "waiting";
  }

  async #countedTick(signal?: AbortSignal): Promise<TickReport> {
    const { clock } = this.#deps;
    const startedAt = clock.monotonic();
    this.#tickCount++;
    try {
      const report = await this.#tick(signal);
      this.#failingSinceMs = undefined;
      return report;
    } catch (error) {
      // Being stopped is not a failure.
      if (signal?.aborted !== true) {
        this.#tickErrorCount++;
        this.#failingSinceMs ??= clock.now();
      }
      throw error;
    } finally {
      this.#tickMs += clock.monotonic() - startedAt;
    }
  }

  async #tick(signal?: AbortSignal): Promise<TickReport> {
    const framesBefore = this.#copiedFrames;
    const report = (
      state: TickReport["state"],
      files: number,
      uncommittedFrames: number,
    ): TickReport => ({
      state,
      frames: this.#copiedFrames - framesBefore,
      files,
      uncommittedFrames,
    });
    await this.#closeIfReplaced();
    if (this.#openIfPresent() === "waiting") return report("waiting", 0, 0);
    const opened = this.#requireOpen();
    // Only checkpoints and a missing WAL need it, and it is open again in a fraction of a millisecond.
    opened.writer.rest();
    if (!opened.readLock.held) {
      this.#deps.emit({ type: "read-lock-lost", database: this.path });
      // The proof of continuity in the sync below covers the time without the lock.
      opened.readLock.reacquire();
      opened.sync.unseal();
      this.#slotZero = null;
    }
    const first = await this.#syncAll(signal);
    if (first === "busy") return report("busy", 0, 0);
    let files = first.files;
    this.#measureRate();
    files += await this.#leaveSlotZeroIfMoved(signal);
    if (this.#brokenChain === null) files += await this.#checkpointIfDue(signal);
    const repaired = await this.#repairIfBroken(signal);
    if (repaired === "busy") return report("busy", files, 0);
    files += repaired;
    await opened.hashes.tidy();
    return report("open", files, first.uncommittedFrames);
  }

  /** Runs syncs until nothing committed is left. */
  async #syncAll(
    signal?: AbortSignal,
  ): Promise<{ files: number; uncommittedFrames: number } | "busy"> {
    const { sync, pageSize, writer } = this.#requireOpen();
    const limit = this.#options.maxSyncWALBytes > 0 ? this.#options.maxSyncWALBytes : Infinity;
    let files = 0;
    let isBumped = false;
    for (;;) {
      const outcome = await sync.run(limit, signal);
      if (outcome.kind === "idle") return { files, uncommittedFrames: outcome.uncommittedFrames };
      if (outcome.kind === "chain-broken") {
        this.#brokenChain = outcome;
        return { files, uncommittedFrames: 0 };
      }
      if (outcome.kind === "unchanged") {
        this.#noteUnchanged(outcome);
        continue;
      }
      if (outcome.kind === "no-wal") {
        // A commit makes it; a WAL without a name would swallow one after the other.
        if (isBumped) throw new Error(`Cannot copy "${this.path}": its WAL was removed`);
        isBumped = true;
        try {
          bumpSequence(writer);
        } catch (error) {
          if (isBusy(error)) return "busy";
          throw error;
        }
        continue;
      }
      files++;
      this.#noteWritten(outcome, pageSize);
      const isImage = outcome.image !== undefined || outcome.difference !== undefined;
      if (!outcome.limited && !isImage) return { files, uncommittedFrames: 0 };
    }
  }

  #noteWritten(outcome: SyncResult, pageSize: number): void {
    this.#allBackfilled = false;
    this.#copiedFrames += outcome.walBytes / (WAL_FRAME_HEADER_SIZE + pageSize);
    this.#syncedSinceCheckpoint = true;
    this.#imageReason = null;
    this.#floorTXID = outcome.txid;
    this.#deps.onWritten(outcome);
  }

  #noteUnchanged({ difference }: SyncOutcome & { kind: "unchanged" }): void {
    this.#deps.emit({
      type: "image-unneeded",
      database: this.path,
      reason: difference.reason,
      databasePages: difference.databasePages,
    });
  }

  /** Returns how many files that wrote. */
  async #repairIfBroken(signal?: AbortSignal): Promise<number | "busy"> {
    const broken = this.#brokenChain;
    if (broken === null) return 0;
    const { emit, clock } = this.#deps;
    const { sync, pageSize } = this.#requireOpen();
    const { validFrames, committedFrames } = broken;
    if (!this.#announcedBroken) {
      this.#announcedBroken = true;
      emit({ type: "wal-chain-broken", database: this.path, validFrames, committedFrames });
    }
    const startedAt = clock.monotonic();
    const { target } = this.#countingTarget(signal);
    const onSettled = (): void => {
      this.#slotZero = { generation: sync.generation, frames: sync.copiedFrames };
      this.#allBackfilled = true;
    };
    const outcome = await repairChain(target, sync, onSettled, signal);
    if (outcome === "busy") return "busy";
    this.#brokenChain = null;
    this.#announcedBroken = false;
    const isWritten = outcome.kind === "written";
    if (isWritten) {
      this.#noteWritten(outcome, pageSize);
      this.#allBackfilled = true;
    } else if (outcome.kind === "unchanged") this.#noteUnchanged(outcome);
    const durationMs = clock.monotonic() - startedAt;
    emit({ type: "wal-chain-repaired", database: this.path, txid: sync.txid, durationMs });
    const after = await this.#syncAll(signal);
    return (isWritten ? 1 : 0) + (after === "busy" ? 0 : after.files);
  }

  #measureRate(): void {
    const now = this.#deps.clock.monotonic();
    const elapsed = Math.max(1, now - this.#rateAt.at);
    const rate = (this.#copiedFrames - this.#rateAt.frames) / elapsed;
    this.#framesPerMs += (rate - this.#framesPerMs) / RATE_TICKS;
    this.#rateAt = { at: now, frames: this.#copiedFrames };
  }

  async #leaveSlotZeroIfMoved(signal?: AbortSignal): Promise<number> {
    const { sync } = this.#requireOpen();
    const before = this.#slotZero;
    if (before === null) return 0;
    if (sync.generation === before.generation && sync.copiedFrames === before.frames) return 0;
    this.#slotZero = null;
    sync.unseal();
    const counted = this.#countingTarget(signal);
    await leaveSlotZero(counted.target);
    this.#allBackfilled = true;
    return counted.files();
  }

  async #checkpointIfDue(signal?: AbortSignal): Promise<number> {
    const { clock, emit } = this.#deps;
    const { sync } = this.#requireOpen();
    const now = clock.monotonic();
    const plan = planCheckpoint(this.#options.checkpoint, {
      copiedFrames: sync.copiedFrames,
      framesPerMs: this.#framesPerMs,
      syncedSinceLast: this.#syncedSinceCheckpoint,
      sinceLastMs: now - this.#lastCheckpointAt,
      blocked:
        this.#blocked === null
          ? null
          : { frames: this.#blocked.frames, sinceMs: now - this.#blocked.at },
      complete: this.#slotZero !== null,
    });
    if (plan.kind === "none") return 0;
    const counted = this.#countingTarget(signal);
    try {
      const outcome = await checkpoint(counted.target);
      const durationMs = clock.monotonic() - now;
      this.#lastCheckpointAt = clock.monotonic();
      this.#syncedSinceCheckpoint = false;
      this.#blocked =
        outcome.kind === "complete"
          ? null
          : { frames: sync.copiedFrames, at: this.#lastCheckpointAt };
      if (outcome.kind === "busy") return counted.files();
      if (outcome.kind === "chain-broken") {
        const { walFrames: committedFrames } = outcome;
        this.#brokenChain ??= {
          kind: "chain-broken",
          validFrames: sync.copiedFrames,
          committedFrames,
        };
        return counted.files();
      }
      const backfilledFrames =
        outcome.kind === "complete" ? outcome.walFrames : outcome.backfilledFrames;
      const { walFrames, barrierMs } = outcome;
      emit({
        type: "checkpointed",
        database: this.path,
        mode: "PASSIVE",
        walFrames,
        backfilledFrames,
        barrierMs,
        durationMs,
      });
      if (outcome.kind === "pinned") {
        if (this.#isReportable(walFrames))
          emit({ type: "wal-pinned", database: this.path, walFrames, backfilledFrames });
        return counted.files();
      }
    } catch (error) {
      // Being stopped is not a failure.
      if (signal?.aborted !== true) {
        emit({ type: "checkpoint-failed", database: this.path, mode: "PASSIVE", error });
      }
      throw error;
    }
    this.#allBackfilled = true;
    // A commit of ours may have restarted the WAL already.
    const after = await this.#syncAll(signal);
    const files = counted.files() + (after === "busy" ? 0 : after.files);
    return files + (await this.#leaveSlotZeroIfMoved(signal));
  }

  #isReportable(walFrames: number): boolean {
    const { reportFrames } = this.#options.checkpoint;
    return reportFrames > 0 && walFrames >= reportFrames;
  }

  /** What a checkpoint works on, counting the level-0 files its syncs write. */
  #countingTarget(signal?: AbortSignal): {
    readonly target: CheckpointTarget;
    readonly files: () => number;
  } {
    const opened = this.#requireOpen();
    let files = 0;
    const target: CheckpointTarget = {
      path: opened.path,
      database: opened.file,
      writer: opened.writer,
      readLock: opened.readLock,
      thread: this.#deps.checkpointThread,
      clock: this.#deps.clock,
      barrierWaitMs: this.#options.busyTimeoutMs,
      syncAll: async () => {
        const result = await this.#syncAll(signal);
        if (result === "busy")
          throw new Error(`The WAL of "${this.path}" vanished during a checkpoint`);
        files += result.files;
      },
      onMissingFrames: () => opened.sync.distrust("WAL has commits that were not copied"),
      onSealed: () => {
        opened.sync.seal();
        this.#slotZero = { generation: opened.sync.generation, frames: opened.sync.copiedFrames };
      },
      copiedFrames: () => opened.sync.copiedFrames,
      walSizeBytes: () => {
        using wal = WALFile.open(`${opened.path}-wal`);
        return wal?.sizeBytes ?? 0;
      },
      walLimitBytes: opened.walLimitBytes,
    };
    return { target, files: () => files };
  }

  async #openView(signal?: AbortSignal): Promise<DatabaseView | null> {
    await this.#closeIfReplaced();
    if (this.#openIfPresent() === "waiting") return null;
    if ((await this.#syncAll(signal)) === "busy") return null;
    if ((await this.#repairIfBroken(signal)) === "busy") return null;
    const { openConnection, clock } = this.#deps;
    const view = await DatabaseView.open(this.#requireOpen(), {
      openConnection,
      clock,
      syncAll: async () => void (await this.#syncAll(signal)),
      onClose: (closed) => this.#views.delete(closed),
    });
    if (view === null) return null;
    if (this.#brokenChain !== null) {
      // The database file may hold pages that are newer than the TXID.
      view[Symbol.dispose]();
      return null;
    }
    this.#views.add(view);
    return view;
  }

  async #closeIfReplaced(): Promise<void> {
    if (this.#opened === null) return;
    const reason = findReplacement(this.#opened);
    if (reason === null) return;
    this.#deps.emit({ type: "database-replaced", database: this.path, reason });
    await this.#close();
  }

  async #close(): Promise<void> {
    const opened = this.#opened;
    if (opened === null) return;
    for (const view of this.#views) view[Symbol.dispose]();
    this.#opened = null;
    this.#floorTXID = opened.sync.txid;
    await closeDatabase(opened, this.#deps.checkpointThread);
    this.#deps.emit({ type: "database-closed", database: this.path, txid: opened.sync.txid });
  }

  #requireOpen(): OpenedDatabase {
    if (this.#opened === null) throw new Error(`Database "${this.path}" is not open`);
    return this.#opened;
  }
}

/** Whether the WAL of the database at `path` ends at the resume point. */
function isWALEnd(path: string, resume: ResumePoint | null): boolean {
  using wal = WALFile.open(`${path}-wal`);
  return wal !== null && resume !== null && wal.endsAt(resume);
}

function isMissing(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) === undefined;
}
