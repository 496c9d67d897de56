/** Makes the files of a level from those below it, on another way where files are missing or damaged. */
import { FormatError } from "../formats/format-error.ts";
import { SNAPSHOT_LEVEL } from "../formats/ltx/layout.ts";
import type { TXID } from "../formats/ltx/txid.ts";
import type { LTXFileInfo, ReplicaClient } from "../storage/replica-client.ts";
import type { Clock } from "./clock.ts";
import { compactFiles, copyWithinStore, DamagedFileError, readPageSizes } from "./compact.ts";
import type { CompactedFile } from "./compact.ts";
import type { EmitEvent } from "./events.ts";
import { checkLevel, planCompaction } from "./level-plan.ts";
import type { CompactionPlan, Hole } from "./level-plan.ts";
import { LocalDiskError } from "./local-disk-error.ts";
import type { LocalLTX } from "./local-ltx.ts";
import type { Replica } from "./replica.ts";
import { nameOf } from "./replica-inventory.ts";
import type { ReplicaInventory, ReplicaListing } from "./replica-inventory.ts";
import type { ReplicaNames } from "./upkeep-tasks.ts";

export interface CompactionTaskOptions {
  readonly replica: Replica;
  readonly local: LocalLTX;
  readonly names: ReplicaNames;
  readonly inventory: ReplicaInventory;
  readonly clock: Clock;
  readonly emit: EmitEvent;
  /** List the level after each compaction into it, and report what does not follow. */
  readonly verifyCompaction: boolean;
  /** Lists the store anew. */
  readonly reload: (signal: AbortSignal) => Promise<ReplicaListing>;
  /** The inventory has grown. */
  readonly onInventoryGrown: () => void;
  /** Only a new snapshot gets a level on. */
  readonly onSnapshotNeeded: () => void;
}

/** Runs of one level in a row before other tasks get their turn. */
const MAX_RUNS = 16;

export class CompactionTask {
  readonly #options: CompactionTaskOptions;
  readonly #client: ReplicaClient;
  readonly #damaged = new Set<string>();
  readonly #pageSizes = new WeakMap<LTXFileInfo, number>();
  /** End of a file whose writing failed: it may have arrived, so the next attempt makes the same one. */
  readonly #unsure = new Map<number, TXID>();
  #canCopy: boolean;
  #mayReadLocal = true;

  constructor(options: CompactionTaskOptions) {
    this.#options = options;
    this.#client = options.replica.client;
    this.#canCopy = options.replica.client.copy !== undefined;
  }

  /** Brings `level` up to date with what lies below. */
  async run(level: number, signal: AbortSignal): Promise<void> {
    for (let run = 0; run < MAX_RUNS; run++) {
      if (!(await this.#compactOnce(level, signal))) return;
    }
  }

  /** One run of a level. True: there is more. */
  async #compactOnce(level: number, signal: AbortSignal): Promise<boolean> {
    let plan = this.#plan(level, [level - 1]);
    if (plan.kind === "hole") {
      await this.#options.reload(signal);
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
      this.#options.onSnapshotNeeded();
    } else if (plan.kind === "merge") {
      const isBridged = plan.skipped !== undefined;
      this.#emitGap(level, plan.skipped ?? hole, isBridged ? "snapshot" : "other-levels");
    }
    return plan;
  }

  #plan(level: number, sourceLevels: readonly number[]): CompactionPlan {
    const { replica } = this.#options;
    const isUsable = (file: LTXFileInfo): boolean => !this.#damaged.has(nameOf(file));
    const sources = sourceLevels
      .flatMap((at) => this.#options.inventory.files(at))
      .filter(isUsable);
    const reached = this.#options.inventory.reached(level);
    const unsure = this.#unsure.get(level) ?? 0n;
    return planCompaction({
      level,
      reached,
      sources,
      snapshots: this.#options.inventory.files(SNAPSHOT_LEVEL).filter(isUsable),
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
    this.#options.inventory.add(made.file);
    this.#options.onInventoryGrown();
    const { minTXID, maxTXID, sizeBytes } = made.file;
    this.#options.emit({
      type: "compacted",
      ...this.#options.names,
      level,
      minTXID,
      maxTXID,
      sizeBytes,
      inputCount: files.length,
      durationMs: clock.monotonic() - startedAt,
      method: made.method,
    });
    if (this.#options.verifyCompaction) await this.#verifyLevel(level, signal);
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
      this.#options.emit({
        type: "ltx-damaged",
        ...this.#options.names,
        level,
        minTXID,
        maxTXID,
        error,
      });
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
    this.#options.inventory.forget();
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
    this.reportLevel(level, files);
  }

  reportLevel(level: number, files: readonly LTXFileInfo[]): void {
    for (const problem of checkLevel(files, this.#options.inventory.files(SNAPSHOT_LEVEL))) {
      const { kind, isBridged, message } = problem;
      this.#options.emit({
        type: "level-invalid",
        ...this.#options.names,
        level,
        kind,
        isBridged,
        message,
      });
    }
  }

  #emitGap(level: number, hole: Hole, remedy: "other-levels" | "snapshot" | "new-snapshot"): void {
    this.#options.emit({ type: "level-gap", ...this.#options.names, level, ...hole, remedy });
  }
}
