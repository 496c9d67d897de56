/** Opens the places of replicas for a command. */
import type { ReplicaConfig } from "../config/config.ts";
import type { Logger } from "../service/logger.ts";
import type { StorageOperation } from "../storage/decorators/observe.ts";
import { openReplicaClient } from "../storage/open.ts";
import type { ReplicaClient } from "../storage/replica-client.ts";
import type { CommandIO } from "./io.ts";
import type { OpenReplica } from "./newest-replica.ts";

type OnOperation = (operation: StorageOperation) => void;

/** A client of the replica, with the environment of the command; what is odd about it is logged. */
function openReplica(
  replica: ReplicaConfig,
  io: Pick<CommandIO, "env">,
  logger: Logger,
  onOperation: OnOperation | undefined,
): Promise<ReplicaClient> {
  return openReplicaClient(replica.options, {
    environment: io.env,
    ...(onOperation === undefined ? {} : { onOperation }),
    warn: (warning) => logger.warn(warning, { replica: replica.name }),
  });
}

/** Clients of all `replicas`, disposed with `clients`. `onOperation` is told of everything they do. */
export async function openReplicas(
  replicas: readonly ReplicaConfig[],
  clients: AsyncDisposableStack,
  io: Pick<CommandIO, "env">,
  logger: Logger,
  onOperation?: OnOperation,
): Promise<readonly OpenReplica[]> {
  const open: OpenReplica[] = [];
  for (const replica of replicas) {
    open.push({
      replica,
      client: clients.use(await openReplica(replica, io, logger, onOperation)),
    });
  }
  return open;
}
