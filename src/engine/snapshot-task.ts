/** Gets a snapshot into a store: by a copy within it, from the database, or from files that are there already. */
import { SNAPSHOT_LEVEL } from "../formats/ltx/layout.ts";
import { headerTime, isStorageError } from "../storage/replica-client.ts";
import type { LTXFileInfo, LTXFileName } from "../storage/replica-client.ts";
import type { Clock } from "./clock.ts";
import { compactFiles, copyWithinStore } from "./compact.ts";
import type { EmitEvent } from "./events.ts";
import { MAX_INPUTS } from "./level-plan.ts";
import type { Replica } from "./replica.ts";
import type { ReplicaInventory } from "./replica-inventory.ts";
import { planRestore } from "./restore-plan.ts";
import { findFile, readRemoteHeader } from "./stored-file.ts";
import type { SnapshotView } from "./snapshot.ts";

/** Gives views of the database. Null: there is no database now, or it is busy. */
export interface SnapshotSource {
  open(signal: AbortSignal): Promise<SnapshotView | null>;
}

export interface SnapshotTaskOptions {
  readonly replica: Replica;
  readonly databasePath: string;
  readonly source: SnapshotSource;
  readonly inventory: ReplicaInventory;
  readonly clock: Clock;
  readonly emit: EmitEvent;
}

/** A view keeps the WAL from being reused: beyond this growth it is given up, and the snapshot made of what the store holds. */
const MAX_HELD_WAL_BYTES = 512 << 20;
/** How long a view waits until the replica holds everything up to it. */
const UPLOAD_WAIT_MS = 30_000;

/** The WAL grew too much while the database was being read. */
class HeldTooLongError extends Error {
  override readonly name = "HeldTooLongError";
}

export class SnapshotTask {
  readonly #options: SnapshotTaskOptions;
  #isRequested = false;

  constructor(options: SnapshotTaskOptions) {
    this.#options = options;
  }

  /** A snapshot is wanted whether one is due or not. */
  get isRequested(): boolean {
    return this.#isRequested;
  }

  request(): void {
    this.#isRequested = true;
  }

  /** Writes a snapshot of about the present state, on the cheapest way. */
  async run(signal: AbortSignal): Promise<void> {
    const { inventory } = this.#options;
    const isFirst = inventory.files(SNAPSHOT_LEVEL).length === 0;
    if (!(isFirst && (await this.#copyFirst(signal)))) await this.#write(signal);
    this.#isRequested = false;
  }

  /**
   * Reads the database, and returns the snapshot's file. With `replace` a snapshot of the same TXID is written anew: whoever asks
   * for it does not trust the old one.
   */
  async fromDatabase(
    options: { readonly replace: boolean },
    signal: AbortSignal,
  ): Promise<LTXFileInfo> {
    const { replica, clock, source } = this.#options;
    const startedAt = clock.monotonic();
    const { chainCount } = replica;
    using view = await source.open(signal);
    if (view === null) throw new Error("Cannot take a snapshot: the database is not open or busy");
    // Before the transactions themselves a snapshot would make the replica look further than it is.
    await this.#waitForUpload(view.txid, signal);
    // A chain that began anew above this TXID makes the position look as if the view were uploaded: it is of another history.
    if (replica.chainCount !== chainCount)
      throw new Error("Cannot take a snapshot: the replica's history began anew meanwhile");
    const to: LTXFileName = { level: SNAPSHOT_LEVEL, minTXID: 1n, maxTXID: view.txid };
    const ifAbsent = !options.replace && (await replica.client.conditionalWrites(signal));
    const body = {
      kind: "stream",
      chunks: watchGrowth(view, signal),
      sizeHintBytes: view.sizeHintBytes,
    } as const;
    const createdAt = headerTime(view.header);
    try {
      const file = await replica.client.write(to, body, { createdAt, ifAbsent, signal });
      this.#written(file, startedAt, "database");
      return file;
    } catch (error) {
      if (!isStorageError(error, "exists")) throw error;
    }
    // An earlier attempt had arrived after all.
    const theirs = await findFile(replica.client, to, signal);
    const header = await readRemoteHeader(replica.client, to, signal);
    const isSame = header.commit === view.header.commit && header.pageSize === view.header.pageSize;
    if (theirs === undefined || !isSame)
      throw new Error(
        `Cannot take a snapshot of TXID ${view.txid}: another one stands in its place`,
      );
    this.#written(theirs, startedAt, "database");
    return theirs;
  }

  async #write(signal: AbortSignal): Promise<void> {
    try {
      await this.fromDatabase({ replace: false }, signal);
    } catch (error) {
      if (!(error instanceof HeldTooLongError)) throw error;
      await this.#fromReplica(signal);
    }
  }

  /** A file from TXID 1 on is a snapshot by itself: the first copy of a database travels once. */
  async #copyFirst(signal: AbortSignal): Promise<boolean> {
    const { replica, inventory, clock } = this.#options;
    const startedAt = clock.monotonic();
    let whole: LTXFileInfo | undefined;
    for (let level = 0; level < SNAPSHOT_LEVEL; level++) {
      for (const file of inventory.files(level)) {
        const isLater = file.maxTXID > (whole?.maxTXID ?? 0n);
        if (file.minTXID === 1n && isLater && file.maxTXID <= replica.position) whole = file;
      }
    }
    if (whole === undefined) return false;
    const to: LTXFileName = { level: SNAPSHOT_LEVEL, minTXID: 1n, maxTXID: whole.maxTXID };
    const copied = await copyWithinStore(replica.client, whole, to, signal);
    if (copied === undefined) return false;
    this.#written(copied.file, startedAt, "copy");
    return true;
  }

  /** Needs nothing of the database: the chain that a restore would read, merged. */
  async #fromReplica(signal: AbortSignal): Promise<void> {
    const { replica, inventory, clock } = this.#options;
    const startedAt = clock.monotonic();
    const listing = await inventory.load(replica.client, signal);
    const within = listing.flat().filter((file) => file.maxTXID <= replica.position);
    const plan = planRestore(within, { kind: "latest" });
    if (plan.kind === "refused") throw new Error(`Cannot take a snapshot: ${plan.message}`);
    const { file } = await compactFiles({
      client: replica.client,
      files: plan.files.slice(0, MAX_INPUTS),
      level: SNAPSHOT_LEVEL,
      minTXID: 1n,
      localPathOf: () => undefined,
      signal,
    });
    this.#written(file, startedAt, "replica");
  }

  async #waitForUpload(txid: bigint, signal: AbortSignal): Promise<void> {
    const { replica, clock } = this.#options;
    if (replica.position >= txid) return;
    const limit = new AbortController();
    const within = AbortSignal.any([signal, limit.signal]);
    const late = clock.sleep(UPLOAD_WAIT_MS, within).then(
      () => limit.abort(new Error("Cannot take a snapshot: the replica lags behind the database")),
      () => undefined,
    );
    try {
      await replica.waitFor(txid, within);
    } finally {
      limit.abort();
      await late;
    }
  }

  #written(file: LTXFileInfo, startedAt: number, source: "database" | "replica" | "copy"): void {
    const { inventory, replica, clock, databasePath, emit } = this.#options;
    inventory.add(file);
    emit({
      type: "snapshot-written",
      database: databasePath,
      replica: replica.name,
      txid: file.maxTXID,
      sizeBytes: file.sizeBytes,
      durationMs: clock.monotonic() - startedAt,
      source,
    });
  }
}

async function* watchGrowth(
  view: SnapshotView,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of view.chunks(signal)) {
    if (view.heldWALBytes > MAX_HELD_WAL_BYTES) {
      throw new HeldTooLongError(
        `Cannot read the database for a snapshot: the WAL grew by ${view.heldWALBytes} bytes meanwhile`,
      );
    }
    yield chunk;
  }
}
