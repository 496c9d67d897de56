/** Runs the upkeep of one replica, and of a database's local files, whenever something is due. Idle it sleeps without a timer. */
import type { Clock } from "../engine/clock.ts";
import type { EmitEvent } from "../engine/events.ts";
import type { LocalTrim } from "../engine/local-trim.ts";
import type { ReplicaLevels } from "../engine/replica-levels.ts";
import { Sleeper } from "../engine/sleeper.ts";
import { runLoop } from "./run-loop.ts";

/** Timers do not reach further than some weeks. */
const MAX_SLEEP_MS = 86_400_000;
/** The first pause after local files could not be removed. */
const RETRY_INTERVAL_MS = 1_000;

export class UpkeepLoop {
  readonly #levels: ReplicaLevels;
  readonly #maintenance: Bell;
  readonly #snapshots: Bell;

  constructor(levels: ReplicaLevels, clock: Clock) {
    this.#levels = levels;
    this.#maintenance = new Bell(clock);
    this.#snapshots = new Bell(clock);
  }

  /** Something is new in the replica. Cheap: call it after every upload. */
  notify(): void {
    this.#maintenance.ring();
  }

  /** Works until aborted; resolves then. A snapshot, which may take long, holds up nothing else. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([
      this.#loop(this.#maintenance, signal, async () => {
        const waitMs = await this.#levels.maintain(signal);
        // It may have learnt what a snapshot depends on.
        this.#snapshots.ring();
        return waitMs;
      }),
      this.#loop(this.#snapshots, signal, () => this.#levels.takeSnapshot(signal)),
    ]);
  }

  async #loop(bell: Bell, signal: AbortSignal, step: () => Promise<number>): Promise<void> {
    while (!signal.aborted) {
      let waitMs: number;
      try {
        waitMs = await step();
      } catch (error) {
        if (signal.aborted) return;
        throw error;
      }
      await bell.wait(waitMs, signal);
    }
  }
}

export interface LocalTrimLoopOptions {
  readonly clock: Clock;
  readonly databasePath: string;
  readonly emit: EmitEvent;
}

/** Trims a database's local files until aborted; what fails is told and tried again. */
export class LocalTrimLoop {
  readonly #trim: LocalTrim;
  readonly #options: LocalTrimLoopOptions;
  readonly #bell: Bell;

  constructor(trim: LocalTrim, options: LocalTrimLoopOptions) {
    this.#trim = trim;
    this.#options = options;
    this.#bell = new Bell(options.clock);
  }

  /** There is a new local file, or a replica has got one. */
  notify(): void {
    this.#bell.ring();
  }

  run(signal: AbortSignal): Promise<void> {
    const { clock, databasePath: database, emit } = this.#options;
    return runLoop(
      async (stop) => {
        const waitMs = this.#trim.run();
        // While it waits for a time, new files change nothing.
        await this.#bell.wait(waitMs, stop, Number.isFinite(waitMs));
      },
      {
        clock,
        intervalMs: RETRY_INTERVAL_MS,
        onFailed: (error, consecutiveErrors, backoffMs) =>
          emit({ type: "local-trim-failed", database, error, consecutiveErrors, backoffMs }),
        onRecovered: () => {},
      },
      signal,
    );
  }
}

/** A sleep that also ends when somebody rang before it began. */
class Bell {
  readonly #sleeper: Sleeper;
  #hasRung = false;

  constructor(clock: Clock) {
    this.#sleeper = new Sleeper(clock);
  }

  ring(): void {
    this.#hasRung = true;
    this.#sleeper.wake(false);
  }

  /** Waits so long, or, unless `deaf`, until it rings. */
  async wait(ms: number, signal: AbortSignal, deaf: boolean = false): Promise<void> {
    if (deaf || !this.#hasRung) {
      const limit = Number.isFinite(ms) ? { ms: Math.min(ms, MAX_SLEEP_MS) } : {};
      await this.#sleeper.sleep(signal, { ...limit, urgentOnly: deaf });
    }
    this.#hasRung = false;
  }
}
