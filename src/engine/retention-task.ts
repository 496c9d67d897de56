/** Deletes from a store what nothing needs any more, and notices a store that keeps it all the same. */
import { SNAPSHOT_LEVEL } from "../formats/ltx/layout.ts";
import type { LTXFileInfo, ReplicaClient } from "../storage/replica-client.ts";
import type { Clock } from "./clock.ts";
import type { EmitEvent } from "./events.ts";
import { DEFAULT_LEVEL_SETTINGS } from "./level-settings.ts";
import type { LevelSettings } from "./level-settings.ts";
import type { ReplicaInventory, ReplicaListing } from "./replica-inventory.ts";
import { Condemned, DeletionLedger, MAX_DELETE_FILES } from "./retention.ts";
import {
  coveredBy,
  planLevel0Retention,
  planLevelRetention,
  planSnapshotRetention,
} from "./retention-plan.ts";
import type { ReplicaNames } from "./upkeep-tasks.ts";

export interface RetentionTaskOptions {
  readonly client: ReplicaClient;
  readonly names: ReplicaNames;
  readonly inventory: ReplicaInventory;
  readonly settings: LevelSettings;
  readonly clock: Clock;
  readonly emit: EmitEvent;
  /** Lists the store anew. */
  readonly reload: (signal: AbortSignal) => Promise<ReplicaListing>;
}

export class RetentionTask {
  readonly #options: RetentionTaskOptions;
  readonly #client: ReplicaClient;
  readonly #condemned: Condemned;
  readonly #condemnedLevel0: Condemned;
  readonly #ledger: DeletionLedger;
  /** Until then files of level 0 stay, because nothing stands in for them. */
  #level0BlockedUntil = 0;

  constructor(options: RetentionTaskOptions) {
    this.#options = options;
    this.#client = options.client;
    this.#condemned = new Condemned(options.clock);
    this.#condemnedLevel0 = new Condemned(options.clock);
    this.#ledger = new DeletionLedger(options.clock);
  }

  /** Whether there are files that go once their time is over. */
  get hasCondemned(): boolean {
    return this.#condemned.size > 0;
  }

  /** Milliseconds until a file of level 0 may go; infinite while there is none. */
  level0WaitMs(): number {
    const { settings, clock, inventory } = this.#options;
    const [oldest, second] = inventory.files(0);
    if (!this.#deletesLevel0 || oldest === undefined || second === undefined)
      return Number.POSITIVE_INFINITY;
    if (oldest.maxTXID > (inventory.newest(1)?.maxTXID ?? 0n)) return Number.POSITIVE_INFINITY;
    const blockedMs = this.#level0BlockedUntil - clock.monotonic();
    return Math.max(blockedMs, oldest.createdAt.getTime() + settings.l0RetentionMs - clock.now());
  }

  /** Compares a listing with what was deleted: a store that keeps it is told of, and left alone for a while. */
  audit(listing: ReplicaListing): void {
    const kept = this.#ledger.audit(listing.flat());
    const last = kept.at(-1);
    if (last === undefined) return;
    const { level, maxTXID } = last;
    const { emit, names } = this.#options;
    emit({ type: "deletion-ignored", ...names, fileCount: kept.length, level, maxTXID });
  }

  /** Level 0 by time, once a listing has shown what stands in for it. */
  async retireLevel0(signal: AbortSignal): Promise<void> {
    const { clock, settings } = this.#options;
    const files = this.#options.inventory.files(0);
    const candidates = planLevel0Retention(files, {
      compacted: this.#options.inventory.files(1),
      nowMs: clock.now(),
      retentionMs: settings.l0RetentionMs,
    });
    const victims = this.#condemnedLevel0.sift(candidates, settings.l0RetentionCheckIntervalMs);
    const oldest = victims[0];
    if (oldest === undefined) return;
    const from = this.#options.inventory
      .files(1)
      .find((file) => file.maxTXID >= oldest.minTXID)?.minTXID;
    const listed: LTXFileInfo[] = [];
    const options = from === undefined ? { signal } : { from, signal };
    for await (const file of this.#client.list(1, options)) listed.push(file);
    let safe = coveredBy(victims, listed, this.#options.inventory.files(SNAPSHOT_LEVEL));
    if (safe.length < victims.length) {
      // Something that was there is not: other levels may hold it, and the next compaction must know.
      const listing = await this.#options.reload(signal);
      safe = coveredBy(
        victims,
        listing.slice(1, SNAPSHOT_LEVEL).flat(),
        listing[SNAPSHOT_LEVEL] ?? [],
      );
      this.trimInventory();
      if (safe.length < victims.length)
        this.#level0BlockedUntil = clock.monotonic() + DEFAULT_LEVEL_SETTINGS.auditIntervalMs;
    }
    await this.#delete(safe, signal);
  }

  /** Snapshots by age and what lies below them, of a fresh listing; files stay `graceMs` after they could go. */
  async retire(listing: ReplicaListing, graceMs: number, signal: AbortSignal): Promise<void> {
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
      this.#options.inventory.remove(batch);
      const [first] = batch;
      const last = batch.at(-1);
      if (first === undefined || last === undefined) continue;
      this.#options.emit({
        type: "ltx-deleted",
        ...this.#options.names,
        level: first.level,
        fileCount: batch.length,
        minTXID: first.minTXID,
        maxTXID: last.maxTXID,
      });
    }
  }

  /** Drops from the inventory what no next task needs. */
  trimInventory(): void {
    const { levelIntervalsMs } = this.#options.settings;
    this.#options.inventory.trim(levelIntervalsMs.length, this.#deletesLevel0);
  }

  get #deletesLevel0(): boolean {
    const { retentionEnabled, l0RetentionMs } = this.#options.settings;
    return retentionEnabled && l0RetentionMs > 0 && !this.#ledger.isSuspended(0);
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
