/** Removes local level-0 files once every replica has them and they have reached a certain age. Asks no store. */
import type { TXID } from "../formats/ltx/txid.ts";
import type { Clock } from "./clock.ts";
import type { EmitEvent } from "./events.ts";
import type { LocalLTX } from "./local-ltx.ts";
import { planLocalTrim } from "./retention-plan.ts";
import { MAX_IN_FLIGHT } from "./upload-plan.ts";

export interface LocalTrimOptions {
  readonly local: LocalLTX;
  readonly databasePath: string;
  readonly clock: Clock;
  readonly emit: EmitEvent;
  /** Files stay this long at least, for compactions to read them here. */
  readonly retentionMs: number;
  /** How exactly the age is known, and how often there is something to do at most. */
  readonly checkIntervalMs: number;
  /** The replicas' `neededFromTXID`. */
  readonly neededFrom: () => readonly TXID[];
}

interface AgeMark {
  readonly txid: TXID;
  /** Monotonic. */
  readonly at: number;
}

export class LocalTrim {
  readonly #options: LocalTrimOptions;
  /** Newest TXID at some moments, oldest first: the ages of the files between. */
  readonly #marks: AgeMark[] = [];
  #agedTXID: TXID = 0n;

  constructor(options: LocalTrimOptions) {
    this.#options = options;
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
    const keepFrom = planLocalTrim({
      neededFrom: this.#options.neededFrom(),
      agedTXID: this.#agedTXID,
      witnesses: MAX_IN_FLIGHT,
    });
    const fileCount = local.trim(keepFrom);
    if (fileCount > 0) emit({ type: "local-files-deleted", database: databasePath, fileCount });
    return mark === undefined
      ? Number.POSITIVE_INFINITY
      : Math.max(checkIntervalMs, mark.at + retentionMs - now);
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
