/** Carries out `restore -f`: restores if need be, then keeps the database current until it is told to stop. */
import {
  follow,
  type FollowEvent,
  type FollowState,
  type FollowSummary,
} from "../engine/follow.ts";
import type { FollowLag } from "../engine/follow-plan.ts";
import { formatTXID } from "../formats/ltx/txid.ts";
import { formatDuration } from "../service/duration-text.ts";
import { formatError, type LogAttributes, type Logger } from "../service/logger.ts";
import { systemClock } from "../service/system-clock.ts";
import type { RestoreRequest } from "./commands/restore.ts";
import type { CommandIO } from "./io.ts";
import { formatJSON } from "./json.ts";
import type { OpenReplica } from "./newest-replica.ts";

/** A state that lasts is said again so often. */
const REPEAT_MS = 60_000;
/** A lock that is held no longer than this is not worth a word. */
const BRIEF_MS = 2_000;

/** Follows until the signal; resolves to the exit code. Rejects when it cannot begin, or is stopped before. */
export async function performFollow(
  request: RestoreRequest,
  intervalMs: number,
  { client }: OpenReplica,
  logger: Logger,
  io: CommandIO,
  signal: AbortSignal,
): Promise<number> {
  const log = new FollowLog(logger, request.outputPath);
  const summary = await follow(client, {
    outputPath: request.outputPath,
    intervalMs,
    parallelism: request.parallelism,
    integrityCheck: request.integrityCheck,
    force: request.force,
    clock: systemClock,
    signal,
    onEvent: (event) => log.event(event),
  });
  logger.info("follow mode stopped", lagAttributes(summary.lag));
  if (request.json) io.stdout(formatJSON(summaryJSON(request, client.type, summary)));
  return 0;
}

/** What scripts read: upstream's fields (its `txid` is empty here), then ours. */
function summaryJSON(
  request: RestoreRequest,
  replica: string,
  summary: FollowSummary,
): Record<string, unknown> {
  return {
    db_path: request.outputPath,
    replica,
    txid: formatTXID(summary.txid),
    duration_ms: Math.round(summary.durationMs),
    integrity_check: request.integrityCheck,
    state: summary.state,
    updates: summary.updates,
    newest_txid: formatTXID(summary.lag.newest),
    lag_ms: Math.round(summary.lag.lagMs),
  };
}

/** Says what happens, and what lasts only now and then. */
class FollowLog {
  readonly #logger: Logger;
  readonly #outputPath: string;
  #said: FollowState = "current";
  #reason: string | undefined;
  #saidAtMs = 0;

  constructor(logger: Logger, outputPath: string) {
    this.#logger = logger;
    this.#outputPath = outputPath;
  }

  event(event: FollowEvent): void {
    switch (event.type) {
      case "follow-restored":
        return this.#info("follow: restored database", {
          txid: formatTXID(event.summary.txid),
          elapsed: formatDuration(Math.round(event.summary.durationMs)),
        });
      case "follow-resumed":
        return this.#info("follow: resuming", { txid: formatTXID(event.txid) });
      case "follow-applied": {
        const attributes = {
          from_txid: formatTXID(event.fromTXID),
          to_txid: formatTXID(event.txid),
          files: event.fileCount,
          pages: event.pageCount,
          elapsed: formatDuration(Math.round(event.durationMs)),
          ...lagAttributes(event.lag),
        };
        if (event.reseeded !== undefined) {
          const reason = event.reseeded;
          this.#logger.warn("follow: database brought up to date from a whole backup", {
            path: this.#outputPath,
            reason,
          });
        }
        return this.#info("follow: applied updates", attributes);
      }
      case "follow-file-damaged":
        this.#logger.warn("follow: damaged file left out", {
          path: this.#outputPath,
          error: formatError(event.error),
        });
        return;
      case "follow-state":
        return this.#state(event);
    }
  }

  #state(event: Extract<FollowEvent, { type: "follow-state" }>): void {
    const now = Date.now();
    const { state, reason, lag, sinceMs } = event;
    if (state === "current") {
      if (this.#said !== "current") this.#info("follow: up to date again", lagAttributes(lag));
      this.#said = state;
      return;
    }
    if (state === "blocked" && now - sinceMs < BRIEF_MS) return;
    const isNews = state !== this.#said || (state === "failing" && reason !== this.#reason);
    if (!isNews && now - this.#saidAtMs < REPEAT_MS) return;
    this.#said = state;
    this.#reason = reason;
    this.#saidAtMs = now;
    const attributes = {
      path: this.#outputPath,
      ...(state === "failing" ? { error: formatError(event.error) } : { reason: reason ?? "" }),
      since: new Date(sinceMs).toISOString(),
      ...lagAttributes(lag),
    };
    if (state === "failing") this.#logger.error("follow: error applying updates", attributes);
    else if (state === "stalled") this.#logger.warn("follow: stalled", attributes);
    else this.#logger.warn("follow: waiting for the database", attributes);
  }

  #info(message: string, attributes: LogAttributes): void {
    this.#logger.info(message, { path: this.#outputPath, ...attributes });
  }
}

function lagAttributes(lag: FollowLag): LogAttributes {
  return {
    txid: formatTXID(lag.position),
    newest_txid: formatTXID(lag.newest),
    lag: formatDuration(Math.round(lag.lagMs)),
  };
}
