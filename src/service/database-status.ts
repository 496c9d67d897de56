/** How one database and its replicas are: read from its events and, while it runs, from the replicas. */
import type { EngineEvent } from "../engine/events.ts";
import type { Replica, ReplicaState } from "../engine/replica.ts";
import type { TXID } from "../formats/ltx/txid.ts";
import { Backlog } from "./backlog.ts";
import type { DatabaseRunner, ReplicaEntry } from "./database-runner.ts";

/** In upstream's words. "open": it is known and not stopped, and no loop replicates it, as with `-once`. */
export type DatabaseState = "replicating" | "open" | "stopped";

export interface DatabaseStatus {
  readonly path: string;
  readonly state: DatabaseState;
  /** Whether the database file is open; it is not while there is none. */
  readonly isOpen: boolean;
  /** Newest level-0 file, the last known one while stopped; 0 before the first. */
  readonly txid: TXID;
  /** Epoch ms of the last opening; undefined: never. */
  readonly openedAtMs: number | undefined;
  /** Epoch ms at which every replica last was known to hold everything; undefined: never. */
  readonly syncedAtMs: number | undefined;
  /** The failure of copying the database that is not over yet. */
  readonly failure: Failure | undefined;
  readonly replicas: readonly ReplicaStatus[];
}

export interface ReplicaStatus {
  readonly name: string;
  readonly type: string;
  /** Where it is, without secrets. */
  readonly description: string;
  /** "stopped": the database is, or its file was never there. */
  readonly state: ReplicaState | "stopped";
  /** Everything up to here is in the store, as far as is known. */
  readonly txid: TXID;
  /** What it lacks of what was written since the start. */
  readonly lag: { readonly files: number; readonly bytes: number; readonly ms: number };
  /** Epoch ms of the last file that got into the store; undefined: none since the start. */
  readonly uploadedAtMs: number | undefined;
  /** Epoch ms at which it last was known to hold everything; undefined: never. */
  readonly syncedAtMs: number | undefined;
  readonly failure: Failure | undefined;
}

/** A failure that is tried again, or a conflict that is not. */
export interface Failure {
  readonly error: unknown;
  readonly consecutiveErrors: number;
  /** Epoch ms of the last one. */
  readonly atMs: number;
}

/** What is remembered of a replica, over the lives of its object. */
interface ReplicaMemory {
  txid: TXID;
  uploadedAtMs: number | undefined;
  syncedAtMs: number | undefined;
  failedAtMs: number;
}

export class StatusReader {
  readonly #path: string;
  readonly #entries: readonly ReplicaEntry[];
  readonly #now: () => number;
  readonly #backlog = new Backlog();
  readonly #replicas = new Map<string, ReplicaMemory>();
  #txid: TXID = 0n;
  #isOpen = false;
  #openedAtMs: number | undefined;
  #failure: Failure | undefined;

  /** `now`: epoch ms. */
  constructor(path: string, entries: readonly ReplicaEntry[], now: () => number) {
    this.#path = path;
    this.#entries = entries;
    this.#now = now;
  }

  /** Sees every event of this database. */
  read(event: EngineEvent): void {
    const { type } = event;
    if (type === "database-opened") {
      this.#isOpen = true;
      this.#openedAtMs = this.#now();
      this.#txid = event.txid;
    } else if (type === "database-closed") {
      this.#isOpen = false;
      this.#txid = event.txid;
    } else if (type === "ltx-written") {
      this.#txid = event.txid;
      this.#failure = undefined;
      if (this.#entries.length > 0) this.#backlog.add(event.txid, event.sizeBytes, this.#now());
    } else if (type === "sync-failed") {
      const { error, consecutiveErrors } = event;
      this.#failure = { error, consecutiveErrors, atMs: this.#now() };
    } else if (type === "sync-recovered") this.#failure = undefined;
    else if ("replica" in event) this.#readReplica(event);
  }

  /** The present state. `runner` null: stopped. */
  report(runner: DatabaseRunner | null): DatabaseStatus {
    const replicas = this.#entries.map((entry) => this.#reportReplica(entry, runner));
    return {
      path: this.#path,
      state: runner === null ? "stopped" : runner.isRunning ? "replicating" : "open",
      isOpen: this.#isOpen,
      txid: this.#txid,
      openedAtMs: this.#openedAtMs,
      syncedAtMs: earliest(replicas),
      failure: this.#failure,
      replicas,
    };
  }

  #readReplica(event: EngineEvent & { readonly replica: string }): void {
    const memory = this.#memory(event.replica);
    const { type } = event;
    if (type === "ltx-uploaded") memory.uploadedAtMs = this.#now();
    else if (type === "replica-synced" || type === "replica-opened") {
      memory.txid = event.txid;
      this.#dropSent();
    } else if (type === "replica-failed" || type === "replica-conflict")
      memory.failedAtMs = this.#now();
  }

  #reportReplica(entry: ReplicaEntry, runner: DatabaseRunner | null): ReplicaStatus {
    const { name, client } = entry;
    const memory = this.#memory(name);
    const replica = runner?.replicas.find((candidate) => candidate.name === name);
    if (runner !== null && replica !== undefined) this.#remember(memory, runner, replica);
    const lag = this.#backlog.lag(memory.txid);
    const { state = "stopped", error, consecutiveErrors = 0 } = replica?.status ?? {};
    return {
      name,
      type: client.type,
      description: client.description,
      state,
      txid: memory.txid,
      lag: {
        files: lag?.files ?? 0,
        bytes: lag?.bytes ?? 0,
        ms: lag === undefined ? 0 : Math.max(0, this.#now() - lag.sinceMs),
      },
      uploadedAtMs: memory.uploadedAtMs,
      syncedAtMs: memory.syncedAtMs,
      failure:
        consecutiveErrors > 0 || state === "conflict"
          ? { error, consecutiveErrors, atMs: memory.failedAtMs }
          : undefined,
    };
  }

  /** A replica that has everything is known to have everything as of the last look at the database, without being asked again. */
  #remember(memory: ReplicaMemory, runner: DatabaseRunner, replica: Replica): void {
    const { state, position, localTXID, syncedAtMs } = replica.status;
    memory.txid = position;
    const isWhole = state === "running" && position >= localTXID && localTXID > 0n;
    const known = Math.max(syncedAtMs, isWhole ? runner.lookedAtMs : 0, memory.syncedAtMs ?? 0);
    memory.syncedAtMs = known > 0 ? known : undefined;
  }

  #dropSent(): void {
    const positions = this.#entries.map(({ name }) => this.#memory(name).txid);
    this.#backlog.drop(positions.reduce((low, txid) => (txid < low ? txid : low)));
  }

  #memory(name: string): ReplicaMemory {
    let memory = this.#replicas.get(name);
    if (memory === undefined) {
      memory = { txid: 0n, uploadedAtMs: undefined, syncedAtMs: undefined, failedAtMs: 0 };
      this.#replicas.set(name, memory);
    }
    return memory;
  }
}

function earliest(replicas: readonly ReplicaStatus[]): number | undefined {
  let first: number | undefined;
  for (const { syncedAtMs } of replicas) {
    if (syncedAtMs === undefined) return undefined;
    if (first === undefined || syncedAtMs < first) first = syncedAtMs;
  }
  return first;
}
