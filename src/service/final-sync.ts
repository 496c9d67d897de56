/** The last copy and upload of a database before it is closed. */
import type { Clock } from "../engine/clock.ts";
import type { EmitEvent } from "../engine/events.ts";
import type { DatabaseRunner } from "./database-runner.ts";
import { sleepUnlessAborted } from "./run-loop.ts";

export interface FinalSyncSettings {
  /** How long it may take; 0 = one attempt. */
  readonly shutdownSyncTimeoutMs: number;
  readonly shutdownSyncIntervalMs: number;
}

/** The reason a signal is aborted with when the time for the final sync is over. */
export class FinalSyncTimeout extends Error {
  override readonly name = "FinalSyncTimeout";
}

/** Uploads whatever is missing, again and again until `stop` is aborted. Rejects when something stays missing. */
export async function finalSync(
  runner: DatabaseRunner,
  settings: FinalSyncSettings,
  { clock, emit }: { readonly clock: Clock; readonly emit: EmitEvent },
  stop: AbortSignal,
): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await runner.sync(stop);
      if (await runner.database.leaveFrame(stop)) await runner.sync(stop);
      return;
    } catch (error) {
      if (stop.aborted) throw finalSyncError(stop, attempt, error);
      if (settings.shutdownSyncTimeoutMs <= 0) throw error;
      emit({ type: "final-sync-failed", database: runner.path, error, attempt });
      await sleepUnlessAborted(clock, settings.shutdownSyncIntervalMs, stop);
      if (stop.aborted) throw finalSyncError(stop, attempt, error);
    }
  }
}

function finalSyncError(stop: AbortSignal, attempts: number, cause: unknown): Error {
  const what = stop.reason instanceof FinalSyncTimeout ? "timeout" : "skipped";
  const detail =
    cause === stop.reason ? "no answer" : cause instanceof Error ? cause.message : String(cause);
  return new Error(`shutdown sync ${what} after ${attempts} attempts: ${detail}`, { cause });
}
