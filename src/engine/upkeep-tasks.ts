/** When the tasks of a replica's upkeep are due, each with its own interval and its own back-off. */
import type { Clock } from "./clock.ts";
import type { EmitEvent } from "./events.ts";
import { nextDueAtMs } from "./level-plan.ts";
import { nextBackoffMs } from "./upload-plan.ts";

/** Whose events these are. */
export interface ReplicaNames {
  /** Absolute path. */
  readonly database: string;
  readonly replica: string;
}

export interface UpkeepTasksOptions {
  readonly clock: Clock;
  readonly emit: EmitEvent;
  readonly names: ReplicaNames;
  /** 0 … 1: where in the time after each due moment this replica works, so that many do not work at once. */
  readonly jitter: number;
  /** Told before the event of a failure. */
  readonly onFailed: (error: unknown) => void;
}

/** A task's last run and its failures since the last success. */
interface TaskState {
  ranAtMs: number | undefined;
  failures: number;
  backoffMs: number;
  /** Monotonic. */
  notBefore: number;
}

const RETRY_INTERVAL_MS = 1_000;
/** The most by which jitter moves a task. */
const MAX_JITTER_MS = 5_000;

export class UpkeepTasks {
  readonly #options: UpkeepTasksOptions;
  readonly #states = new Map<string, TaskState>();

  constructor(options: UpkeepTasksOptions) {
    this.#options = options;
  }

  /** Milliseconds until a task is due by its interval and its back-off. */
  waitMs(task: string, intervalMs: number, newestAtMs?: number): number {
    const backoffMs = this.backoffWaitMs(task);
    const state = this.#states.get(task);
    if (intervalMs <= 0 || (state?.failures ?? 0) > 0) return backoffMs;
    const { clock, jitter } = this.#options;
    const nowMs = clock.now();
    const dueAtMs = nextDueAtMs({
      intervalMs,
      nowMs,
      lastRunAtMs: state?.ranAtMs,
      newestAtMs,
      jitterMs: Math.floor(jitter * Math.min(intervalMs / 10, MAX_JITTER_MS)),
    });
    return Math.max(dueAtMs - nowMs, backoffMs);
  }

  backoffWaitMs(task: string): number {
    const state = this.#states.get(task);
    return state === undefined ? 0 : Math.max(0, state.notBefore - this.#options.clock.monotonic());
  }

  /** Runs a task; its failure becomes an event and a pause. */
  async attempt(task: string, run: () => Promise<void>, signal: AbortSignal): Promise<void> {
    const { clock, emit, names } = this.#options;
    const state = this.#states.get(task) ?? {
      ranAtMs: undefined,
      failures: 0,
      backoffMs: 0,
      notBefore: 0,
    };
    this.#states.set(task, state);
    if (this.backoffWaitMs(task) > 0) return;
    const startedAtMs = clock.now();
    try {
      await run();
    } catch (error) {
      signal.throwIfAborted();
      this.#options.onFailed(error);
      state.failures++;
      state.backoffMs = nextBackoffMs(state.backoffMs, RETRY_INTERVAL_MS);
      state.notBefore = clock.monotonic() + state.backoffMs;
      emit({
        type: "maintenance-failed",
        ...names,
        task,
        error,
        consecutiveErrors: state.failures,
        backoffMs: state.backoffMs,
      });
      return;
    }
    const consecutiveErrors = state.failures;
    Object.assign(state, { ranAtMs: startedAtMs, failures: 0, backoffMs: 0, notBefore: 0 });
    if (consecutiveErrors > 0)
      emit({ type: "maintenance-recovered", ...names, task, consecutiveErrors });
  }
}
