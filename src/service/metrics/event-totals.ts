/** Counts what the engine's events say, per database and replica, until somebody asks. */
import type { EngineEvent } from "../../engine/events.ts";
import { errorCodeOf, isDiskFull } from "./error-code.ts";

export interface CheckpointTotals {
  count: number;
  errors: number;
  ms: number;
}

export interface ReplicaTotals {
  readonly uploadErrors: Map<string, number>;
  readonly upkeepErrors: Map<string, number>;
}

export interface DatabaseTotals {
  walBytes: number;
  isDiskFull: boolean;
  verifyErrors: number;
  readonly checkpoints: Map<string, CheckpointTotals>;
  readonly replicas: Map<string, ReplicaTotals>;
}

export class EventTotals {
  readonly #databases = new Map<string, DatabaseTotals>();

  /** Databases that anything was heard of. */
  get paths(): readonly string[] {
    return [...this.#databases.keys()];
  }

  of(path: string): DatabaseTotals {
    let totals = this.#databases.get(path);
    if (totals === undefined) {
      totals = {
        walBytes: 0,
        isDiskFull: false,
        verifyErrors: 0,
        checkpoints: new Map(),
        replicas: new Map(),
      };
      this.#databases.set(path, totals);
    }
    return totals;
  }

  forget(path: string): void {
    this.#databases.delete(path);
  }

  read(event: EngineEvent): void {
    const totals = this.of(event.database);
    switch (event.type) {
      case "ltx-written":
        totals.walBytes += event.walBytes;
        totals.isDiskFull = false;
        return;
      case "sync-failed":
        totals.isDiskFull = isDiskFull(event.error);
        return;
      case "sync-recovered":
        totals.isDiskFull = false;
        return;
      case "checkpointed": {
        const checkpoints = checkpointsOf(totals, event.mode);
        checkpoints.count++;
        checkpoints.ms += event.durationMs;
        return;
      }
      case "checkpoint-failed":
        checkpointsOf(totals, event.mode).errors++;
        return;
      case "level-invalid":
        if (!event.isBridged) totals.verifyErrors++;
        return;
      case "replica-failed":
      case "replica-conflict":
        count(replicaTotals(totals, event.replica).uploadErrors, errorCodeOf(event.error));
        return;
      case "maintenance-failed":
        count(replicaTotals(totals, event.replica).upkeepErrors, event.task);
        return;
      default:
    }
  }
}

/** The totals of one replica; made when there are none. */
export function replicaTotals(totals: DatabaseTotals, name: string): ReplicaTotals {
  let replica = totals.replicas.get(name);
  if (replica === undefined) {
    replica = { uploadErrors: new Map(), upkeepErrors: new Map() };
    totals.replicas.set(name, replica);
  }
  return replica;
}

function checkpointsOf(totals: DatabaseTotals, mode: string): CheckpointTotals {
  let checkpoints = totals.checkpoints.get(mode);
  if (checkpoints === undefined) {
    checkpoints = { count: 0, errors: 0, ms: 0 };
    totals.checkpoints.set(mode, checkpoints);
  }
  return checkpoints;
}

function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
