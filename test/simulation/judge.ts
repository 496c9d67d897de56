/** Looks into the store and says whether everything that was promised can be restored, and nothing else. */
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { checkLevel } from "../../src/engine/level-plan.ts";
import type { LevelSettings } from "../../src/engine/level-settings.ts";
import { listReplica } from "../../src/engine/replica-inventory.ts";
import { planRestore } from "../../src/engine/restore-plan.ts";
import type { RestoreTarget } from "../../src/engine/restore-plan.ts";
import { restore } from "../../src/engine/restore.ts";
import type { RestoreSummary } from "../../src/engine/restore.ts";
import { parseLTXName, SNAPSHOT_LEVEL } from "../../src/formats/ltx/layout.ts";
import { verifyLTX } from "../../src/formats/ltx/decoder.ts";
import { MAX_TXID } from "../../src/formats/ltx/txid.ts";
import type { TXID } from "../../src/formats/ltx/txid.ts";
import { MemoryReplicaClient } from "../../src/storage/memory.ts";
import type { MemoryReplicaSettings } from "../../src/storage/memory.ts";
import type { ListOptions, LTXFileInfo } from "../../src/storage/replica-client.ts";
import type { Random } from "../harness/random.ts";
import { digestOf } from "./application.ts";
import { disk } from "./disk.ts";
import type { Machine } from "./machine.ts";
import type { Promises, Written } from "./model.ts";
import { keyOf } from "./store.ts";
import type { SharedStore } from "./store.ts";

export interface JudgeOptions {
  readonly store: SharedStore;
  readonly promises: Promises;
  readonly levels: LevelSettings;
  readonly folder: string;
  readonly random: Random;
  readonly note: (line: string) => void;
  readonly count: (what: string) => void;
}

/** Transactions that are restored and compared at each look. */
const SAMPLES = 2;
/** Files that a machine at rest may keep: those that a start compares, and the newest. */
const MAX_LOCAL_FILES = 12;

/** The store without uploads that overtook one that never arrived: nobody was told of them. */
class AcknowledgedOnly extends MemoryReplicaClient {
  readonly #position: TXID;

  constructor(settings: MemoryReplicaSettings, position: TXID) {
    super(settings);
    this.#position = position;
  }

  override async *list(level: number, options: ListOptions = {}): AsyncIterable<LTXFileInfo> {
    for await (const file of super.list(level, options))
      if (level > 0 || file.maxTXID <= this.#position) yield file;
  }
}

export class Judge {
  readonly #options: JudgeOptions;
  readonly #output: string;
  readonly #positions = new Map<Machine, TXID>();

  constructor(options: JudgeOptions) {
    this.#options = options;
    this.#output = join(options.folder, "restored.db");
  }

  /** A replica said that everything up to `position` is in the store. */
  onSynced(machine: Machine, position: TXID): void {
    const { promises, store } = this.#options;
    const before = this.#positions.get(machine) ?? 0n;
    this.#positions.set(machine, position);
    for (const [txid, written] of machine.history.written) {
      if (txid <= before || txid > position || promises.isKnown(written)) continue;
      const stored = store.objects.get(keyOf({ level: 0, minTXID: txid, maxTXID: txid }));
      if (stored === undefined || Buffer.compare(stored.bytes, written.bytes) !== 0) {
        // A new chain skips what was never uploaded.
        if (this.#isSkipped(txid, position)) continue;
        throw new Error(`${machine.name} is at ${position} but its ${txid} is not in the store`);
      }
      const problem = promises.add(written);
      if (problem !== null) throw new Error(problem);
    }
  }

  async check(facts: {
    readonly timesAreOpen: boolean;
    readonly isDouble: boolean;
  }): Promise<void> {
    const { store, promises, random, count } = this.#options;
    const listing = await listReplica(store.judge(), new AbortController().signal);
    // Uploads may overtake each other: what is not acknowledged is not counted on.
    const known = listing.map((files) =>
      files.filter(({ level, maxTXID }) => level > 0 || maxTXID <= promises.greatest),
    );
    const files = known.flat();
    if (promises.greatest === 0n) return;
    const snapshots = known[SNAPSHOT_LEVEL] ?? [];
    this.#checkLevels(known, snapshots, facts.isDouble);
    const latest = planRestore(files, { kind: "latest" });
    if (latest.kind === "refused") throw new Error(`Nothing can be restored: ${latest.message}`);
    if (latest.reached.txid < promises.greatest)
      throw new Error(
        `Restores end at ${latest.reached.txid} although ${promises.greatest} was promised`,
      );
    await this.#restore({ kind: "latest" }, facts.isDouble);
    const restorable = this.#restorable(files, snapshots, facts.timesAreOpen);
    for (let sample = 0; sample < SAMPLES && restorable.length > 0; sample++) {
      const { txid } = restorable[random.integer(0, restorable.length - 1)] as Written;
      const { txid: reached } = await this.#restore({ kind: "txid", txid }, facts.isDouble);
      if (reached !== txid) throw new Error(`Asked for ${txid}, got ${reached}`);
      count("restores by TXID");
    }
    if (!facts.timesAreOpen) await this.#checkTime(files, snapshots, restorable);
  }

  /** Right after a successful sync: the newest state is there, or one committed since the sync began. */
  async checkLatest(machine: Machine, sinceIndex: number): Promise<void> {
    // A start may have found everything there, without an upload that would have been acknowledged.
    await this.#run({ kind: "latest" }, MAX_TXID);
    const digest = this.#digest();
    const index = machine.history.lastIndexOf(digest);
    if (index < 0) throw new Error("The state restored after a sync was never committed");
    if (index < sinceIndex)
      throw new Error(
        `After a sync of state ${sinceIndex}, state ${index} is restored: a commit is lost`,
      );
    this.#options.count("syncs verified");
  }

  /** Restores the newest state; returns where. */
  async restoreLatest(): Promise<string> {
    await this.#run({ kind: "latest" });
    return this.#output;
  }

  checkLocal(machine: Machine): void {
    const files = machine.localFiles();
    if (files.some((name) => name.endsWith(".tmp")))
      throw new Error(`Temporary files stay: ${files.join(", ")}`);
    if (files.length > MAX_LOCAL_FILES)
      throw new Error(`${files.length} local files are kept at rest`);
    const { replica } = machine;
    if (replica?.status.state !== "running")
      throw new Error(
        `The replica is ${replica?.status.state} although nothing fails any more: ${String(replica?.status.error)}`,
      );
    if (replica.position !== replica.status.localTXID)
      throw new Error(
        `Uploaded up to ${replica.position}, written up to ${replica.status.localTXID}`,
      );
  }

  /** Whether a snapshot, or a file of level 0 that holds every page, stands for it. */
  #isSkipped(txid: TXID, position: TXID): boolean {
    for (const [key, { bytes }] of this.#options.store.objects) {
      const [, level, name = ""] = key.split("/");
      const maxTXID = parseLTXName(name)?.maxTXID ?? 0n;
      if (maxTXID < txid || maxTXID > position) continue;
      if (level === "9" || (level === "0" && holdsEveryPage(bytes))) return true;
    }
    return false;
  }

  #checkLevels(
    listing: readonly (readonly LTXFileInfo[])[],
    snapshots: readonly LTXFileInfo[],
    isDouble: boolean,
  ): void {
    const { store } = this.#options;
    for (let level = 0; level < SNAPSHOT_LEVEL; level++) {
      for (const problem of checkLevel(listing[level] ?? [], snapshots)) {
        // A file that arrived late, or was listed late, may be made once more with another end: that harms nobody.
        if (problem.kind === "overlap" && store.isUnpunctual) continue;
        // One that was listed late may stay behind: no restore passes there.
        if (problem.kind === "gap" && level === 0 && store.isUnpunctual) continue;
        // A writer that was overtaken may leave files below the other's until it notices: how soon, FenceJudge sees to.
        if (problem.kind === "gap" && level === 0 && isDouble) continue;
        if (!problem.isBridged) throw new Error(problem.message);
      }
    }
  }

  /** Promised transactions that must be restorable by number now. */
  #restorable(
    files: readonly LTXFileInfo[],
    snapshots: readonly LTXFileInfo[],
    timesAreOpen: boolean,
  ): Written[] {
    const { promises, store, levels } = this.#options;
    const oldest = snapshots[0]?.maxTXID ?? 0n;
    const ends = new Set(files.map(({ maxTXID }) => maxTXID));
    const now = store.scheduler.elapsedMs;
    return promises
      .all()
      .filter(({ txid }) => txid >= oldest)
      .filter(
        ({ txid, atMs }) =>
          ends.has(txid) || (!timesAreOpen && now - atMs < levels.l0RetentionMs && oldest === 0n),
      );
  }

  async #checkTime(
    files: readonly LTXFileInfo[],
    snapshots: readonly LTXFileInfo[],
    restorable: readonly Written[],
  ): Promise<void> {
    const { random, count } = this.#options;
    const from = snapshots[0]?.createdAt.getTime() ?? 0;
    const times = restorable
      .map(({ txid }) => files.find((file) => file.maxTXID === txid && file.level < SNAPSHOT_LEVEL))
      .filter((file) => file !== undefined && file.createdAt.getTime() > from);
    if (times.length === 0) return;
    const file = times[random.integer(0, times.length - 1)] as LTXFileInfo;
    const at = new Date(file.createdAt.getTime() + 1);
    const summary = await this.#restore({ kind: "timestamp", at }, false);
    if (summary.createdAt >= at || summary.txid < file.maxTXID)
      throw new Error(
        `A restore to just after ${file.maxTXID} ends at ${summary.txid} of ${summary.createdAt.toISOString()}`,
      );
    count("restores by time");
  }

  /** Restores and compares with what the files of that TXID may hold. */
  async #restore(target: RestoreTarget, isDouble: boolean): Promise<RestoreSummary> {
    const { promises, note } = this.#options;
    const summary = await this.#run(target);
    const digest = this.#digest();
    const promised = promises.get(summary.txid);
    note(`restored ${target.kind} ${summary.txid}`);
    // A snapshot can end at a transaction whose own file was never acknowledged.
    if (promised === undefined) return summary;
    if (!promised.candidates.has(digest))
      throw new Error(
        `TXID ${summary.txid} of ${promised.machine} restores to another state than was current then${isDouble ? " (two writers)" : ""}`,
      );
    return summary;
  }

  async #run(
    target: RestoreTarget,
    greatest: TXID = this.#options.promises.greatest,
  ): Promise<RestoreSummary> {
    const { store, count } = this.#options;
    for (const suffix of ["", "-wal", "-shm"]) rmSync(`${this.#output}${suffix}`, { force: true });
    count("restores");
    return await disk.idle(() =>
      restore(new AcknowledgedOnly({ objects: store.objects }, greatest), {
        target,
        outputPath: this.#output,
        parallelism: 2,
        integrityCheck: "none",
        force: false,
      }),
    );
  }

  #digest(): string {
    if (readFileSync(this.#output).length === 0) throw new Error("The restored database is empty");
    using database = new DatabaseSync(this.#output, { readOnly: true });
    const [row] = database.prepare("PRAGMA integrity_check").all();
    if (row?.["integrity_check"] !== "ok")
      throw new Error(`The restored database is malformed: ${String(row?.["integrity_check"])}`);
    return digestOf(database);
  }
}

function holdsEveryPage(bytes: Uint8Array): boolean {
  const { header, index } = verifyLTX([bytes]);
  return index.count === header.commit;
}
