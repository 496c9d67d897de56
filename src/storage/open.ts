/** Opens the place a replica is kept in: loads that one place, and stacks around it what all places share. */
import type { Backoff } from "./backoff.ts";
import { LimitedClient } from "./decorators/limit.ts";
import { ObservedClient } from "./decorators/observe.ts";
import type { StorageOperation } from "./decorators/observe.ts";
import { RetryingClient } from "./decorators/retry.ts";
import type { MemoryObjects } from "./memory.ts";
import { StorageError } from "./replica-client.ts";
import type { ReplicaClient } from "./replica-client.ts";
import type { MemoryReplicaOptions, ReplicaOptions, ReplicaType } from "./replica-options.ts";

export interface OpenReplicaSettings {
  /** Environment to take credentials, proxies and the like from. Default: that of the process. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Is told of every operation, for metrics. */
  readonly onOperation?: (operation: StorageOperation) => void;
  /** Is told what the user should know about these options. */
  readonly warn?: (warning: string) => void;
  /** Gets the lines that LITESTREAM_S3_DEBUG asks for. */
  readonly debug?: (line: string) => void;
  /** Operations at once. Default 64. */
  readonly maxOperations?: number;
}

const defaultMaxOperations = 64;

/** A read may break this often in a row before it has failed: as many attempts as an S3 request gets. */
const reads: Backoff = { attempts: 10, baseMs: 100, capMs: 20_000 };

/** S3 repeats its requests itself, part by part; in memory nothing fails. */
const calls: Readonly<Partial<Record<ReplicaType, Backoff>>> = {
  file: { attempts: 3, baseMs: 50, capMs: 1_000 },
};
const once: Backoff = { attempts: 1, baseMs: 0, capMs: 0 };

/**
 * A client of the replica that the options describe. Nothing is sent yet: the first operation connects, or `open()` does.
 * The innermost is the place; around it a limit, then second attempts (which wait outside of the limit), and outermost the
 * observer, so that an operation is reported once whatever it took.
 */
export async function openReplicaClient(
  options: ReplicaOptions,
  settings: OpenReplicaSettings = {},
): Promise<ReplicaClient> {
  const place = await openPlace(options, settings);
  const limited = new LimitedClient(place, settings.maxOperations ?? defaultMaxOperations);
  const retrying = new RetryingClient(limited, { calls: calls[options.type] ?? once, reads });
  return settings.onOperation === undefined
    ? retrying
    : new ObservedClient(retrying, settings.onOperation);
}

async function openPlace(
  options: ReplicaOptions,
  settings: OpenReplicaSettings,
): Promise<ReplicaClient> {
  switch (options.type) {
    case "memory":
      return openMemory(options);
    case "file": {
      const { FileReplicaClient } = await import("./file.ts");
      if (options.path === "") throw missing("file replica path required");
      return new FileReplicaClient(options);
    }
    case "s3": {
      const { openS3Client } = await import("./s3/client.ts");
      const client = await openS3Client(options, settings);
      for (const warning of client.settings.warnings) settings.warn?.(warning);
      return client;
    }
    case "gs":
    case "abs":
    case "oss":
    case "sftp":
    case "webdav":
    case "nats":
      throw new StorageError(
        "misconfigured",
        `Cannot open a replica of type "${options.type}": this version has no such place`,
        { hint: "This version keeps replicas of the types s3 and file" },
      );
  }
}

/** Replicas in memory live as long as the process; the same name is the same replica. */
const memoryReplicas = new Map<string, MemoryObjects>();

async function openMemory({ name = "replica" }: MemoryReplicaOptions): Promise<ReplicaClient> {
  const { MemoryReplicaClient } = await import("./memory.ts");
  const { readPieces } = await import("./file-system.ts");
  const objects: MemoryObjects = memoryReplicas.get(name) ?? new Map();
  memoryReplicas.set(name, objects);
  return new MemoryReplicaClient({ name, objects, readFile: readPieces });
}

function missing(message: string): StorageError {
  return new StorageError("misconfigured", message);
}
