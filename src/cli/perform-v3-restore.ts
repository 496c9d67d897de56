/** Carries out a restore from a v0.3 backup, or prints its plan. */
import { RestoreError } from "../engine/restore-error.ts";
import type { RestoreProgress } from "../engine/restore.ts";
import { chainObjects } from "../engine/restore-v3-plan.ts";
import { restoreV3, type V3RestoreSummary } from "../engine/restore-v3.ts";
import { formatV3Pos } from "../formats/v3.ts";
import { formatDuration } from "../service/duration-text.ts";
import type { Logger } from "../service/logger.ts";
import type { RestoreRequest } from "./commands/restore.ts";
import { formatHumanSize } from "./human-size.ts";
import type { CommandIO } from "./io.ts";
import { formatJSON } from "./json.ts";
import type { V3Source } from "./restore-source.ts";
import { formatRFC3339 } from "./rfc3339.ts";
import { formatTable } from "./table.ts";

export interface V3Actions {
  readonly signal: AbortSignal;
  readonly onProgress: (progress: RestoreProgress) => void;
}

/** Restores and says so, as for LTX files; the JSON has no TXID, but names generation and position. */
export async function performV3Restore(
  request: RestoreRequest,
  source: V3Source,
  logger: Logger,
  io: CommandIO,
  { signal, onProgress }: V3Actions,
): Promise<void> {
  const { client, replica, plan, target } = source;
  const summary = await restoreV3(client, {
    plan,
    target,
    outputPath: request.outputPath,
    parallelism: request.parallelism,
    integrityCheck: request.integrityCheck,
    force: request.force,
    ageIdentities: replica.ageIdentities,
    signal,
    onProgress,
  });
  for (const problem of summary.problems) logger.warn("odd v0.3 backup", { problem });
  if (request.integrityCheckAsked && summary.integrityCheck !== "none") {
    logger.info("post-restore integrity check passed", { replica: client.type });
  }
  io.stderr(`${summaryLine(request, client.description, summary)}\n`);
  if (request.json) io.stdout(formatJSON(summaryJSON(request, client.type, summary)));
}

function summaryLine(request: RestoreRequest, place: string, summary: V3RestoreSummary): string {
  const { generation, index, offset, createdAt, files, integrityCheck } = summary;
  const check = integrityCheck === "none" ? "not checked" : `${integrityCheck} check passed`;
  const took = formatDuration(Math.round(summary.durationMs));
  const position = formatV3Pos(generation, index, offset);
  return (
    `restored ${request.outputPath} from ${place}: v0.3 backup ${position} of ${formatRFC3339(createdAt)}, ` +
    `${formatHumanSize(summary.sizeBytes)}, ${files === 1 ? "1 file" : `${files} files`}, ${check}, ${took}`
  );
}

function summaryJSON(request: RestoreRequest, type: string, summary: V3RestoreSummary): object {
  return {
    db_path: request.outputPath,
    replica: type,
    txid: "",
    duration_ms: Math.round(summary.durationMs),
    integrity_check: summary.integrityCheck,
    generation: summary.generation,
    index: summary.index,
    offset: summary.offset,
  };
}

/** Prints what a restore would read. Throws a RestoreError when there is no way. */
export function printV3Plan(
  request: RestoreRequest,
  { client, plan }: V3Source,
  io: CommandIO,
): void {
  if (plan.kind === "refused") throw new RestoreError(plan.reason, plan.message, plan);
  const files = chainObjects(plan).map((object) => ({
    kind: object.kind,
    name: object.name,
    index: object.index,
    offset: object.kind === "segment" ? object.offset : undefined,
    size: object.sizeBytes,
    timestamp: formatRFC3339(object.createdAt),
  }));
  const head = {
    source: request.source,
    target_path: request.outputPath,
    replica: client.type,
    generation: plan.generation,
  };
  if (request.json) {
    io.stdout(formatJSON({ ...head, min_txid: "", max_txid: "", files }));
    return;
  }
  io.stdout(`Restore plan:
  source: ${head.source}
  target: ${head.target_path}
  replica: ${head.replica}
  v0.3 generation: ${head.generation}

Files to fetch:
`);
  const rows = files.map(({ kind, index, offset, size, timestamp }) => [
    kind,
    String(index),
    offset === undefined ? "-" : String(offset),
    String(size),
    timestamp,
  ]);
  io.stdout(formatTable(["kind", "index", "offset", "size", "timestamp"], rows));
}
