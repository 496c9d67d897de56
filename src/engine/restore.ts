/** Restores a database from a replica: plan, read, prove, publish. */
import type { LTXFileInfo, LTXFileName, ReplicaClient } from "../storage/replica-client.ts";
import type { TXID } from "../formats/ltx/txid.ts";
import { findIntegrityProblems } from "./integrity-check.ts";
import type { IntegrityCheck } from "./integrity-check.ts";
import { applyChain, ChainFileError, describeFile, IncompleteChainError } from "./restore-chain.ts";
import type { ChainResult } from "./restore-chain.ts";
import { RestoreError } from "./restore-error.ts";
import { readRestorePlan } from "./restore-listing.ts";
import { checkRestoreOutput, openRestoreOutput } from "./restore-output.ts";
import type { RestoreOutput } from "./restore-output.ts";
import { describeTarget, formatRestorePoint } from "./restore-plan.ts";
import type { RestorePlan, RestorePoint, RestoreRefusal, RestoreTarget } from "./restore-plan.ts";

/** Files that may turn out damaged or missing before a restore gives up. */
const maxBadFiles = 1000;
/** Findings of an integrity check that go into the message. */
const problemsShown = 5;

export interface RestoreOptions {
  readonly target: RestoreTarget;
  /** Where the database appears once it is complete. */
  readonly outputPath: string;
  /** Requests to the storage at a time. */
  readonly parallelism: number;
  readonly integrityCheck: IntegrityCheck;
  /** Replace an existing database and its sidecars, once the new one is complete and proven. */
  readonly force: boolean;
  /** Mode of parent folders that have to be made. Default 0700. */
  readonly folderMode?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: RestoreProgress) => void;
}

export type RestoreProgress =
  | { readonly phase: "list" }
  | {
      readonly phase: "read";
      readonly filesDone: number;
      readonly filesTotal: number;
      readonly bytesRead: number;
      readonly bytesTotal: number;
    }
  /** All pages are written: the file is made durable and checked. */
  | { readonly phase: "check" }
  /** A file was left out and the restore planned again around it. */
  | { readonly phase: "replan"; readonly reason: string };

export interface RestoreSummary {
  /** The transaction that the database is at. */
  readonly txid: TXID;
  readonly createdAt: Date;
  /** Files read. */
  readonly files: number;
  readonly bytesRead: number;
  readonly pages: number;
  readonly pageSize: number;
  readonly durationMs: number;
  /** The check that was made, and passed. */
  readonly integrityCheck: IntegrityCheck;
  /** Files that were found damaged or missing and got around. */
  readonly problems: readonly string[];
}

/**
 * Restores to `outputPath`. The database appears there whole, durable and checked, or not at all. Rejects with a
 * RestoreError, a StorageError when the storage fails, or the signal's reason.
 */
export async function restore(
  client: ReplicaClient,
  options: RestoreOptions,
): Promise<RestoreSummary> {
  const startedAt = performance.now();
  const { signal, onProgress, integrityCheck } = options;
  if (!Number.isInteger(options.parallelism) || options.parallelism < 1) {
    throw new RangeError(`Parallelism must be at least 1, got ${options.parallelism}`);
  }
  signal?.throwIfAborted();
  await checkRestoreOutput(options);
  const attempts = new Attempts(client, options);
  const firstPlan = await attempts.plan();
  await using output = await openRestoreOutput(options);
  const { plan, result } = await attempts.carryOut(firstPlan, output);
  onProgress?.({ phase: "check" });
  await proveOutput(output, integrityCheck, signal);
  signal?.throwIfAborted();
  await output.publish();
  return {
    txid: plan.reached.txid,
    createdAt: plan.reached.createdAt,
    files: result.filesRead,
    bytesRead: result.bytesRead,
    pages: result.pageCount,
    pageSize: result.pageSize,
    durationMs: performance.now() - startedAt,
    integrityCheck,
    problems: attempts.problems,
  };
}

/** What is to be read: a chain from TXID 1, or files behind a gap that may make a database by themselves. */
interface Candidate {
  readonly files: readonly LTXFileInfo[];
  readonly reached: RestorePoint;
  /** What stands if they do not. */
  readonly refusal?: RestoreRefusal;
}

/** Plans again without the files found bad, but never settles for less than the first plan had reached. */
class Attempts {
  readonly #client: ReplicaClient;
  readonly #options: RestoreOptions;
  readonly #bad = new Map<string, ChainFileError>();
  #promised: TXID = 0n;

  constructor(client: ReplicaClient, options: RestoreOptions) {
    this.#client = client;
    this.#options = options;
  }

  get problems(): string[] {
    return [...this.#bad.values()].map((error) => error.message);
  }

  /** Carries out a plan, and others when files turn out bad. */
  async carryOut(
    first: Candidate,
    output: RestoreOutput,
  ): Promise<{ readonly plan: Candidate; readonly result: ChainResult }> {
    for (let plan = first; ; plan = await this.plan()) {
      const result = await this.#apply(plan, output);
      if (result !== undefined) return { plan, result };
    }
  }

  /** Lists and plans; RestoreError when there is no way to the target. */
  async plan(): Promise<Candidate> {
    const first = await this.#readPlan();
    if (first.kind === "restore" && this.#keepsPromise(first.reached)) return this.#promise(first);
    // Files may have moved to another level between the listings of the two: what seems missing is looked for once more.
    const mayHaveMoved = first.kind === "restore" || first.reason === "gap";
    const plan = mayHaveMoved ? await this.#readPlan() : first;
    const candidate = candidateOf(plan);
    if (candidate !== undefined && this.#keepsPromise(candidate.reached)) {
      return this.#promise(candidate);
    }
    throw this.#noWay(plan);
  }

  async #readPlan(): Promise<RestorePlan> {
    const { target, signal, onProgress } = this.#options;
    onProgress?.({ phase: "list" });
    const isExcluded = (file: LTXFileName): boolean => this.#bad.has(describeFile(file));
    return readRestorePlan(this.#client, target, {
      isExcluded,
      ...(signal === undefined ? {} : { signal }),
    });
  }

  #keepsPromise({ txid }: RestorePoint): boolean {
    return txid >= this.#promised;
  }

  #promise(candidate: Candidate): Candidate {
    this.#promised = candidate.reached.txid;
    return candidate;
  }

  /** Writes the pages; undefined when a file was bad and another plan is needed. */
  async #apply(candidate: Candidate, output: RestoreOutput): Promise<ChainResult | undefined> {
    const { onProgress, parallelism, signal, target } = this.#options;
    try {
      return await applyChain(this.#client, candidate.files, output, {
        parallelism,
        signal,
        onProgress: onProgress && ((progress) => onProgress({ phase: "read", ...progress })),
      });
    } catch (error) {
      if (error instanceof IncompleteChainError) {
        if (candidate.refusal !== undefined) throw this.#noWay(candidate.refusal);
        throw new RestoreError(
          "damaged",
          `Cannot restore ${describeTarget(target)}: ${error.message}`,
          { cause: error },
        );
      }
      if (!(error instanceof ChainFileError)) throw error;
      if (this.#bad.size >= maxBadFiles) {
        throw new RestoreError(
          "damaged",
          `Cannot restore ${describeTarget(target)}: ${error.message}, as are ${this.#bad.size} more files`,
          { cause: error },
        );
      }
      this.#bad.set(describeFile(error.file), error);
      onProgress?.({ phase: "replan", reason: error.message });
      return undefined;
    }
  }

  #noWay(plan: RestorePlan): RestoreError {
    const { target } = this.#options;
    const [first] = this.#bad.values();
    const lastReachable = plan.kind === "restore" ? plan.reached : plan.lastReachable;
    if (first === undefined) {
      if (plan.kind === "restore") throw new Error("A plan was refused without a reason");
      return new RestoreError(plan.reason, plan.message, plan);
    }
    const more = this.#bad.size > 1 ? ` (and ${this.#bad.size - 1} more files)` : "";
    return new RestoreError(
      "damaged",
      `Cannot restore ${describeTarget(target)}: ${first.message}${more}, and no other file covers it`,
      {
        cause: first,
        lastReachable,
        hint:
          lastReachable === undefined
            ? "Nothing can be restored without it: bring it back from a copy, or restore another replica"
            : `Bring it back from a copy, or restore the last state before it with ${formatRestorePoint(lastReachable)}`,
      },
    );
  }
}

function candidateOf(plan: RestorePlan): Candidate | undefined {
  if (plan.kind === "restore") return plan;
  const last = plan.behindGap.at(-1);
  if (last === undefined) return undefined;
  const reached = { txid: last.maxTXID, createdAt: last.createdAt };
  return { files: plan.behindGap, reached, refusal: plan };
}

/** Makes the temporary file durable and asks SQLite about it, both at the same time. */
export async function proveOutput(
  output: RestoreOutput,
  check: IntegrityCheck,
  signal: AbortSignal | undefined,
): Promise<void> {
  const results = await Promise.allSettled([
    output.sync(),
    check === "none" ? undefined : proveIntegrity(output.tempPath, check, signal),
  ]);
  for (const result of results) if (result.status === "rejected") throw result.reason;
}

async function proveIntegrity(
  path: string,
  check: Exclude<IntegrityCheck, "none">,
  signal: AbortSignal | undefined,
): Promise<void> {
  const problems = await findIntegrityProblems(path, check, signal);
  if (problems.length === 0) return;
  const shown = problems.slice(0, problemsShown).join("\n");
  const more = problems.length > problemsShown ? `\n… (${problems.length} findings)` : "";
  throw new RestoreError(
    "integrity",
    `post-restore integrity check: integrity check failed: ${shown}${more}`,
    {
      hint: "The replica is intact, so the source database was malformed when this was written: restore an earlier state, or use -integrity-check none and repair it",
    },
  );
}
