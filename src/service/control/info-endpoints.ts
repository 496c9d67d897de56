/** `/info`, `/list`, `/txid`, `/status` and `/debug/sync-status`. */
import { formatError } from "../logger.ts";
import type { DatabaseStatus, ReplicaStatus } from "../database-status.ts";
import { ControlError } from "./control-error.ts";
import type { ControlContext, ControlHandler, ControlRequest } from "./context.ts";
import { formatRFC3339Nano } from "./rfc3339-nano.ts";
import { readPath } from "./read-request.ts";

export const info: ControlHandler = async (_request, { store, version, startedAtMs }) => ({
  version,
  pid: process.pid,
  uptime_seconds: Math.floor((Date.now() - startedAtMs) / 1000),
  started_at: formatRFC3339Nano(startedAtMs),
  database_count: store.paths.length,
});

export const list: ControlHandler = async (_request, { store }) => ({
  databases: store.list().map(({ path, state, syncedAtMs }) => ({
    path,
    status: state,
    last_sync_at: time(syncedAtMs),
  })),
});

export const txid: ControlHandler = async (request, context) => ({
  txid: find(request, context).txid,
});

/** An addition of ours: everything that is known of each database and its replicas. */
export const replicaStatus: ControlHandler = async (request, context) => ({
  databases: selected(request, context).map(statusJSON),
});

export const syncStatus: ControlHandler = async (request, context) => ({
  databases: selected(request, context).map(({ path, txid: newest, failure }) => ({
    path,
    active: false,
    txid: newest === 0n ? undefined : newest,
    error: failure === undefined ? undefined : formatError(failure.error),
  })),
});

function selected(request: ControlRequest, context: ControlContext): readonly DatabaseStatus[] {
  const path = request.query.get("path");
  return path === null || path === "" ? context.store.list() : [find(request, context)];
}

function find({ query }: ControlRequest, context: ControlContext): DatabaseStatus {
  const path = readPath(query.get("path"), context);
  if (!context.store.has(path))
    throw new ControlError(404, "unknown_database", "database not found");
  return context.store.status(path);
}

function statusJSON(database: DatabaseStatus): unknown {
  const { failure } = database;
  return {
    path: database.path,
    status: database.state,
    open: database.isOpen,
    txid: database.txid,
    opened_at: time(database.openedAtMs),
    last_sync_at: time(database.syncedAtMs),
    error: failure === undefined ? undefined : formatError(failure.error),
    consecutive_errors: failure?.consecutiveErrors,
    replicas: database.replicas.map(replicaJSON),
  };
}

function replicaJSON(replica: ReplicaStatus): unknown {
  const { name, type, description, state, lag, failure } = replica;
  return {
    name,
    type,
    location: description,
    state,
    txid: replica.txid,
    lag_files: lag.files,
    lag_bytes: lag.bytes,
    lag_seconds: lag.ms / 1000,
    last_upload_at: time(replica.uploadedAtMs),
    last_sync_at: time(replica.syncedAtMs),
    error: failure === undefined ? undefined : formatError(failure.error),
    consecutive_errors: failure?.consecutiveErrors,
  };
}

function time(epochMs: number | undefined): string | undefined {
  return epochMs === undefined ? undefined : formatRFC3339Nano(epochMs);
}
