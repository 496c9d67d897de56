/**
 * The upkeep of one replica: compaction through the levels, snapshots, retention, and a slow audit. Each task has its own due time and
 * its own back-off, so that one that fails holds up no other.
 *
 * Life: `maintain` and `takeSnapshot` do what is due and say when they want to be called again; both may run at the same time. Nothing
 * is asked of the store while nothing changes: what it holds is remembered, and looked at again only by the audit.
 */
import { FormatError } from "../formats/format-error.ts";
import { SNAPSHOT_LEVEL } from "../formats/ltx/layout.ts";
import type { TXID } from "../formats/ltx/txid.ts";
import { isStorageError } from "../storage/replica-client.ts";
import type { LTXFileInfo, ReplicaClient } from "../storage/replica-client.ts";
import type { Clock } from "./clock.ts";
import { compactFiles, copyWithinStore, DamagedFileError, readPageSizes } from "./compact.ts";
import type { CompactedFile } from "./compact.ts";
import type { EmitEvent, EngineEvent } from "./events.ts";
import { checkLevel, nextDueAtMs, planCompaction } from "./level-plan.ts";
import type { CompactionPlan, Hole } from "./level-plan.ts";
import { LocalDiskError } from "./local-disk-error.ts";
import type { LocalLTX } from "./local-ltx.ts";
import type { Replica } from "./replica.ts";
import { MAX_COMPACTION_LEVEL, nameOf, ReplicaInventory } from "./replica-inventory.ts";
import type { ReplicaListing } from "./replica-inventory.ts";
import { Condemned, DeletionLedger, MAX_DELETE_FILES } from "./retention.ts";
import {
  coveredBy,
  planLevel0Retention,
  planLevelRetention,
  planSnapshotRetention,
} from "./retention-plan.ts";
import { SnapshotTask } from "./snapshot-task.ts";
import type { SnapshotSource } from "./snapshot-task.ts";
import { nextBackoffMs } from "./upload-plan.ts";

export interface LevelSettings {
  /** Intervals of levels 1, 2, …; at most 8. Empty: no compaction. */
  readonly levelIntervalsMs: readonly number[];
  /** 0: no snapshots by schedule. */
  readonly snapshotIntervalMs: number;
  readonly snapshotRetentionMs: number;
  /** How long level-0 files stay after they are in level 1; 0 = for ever. */
  readonly l0RetentionMs: number;
  readonly l0RetentionCheckIntervalMs: number;
  /** False: nothing is ever deleted in the store; its own rules do that. */
  readonly retentionEnabled: boolean;
  /** List a level after each compaction into it, and report files that do not follow each other. */
  readonly verifyCompaction: boolean;
  /** How often all levels are listed and checked; 0 = never. */
  readonly validationIntervalMs: number;
  /** How often the store is listed although nothing happened; 0 = never. */
  readonly auditIntervalMs: number;
  /** How much of level 0 may wait on the local disk for a replica out of reach; undefined = the database's size, at least 1 GiB; 0 = any amount. */
  readonly backlogLimitBytes?: number | undefined;
}

/** Level-0 files of the store by what retention makes of them. */
export interface Level0Counts {
  readonly eligible: number;
  readonly notCompacted: number;
  readonly tooRecent: number;
}

/** Upstream's defaults, and an audit every hour. */
export const DEFAULT_LEVEL_SETTINGS: LevelSettings = {
  levelIntervalsMs: [30_000, 300_000, 3_600_000],
  snapshotIntervalMs: 86_400_000,
  snapshotRetentionMs: 86_400_000,
  l0RetentionMs: 300_000,
  l0RetentionCheckIntervalMs: 15_000,
  retentionEnabled: true,
  verifyCompaction: false,
  validationIntervalMs: 0,
  auditIntervalMs: 3_600_000,
};

export interface ReplicaLevelsOptions {
  readonly replica: Replica;
  readonly local: LocalLTX;
  /** Absolute path of the database, for events. */
  readonly databasePath: string;
  readonly source: SnapshotSource;
  readonly settings: LevelSettings;
  readonly clock: Clock;
  readonly emit: EmitEvent;
  /** `maintain` has something to do before the time it named. */
  readonly onAuditWanted?: () => void;
  /** 0 … 1: where in the time after each due moment this replica works, so that many do not work at once. */
  readonly jitter?: number;
}

/** A task's last run and its failures since the last success. */
interface TaskState {
  ranAtMs: number | undefined;
  failures: number;
  backoffMs: number;
  /** Monotonic. */
  notBefore: number;
}

const RETRY_INTERVAL_MS = 1_000;
/** The most by which jitter moves a task. */
const MAX_JITTER_MS = 5_000;
/** Runs of one level in a row before other tasks get their turn. */
const MAX_RUNS = 16;

export class ReplicaLevels {
  readonly #options: ReplicaLevelsOptions;
  readonly #client: ReplicaClient;
  readonly #inventory = new ReplicaInventory();
  readonly #snapshots: SnapshotTask;
  readonly #tasks = new Map<string, TaskState>();
  readonly #damaged = new Set<string>();
  readonly #pageSizes = new WeakMap<LTXFileInfo, number>();
  /** End of a file whose writing failed: it may have arrived, so the next attempt makes the same one. */
  readonly #unsure = new Map<number, TXID>();
  readonly #condemned: Condemned;
  readonly #condemnedLevel0: Condemned;
  readonly #ledger: DeletionLedger;
  #startCount = 0;
  #auditedAt = 0;
  #canCopy: boolean;
  #mayReadLocal = true;
  /** Until then files of level 0 stay, because nothing stands in for them. */
  #level0BlockedUntil = 0;

  constructor(options: ReplicaLevelsOptions) {
    const { replica, clock } = options;
    const levels = options.settings.levelIntervalsMs;
    if (levels.length > MAX_COMPACTION_LEVEL || levels.some((ms) => !(ms > 0))) {
      throw new RangeError(
        `Levels must be at most ${MAX_COMPACTION_LEVEL} positive intervals: ${levels.join(", ")}`,
      );
    }
    this.#options = options;
    this.#client = replica.client;
    this.#canCopy = replica.client.copy !== undefined;
    this.#condemned = new Condemned(clock);
    this.#condemnedLevel0 = new Condemned(clock);
    this.#ledger = new DeletionLedger(clock);
    this.#snapshots = new SnapshotTask({ ...options, inventory: this.#inventory });
  }

  /** Epoch ms at which the newest snapshot was made; undefined while none is known. */
  get snapshotAtMs(): number | undefined {
    return this.#inventory.newest(SNAPSHOT_LEVEL)?.createdAt.getTime();
  }

  /** Counts what is known of level 0 without asking the store. */
  countLevel0(): Level0Counts {
    const { settings, clock } = this.#options;
    const compactedTXID = this.#inventory.reached(1);
    const agedBefore = clock.now() - settings.l0RetentionMs;
    let eligible = 0;
    let notCompacted = 0;
    let tooRecent = 0;
    for (const { maxTXID, createdAt } of this.#inventory.files(0)) {
      if (maxTXID > compactedTXID) notCompacted++;
      else if (createdAt.getTime() > agedBefore) tooRecent++;
      else eligible++;
    }
    return { eligible, notCompacted, tooRecent };
  }

  /** Tell it every file that gets into the store: the `onStored` of the replica. */
  stored(file: LTXFileInfo): void {
    this.#inventory.add(file);
  }

  /**
   * Compacts, retires and audits whatever is due. Returns after how many milliseconds it wants to be called again; sooner when
   * the replica has got something new. Failures become events. Rejects only when aborted.
   */
  async maintain(signal: AbortSignal): Promise<number> {
    if (!this.#isReady()) return Number.POSITIVE_INFINITY;
    if (this.#needsListing()) {
      await this.#attempt("audit", () => this.#audit(signal), signal);
      if (!this.#inventory.isKnown) return this.#waitMs("audit", 0);
    }
    const { levelIntervalsMs } = this.#options.settings;
    for (let level = 1; level <= levelIntervalsMs.length; level++) {
      if (this.#levelWaitMs(level) > 0) continue;
      await this.#attempt(`level ${level}`, () => this.#compactLevel(level, signal), signal);
    }
    if (this.#level0WaitMs() <= 0)
      await this.#attempt("retention", () => this.#retireLevel0(signal), signal);
    if (this.#auditWaitMs() <= 0) await this.#attempt("audit", () => this.#audit(signal), signal);
    const waits = levelIntervalsMs.map((_, index) => this.#levelWaitMs(index + 1));
    return Math.max(1, Math.min(...waits, this.#level0WaitMs(), this.#auditWaitMs()));
  }

  /** As `maintain`, for the snapshot by schedule. */
  async takeSnapshot(signal: AbortSignal): Promise<number> {
    if (!this.#isReady() || this.#needsListing()) return Number.POSITIVE_INFINITY;
    if (this.#snapshotWaitMs() <= 0) {
      await this.#attempt("snapshot", () => this.#writeSnapshot(signal), signal);
    }
    return Math.max(1, this.#snapshotWaitMs());
  }

  /** A snapshot of the present state, whether one is due or not. Resolves to its TXID; rejects with what went wrong. */
  async snapshotNow(signal: AbortSignal): Promise<TXID> {
    if (!this.#inventory.isKnown) await this.#inventory.load(this.#client, signal);
    const { maxTXID } = await this.#snapshots.fromDatabase({ replace: true }, signal);
    this.#wantAudit();
    return maxTXID;
  }

  /** Deletes at once whatever retention lets go. Rejects with what went wrong. */
  async enforceRetention(signal: AbortSignal): Promise<void> {
    await this.#audit(signal, 0);
  }

  // --- compaction ---

  async #compactLevel(level: number, signal: AbortSignal): Promise<void> {
    for (let run = 0; run < MAX_RUNS; run++) {
      if (!(await this.#compactOnce(level, signal))) return;
    }
  }

  /** One run of a level. True: there is more. */
  async #compactOnce(level: number, signal: AbortSignal): Promise<boolean> {
    let plan = this.#plan(level, [level - 1]);
    if (plan.kind === "hole") {
      await this.#reload(signal);
      plan = this.#plan(level, [level - 1]);
      const { hole } = plan.kind === "hole" ? plan : { hole: undefined };
      if (hole !== undefined) plan = this.#planAround(level, hole);
    } else if (plan.kind === "merge" && plan.skipped !== undefined) {
      this.#emitGap(level, plan.skipped, "snapshot");
    }
    if (plan.kind !== "merge") return false;
    return (await this.#carryOut(level, plan, signal)) || plan.more;
  }

  /** Files of any lower level may continue where those of the next lower one do not. */
  #planAround(level: number, hole: Hole): CompactionPlan {
    const lower = Array.from({ length: level }, (_, index) => index);
    const plan = this.#plan(level, lower);
    if (plan.kind === "hole") {
      this.#emitGap(level, hole, "new-snapshot");
      this.#snapshots.request();
    } else if (plan.kind === "merge") {
      const isBridged = plan.skipped !== undefined;
      this.#emitGap(level, plan.skipped ?? hole, isBridged ? "snapshot" : "other-levels");
    }
    return plan;
  }

  #plan(level: number, sourceLevels: readonly number[]): CompactionPlan {
    const { replica } = this.#options;
    const isUsable = (file: LTXFileInfo): boolean => !this.#damaged.has(nameOf(file));
    const sources = sourceLevels.flatMap((at) => this.#inventory.files(at)).filter(isUsable);
    const reached = this.#inventory.reached(level);
    const unsure = this.#unsure.get(level) ?? 0n;
    return planCompaction({
      level,
      reached,
      sources,
      snapshots: this.#inventory.files(SNAPSHOT_LEVEL).filter(isUsable),
      limit: unsure > reached && unsure < replica.position ? unsure : replica.position,
      canCopy: this.#canCopy,
      pageSizeOf: (file) => this.#pageSizeOf(file),
    });
  }

  /** True: try again at once. */
  async #carryOut(
    level: number,
    plan: CompactionPlan & { readonly kind: "merge" },
    signal: AbortSignal,
  ): Promise<boolean> {
    const { clock } = this.#options;
    const { files } = plan;
    const startedAt = clock.monotonic();
    const last = files.at(-1);
    let made: CompactedFile;
    try {
      made = await this.#makeFile(level, files, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      this.#unsure.set(level, last?.maxTXID ?? 0n);
      if (await this.#canGoAround(error, files, signal)) return true;
      throw error;
    }
    this.#unsure.delete(level);
    this.#mayReadLocal = true;
    this.#inventory.add(made.file);
    this.#trimInventory();
    const { minTXID, maxTXID, sizeBytes } = made.file;
    this.#emit({
      type: "compacted",
      ...this.#names(),
      level,
      minTXID,
      maxTXID,
      sizeBytes,
      inputCount: files.length,
      durationMs: clock.monotonic() - startedAt,
      method: made.method,
    });
    if (this.#options.settings.verifyCompaction) await this.#verifyLevel(level, signal);
    return false;
  }

  async #makeFile(
    level: number,
    files: readonly LTXFileInfo[],
    signal: AbortSignal,
  ): Promise<CompactedFile> {
    const [first] = files;
    if (files.length === 1 && first !== undefined && this.#canCopy) {
      const { minTXID, maxTXID } = first;
      const copied = await copyWithinStore(
        this.#client,
        first,
        { level, minTXID, maxTXID },
        signal,
      );
      if (copied !== undefined) return copied;
      this.#canCopy = false;
    }
    const localPathOf = (file: LTXFileInfo): string | undefined => this.#localPathOf(file);
    return await compactFiles({ client: this.#client, files, level, localPathOf, signal });
  }

  /** Whether another attempt at once may succeed, on another way. */
  async #canGoAround(
    error: unknown,
    files: readonly LTXFileInfo[],
    signal: AbortSignal,
  ): Promise<boolean> {
    if (error instanceof DamagedFileError) {
      const { file } = error;
      if (this.#damaged.has(nameOf(file))) return false;
      this.#damaged.add(nameOf(file));
      const { level, minTXID, maxTXID } = file;
      this.#emit({ type: "ltx-damaged", ...this.#names(), level, minTXID, maxTXID, error });
      return true;
    }
    if (error instanceof LocalDiskError && this.#mayReadLocal) {
      this.#mayReadLocal = false;
      return true;
    }
    if (error instanceof FormatError && error.kind === "page-size-mismatch") {
      const sizes = await readPageSizes(this.#client, files, signal);
      for (const [file, pageSize] of sizes) this.#pageSizes.set(file, pageSize);
      this.#unsure.clear();
      return new Set(sizes.values()).size > 1;
    }
    // Whatever happened, the store may hold other files than remembered.
    this.#inventory.forget();
    return false;
  }

  #localPathOf(file: LTXFileInfo): string | undefined {
    const { local, replica } = this.#options;
    const txid = file.maxTXID;
    const isOurs = file.level === 0 && this.#mayReadLocal && txid > replica.provenAboveTXID;
    return isOurs && local.has(txid) ? local.path(txid) : undefined;
  }

  #pageSizeOf(file: LTXFileInfo): number | undefined {
    return this.#pageSizes.get(file);
  }

  async #verifyLevel(level: number, signal: AbortSignal): Promise<void> {
    const files: LTXFileInfo[] = [];
    for await (const file of this.#client.list(level, { signal })) files.push(file);
    this.#reportLevel(level, files);
  }

  #reportLevel(level: number, files: readonly LTXFileInfo[]): void {
    for (const problem of checkLevel(files, this.#inventory.files(SNAPSHOT_LEVEL))) {
      const { kind, isBridged, message } = problem;
      this.#emit({ type: "level-invalid", ...this.#names(), level, kind, isBridged, message });
    }
  }

  #emitGap(level: number, hole: Hole, remedy: "other-levels" | "snapshot" | "new-snapshot"): void {
    this.#emit({ type: "level-gap", ...this.#names(), level, ...hole, remedy });
  }

  // --- snapshots ---

  async #writeSnapshot(signal: AbortSignal): Promise<void> {
    const { replica } = this.#options;
    const newest = this.#inventory.newest(SNAPSHOT_LEVEL);
    if (newest !== undefined && newest.maxTXID >= replica.position) return;
    await this.#snapshots.run(signal);
    this.#wantAudit();
  }

  /** What a new snapshot replaces is looked at at once. */
  #wantAudit(): void {
    this.#auditedAt = Number.NEGATIVE_INFINITY;
    this.#options.onAuditWanted?.();
  }

  // --- retention and audit ---

  /** Level 0 by time, once a listing has shown what stands in for it. */
  async #retireLevel0(signal: AbortSignal): Promise<void> {
    const { clock, settings } = this.#options;
    const files = this.#inventory.files(0);
    const candidates = planLevel0Retention(files, {
      compacted: this.#inventory.files(1),
      nowMs: clock.now(),
      retentionMs: settings.l0RetentionMs,
    });
    const victims = this.#condemnedLevel0.sift(candidates, settings.l0RetentionCheckIntervalMs);
    const oldest = victims[0];
    if (oldest === undefined) return;
    const from = this.#inventory.files(1).find((file) => file.maxTXID >= oldest.minTXID)?.minTXID;
    const listed: LTXFileInfo[] = [];
    const options = from === undefined ? { signal } : { from, signal };
    for await (const file of this.#client.list(1, options)) listed.push(file);
    let safe = coveredBy(victims, listed, this.#inventory.files(SNAPSHOT_LEVEL));
    if (safe.length < victims.length) {
      // Something that was there is not: other levels may hold it, and the next compaction must know.
      const listing = await this.#reload(signal);
      safe = coveredBy(
        victims,
        listing.slice(1, SNAPSHOT_LEVEL).flat(),
        listing[SNAPSHOT_LEVEL] ?? [],
      );
      this.#trimInventory();
      if (safe.length < victims.length)
        this.#level0BlockedUntil = clock.monotonic() + DEFAULT_LEVEL_SETTINGS.auditIntervalMs;
    }
    await this.#delete(safe, signal);
  }

  /** Lists everything: what is there, what may go, what should be gone. */
  async #audit(signal: AbortSignal, graceMs: number = this.#graceMs()): Promise<void> {
    const { settings, clock } = this.#options;
    const listing = await this.#reload(signal);
    this.#lookForUnknownSnapshot(listing);
    // A little earlier each time for some than for others, so that not all come at the same moment.
    const { jitter = 0 } = this.#options;
    this.#auditedAt = clock.monotonic() - (jitter * settings.auditIntervalMs) / 10;
    const kept = this.#ledger.audit(listing.flat());
    const last = kept.at(-1);
    if (last !== undefined) {
      const { level, maxTXID } = last;
      const fileCount = kept.length;
      this.#emit({ type: "deletion-ignored", ...this.#names(), fileCount, level, maxTXID });
    }
    if (settings.validationIntervalMs > 0)
      for (let level = 0; level <= settings.levelIntervalsMs.length; level++)
        this.#reportLevel(level, listing[level] ?? []);
    if (settings.retentionEnabled) await this.#retire(listing, graceMs, signal);
    this.#trimInventory();
  }

  /**
   * A snapshot above all our numbers, and nothing else there: an earlier life of this database made it, before its volume was set back, and the store
   * did not list it at the start. The next restore would begin with it, so the replica starts again, above it. Another writer would have
   * left level-0 files: that is found by the fence.
   */
  #lookForUnknownSnapshot(listing: ReplicaListing): void {
    const { local, replica } = this.#options;
    const isAbove = (file: LTXFileInfo): boolean => file.maxTXID > local.reservedTXID;
    if (!(listing[SNAPSHOT_LEVEL] ?? []).some(isAbove)) return;
    if (!listing.slice(0, SNAPSHOT_LEVEL).flat().some(isAbove)) replica.retry();
  }

  async #retire(listing: ReplicaListing, graceMs: number, signal: AbortSignal): Promise<void> {
    const { settings, clock } = this.#options;
    const { expired, floorTXID } = planSnapshotRetention(listing[SNAPSHOT_LEVEL] ?? [], {
      nowMs: clock.now(),
      retentionMs: settings.snapshotRetentionMs,
    });
    const levels = listing
      .slice(1, SNAPSHOT_LEVEL)
      .flatMap((files) => planLevelRetention(files, floorTXID));
    // Snapshots last: they hold the floor until everything below it is gone.
    const ripe = this.#condemned.sift([...levels, ...expired], graceMs);
    await this.#delete(
      ripe.filter((file) => !this.#ledger.isSuspended(file.level)),
      signal,
    );
  }

  async #delete(files: readonly LTXFileInfo[], signal: AbortSignal): Promise<void> {
    for (const batch of batches(files)) {
      await this.#client.delete(batch, { signal });
      this.#ledger.sent(batch);
      this.#inventory.remove(batch);
      const [first] = batch;
      const last = batch.at(-1);
      if (first === undefined || last === undefined) continue;
      this.#emit({
        type: "ltx-deleted",
        ...this.#names(),
        level: first.level,
        fileCount: batch.length,
        minTXID: first.minTXID,
        maxTXID: last.maxTXID,
      });
    }
  }

  #deletesLevel0(): boolean {
    const { retentionEnabled, l0RetentionMs } = this.#options.settings;
    return retentionEnabled && l0RetentionMs > 0 && !this.#ledger.isSuspended(0);
  }

  #trimInventory(): void {
    const { levelIntervalsMs } = this.#options.settings;
    this.#inventory.trim(levelIntervalsMs.length, this.#deletesLevel0());
  }

  async #reload(signal: AbortSignal): Promise<ReplicaListing> {
    const { startCount } = this.#options.replica;
    const listing = await this.#inventory.load(this.#client, signal);
    this.#startCount = startCount;
    return listing;
  }

  // --- when ---

  #isReady(): boolean {
    const { replica } = this.#options;
    return replica.status.state === "running" && replica.position > 0n;
  }

  #needsListing(): boolean {
    return !this.#inventory.isKnown || this.#startCount !== this.#options.replica.startCount;
  }

  /** Milliseconds until a level is due; infinite while it has nothing to do. */
  #levelWaitMs(level: number): number {
    const { replica, settings } = this.#options;
    const intervalMs = settings.levelIntervalsMs[level - 1] ?? 0;
    const newest =
      level === 1 ? replica.position : (this.#inventory.newest(level - 1)?.maxTXID ?? 0n);
    if (newest <= this.#inventory.reached(level)) return Number.POSITIVE_INFINITY;
    const made = this.#inventory.newest(level)?.createdAt.getTime();
    return this.#waitMs(`level ${level}`, intervalMs, made);
  }

  #level0WaitMs(): number {
    const { settings, clock } = this.#options;
    const [oldest, second] = this.#inventory.files(0);
    if (!this.#deletesLevel0() || oldest === undefined || second === undefined)
      return Number.POSITIVE_INFINITY;
    if (oldest.maxTXID > (this.#inventory.newest(1)?.maxTXID ?? 0n))
      return Number.POSITIVE_INFINITY;
    const blockedMs = this.#level0BlockedUntil - clock.monotonic();
    const ageWaitMs = oldest.createdAt.getTime() + settings.l0RetentionMs - clock.now();
    return Math.max(
      ageWaitMs,
      blockedMs,
      this.#waitMs("retention", settings.l0RetentionCheckIntervalMs),
    );
  }

  #snapshotWaitMs(): number {
    const { replica, settings } = this.#options;
    const newest = this.#inventory.newest(SNAPSHOT_LEVEL);
    if (newest !== undefined && newest.maxTXID >= replica.position) return Number.POSITIVE_INFINITY;
    if (this.#snapshots.isRequested) return this.#backoffWaitMs("snapshot");
    if (settings.snapshotIntervalMs <= 0) return Number.POSITIVE_INFINITY;
    return this.#waitMs("snapshot", settings.snapshotIntervalMs, newest?.createdAt.getTime());
  }

  #auditWaitMs(): number {
    const { settings, clock } = this.#options;
    const intervals = [settings.auditIntervalMs, settings.validationIntervalMs].filter(
      (ms) => ms > 0,
    );
    if (this.#condemned.size > 0) intervals.push(this.#graceMs());
    const interval = Math.min(Number.POSITIVE_INFINITY, ...intervals);
    const dueMs = this.#auditedAt + interval - clock.monotonic();
    return Math.max(dueMs, this.#backoffWaitMs("audit"));
  }

  /** How long files that are to go still stay, for restores that were planned on them. */
  #graceMs(): number {
    const { snapshotIntervalMs, auditIntervalMs } = this.#options.settings;
    const intervals = [snapshotIntervalMs, auditIntervalMs].filter((ms) => ms > 0);
    return Math.min(DEFAULT_LEVEL_SETTINGS.auditIntervalMs, ...intervals);
  }

  /** Milliseconds until a task is due by its interval and its back-off. */
  #waitMs(task: string, intervalMs: number, newestAtMs?: number): number {
    const backoffMs = this.#backoffWaitMs(task);
    const state = this.#tasks.get(task);
    if (intervalMs <= 0 || (state?.failures ?? 0) > 0) return backoffMs;
    const { clock, jitter = 0 } = this.#options;
    const nowMs = clock.now();
    const dueAtMs = nextDueAtMs({
      intervalMs,
      nowMs,
      lastRunAtMs: state?.ranAtMs,
      newestAtMs,
      jitterMs: Math.floor(jitter * Math.min(intervalMs / 10, MAX_JITTER_MS)),
    });
    return Math.max(dueAtMs - nowMs, backoffMs);
  }

  #backoffWaitMs(task: string): number {
    const state = this.#tasks.get(task);
    return state === undefined ? 0 : Math.max(0, state.notBefore - this.#options.clock.monotonic());
  }

  /** Runs a task; its failure becomes an event and a pause. */
  async #attempt(task: string, run: () => Promise<void>, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const state = this.#tasks.get(task) ?? {
      ranAtMs: undefined,
      failures: 0,
      backoffMs: 0,
      notBefore: 0,
    };
    this.#tasks.set(task, state);
    if (this.#backoffWaitMs(task) > 0) return;
    const startedAtMs = clock.now();
    try {
      await run();
    } catch (error) {
      signal.throwIfAborted();
      // A file that is not there any more was remembered wrongly.
      if (isStorageError(error, "not-found")) this.#inventory.forget();
      state.failures++;
      state.backoffMs = nextBackoffMs(state.backoffMs, RETRY_INTERVAL_MS);
      state.notBefore = clock.monotonic() + state.backoffMs;
      this.#emit({
        type: "maintenance-failed",
        ...this.#names(),
        task,
        error,
        consecutiveErrors: state.failures,
        backoffMs: state.backoffMs,
      });
      return;
    }
    const consecutiveErrors = state.failures;
    Object.assign(state, { ranAtMs: startedAtMs, failures: 0, backoffMs: 0, notBefore: 0 });
    if (consecutiveErrors > 0)
      this.#emit({ type: "maintenance-recovered", ...this.#names(), task, consecutiveErrors });
  }

  #emit(event: EngineEvent): void {
    this.#options.emit(event);
  }

  #names(): { readonly database: string; readonly replica: string } {
    return { database: this.#options.databasePath, replica: this.#options.replica.name };
  }
}

/** Files of one level each, in bounded numbers. */
function* batches(files: readonly LTXFileInfo[]): Generator<readonly LTXFileInfo[]> {
  for (let start = 0; start < files.length;) {
    const level = files[start]?.level;
    let end = start;
    while (end < files.length && end - start < MAX_DELETE_FILES && files[end]?.level === level)
      end++;
    yield files.slice(start, end);
    start = end;
  }
}
