/** Restores a database from a v0.3 backup: the snapshot, then each WAL behind it (formats §10). */
import { FormatError } from "../formats/format-error.ts";
import { decodeSQLiteHeader, SQLITE_HEADER_SIZE } from "../formats/sqlite-header.ts";
import type { ReplicaClient } from "../storage/replica-client.ts";
import { readAgeIdentities } from "./age.ts";
import type { IntegrityCheck } from "./integrity-check.ts";
import { proveOutput } from "./restore.ts";
import type { RestoreProgress } from "./restore.ts";
import { RestoreError } from "./restore-error.ts";
import { checkRestoreOutput, openRestoreOutput, outputFailure } from "./restore-output.ts";
import type { RestoreOutput } from "./restore-output.ts";
import { chainObjects, describeV3Target, hintBefore } from "./restore-v3-plan.ts";
import type { V3RestoreChain, V3RestorePlan, V3RestoreTarget, V3WAL } from "./restore-v3-plan.ts";
import { nameObject, V3ObjectError, V3Reader } from "./v3-reader.ts";
import type { V3BackupObject } from "./v3-reader.ts";
import { V3WALBytes } from "./v3-wal-bytes.ts";
import { WALApplier } from "./v3-wal.ts";

export interface V3RestoreOptions {
  readonly plan: V3RestorePlan;
  /** What the plan was made for: for messages. */
  readonly target: V3RestoreTarget;
  /** Where the database appears once it is complete. */
  readonly outputPath: string;
  /** Requests to the storage at a time. */
  readonly parallelism: number;
  readonly integrityCheck: IntegrityCheck;
  /** Replace an existing database and its sidecars, once the new one is complete and proven. */
  readonly force: boolean;
  /** Mode of parent folders that have to be made. Default 0700. */
  readonly folderMode?: number;
  /** Key texts of age: when there are any, every object has to be encrypted. */
  readonly ageIdentities?: readonly string[];
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: RestoreProgress) => void;
}

export interface V3RestoreSummary {
  readonly generation: string;
  /** The last WAL that was applied, and where its bytes ended; the snapshot's index and 0 without any. */
  readonly index: number;
  readonly offset: number;
  readonly createdAt: Date;
  /** Objects read. */
  readonly files: number;
  readonly bytesRead: number;
  readonly sizeBytes: number;
  readonly durationMs: number;
  /** The check that was made, and passed. */
  readonly integrityCheck: IntegrityCheck;
  /** What was odd about the backup, in words. */
  readonly problems: readonly string[];
}

/**
 * Restores to `outputPath`. The database appears there whole, durable and checked, or not at all. Rejects with a
 * RestoreError, a StorageError when the storage fails, or the signal's reason.
 */
export async function restoreV3(
  client: ReplicaClient,
  options: V3RestoreOptions,
): Promise<V3RestoreSummary> {
  const startedAt = performance.now();
  const { plan, signal, onProgress, integrityCheck } = options;
  if (plan.kind === "refused") throw new RestoreError(plan.reason, plan.message, plan);
  signal?.throwIfAborted();
  await checkRestoreOutput(options);
  await using output = await openRestoreOutput(options);
  const restoration = new V3Restoration(plan, output);
  await restoration.run(client, options);
  onProgress?.({ phase: "check" });
  await proveOutput(output, integrityCheck, signal);
  signal?.throwIfAborted();
  await output.publish();
  return {
    generation: plan.generation,
    index: restoration.index,
    offset: restoration.offset,
    createdAt: plan.reachedAt,
    files: chainObjects(plan).length,
    bytesRead: restoration.bytesRead,
    sizeBytes: restoration.sizeBytes,
    durationMs: performance.now() - startedAt,
    integrityCheck,
    problems: restoration.problems,
  };
}

/** The work on one output. */
class V3Restoration {
  readonly problems: string[] = [];
  index: number;
  offset = 0;
  bytesRead = 0;
  sizeBytes = 0;
  #filesDone = 0;
  readonly #plan: V3RestoreChain;
  readonly #output: RestoreOutput;
  #pageSize: number | undefined;

  constructor(plan: V3RestoreChain, output: RestoreOutput) {
    this.#plan = plan;
    this.#output = output;
    this.index = plan.snapshot.index;
  }

  async run(client: ReplicaClient, options: V3RestoreOptions): Promise<void> {
    const { ageIdentities = [], parallelism, signal, target } = options;
    const objects = chainObjects(this.#plan);
    const bytesTotal = objects.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    try {
      await using reader = new V3Reader(client, objects, {
        parallelism,
        identities: readAgeIdentities(ageIdentities),
        signal,
        onBytes: (byteCount) => {
          this.bytesRead += byteCount;
          options.onProgress?.({
            phase: "read",
            filesDone: this.#filesDone,
            filesTotal: objects.length,
            bytesRead: this.bytesRead,
            bytesTotal,
          });
        },
      });
      await this.#writeSnapshot(reader);
      for (const wal of this.#plan.wals) await this.#applyWAL(reader, wal);
    } catch (error) {
      signal?.throwIfAborted();
      throw this.#failure(error, target);
    }
  }

  async #writeSnapshot(reader: V3Reader): Promise<void> {
    const { snapshot } = this.#plan;
    const head = new Uint8Array(SQLITE_HEADER_SIZE);
    this.#output.resize(0);
    for await (const bytes of reader.read(snapshot)) {
      if (this.sizeBytes < head.length) {
        head.set(bytes.subarray(0, head.length - this.sizeBytes), this.sizeBytes);
      }
      this.#output.write(bytes, 0, bytes.length, this.sizeBytes);
      this.sizeBytes += bytes.length;
    }
    this.#filesDone = 1;
    // A database that nobody has written to is an empty file.
    if (this.sizeBytes === 0) return;
    try {
      const { pageSize } = decodeSQLiteHeader(head.subarray(0, this.sizeBytes));
      this.#pageSize = pageSize;
    } catch (error) {
      throw walProblem(snapshot, error);
    }
  }

  async #applyWAL(reader: V3Reader, wal: V3WAL): Promise<void> {
    const bytes = new V3WALBytes(reader, wal);
    using applier = new WALApplier(this.#output, {
      spoolPath: `${this.#output.tempPath}-wal`,
      pageSize: this.#pageSize,
    });
    try {
      for await (const chunk of bytes) applier.push(chunk);
      const outcome = applier.end();
      this.#pageSize = applier.pageSize ?? this.#pageSize;
      if (outcome.commit !== undefined && this.#pageSize !== undefined) {
        this.sizeBytes = outcome.commit * this.#pageSize;
        this.#output.resize(this.sizeBytes);
      }
      this.#noteRest(wal, outcome);
    } catch (error) {
      throw walProblem(bytes.current, error);
    }
    this.#filesDone += wal.segments.length;
    this.index = wal.index;
    this.offset = bytes.sizeBytes;
  }

  /** SQLite leaves such bytes alone; only at the end of the last WAL they are nothing unusual. */
  #noteRest(
    { index }: V3WAL,
    {
      staleBytes,
      unfinishedBytes,
    }: { readonly staleBytes: number; readonly unfinishedBytes: number },
  ): void {
    const name = `WAL ${index.toString(16).padStart(8, "0")} of generation ${this.#plan.generation}`;
    if (staleBytes > 0) {
      this.problems.push(`${name} ends with ${staleBytes} bytes of an earlier WAL: left out`);
    }
    if (unfinishedBytes > 0 && index !== this.#plan.wals.at(-1)?.index) {
      this.problems.push(
        `${name} ends with ${unfinishedBytes} bytes of an unfinished transaction: left out`,
      );
    }
  }

  #failure(error: unknown, target: V3RestoreTarget): unknown {
    if (error instanceof V3ObjectError) {
      const objects = chainObjects(this.#plan);
      const before = objects[objects.findIndex(({ name }) => name === error.object.name) - 1];
      const hint =
        error.hint ??
        (before === undefined
          ? "Bring it back from a copy, or restore from another snapshot with -timestamp or -generation"
          : hintBefore(before));
      return new RestoreError(
        error.isGap ? "gap" : "damaged",
        `Cannot restore ${describeV3Target(target)}: ${error.message}`,
        { cause: error, hint },
      );
    }
    if (error instanceof Error && error.name === "AgeError") {
      return new RestoreError(
        "damaged",
        `Cannot restore ${describeV3Target(target)}: ${error.message}`,
        { cause: error, hint: "Write keys as age-keygen prints them" },
      );
    }
    // What could not be kept beside the output.
    return outputFailure(this.#output.tempPath, error);
  }
}

/** What is wrong in a WAL as a problem of the object in which it showed. */
function walProblem(object: V3BackupObject, error: unknown): unknown {
  if (!(error instanceof FormatError)) return error;
  return new V3ObjectError(object, `${nameObject(object)} is damaged: ${error.message}`, {
    cause: error,
  });
}
