/**
 * The chain of files in one store, and how it grows: up to where everything is there, what is there beyond, and the uploads that close the gap to
 * the local files. Knows nothing of time, errors or waiting: that is the replica's.
 */
import { SNAPSHOT_LEVEL } from "../formats/ltx/layout.ts";
import { formatTXID } from "../formats/ltx/txid.ts";
import type { TXID } from "../formats/ltx/txid.ts";
import { headerTime } from "../storage/replica-client.ts";
import type { LTXFileInfo, ReplicaClient } from "../storage/replica-client.ts";
import type { Clock } from "./clock.ts";
import type { EmitEvent } from "./events.ts";
import { findLocalImage, isFullImage } from "./local-image.ts";
import type { LocalLTX, LocalLTXFile } from "./local-ltx.ts";
import {
  compareFiles,
  listOwnFiles,
  listRemote,
  MAX_BODY_IN_MEMORY,
  ReplicaConflictError,
  uploadFile,
  uploadSnapshot,
} from "./upload.ts";
import {
  chooseWitnesses,
  findOvertakers,
  MAX_IN_FLIGHT,
  planStart,
  remoteMaxTXID,
  startsNewChain,
} from "./upload-plan.ts";
import type { ImageRequest, StartPlan } from "./upload-plan.ts";

export interface ChainOptions {
  readonly client: ReplicaClient;
  readonly local: LocalLTX;
  readonly clock: Clock;
  readonly emit: EmitEvent;
  /** For events: the database's path and the replica's name. */
  readonly database: string;
  readonly replica: string;
  readonly maxInFlight: number;
  /** The position moved. */
  readonly onAdvance: () => void;
  /** A file of ours is in the store. */
  readonly onStored: (file: LTXFileInfo) => void;
}

/** A file on its way. `failure` resolves to undefined on success and never rejects. */
interface Upload {
  readonly file: LocalLTXFile;
  readonly failure: Promise<{ readonly error: unknown } | undefined>;
}

/** With fewer files than this to go, waiting for each one costs less than a hole would. */
const LONG_BACKLOG_FILES = 16n;

export class ReplicaChain {
  readonly #options: ChainOptions;
  readonly #names: { readonly database: string; readonly replica: string };
  #position: TXID = 0n;
  #provenAbove: TXID = 0n;
  /** Page size of the file at the position, when known. */
  #pageSize: number | undefined;
  /** Files above the position that are known to be in the store. */
  readonly #ahead = new Set<TXID>();
  /** A full image with which the chain starts anew: it counts once its snapshot is in the store. */
  #base: TXID | undefined;

  constructor(options: ChainOptions) {
    const { database, replica, maxInFlight } = options;
    if (!Number.isInteger(maxInFlight) || maxInFlight < 1 || maxInFlight > MAX_IN_FLIGHT) {
      throw new RangeError(`Uploads in flight must be 1 to ${MAX_IN_FLIGHT}: ${maxInFlight}`);
    }
    this.#options = options;
    this.#names = { database, replica };
  }

  /** Everything up to here is in the store. */
  get position(): TXID {
    return this.#position;
  }

  /** Local files above were sent since the start: the store's are the same. */
  get provenAboveTXID(): TXID {
    return this.#provenAbove;
  }

  /** Local files from here on are still needed: for uploading, and the one at the position to compare after a restart. */
  get neededFromTXID(): TXID {
    return this.#base ?? this.#position;
  }

  get hasPending(): boolean {
    return this.#base !== undefined || this.#position < this.#options.local.newestTXID;
  }

  /** Lists the store, compares, and takes the position from there. */
  async start(
    signal: AbortSignal,
  ): Promise<{ readonly plan: StartPlan; readonly remoteMaxTXID: TXID }> {
    const { client, local } = this.#options;
    const remote = await listRemote(client, local, signal);
    const comparisons = await compareFiles(client, local, chooseWitnesses(local, remote), signal);
    const overtakers = findOvertakers(comparisons, () => findLocalImage(local));
    if (overtakers.length > 0) await client.delete(overtakers, { signal });
    let plan = planStart({ local, remote, comparisons, image: 0n });
    // Looking for an image reads local files, so only when it can help.
    if (plan.kind === "diverged" || plan.kind === "gap") {
      plan = planStart({ local, remote, comparisons, image: findLocalImage(local) });
    }
    this.#follow(plan);
    return { plan, remoteMaxTXID: remoteMaxTXID(remote) };
  }

  /** Starts anew with the local full image `txid`. */
  rebase(txid: TXID): void {
    this.#ahead.clear();
    this.#base = txid;
    this.#provenAbove = txid - 1n;
  }

  /** Uploads up to `until`. Returns what the database must do first, when local files cannot go on from the position. */
  async extend(
    until: TXID,
    ifAbsent: boolean,
    signal: AbortSignal,
  ): Promise<ImageRequest | undefined> {
    while (this.#base !== undefined || this.#position < until) {
      if (this.#base === undefined) {
        const end = await this.#uploadRun(until, ifAbsent, signal);
        if (typeof end === "object") return end;
        // Somebody may have called `rebase` meanwhile: the later wish counts.
        this.#base ??= end;
      }
      if (this.#base !== undefined && !this.#options.local.has(this.#base)) {
        // It was discarded for the sake of another replica: go on with the image that takes its place.
        this.#base = undefined;
        const next = this.#readNext(this.#position);
        if ("kind" in next) return next;
        this.#base = next.txid;
      }
      if (this.#base !== undefined) await this.#startChain(this.#base, ifAbsent, signal);
    }
    return undefined;
  }

  #follow(plan: StartPlan): void {
    this.#ahead.clear();
    this.#base = undefined;
    this.#pageSize = undefined;
    this.#position = 0n;
    this.#provenAbove = 0n;
    if (plan.kind === "rebase") this.rebase(plan.txid);
    if (plan.kind !== "continue") return;
    const { local } = this.#options;
    for (const txid of plan.ahead) this.#ahead.add(txid);
    this.#provenAbove = plan.position;
    this.#advance(
      plan.position,
      local.has(plan.position) ? local.read(plan.position).header.pageSize : undefined,
    );
  }

  /**
   * The image first, because its level-0 name is what a second writer would take as well; then its snapshot. Only both together count:
   * a file that other programs cannot connect with what was there before is no progress.
   */
  async #startChain(txid: TXID, ifAbsent: boolean, signal: AbortSignal): Promise<void> {
    const { client, local, clock, emit, onStored } = this.#options;
    const file = local.read(txid, { maxBytes: MAX_BODY_IN_MEMORY });
    await this.#uploadUnlessAhead(file, ifAbsent, signal);
    const startedAt = clock.monotonic();
    const sizeBytes = await uploadSnapshot(client, file, ifAbsent, signal);
    onStored({
      level: SNAPSHOT_LEVEL,
      minTXID: 1n,
      maxTXID: txid,
      sizeBytes,
      createdAt: headerTime(file.header),
    });
    emit({
      type: "snapshot-written",
      ...this.#names,
      txid,
      sizeBytes,
      durationMs: clock.monotonic() - startedAt,
    });
    if (this.#base !== txid) return;
    this.#base = undefined;
    this.#advance(txid, file.header.pageSize);
  }

  /**
   * Uploads up to `until`, in order. Returns undefined when done, the TXID of a file that starts a new chain when it meets one, or the request
   * for an image.
   *
   * Files become visible in order, one after another: a machine lost in between must not leave a hole in the store, which neither program
   * restores across. Only a long backlog to a distant store has several in flight, while the position advances in order; and its first
   * file goes alone: if a second writer took its number, nothing of ours must stand behind it.
   */
  async #uploadRun(
    until: TXID,
    ifAbsent: boolean,
    signal: AbortSignal,
  ): Promise<TXID | ImageRequest | undefined> {
    const inFlight: Upload[] = [];
    let previous = { txid: this.#position, pageSize: this.#pageSize };
    let end: TXID | ImageRequest | undefined;
    let limit = 1;
    try {
      for (;;) {
        while (
          inFlight.length < limit &&
          previous.txid < until &&
          end === undefined &&
          this.#base === undefined
        ) {
          const file = this.#readNext(previous.txid);
          end = "kind" in file ? file : chainStart(previous, file);
          if ("kind" in file || end !== undefined) break;
          inFlight.push({ file, failure: settle(this.#uploadUnlessAhead(file, ifAbsent, signal)) });
          previous = { txid: file.txid, pageSize: file.header.pageSize };
        }
        const head = inFlight.shift();
        if (head === undefined) return end;
        const failure = await head.failure;
        if (failure !== undefined) throw failure.error;
        if (this.#base === undefined) this.#advance(head.file.txid, head.file.header.pageSize);
        limit = this.#inFlightLimit(until - head.file.txid);
      }
    } catch (error) {
      await Promise.all(inFlight.map(({ failure }) => failure));
      if (error instanceof ReplicaConflictError) await this.#withdraw(error, signal);
      throw error;
    }
  }

  /** How many uploads may be under way with so many files still to go. */
  #inFlightLimit(pending: bigint): number {
    const { client, maxInFlight } = this.#options;
    const txid = this.#position;
    const isNear = client.localPath?.({ level: 0, minTXID: txid, maxTXID: txid }) !== undefined;
    return isNear || pending < LONG_BACKLOG_FILES ? 1 : maxInFlight;
  }

  /** The local file after `txid`; when that was discarded, the oldest one if it holds every page; otherwise the request for an image. */
  #readNext(txid: TXID): LocalLTXFile | ImageRequest {
    const { local } = this.#options;
    // Local files were discarded or numbered anew since: the rest of the old ones will never come.
    const isGone = local.oldestTXID > txid + 1n;
    if (local.newestTXID === 0n)
      return { kind: "gap", nextTXID: local.reservedTXID + 1n, reason: "local files are gone" };
    const file = local.read(isGone ? local.oldestTXID : txid + 1n, {
      maxBytes: MAX_BODY_IN_MEMORY,
    });
    if (!isGone || isFullImage(file)) return file;
    const reason = `local files between ${formatTXID(txid)} and ${formatTXID(file.txid)} are gone`;
    return { kind: "gap", nextTXID: local.reservedTXID + 1n, reason };
  }

  async #uploadUnlessAhead(
    file: LocalLTXFile,
    ifAbsent: boolean,
    signal: AbortSignal,
  ): Promise<void> {
    const { client, clock, emit, onStored } = this.#options;
    const { txid, sizeBytes } = file;
    if (this.#ahead.has(txid)) return;
    const startedAt = clock.monotonic();
    await uploadFile(client, file, ifAbsent, signal);
    if (this.#base === undefined || this.#base === txid) this.#ahead.add(txid);
    const durationMs = clock.monotonic() - startedAt;
    const createdAt = headerTime(file.header);
    onStored({ level: 0, minTXID: txid, maxTXID: txid, sizeBytes, createdAt });
    emit({
      type: "ltx-uploaded",
      ...this.#names,
      level: 0,
      minTXID: txid,
      maxTXID: txid,
      sizeBytes,
      durationMs,
    });
  }

  /** Takes back files that overtook a conflicting one, so that no restore puts them behind somebody else's. */
  async #withdraw(conflict: ReplicaConflictError, signal: AbortSignal): Promise<void> {
    const { client, local } = this.#options;
    const position = conflict.file.maxTXID;
    try {
      const ours = await listOwnFiles(client, local, position, MAX_IN_FLIGHT, signal);
      if (ours.length > 0) await client.delete(ours, { signal });
      for (const { maxTXID } of ours) this.#ahead.delete(maxTXID);
    } catch (error) {
      // The conflict is what must be told; the next start takes them back.
      conflict.withdrawalError = error;
    }
  }

  #advance(position: TXID, pageSize: number | undefined): void {
    this.#position = position;
    this.#pageSize = pageSize;
    this.#ahead.delete(position);
    this.#options.onAdvance();
  }
}

function chainStart(
  previous: { readonly txid: TXID; readonly pageSize: number | undefined },
  file: LocalLTXFile,
): TXID | undefined {
  return startsNewChain(previous, { txid: file.txid, pageSize: file.header.pageSize })
    ? file.txid
    : undefined;
}

function settle(upload: Promise<void>): Upload["failure"] {
  return upload.then(
    () => undefined,
    (error: unknown) => ({ error }),
  );
}
