/**
 * Engine events as log records, in upstream's phrases: error = data at risk, warn = will retry, info = state changed,
 * debug = each step. While nothing changes nothing is logged above debug, and a failure that repeats is told
 * at most every 30 seconds.
 */
import { basename } from "node:path";
import type { EmitEvent, EngineEvent } from "../engine/events.ts";
import { formatTXID } from "../formats/ltx/txid.ts";
import { formatError, type LogAttributes, type Logger } from "./logger.ts";

const REPEAT_MS = 30_000;
const SUMMARY_MS = 60_000;

type EventOf<T extends EngineEvent["type"]> = Extract<EngineEvent, { readonly type: T }>;
type LevelEvent = EventOf<
  | "compacted"
  | "ltx-deleted"
  | "local-files-deleted"
  | "backlog-given-up"
  | "level-gap"
  | "level-invalid"
  | "ltx-damaged"
  | "deletion-ignored"
>;

/** A reader of events that logs them. `now` is monotonic milliseconds. */
export function logEvents(logger: Logger, now: () => number = () => performance.now()): EmitEvent {
  const reader = new EventLog(logger, now);
  return (event) => reader.log(event);
}

/** What was uploaded since the last summary of a replica. */
interface Uploads {
  summaryAt: number;
  files: number;
  bytes: number;
}

class EventLog {
  readonly #logger: Logger;
  readonly #now: () => number;
  /** When a record was last written, by what it says. */
  readonly #said = new Map<string, number>();
  readonly #uploads = new Map<string, Uploads>();

  constructor(logger: Logger, now: () => number) {
    this.#logger = logger;
    this.#now = now;
  }

  log(event: EngineEvent): void {
    const { type } = event;
    switch (type) {
      case "database-added":
        this.#logger.info("added database to replication", { path: event.database });
        return;
      case "database-removed":
        this.#forgetDatabase(event.database);
        this.#logger.info("removed database from replication", { path: event.database });
        return;
      case "database-opened":
      case "database-closed":
      case "replica-opened":
        return this.#logLifecycle(event);
      case "v3-backups-found":
        this.#replica(event).info("v0.3 backups found, starting a new series beside them", {
          folder: "generations",
        });
        return;
      case "database-waiting":
        if (this.#isNews(event, event.reason)) {
          this.#database(event).info("waiting for database", {
            path: event.database,
            reason: event.reason,
          });
        }
        return;
      case "database-converted-to-wal":
        this.#database(event).info("database switched to WAL mode", {
          path: event.database,
          previous: event.previousMode,
        });
        return;
      case "database-replaced":
        this.#database(event).warn("database was replaced", {
          path: event.database,
          reason: event.reason,
        });
        return;
      case "ltx-written":
        return this.#logWritten(event);
      case "image-unneeded":
        this.#database(event).info("image as difference", {
          pages: 0,
          of: event.databasePages,
          reason: event.reason,
        });
        return;
      case "page-hashes-lost":
        this.#database(event).warn("page hashes lost, the next image will hold every page", {
          error: formatError(event.error),
        });
        return;
      case "wal-chain-broken":
        this.#database(event).warn("WAL checksum chain is broken, taking an image through SQLite", {
          valid: event.validFrames,
          committed: event.committedFrames,
        });
        return;
      case "wal-chain-repaired":
        this.#database(event).info("WAL checksum chain repaired", {
          txid: formatTXID(event.txid),
          elapsed: { durationMs: event.durationMs },
        });
        return;
      case "sync-failed":
        return this.#logFailure(event, this.#database(event), "sync error");
      case "sync-recovered":
        this.#forget(event, "sync-failed");
        this.#database(event).info("sync recovered", { path: event.database });
        return;
      case "read-lock-lost":
        this.#database(event).warn("read lock lost", { path: event.database });
        return;
      case "checkpointed":
        this.#database(event).debug("checkpoint", {
          mode: event.mode,
          frames: event.walFrames,
          backfilled: event.backfilledFrames,
          barrier: { durationMs: event.barrierMs },
          elapsed: { durationMs: event.durationMs },
        });
        return;
      case "checkpoint-failed":
        if (this.#isDue(event)) {
          const attributes = { mode: event.mode, error: formatError(event.error) };
          this.#database(event).warn("checkpoint failed", attributes);
        }
        return;
      case "wal-pinned":
        if (this.#isDue(event)) {
          const hint = "another connection keeps a read transaction open";
          const { walFrames: frames, backfilledFrames: backfilled } = event;
          this.#database(event).warn("WAL cannot be reused", { frames, backfilled, reason: hint });
        }
        return;
      case "ltx-uploaded":
        return this.#logUploaded(event);
      case "replica-synced":
        return this.#logSynced(event);
      case "replica-failed":
        return this.#logFailure(event, this.#replica(event), "monitor error");
      case "replica-recovered":
        this.#forget(event, "replica-failed");
        this.#replica(event).info("replica sync recovered");
        return;
      case "replica-conflict":
        this.#replica(event).error("replica stopped, another writer's file is in its place", {
          ...errorAttributes(event.error),
        });
        return;
      case "final-sync-failed":
        this.#database(event).warn("shutdown sync failed, retrying (press Ctrl+C again to skip)", {
          ...errorAttributes(event.error),
          attempt: event.attempt,
        });
        return;
      case "local-trim-failed":
        if (this.#isDue(event)) {
          this.#database(event).warn("cannot delete local files", errorAttributes(event.error));
        }
        return;
      case "snapshot-written":
        this.#replica(event).info("snapshot complete", {
          txid: formatTXID(event.txid),
          size: event.sizeBytes,
          elapsed: { durationMs: event.durationMs },
        });
        return;
      case "compacted":
      case "ltx-deleted":
      case "local-files-deleted":
      case "backlog-given-up":
      case "level-gap":
      case "level-invalid":
      case "ltx-damaged":
      case "deletion-ignored":
        return this.#logLevels(event);
      case "maintenance-failed":
        if (this.#isDue(event, event.task)) {
          this.#replica(event).error(`${event.task} failed`, {
            ...errorAttributes(event.error),
            consecutive_errors: event.consecutiveErrors,
            backoff: { durationMs: event.backoffMs },
          });
        }
        return;
      case "maintenance-recovered":
        this.#forget(event, "maintenance-failed");
        this.#replica(event).info(`${event.task} recovered`);
        return;
      default:
        return unknownEvent(type);
    }
  }

  #logLifecycle(
    event: EventOf<"database-opened"> | EventOf<"database-closed"> | EventOf<"replica-opened">,
  ): void {
    const txid = formatTXID(event.txid);
    if (event.type === "replica-opened") this.#replica(event).debug("replica opened", { txid });
    else if (event.type === "database-closed") this.#database(event).debug("db closed", { txid });
    else {
      this.#forget(event, "database-waiting");
      this.#database(event).debug("db opened", { txid, page_size: event.pageSize });
    }
  }

  #logWritten(event: EventOf<"ltx-written">): void {
    const attributes: LogAttributes = {
      txid: formatTXID(event.txid),
      pages: event.pageCount,
      wal: event.walBytes,
      size: event.sizeBytes,
      elapsed: { durationMs: event.durationMs },
    };
    const { difference } = event;
    if (difference !== undefined) {
      const { reason, databasePages: of } = difference;
      this.#database(event).info("image as difference", { ...attributes, of, reason });
    } else if (event.image === undefined) this.#database(event).debug("db sync", attributes);
    else this.#database(event).info("full image", { ...attributes, reason: event.image });
  }

  #logUploaded(event: EventOf<"ltx-uploaded">): void {
    const uploads = this.#uploadsOf(event);
    uploads.files++;
    uploads.bytes += event.sizeBytes;
    this.#replica(event).debug("ltx file uploaded", {
      level: event.level,
      minTXID: formatTXID(event.minTXID),
      maxTXID: formatTXID(event.maxTXID),
      size: event.sizeBytes,
      elapsed: { durationMs: event.durationMs },
    });
  }

  #logLevels(event: LevelEvent): void {
    if (event.type === "local-files-deleted") {
      this.#database(event).debug("local files deleted", { files: event.fileCount });
      return;
    }
    const logger = this.#replica(event);
    if (event.type === "backlog-given-up") {
      logger.warn("too many local files wait for this replica, the oldest were deleted", {
        files: event.fileCount,
        hint: "it gets a full image when it answers again; states in between cannot be restored from it",
      });
      return;
    }
    const { level } = event;
    switch (event.type) {
      case "compacted":
        logger.debug("compaction complete", {
          level,
          txid: { min: formatTXID(event.minTXID), max: formatTXID(event.maxTXID) },
          inputs: event.inputCount,
          size: event.sizeBytes,
          method: event.method,
          elapsed: { durationMs: event.durationMs },
        });
        return;
      case "ltx-deleted":
        logger.debug("ltx files deleted", {
          level,
          files: event.fileCount,
          txid: { min: formatTXID(event.minTXID), max: formatTXID(event.maxTXID) },
        });
        return;
      case "level-gap":
        if (!this.#isDue(event, String(level))) return;
        logger.warn("files of a level are missing", {
          level,
          txid: { min: formatTXID(event.fromTXID), max: formatTXID(event.toTXID) },
          remedy: event.remedy,
        });
        return;
      case "level-invalid": {
        if (!this.#isDue(event, String(level))) return;
        const attributes = { level, kind: event.kind, reason: event.message };
        if (event.isBridged) logger.debug("level is interrupted", attributes);
        else logger.warn("level check failed", attributes);
        return;
      }
      case "ltx-damaged":
        logger.error("ltx file is damaged", {
          level,
          txid: { min: formatTXID(event.minTXID), max: formatTXID(event.maxTXID) },
          ...errorAttributes(event.error),
        });
        return;
      case "deletion-ignored":
        logger.warn("the replica keeps files that it said it had deleted", {
          level,
          files: event.fileCount,
          txid: formatTXID(event.maxTXID),
          hint: "Look for object lock, versioning or missing rights to delete at the storage",
        });
        return;
    }
  }

  /** Each pass at debug; at info at most once a minute what was uploaded since, and only if something was. */
  #logSynced(event: EventOf<"replica-synced">): void {
    const txid = formatTXID(event.txid);
    this.#replica(event).debug("replica sync", { txid });
    const uploads = this.#uploadsOf(event);
    if (uploads.files === 0 || this.#now() - uploads.summaryAt < SUMMARY_MS) return;
    this.#replica(event).info("replicated", { txid, files: uploads.files, size: uploads.bytes });
    Object.assign(uploads, { summaryAt: this.#now(), files: 0, bytes: 0 });
  }

  #logFailure(
    event: EventOf<"sync-failed"> | EventOf<"replica-failed">,
    logger: Logger,
    message: string,
  ): void {
    if (!this.#isDue(event)) return;
    logger.error(message, {
      ...errorAttributes(event.error),
      consecutive_errors: event.consecutiveErrors,
      backoff: { durationMs: event.backoffMs },
    });
  }

  #database(event: EngineEvent): Logger {
    return this.#logger.with({ system: "store", db: basename(event.database) });
  }

  #replica(event: EngineEvent & { readonly replica: string }): Logger {
    return this.#database(event).with({ replica: event.replica });
  }

  #uploadsOf(event: EngineEvent & { readonly replica: string }): Uploads {
    const key = `${event.database}\n${event.replica}`;
    let uploads = this.#uploads.get(key);
    if (uploads === undefined) {
      uploads = { summaryAt: -SUMMARY_MS, files: 0, bytes: 0 };
      this.#uploads.set(key, uploads);
    }
    return uploads;
  }

  /** Whether this kind of event, about `what`, was not told of this database and replica in the last 30 seconds. */
  #isDue(event: EngineEvent, what: string = ""): boolean {
    const key = eventKey(event, what === "" ? event.type : `${event.type} ${what}`);
    const now = this.#now();
    if (now - (this.#said.get(key) ?? -REPEAT_MS) < REPEAT_MS) return false;
    this.#said.set(key, now);
    return true;
  }

  /** Whether a state was not told since it last changed. */
  #isNews(event: EngineEvent, state: string): boolean {
    const key = eventKey(event, `${event.type} ${state}`);
    if (this.#said.has(key)) return false;
    this.#forget(event, event.type);
    this.#said.set(key, this.#now());
    return true;
  }

  #forgetDatabase(database: string): void {
    const prefix = `${database}\n`;
    for (const known of [this.#said, this.#uploads])
      for (const key of known.keys()) if (key.startsWith(prefix)) known.delete(key);
  }

  #forget(event: EngineEvent, type: EngineEvent["type"]): void {
    const prefix = eventKey(event, type);
    for (const key of this.#said.keys()) if (key.startsWith(prefix)) this.#said.delete(key);
  }
}

function eventKey(event: EngineEvent, what: string): string {
  return `${event.database}\n${"replica" in event ? event.replica : ""}\n${what}`;
}

function errorAttributes(error: unknown): LogAttributes {
  const hint =
    error instanceof Error && "hint" in error && typeof error.hint === "string"
      ? error.hint
      : undefined;
  return { error: formatError(error), hint };
}

/** Does not compile when an event has no case above. */
function unknownEvent(type: never): never {
  throw new TypeError(`Unknown engine event: ${String(type)}`);
}
