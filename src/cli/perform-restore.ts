/** Carries out a restore request: plan for `-dry-run`, otherwise restore with progress and a summary. */
import { RestoreError } from "../engine/restore-error.ts";
import { readRestorePlan } from "../engine/restore-listing.ts";
import { restore, type RestoreProgress, type RestoreSummary } from "../engine/restore.ts";
import type { RestoreTarget } from "../engine/restore-plan.ts";
import { formatLTXName } from "../formats/ltx/layout.ts";
import { formatTXID } from "../formats/ltx/txid.ts";
import { formatDuration } from "../service/duration-text.ts";
import type { Logger } from "../service/logger.ts";
import type { RestoreRequest } from "./commands/restore.ts";
import { ExitCode, UsageError } from "./errors.ts";
import { formatHumanSize } from "./human-size.ts";
import type { CommandIO, ShutdownSignal } from "./io.ts";
import { formatJSON } from "./json.ts";
import { createCommandLogger } from "./logging.ts";
import { newestReplica, refusalError, type OpenReplica } from "./newest-replica.ts";
import { openReplicas } from "./open-replicas.ts";
import { performV3Restore, printV3Plan } from "./perform-v3-restore.ts";
import { ProgressLine } from "./progress.ts";
import { chooseRestoreSource, type V3Source } from "./restore-source.ts";
import { formatTable } from "./table.ts";

/** Runs the request; resolves to the exit code. */
export async function performRestore(
  request: RestoreRequest,
  logger: Logger,
  io: CommandIO,
): Promise<number> {
  const stop = new AbortController();
  const stopListening = io.onSignal((signal) => {
    if (stop.signal.aborted) io.exit(signalExitCode(signal));
    stop.abort(new Interrupted(signal));
  });
  try {
    await using clients = new AsyncDisposableStack();
    const open = await openReplicas(request.replicas, clients, io, logger);
    const { followIntervalMs } = request;
    if (followIntervalMs !== undefined) {
      const followed = await newestReplica(open, request.target, logger, stop.signal);
      const { performFollow } = await import("./perform-follow.ts");
      return await performFollow(request, followIntervalMs, followed, logger, io, stop.signal);
    }
    const chosen = await chooseRestoreSource(open, request, logger, stop.signal);
    if (open.length > 1) logger.info("restoring from replica", { replica: chosen.replica.name });
    if (chosen.format === "v3") {
      await restoreFromV3(request, chosen, logger, io, stop.signal);
      return 0;
    }
    if (request.dryRun) return await printPlan(request, chosen, io, stop.signal);
    const summary = await restoreFrom(request, chosen, io, stop.signal);
    report(request, chosen, summary, logger, io);
    return 0;
  } catch (error) {
    if (error instanceof Interrupted) {
      io.stderr("Restore interrupted, nothing was written\n");
      throw new ExitCode(signalExitCode(error.signal));
    }
    return refuse(request, error, io);
  } finally {
    stopListening();
  }
}

class Interrupted extends Error {
  override readonly name = "Interrupted";
  readonly signal: ShutdownSignal;

  constructor(signal: ShutdownSignal) {
    super(`Interrupted by ${signal}`);
    this.signal = signal;
  }
}

/** As a shell reports a process that a signal ended. */
function signalExitCode(signal: ShutdownSignal): number {
  return { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 }[signal];
}

async function restoreFrom(
  request: RestoreRequest,
  { client }: OpenReplica,
  io: CommandIO,
  signal: AbortSignal,
): Promise<RestoreSummary> {
  using progress = new ProgressLine(io);
  return await restore(client, {
    target: request.target,
    outputPath: request.outputPath,
    parallelism: request.parallelism,
    integrityCheck: request.integrityCheck,
    force: request.force,
    signal,
    onProgress: (state) => showProgress(progress, state, request),
  });
}

async function restoreFromV3(
  request: RestoreRequest,
  source: V3Source,
  logger: Logger,
  io: CommandIO,
  signal: AbortSignal,
): Promise<void> {
  if (request.dryRun) return printV3Plan(request, source, io);
  using progress = new ProgressLine(io);
  await performV3Restore(request, source, logger, io, {
    signal,
    onProgress: (state) => showProgress(progress, state, request),
  });
}

function showProgress(line: ProgressLine, state: RestoreProgress, request: RestoreRequest): void {
  switch (state.phase) {
    case "list":
      return line.show({ label: "listing", bytesDone: 0, bytesTotal: 0 });
    case "read": {
      const { bytesRead: bytesDone, bytesTotal } = state;
      return line.show({ label: "restoring", bytesDone, bytesTotal });
    }
    case "check": {
      const label = request.integrityCheck === "none" ? "finishing" : "checking";
      return line.show({ label, bytesDone: 0, bytesTotal: 0 });
    }
    case "replan":
      return line.show({ label: "planning again", bytesDone: 0, bytesTotal: 0 });
  }
}

function report(
  request: RestoreRequest,
  { client }: OpenReplica,
  summary: RestoreSummary,
  logger: Logger,
  io: CommandIO,
): void {
  for (const problem of summary.problems) {
    logger.warn("damaged file was left out, another covers it", { error: problem });
  }
  if (request.integrityCheckAsked && summary.integrityCheck !== "none") {
    logger.info("post-restore integrity check passed", { replica: client.type });
  }
  const size = formatHumanSize(summary.pages * summary.pageSize);
  const check =
    summary.integrityCheck === "none" ? "not checked" : `${summary.integrityCheck} check passed`;
  const took = formatDuration(Math.round(summary.durationMs));
  const files = summary.files === 1 ? "1 file" : `${summary.files} files`;
  io.stderr(
    `restored ${request.outputPath} from ${client.description}: TXID ${formatTXID(summary.txid)} of ` +
      `${rfc3339(summary.createdAt)}, ${size}, ${files}, ${check}, ${took}\n`,
  );
  if (!request.json) return;
  io.stdout(
    formatJSON({
      db_path: request.outputPath,
      replica: client.type,
      txid: formatTXID(summary.txid),
      duration_ms: Math.round(summary.durationMs),
      integrity_check: summary.integrityCheck,
    }),
  );
}

async function printPlan(
  request: RestoreRequest,
  { client }: OpenReplica,
  io: CommandIO,
  signal: AbortSignal,
): Promise<number> {
  const plan = await readRestorePlan(client, request.target, { signal });
  if (plan.kind === "refused") throw refusalError(plan);
  const minTXID = formatTXID(plan.files[0]?.minTXID ?? 0n);
  const maxTXID = formatTXID(plan.reached.txid);
  const files = plan.files.map((file) => ({
    level: file.level,
    name: formatLTXName(file.minTXID, file.maxTXID),
    min_txid: formatTXID(file.minTXID),
    max_txid: formatTXID(file.maxTXID),
    size: file.sizeBytes,
    timestamp: rfc3339(file.createdAt),
  }));
  const head = {
    source: request.source,
    target_path: request.outputPath,
    replica: client.type,
    min_txid: minTXID,
    max_txid: maxTXID,
  };
  if (request.json) {
    io.stdout(formatJSON({ ...head, files }));
    return 0;
  }
  io.stdout(`Restore plan:
  source: ${head.source}
  target: ${head.target_path}
  replica: ${head.replica}
  txid range: ${minTXID} - ${maxTXID}

Files to fetch:
`);
  const rows = files.map((file) => [
    String(file.level),
    file.name,
    file.min_txid,
    file.max_txid,
    String(file.size),
    file.timestamp,
  ]);
  io.stdout(formatTable(["level", "file", "min_txid", "max_txid", "size", "timestamp"], rows));
  return 0;
}

/**
 * The words of upstream for what scripts look for. Only an answer of the storage that holds no matching backup is
 * "no backup"; a storage that refuses or does not answer is an error of its own.
 */
function refuse(request: RestoreRequest, error: unknown, io: CommandIO): number {
  if (error instanceof RestoreError && error.kind === "txid-not-available") {
    const hint = [error.message, error.hint].filter((text) => text !== undefined).join(". ");
    throw new UsageError("no matching backup files available", { hint, cause: error.cause });
  }
  if (!(error instanceof RestoreError) || error.kind !== "no-backup") throw error;
  if (request.ifReplicaExists) {
    const stream = request.json ? "stderr" : "stdout";
    createCommandLogger(request.logging, io, { stream }).logger.info("no matching backups found");
    return 0;
  }
  const hint = [error.message, error.hint].filter((text) => text !== undefined).join(". ");
  const words = error.upstreamMessage ?? noBackupMessage(request.target, error.nothingAtAll);
  throw new UsageError(words, { hint, cause: error.cause });
}

function noBackupMessage(target: RestoreTarget, nothingAtAll: boolean): string {
  if (target.kind !== "timestamp") return "no matching backup files available";
  return nothingAtAll ? "no backups found" : "timestamp does not exist";
}

function rfc3339(at: Date): string {
  return at.toISOString().replace(/\.\d+Z$/, "Z");
}
