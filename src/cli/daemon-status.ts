/** What a running daemon says of its databases, for commands that do well without one too. */
import { existsSync } from "node:fs";
import { askDaemon, socketPath, type JSONObject } from "./control-client.ts";
import { UsageError } from "./errors.ts";
import type { CommandIO } from "./io.ts";

/** A daemon that does not answer at once is not waited for. */
const TIMEOUT_SECONDS = 2;

export interface DaemonDatabase {
  /** `replicating`, `open` or `stopped`. */
  readonly status: string;
  /** In the words of the command's JSON. */
  readonly replicas: readonly JSONObject[];
  /** It is replicated, and no replica fails. */
  readonly isHealthy: boolean;
}

/** The daemon's databases by path; undefined when no daemon answers. */
export async function readDaemonStatus(
  socketFlag: string | undefined,
  io: CommandIO,
): Promise<ReadonlyMap<string, DaemonDatabase> | undefined> {
  const socket = await socketPath(socketFlag, io);
  if (!existsSync(socket)) return undefined;
  let answer: JSONObject;
  try {
    answer = await askDaemon({
      method: "GET",
      path: "/status",
      socket,
      timeoutSeconds: TIMEOUT_SECONDS,
      what: "status",
    });
  } catch (error) {
    // Without a daemon, or with one that does not know the question, there is the local state alone.
    if (error instanceof UsageError) return undefined;
    throw error;
  }
  const databases = (answer["databases"] ?? []) as readonly JSONObject[];
  return new Map(databases.map((database) => [String(database["path"]), readDatabase(database)]));
}

function readDatabase(database: JSONObject): DaemonDatabase {
  const replicas = (database["replicas"] ?? []) as readonly JSONObject[];
  const isReplicated = database["status"] === "replicating" && database["error"] === undefined;
  return {
    status: String(database["status"]),
    replicas: replicas.map(replicaJSON),
    isHealthy: isReplicated && replicas.every(isHealthyReplica),
  };
}

/** Waiting for an image and starting are ways to get there. */
function isHealthyReplica({ state }: JSONObject): boolean {
  return state === "running" || state === "starting" || state === "waiting";
}

function replicaJSON(replica: JSONObject): JSONObject {
  const { txid, ...fields } = replica;
  const number = typeof txid === "bigint" || typeof txid === "number" ? BigInt(txid) : 0n;
  return {
    ...fields,
    replica_txid: number === 0n ? "-" : number.toString(16).padStart(16, "0"),
    healthy: isHealthyReplica(replica),
  };
}
