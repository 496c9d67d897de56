/** How far a replica has come, by asking its storage. */
import { SNAPSHOT_LEVEL } from "../formats/ltx/layout.ts";
import type { TXID } from "../formats/ltx/txid.ts";
import { formatError } from "../service/logger.ts";
import type { ReplicaClient } from "../storage/replica-client.ts";

export interface ReplicaState {
  /**
   * in sync   it holds the newest local TXID
   * behind    it holds an older one
   * ahead     it holds a newer one: another writer's, or the local state is older
   * present   it holds files, and there is no local state to compare with
   * empty     it holds no files
   * error     the storage did not answer
   */
  readonly state: "in sync" | "behind" | "ahead" | "present" | "empty" | "error";
  /** Newest TXID of any level. */
  readonly txid: TXID | undefined;
  /** When the newest file was stored, as the listing tells it. */
  readonly lastUploadAt: Date | undefined;
  readonly error: string | undefined;
}

/** Lists the replica and compares it with `localTXID`. A storage that fails is a state, not a rejection. */
export async function readReplicaState(
  client: ReplicaClient,
  localTXID: TXID | undefined,
): Promise<ReplicaState> {
  try {
    const { txid, lastUploadAt } = await newestFile(client);
    return { state: compare(txid, localTXID), txid, lastUploadAt, error: undefined };
  } catch (error) {
    return {
      state: "error",
      txid: undefined,
      lastUploadAt: undefined,
      error: formatError(error),
    };
  }
}

/** Level 0 knows the newest; the others are asked only when it is empty. */
async function newestFile(
  client: ReplicaClient,
): Promise<{ readonly txid: TXID | undefined; readonly lastUploadAt: Date | undefined }> {
  let txid: TXID | undefined;
  let lastUploadAt: Date | undefined;
  for (let level = 0; level <= SNAPSHOT_LEVEL; level++) {
    for await (const file of client.list(level, { mayBlock: true })) {
      if (txid !== undefined && file.maxTXID < txid) continue;
      txid = file.maxTXID;
      lastUploadAt = file.createdAt;
    }
    if (level === 0 && txid !== undefined) break;
  }
  return { txid, lastUploadAt };
}

function compare(txid: TXID | undefined, localTXID: TXID | undefined): ReplicaState["state"] {
  if (txid === undefined) return "empty";
  if (localTXID === undefined) return "present";
  if (txid === localTXID) return "in sync";
  return txid < localTXID ? "behind" : "ahead";
}
