/** `/start`, `/stop`, `/sync` and `/snapshot`. */
import { durable } from "../../engine/durability.ts";
import { formatError } from "../logger.ts";
import { ControlError, toControlError } from "./control-error.ts";
import type { ControlContext, ControlHandler } from "./context.ts";
import { decodeBody } from "./go-json.ts";
import { decode, readPath } from "./read-request.ts";

const DEFAULT_TIMEOUT_SECONDS = 30;
const START_FIELDS = { path: "string", timeout: "int" } as const;
const SYNC_FIELDS = { path: "string", wait: "bool", timeout: "int" } as const;

export const start: ControlHandler = async ({ body }, context) => {
  const path = readPath(decode(() => decodeBody(body, "StartRequest", START_FIELDS)).path, context);
  requireKnown(path, context);
  const started = await context.store.start(path);
  const { txid } = context.store.status(path);
  return { status: started ? "started" : "already_running", path, txid };
};

export const stop: ControlHandler = async ({ body }, context) => {
  const { path: asked, timeout = 0 } = decode(() => decodeBody(body, "StopRequest", START_FIELDS));
  const path = readPath(asked, context);
  requireKnown(path, context);
  const closed = await context.store.stop(path, timeoutSignal(timeout));
  const { txid } = context.store.status(path);
  if (closed === undefined) return { status: "already_stopped", path, txid, closed: true };
  if (!closed.synced) {
    // The database is closed all the same: the caller may want to know that.
    throw new ControlError(500, "failed", formatError(closed.error), { path, txid, closed: true });
  }
  return { status: "stopped", path, txid, closed: true };
};

export const sync: ControlHandler = async (request, context) => {
  const {
    path: asked,
    wait = false,
    timeout = 0,
  } = decode(() => decodeBody(request.body, "SyncRequest", SYNC_FIELDS));
  const path = readPath(asked, context);
  const before = context.store.status(path).txid;
  const limit = timeoutOf(timeout, wait);
  const signal =
    limit === undefined
      ? request.signal
      : AbortSignal.any([request.signal, AbortSignal.timeout(limit)]);
  try {
    const txid = await copy(path, wait, context, signal);
    const status = txid === before ? "no_change" : wait ? "synced" : "synced_local";
    return { status, path, txid, replicated_txid: replicatedTXID(path, context) };
  } catch (error) {
    const known = toControlError(signal.aborted ? signal.reason : error);
    throw known.status === 500
      ? new ControlError(500, known.code, `sync database: ${known.message}`, known.fields)
      : known;
  }
};

/** An addition of ours: a snapshot of the present state in every replica. */
export const snapshot: ControlHandler = async (request, context) => {
  const { path: asked, timeout = 0 } = decode(() =>
    decodeBody(request.body, "SnapshotRequest", START_FIELDS),
  );
  const path = readPath(asked, context);
  const signal =
    timeout > 0
      ? AbortSignal.any([request.signal, AbortSignal.timeout(timeout * 1000)])
      : request.signal;
  const txid = await context.store.use(path, signal, (runner, within) => runner.snapshot(within));
  return { status: "snapshot_written", path, txid };
};

/** Copies what is committed and, with `wait`, resolves when every replica has it: the replicas' own next batch takes it along. */
async function copy(
  path: string,
  wait: boolean,
  context: ControlContext,
  signal: AbortSignal,
): Promise<bigint> {
  return await context.store.use(path, signal, async (runner, within) => {
    const state = await runner.copy(within);
    const { txid } = runner.database;
    if (!wait) return txid;
    if (state === "waiting") throw new Error("replica sync: no position, waiting for data");
    await durable(runner.replicas, txid, "all", within);
    return txid;
  });
}

/** What every replica has. */
function replicatedTXID(path: string, { store }: ControlContext): bigint {
  const txids = store.status(path).replicas.map(({ txid }) => txid);
  return txids.reduce((low, txid) => (txid < low ? txid : low), txids[0] ?? 0n);
}

/** Upstream answers 500 here, and 404 elsewhere. */
function requireKnown(path: string, { store }: ControlContext): void {
  if (!store.has(path))
    throw new ControlError(500, "unknown_database", `database not found: ${path}`);
}

/** 0 is 30 seconds, a negative number no time at all. */
function timeoutSignal(seconds: number): AbortSignal {
  return AbortSignal.timeout(
    Math.max(0, (seconds === 0 ? DEFAULT_TIMEOUT_SECONDS : seconds) * 1000),
  );
}

/** Milliseconds; undefined: no limit. */
function timeoutOf(seconds: number, wait: boolean): number | undefined {
  if (seconds === 0) return wait ? DEFAULT_TIMEOUT_SECONDS * 1000 : undefined;
  return Math.max(0, seconds * 1000);
}
