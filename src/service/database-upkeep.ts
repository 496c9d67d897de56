/** What keeps one database's replicas small and its local folder empty: levels, snapshots and retention, over time. */
import { statSync } from "node:fs";
import type { Clock } from "../engine/clock.ts";
import type { Database } from "../engine/database.ts";
import type { EmitEvent, EngineEvent } from "../engine/events.ts";
import type { LocalLTX } from "../engine/local-ltx.ts";
import { MIN_BACKLOG_BYTES } from "../engine/local-backlog.ts";
import { LocalTrim } from "../engine/local-trim.ts";
import type { ReplicaNeed } from "../engine/local-trim.ts";
import type { Replica } from "../engine/replica.ts";
import { DEFAULT_LEVEL_SETTINGS } from "../engine/level-settings.ts";
import { ReplicaLevels } from "../engine/replica-levels.ts";
import type { LevelSettings } from "../engine/level-settings.ts";
import type { TXID } from "../formats/ltx/txid.ts";
import type { LTXFileInfo } from "../storage/replica-client.ts";
import { LocalTrimLoop, UpkeepLoop } from "./upkeep-loop.ts";

export interface DatabaseUpkeepOptions {
  readonly database: Database;
  readonly local: LocalLTX;
  readonly clock: Clock;
  readonly emit: EmitEvent;
  /** Upstream's defaults where nothing is said. */
  readonly levels: Partial<LevelSettings>;
  /** 0 … 1: when in the time after each due moment work is done. Default: chosen by the database's path. */
  readonly jitter?: number;
}

interface Kept {
  readonly replica: Replica;
  readonly levels: ReplicaLevels;
  readonly loop: UpkeepLoop;
}

/** Local files stay for so many runs of level 1 at least, so that it reads them here. */
const LEVEL1_RUNS = 2;

export class DatabaseUpkeep {
  readonly #options: DatabaseUpkeepOptions;
  readonly #settings: LevelSettings;
  readonly #kept = new Map<string, Kept>();
  readonly #trim: LocalTrimLoop;

  constructor(options: DatabaseUpkeepOptions) {
    const { local, clock, emit, database } = options;
    this.#options = options;
    this.#settings = { ...DEFAULT_LEVEL_SETTINGS, ...options.levels };
    const { l0RetentionMs, l0RetentionCheckIntervalMs, levelIntervalsMs } = this.#settings;
    const trim = new LocalTrim({
      local,
      databasePath: database.path,
      clock,
      emit,
      retentionMs: Math.max(l0RetentionMs, LEVEL1_RUNS * (levelIntervalsMs[0] ?? 0)),
      checkIntervalMs: l0RetentionCheckIntervalMs,
      backlogLimitBytes: () => this.#backlogLimitBytes(),
      replicas: () => [...this.#kept.values()].map(({ replica }) => needOf(replica)),
    });
    this.#trim = new LocalTrimLoop(trim, { clock, databasePath: database.path, emit });
  }

  /** Takes a replica into care. `overrides`: where it differs from the database's settings. */
  add(replica: Replica, overrides: Partial<LevelSettings> = {}): void {
    const { database, local, clock, emit, jitter } = this.#options;
    const levels: ReplicaLevels = new ReplicaLevels({
      replica,
      local,
      databasePath: database.path,
      source: { open: (signal) => database.view(signal) },
      settings: { ...this.#settings, ...overrides },
      clock,
      emit,
      jitter: jitter ?? jitterOf(`${database.path}\n${replica.name}`),
      onAuditWanted: () => this.#kept.get(replica.name)?.loop.notify(),
    });
    this.#kept.set(replica.name, { replica, levels, loop: new UpkeepLoop(levels, clock) });
  }

  /** The levels of a replica. */
  levelsOf(replica: string): ReplicaLevels | undefined {
    return this.#kept.get(replica)?.levels;
  }

  /** The `onStored` of a replica. */
  stored(replica: string, file: LTXFileInfo): void {
    this.#kept.get(replica)?.levels.stored(file);
  }

  /** Sees every event of the replicas: some are a reason to look what is due. */
  observe(event: EngineEvent): void {
    const isNews =
      event.type === "replica-opened" ||
      event.type === "replica-synced" ||
      event.type === "replica-recovered";
    if (isNews) this.#kept.get(event.replica)?.loop.notify();
    // Files that a replica out of reach lacks may be too many.
    if (isNews || event.type === "replica-failed" || event.type === "replica-conflict")
      this.#trim.notify();
  }

  /** Works until aborted; resolves then. */
  async run(signal: AbortSignal): Promise<void> {
    const loops = [...this.#kept.values()].map(({ loop }) => loop.run(signal));
    await Promise.all([...loops, this.#trim.run(signal)]);
  }

  /** Beyond the database's own size a full image is less to send than the files that wait. */
  #backlogLimitBytes(): number {
    const { backlogLimitBytes } = this.#settings;
    if (backlogLimitBytes === 0) return Number.POSITIVE_INFINITY;
    if (backlogLimitBytes !== undefined) return backlogLimitBytes;
    const stat = statSync(this.#options.database.path, { throwIfNoEntry: false });
    return Math.max(MIN_BACKLOG_BYTES, stat?.size ?? 0);
  }

  /** A snapshot of the present state in every replica. Resolves to its greatest TXID; rejects with the first failure. */
  async snapshot(signal: AbortSignal): Promise<TXID> {
    const kept = [...this.#kept.values()];
    const txids = await Promise.all(kept.map(({ levels }) => levels.snapshotNow(signal)));
    return txids.reduce((max, txid) => (txid > max ? txid : max), 0n);
  }

  /** Deletes in every replica whatever retention lets go, without waiting. Rejects with the first failure. */
  async enforceRetention(signal: AbortSignal): Promise<void> {
    await Promise.all(
      [...this.#kept.values()].map(({ levels }) => levels.enforceRetention(signal)),
    );
  }
}

function needOf({ name, neededFromTXID, status }: Replica): ReplicaNeed {
  const isReachable = status.state === "running" || status.state === "waiting";
  return { name, neededFromTXID, isReachable };
}

/** 0 … 1, the same at each start: many databases work one after another, not all at the same moment. */
function jitterOf(name: string): number {
  let hash = 2_166_136_261;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 16_777_619);
  return (hash >>> 0) / 2 ** 32;
}
