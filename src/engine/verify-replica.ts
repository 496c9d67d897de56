/** Reads every file of a replica and proves it: memory is a few chunks, however large the files are. */
import { FormatError } from "../formats/format-error.ts";
import { LTXDecoder } from "../formats/ltx/decoder.ts";
import { checkLTXName } from "../formats/ltx/header.ts";
import { formatLTXName, SNAPSHOT_LEVEL } from "../formats/ltx/layout.ts";
import { isStorageError } from "../storage/replica-client.ts";
import type { LTXFileInfo, LTXFileName, ReplicaClient } from "../storage/replica-client.ts";
import { describeFile } from "./restore-chain.ts";
import { findFile } from "./stored-file.ts";
import { judgeReplica, type ReplicaProblem, type ReplicaVerdict } from "./verify-plan.ts";

export interface VerifyOptions {
  /** Files read at a time. */
  readonly parallelism: number;
  /** Reads the files of this level only; the others are listed. Default: all. */
  readonly level?: number | undefined;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: {
    readonly bytesRead: number;
    readonly bytesTotal: number;
  }) => void;
}

export interface VerifyResult extends ReplicaVerdict {
  readonly filesRead: number;
  readonly bytesRead: number;
}

/**
 * Checks that each file is what its name says, every page and checksum of it, that the files of a level continue each other,
 * and that the newest state can be restored from undamaged files. What is wrong with the replica is in the result; a storage
 * that does not answer, or refuses, rejects. A replica in use may be verified: files that are retired meanwhile are left out.
 */
export async function verifyReplica(
  client: ReplicaClient,
  options: VerifyOptions,
): Promise<VerifyResult> {
  const { level: only, parallelism, onProgress, signal = new AbortController().signal } = options;
  const listed = await listAll(client, signal);
  const levels = Array.from({ length: SNAPSHOT_LEVEL + 1 }, (_, level) => level).filter(
    (level) => only === undefined || level === only,
  );
  const toRead = listed.filter(({ level }) => levels.includes(level));
  const bytesTotal = toRead.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const broken = new Map<LTXFileName, ReplicaProblem>();
  const retired = new Set<LTXFileName>();
  const stop = new AbortController();
  const within = AbortSignal.any([signal, stop.signal]);
  let bytesRead = 0;
  const count = (byteCount: number): void => {
    bytesRead += byteCount;
    onProgress?.({ bytesRead, bytesTotal });
  };
  const waiting = toRead.values();
  const work = async (): Promise<void> => {
    for (const file of waiting) {
      try {
        await proveFile(client, file, within, count);
      } catch (error) {
        const problem = problemOf(file, error);
        if (problem === undefined) throw error;
        const isGone =
          problem.kind === "missing" && (await findFile(client, file, within)) === undefined;
        if (isGone) retired.add(file);
        else broken.set(file, problem);
      }
    }
  };
  const workers = Array.from({ length: parallelism }, work);
  try {
    await Promise.all(workers);
  } finally {
    stop.abort();
    await Promise.allSettled(workers);
  }
  const files = listed.filter((file) => !retired.has(file));
  const holdsV3 = files.length === 0 && (await holdsGenerations(client, signal));
  const verdict = judgeReplica({ files, broken, levels, holdsV3 });
  return { ...verdict, filesRead: toRead.length - retired.size, bytesRead };
}

/** Level 0 before the others: a file that is compacted meanwhile is then seen once or twice, never missed. */
async function listAll(client: ReplicaClient, signal: AbortSignal): Promise<LTXFileInfo[]> {
  const files: LTXFileInfo[] = [];
  for (let level = 0; level <= SNAPSHOT_LEVEL; level++) {
    for await (const file of client.list(level, { mayBlock: true, signal })) files.push(file);
  }
  return files;
}

async function proveFile(
  client: ReplicaClient,
  file: LTXFileInfo,
  signal: AbortSignal,
  count: (byteCount: number) => void,
): Promise<void> {
  const decoder = new LTXDecoder();
  for await (const chunk of client.read(file, { signal })) {
    decoder.push(chunk);
    while (decoder.read() !== null);
    count(chunk.length);
  }
  // Only now is it known that the header is what was written.
  checkLTXName(decoder.end().header, file);
}

/** Undefined: it says nothing of the file. */
function problemOf(file: LTXFileInfo, error: unknown): ReplicaProblem | undefined {
  const where = describeFile(file);
  const make = (kind: ReplicaProblem["kind"], message: string, hint: string): ReplicaProblem => ({
    kind,
    level: file.level,
    file: formatLTXName(file.minTXID, file.maxTXID),
    message,
    hint,
    isHarmless: false,
  });
  const replace =
    "Bring the file back from a copy, or take a new snapshot: litestream snapshot DB_PATH";
  if (error instanceof FormatError) {
    return error.kind === "name-mismatch"
      ? make("misnamed", `${where} is another file: ${error.message}`, replace)
      : make("damaged", `${where} is damaged: ${error.message}`, replace);
  }
  if (isStorageError(error, "not-found")) {
    return make("missing", `${where} is missing: ${error.message}`, replace);
  }
  if (isStorageError(error, "corrupt")) {
    return make("unreadable", `${where} is unreadable: ${error.message}`, replace);
  }
  return undefined;
}

async function holdsGenerations(client: ReplicaClient, signal: AbortSignal): Promise<boolean> {
  if (client.beside === undefined) return false;
  const objects = client.beside.list("generations", { signal })[Symbol.asyncIterator]();
  const { done } = await objects.next();
  await objects.return?.();
  return done !== true;
}
