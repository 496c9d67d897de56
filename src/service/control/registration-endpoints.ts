/** `/register` and `/unregister`. */
import { formatError } from "../logger.ts";
import type { DatabaseOptions } from "../store-options.ts";
import type { Store } from "../store.ts";
import { ControlError } from "./control-error.ts";
import type { ControlContext, ControlHandler, ReplicaRequest } from "./context.ts";
import { decodeBody } from "./go-json.ts";
import { decode, readPath } from "./read-request.ts";

const DEFAULT_TIMEOUT_SECONDS = 30;
const REGISTER_FIELDS = { path: "string", replica_url: "string", replica: "object" } as const;
const UNREGISTER_FIELDS = { path: "string", timeout: "int" } as const;

export const register: ControlHandler = async ({ body }, context) => {
  const request = decode(() => decodeBody(body, "RegisterDatabaseRequest", REGISTER_FIELDS));
  const path = readPath(request.path, context);
  const { replica_url: url = "", replica } = request;
  if (url === "" && replica === undefined)
    throw new ControlError(400, "replica_required", "replica_url required");
  const database = await create(path, replica === undefined ? { url } : { replica }, context);
  const known = context.store.has(path)
    ? context.store.options(path)
    : await added(database, context);
  if (known === undefined) return { status: "registered", path };
  await database.resources?.[Symbol.asyncDispose]();
  if (!hasDestinations(known, database)) {
    const where = known.replicas.map(({ client }) => client.description).join(", ");
    throw new ControlError(
      409,
      "conflict",
      `database already registered with another replica: ${path}: ${where}`,
    );
  }
  return { status: "already_registered", path };
};

export const unregister: ControlHandler = async ({ body }, context) => {
  const request = decode(() => decodeBody(body, "UnregisterDatabaseRequest", UNREGISTER_FIELDS));
  const path = readPath(request.path, context);
  const { store } = context;
  if (!store.has(path)) return { status: "already_unregistered", path, txid: 0 };
  const { timeout = 0 } = request;
  const seconds = timeout > 0 ? timeout : DEFAULT_TIMEOUT_SECONDS;
  const closed = await store.remove(path, AbortSignal.timeout(seconds * 1000));
  const { txid } = closed;
  if (!closed.synced) {
    const message = `failed to unregister database: ${formatError(closed.error)}`;
    throw new ControlError(500, "failed", message, { path, txid, closed: true });
  }
  return { status: "unregistered", path, txid };
};

async function create(
  path: string,
  request: ReplicaRequest,
  context: ControlContext,
): Promise<DatabaseOptions> {
  try {
    return await context.createDatabase(path, request);
  } catch (error) {
    throw new ControlError(400, "invalid_replica", `invalid replica url: ${formatError(error)}`);
  }
}

/** Undefined when it was added; otherwise what is there already. */
async function added(
  database: DatabaseOptions,
  { store }: ControlContext,
): Promise<DatabaseOptions | undefined> {
  const other = sharing(database, store);
  if (other !== undefined) {
    await database.resources?.[Symbol.asyncDispose]();
    throw new ControlError(
      409,
      "conflict",
      `failed to register database: another database is replicated to the same place: ${other}`,
    );
  }
  const result = await store.add(database);
  return result.added ? undefined : result.options;
}

/** Two databases in one place would overwrite each other's files. */
function sharing(database: DatabaseOptions, store: Store): string | undefined {
  const places = new Set(database.replicas.map(placeOf));
  return store.paths.find((path) =>
    store.options(path).replicas.some((replica) => places.has(placeOf(replica))),
  );
}

function hasDestinations(known: DatabaseOptions, asked: DatabaseOptions): boolean {
  const places = new Set(known.replicas.map(placeOf));
  return asked.replicas.every((replica) => places.has(placeOf(replica)));
}

function placeOf({ client }: DatabaseOptions["replicas"][number]): string {
  return `${client.type} ${client.description}`;
}
