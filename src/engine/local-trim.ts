/**
 * Removes local level-0 files once every replica has them and they have reached a certain age. Files that a replica out of reach still lacks wait for
 * it, up to a bound: then the oldest go, and that replica gets a full image when it is back. Asks no store.
 */
import type { TXID } from "../formats/ltx/txid.ts";
import type { Clock } from "./clock.ts";
import type { EmitEvent } from "./events.ts";
import { LocalBacklog } from "./local-backlog.ts";
import type { LocalLTX } from "./local-ltx.ts";
import { planLocalTrim } from "./retention-plan.ts";
import { MAX_IN_FLIGHT } from "./upload-plan.ts";

/** What is asked of a replica. */
export interface ReplicaNeed {
  readonly name: string;
  /** See `Replica.neededFromTXID`. */
  readonly neededFromTXID: TXID;
  /** It uploads, or waits for an image; not: it fails, does not answer, or has found a second writer. */
  readonly isReachable: boolean;
}

export interface LocalTrimOptions {
  readonly local: LocalLTX;
  readonly databasePath: string;
  readonly clock: Clock;
  readonly emit: EmitEvent;
  /** Files stay this long at least, for compactions to read them here. */
  readonly retentionMs: number;
  /** How exactly the age is known, and how often there is something to do at most. */
  readonly checkIntervalMs: number;
  /** How many bytes of files may wait for replicas out of reach; infinite = any number. Asked while one is. */
  readonly backlogLimitBytes: () => number;
  readonly replicas: () => readonly ReplicaNeed[];
}

interface AgeMark {
  readonly txid: TXID;
  /** Monotonic. */
  readonly at: number;
}

export class LocalTrim {
  readonly #options: LocalTrimOptions;
  readonly #backlog: LocalBacklog;
  /** Newest TXID at some moments, oldest first: the ages of the files between. */
  readonly #marks: AgeMark[] = [];
  #agedTXID: TXID = 0n;

  constructor(options: LocalTrimOptions) {
    this.#options = options;
    this.#backlog = new LocalBacklog(options.local);
    this.#mark();
  }

  /** Removes what may go. Returns after how many milliseconds there may be more; infinite when there is nothing to wait for. */
  run(): number {
    const { local, clock, emit, databasePath, retentionMs, checkIntervalMs } = this.#options;
    this.#mark();
    const now = clock.monotonic();
    let mark = this.#marks[0];
    while (mark !== undefined && now - mark.at >= retentionMs) {
      this.#agedTXID = mark.txid;
      this.#marks.shift();
      mark = this.#marks[0];
    }
    const replicas = this.#options.replicas();
    const isWaiting = replicas.some(({ isReachable }) => !isReachable);
    const boundTXID = isWaiting ? this.#boundTXID() : 0n;
    if (!isWaiting) this.#backlog.forget();
    const keepFrom = planLocalTrim({
      replicas,
      agedTXID: this.#agedTXID,
      boundTXID,
      witnesses: MAX_IN_FLIGHT,
    });
    const givenUp = replicas.filter((replica) => isGivenUp(replica, local, keepFrom));
    const fileCount = local.trim(keepFrom);
    if (fileCount > 0) {
      emit({ type: "local-files-deleted", database: databasePath, fileCount });
      for (const { name: replica } of givenUp)
        emit({ type: "backlog-given-up", database: databasePath, replica, fileCount });
    }
    const ageWaitMs =
      mark === undefined
        ? Number.POSITIVE_INFINITY
        : Math.max(checkIntervalMs, mark.at + retentionMs - now);
    return isWaiting ? Math.min(ageWaitMs, checkIntervalMs) : ageWaitMs;
  }

  /** From where on files stay whoever waits for them. */
  #boundTXID(): TXID {
    const limitBytes = this.#options.backlogLimitBytes();
    return Number.isFinite(limitBytes) ? this.#backlog.keepFrom(limitBytes) : 0n;
  }

  /** Remembers the newest file's age, unless a mark of about now does. */
  #mark(): void {
    const { local, clock, checkIntervalMs } = this.#options;
    const last = this.#marks.at(-1);
    const at = clock.monotonic();
    const isKnown = local.newestTXID <= (last?.txid ?? this.#agedTXID);
    if (isKnown || (last !== undefined && at - last.at < checkIntervalMs)) return;
    this.#marks.push({ txid: local.newestTXID, at });
  }
}

/** Whether files go now that this replica still lacks. */
function isGivenUp(replica: ReplicaNeed, local: LocalLTX, keepFrom: TXID): boolean {
  return local.oldestTXID <= replica.neededFromTXID + 1n && keepFrom > replica.neededFromTXID + 1n;
}
