/** What the views of v0.3 backups share: flags, and the inventories of the replicas that were asked for. */
import { readV3Inventory, type V3Inventory } from "../engine/v3-inventory.ts";
import { CONFIG_FLAGS, type ConfigFlagValues } from "./config-flags.ts";
import type { CommandIO } from "./io.ts";
import { openReplicas } from "./open-replicas.ts";
import { readReplicaArgument } from "./replica-argument.ts";
import { warnUnknownNames } from "./restore-source.ts";
import { JSON_FLAG } from "./usage.ts";

const REPLICA_FLAG = {
  kind: "string",
  value: "NAME",
  help: ["Lists this replica of the configuration file only."],
} as const;

type ViewFlags = typeof CONFIG_FLAGS & {
  readonly replica: typeof REPLICA_FLAG;
  readonly json: typeof JSON_FLAG;
};

export const V3_VIEW_FLAGS: ViewFlags = {
  ...CONFIG_FLAGS,
  replica: REPLICA_FLAG,
  json: JSON_FLAG,
};

export interface ReplicaInventory {
  /** The replica's name. */
  readonly replica: string;
  readonly inventory: V3Inventory;
}

/** The v0.3 backups of the replicas that the arguments name; unknown names among them are warnings on stderr. */
export async function readV3Inventories(
  positionals: readonly string[],
  flags: ConfigFlagValues & { readonly replica?: string },
  io: CommandIO,
  example: string,
): Promise<readonly ReplicaInventory[]> {
  const { replicas, logger } = await readReplicaArgument(positionals, flags, io, example);
  await using clients = new AsyncDisposableStack();
  const found: ReplicaInventory[] = [];
  for (const { replica, client } of await openReplicas(replicas, clients, io, logger)) {
    const inventory = await readV3Inventory(client);
    warnUnknownNames(inventory, logger);
    found.push({ replica: replica.name, inventory });
  }
  return found;
}
