/**
 * The upkeep of one replica: compaction through the levels, snapshots, retention, and a slow audit. Each task has its own due time and
 * its own back-off, so that one that fails holds up no other.
 *
 * Life: `maintain` and `takeSnapshot` do what is due and say when they want to be called again; both may run at the same time. Nothing
 * is asked of the store while nothing changes: what it holds is remembered, and looked at again only by the audit.
 */
import { SNAPSHOT_LEVEL } from "../formats/ltx/layout.ts";
import type { TXID } from "../formats/ltx/txid.ts";
import { isStorageError } from "../storage/replica-client.ts";
import type { LTXFileInfo, ReplicaClient } from "../storage/replica-client.ts";
import type { Clock } from "./clock.ts";
import { CompactionTask } from "./compaction-task.ts";
import type { EmitEvent } from "./events.ts";
import { DEFAULT_LEVEL_SETTINGS } from "./level-settings.ts";
import type { LevelSettings } from "./level-settings.ts";
import type { LocalLTX } from "./local-ltx.ts";
import type { Replica } from "./replica.ts";
import { MAX_COMPACTION_LEVEL, ReplicaInventory } from "./replica-inventory.ts";
import type { ReplicaListing } from "./replica-inventory.ts";
import { RetentionTask } from "./retention-task.ts";
import { SnapshotTask } from "./snapshot-task.ts";
import type { SnapshotSource } from "./snapshot-task.ts";
import { UpkeepTasks } from "./upkeep-tasks.ts";

/** Level-0 files of the store by what retention makes of them. */
export interface Level0Counts {
  readonly eligible: number;
  readonly notCompacted: number;
  readonly tooRecent: number;
}

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

export class ReplicaLevels {
  readonly #options: ReplicaLevelsOptions;
  readonly #client: ReplicaClient;
  readonly #inventory = new ReplicaInventory();
  readonly #snapshots: SnapshotTask;
  readonly #compaction: CompactionTask;
  readonly #retention: RetentionTask;
  readonly #tasks: UpkeepTasks;
  #startCount = 0;
  #auditedAt = 0;
  /** Something changed that only an audit tidies up. */
  #isAuditWanted = false;

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
    const inventory = this.#inventory;
    const names = { database: options.databasePath, replica: replica.name };
    const reload = (signal: AbortSignal): Promise<ReplicaListing> => this.#reload(signal);
    this.#snapshots = new SnapshotTask({ ...options, inventory });
    this.#retention = new RetentionTask({
      ...options,
      client: replica.client,
      names,
      inventory,
      reload,
    });
    this.#compaction = new CompactionTask({
      ...options,
      names,
      inventory,
      reload,
      verifyCompaction: options.settings.verifyCompaction,
      onInventoryGrown: () => this.#retention.trimInventory(),
      onSnapshotNeeded: () => this.#snapshots.request(),
    });
    this.#tasks = new UpkeepTasks({
      clock,
      emit: options.emit,
      names,
      jitter: options.jitter ?? 0,
      onFailed: (error) => {
        // A file that is not there any more was remembered wrongly.
        if (isStorageError(error, "not-found")) inventory.forget();
      },
    });
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
      await this.#tasks.attempt("audit", () => this.#audit(signal), signal);
      if (!this.#inventory.isKnown) return this.#tasks.waitMs("audit", 0);
    }
    const { levelIntervalsMs } = this.#options.settings;
    for (let level = 1; level <= levelIntervalsMs.length; level++) {
      if (this.#levelWaitMs(level) > 0) continue;
      await this.#tasks.attempt(
        `level ${level}`,
        () => this.#compaction.run(level, signal),
        signal,
      );
    }
    if (this.#level0WaitMs() <= 0)
      await this.#tasks.attempt("retention", () => this.#retention.retireLevel0(signal), signal);
    if (this.#auditWaitMs() <= 0)
      await this.#tasks.attempt("audit", () => this.#audit(signal), signal);
    const waits = levelIntervalsMs.map((_, index) => this.#levelWaitMs(index + 1));
    return Math.max(1, Math.min(...waits, this.#level0WaitMs(), this.#auditWaitMs()));
  }

  /** As `maintain`, for the snapshot by schedule. */
  async takeSnapshot(signal: AbortSignal): Promise<number> {
    if (!this.#isReady() || this.#needsListing()) return Number.POSITIVE_INFINITY;
    if (this.#snapshotWaitMs() <= 0) {
      await this.#tasks.attempt("snapshot", () => this.#writeSnapshot(signal), signal);
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
    this.#isAuditWanted = true;
    this.#options.onAuditWanted?.();
  }

  // --- retention and audit ---

  /** Lists everything: what is there, what may go, what should be gone. */
  async #audit(signal: AbortSignal, graceMs: number = this.#graceMs()): Promise<void> {
    const { settings, clock } = this.#options;
    const listing = await this.#reload(signal);
    this.#lookForUnknownSnapshot(listing);
    // A little earlier each time for some than for others, so that not all come at the same moment.
    const { jitter = 0 } = this.#options;
    this.#auditedAt = clock.monotonic() - (jitter * settings.auditIntervalMs) / 10;
    this.#isAuditWanted = false;
    this.#retention.audit(listing);
    if (settings.validationIntervalMs > 0)
      for (let level = 0; level <= settings.levelIntervalsMs.length; level++)
        this.#compaction.reportLevel(level, listing[level] ?? []);
    if (settings.retentionEnabled) await this.#retention.retire(listing, graceMs, signal);
    this.#retention.trimInventory();
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
    return this.#tasks.waitMs(`level ${level}`, intervalMs, made);
  }

  #level0WaitMs(): number {
    const { l0RetentionCheckIntervalMs } = this.#options.settings;
    const waitMs = this.#retention.level0WaitMs();
    if (waitMs === Number.POSITIVE_INFINITY) return waitMs;
    return Math.max(waitMs, this.#tasks.waitMs("retention", l0RetentionCheckIntervalMs));
  }

  #snapshotWaitMs(): number {
    const { replica, settings } = this.#options;
    const newest = this.#inventory.newest(SNAPSHOT_LEVEL);
    if (newest !== undefined && newest.maxTXID >= replica.position) return Number.POSITIVE_INFINITY;
    if (this.#snapshots.isRequested) return this.#tasks.backoffWaitMs("snapshot");
    if (settings.snapshotIntervalMs <= 0) return Number.POSITIVE_INFINITY;
    return this.#tasks.waitMs("snapshot", settings.snapshotIntervalMs, newest?.createdAt.getTime());
  }

  #auditWaitMs(): number {
    const { settings, clock } = this.#options;
    if (this.#isAuditWanted) return this.#tasks.backoffWaitMs("audit");
    const intervals = [settings.auditIntervalMs, settings.validationIntervalMs].filter(
      (ms) => ms > 0,
    );
    if (this.#retention.hasCondemned) intervals.push(this.#graceMs());
    const interval = Math.min(Number.POSITIVE_INFINITY, ...intervals);
    const dueMs = this.#auditedAt + interval - clock.monotonic();
    return Math.max(dueMs, this.#tasks.backoffWaitMs("audit"));
  }

  /** How long files that are to go still stay, for restores that were planned on them. */
  #graceMs(): number {
    const { snapshotIntervalMs, auditIntervalMs } = this.#options.settings;
    const intervals = [snapshotIntervalMs, auditIntervalMs].filter((ms) => ms > 0);
    return Math.min(DEFAULT_LEVEL_SETTINGS.auditIntervalMs, ...intervals);
  }
}
