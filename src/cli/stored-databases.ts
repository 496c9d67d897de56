/** The databases of `dir` entries as their replicas know them: found by listing what lies below the replica paths. */
import { lstat, stat } from "node:fs/promises";
import { dirname, join, sep } from "node:path";
import type { Config, DatabaseConfig, DirectoryConfig, ReplicaConfig } from "../config/config.ts";
import { destination } from "../config/destinations.ts";
import { databaseInDirectory, descends, replicaBelow } from "../config/directory-databases.ts";
import { formatError, type Logger } from "../service/logger.ts";
import { mapInOrder } from "../storage/abortable.ts";
import { openReplicaClient } from "../storage/open.ts";
import type { ReplicaClient } from "../storage/replica-client.ts";
import { UsageError } from "./errors.ts";
import type { CommandIO } from "./io.ts";

const LOOKS_AT_ONCE = 20;

/**
 * Looks for the databases of the entries with `restore-if-db-not-exists`, or of all with `everyDirectory`, whether their
 * files are there or not. In order of path. What cannot be listed is a WARN; what was found until then is in the result.
 */
export async function findStoredDatabases(
  { databases, directories }: Pick<Config, "databases" | "directories">,
  everyDirectory: boolean,
  io: Pick<CommandIO, "env">,
  logger: Logger,
  signal: AbortSignal,
): Promise<readonly DatabaseConfig[]> {
  const taken = new Set(databases.map(({ path }) => path));
  const found = new Map<string, DatabaseConfig>();
  for (const entry of directories) {
    if (!everyDirectory && !entry.restoreIfNotExists) continue;
    const folders = destinations(directories.filter((other) => other !== entry));
    const foreign = new Set([...folders, ...destinations(databases)]);
    for (const replica of entry.replicas) {
      try {
        if (folders.has(destination(replica.options)))
          throw new Error("The databases of another folder are replicated to the same path");
        await using client = await openReplicaClient(replica.options, { environment: io.env });
        const failures: unknown[] = [];
        const place = { entry, replica, client, foreign, signal, failures };
        for await (const database of storedBelow(place)) {
          const isNew = !taken.has(database.path) && !found.has(database.path);
          if (isNew) found.set(database.path, database);
        }
        if (failures.length > 0) throw failures[0];
      } catch (error) {
        if (signal.aborted || error instanceof UsageError) throw error;
        logger.warn("cannot look for databases to restore", {
          dir: entry.dir,
          replica: destination(replica.options),
          error: formatError(error),
        });
      }
    }
  }
  return [...found.values()].toSorted((a, b) => (a.path < b.path ? -1 : 1));
}

interface Place {
  readonly entry: DirectoryConfig;
  readonly replica: ReplicaConfig;
  readonly client: ReplicaClient;
  /** Destinations of other entries: what lies there is theirs. */
  readonly foreign: ReadonlySet<string>;
  readonly signal: AbortSignal;
  /** Why folders could not be listed: the others are looked into all the same. */
  readonly failures: unknown[];
}

interface Visit {
  readonly database?: DatabaseConfig;
  /** Folders to visit next, each as the names that lead to it. */
  readonly below: readonly (readonly string[])[];
}

async function* storedBelow(place: Place): AsyncGenerator<DatabaseConfig, void> {
  let folders: readonly (readonly string[])[] = [[]];
  while (folders.length > 0) {
    const next: (readonly string[])[] = [];
    const visits = mapInOrder(folders, LOOKS_AT_ONCE, (names) => tryVisit(place, names));
    for await (const { database, below } of visits) {
      if (database !== undefined) yield database;
      next.push(...below);
    }
    folders = next;
  }
}

async function tryVisit(place: Place, names: readonly string[]): Promise<Visit> {
  try {
    return await visit(place, names);
  } catch (error) {
    if (place.signal.aborted || error instanceof UsageError) throw error;
    place.failures.push(error);
    return { below: [] };
  }
}

async function visit(place: Place, names: readonly string[]): Promise<Visit> {
  const { entry, client, foreign, signal } = place;
  const isRoot = names.length === 0;
  if (!isRoot && foreign.has(destinationAt(place, names))) return { below: [] };
  const database = isRoot ? undefined : databaseAt(place, names);
  if (!isRoot && database === undefined && !descends(entry)) return { below: [] };
  const local = database === undefined ? "folder" : await whatIsAt(database.path);
  // No need to ask the store: it will not be restored.
  if (database !== undefined && local === "file") return { database, below: [] };
  const listing = await client.lookBelow?.(names.join("/"), { signal });
  if (listing === undefined) throw new Error(`Replicas of type "${client.type}" cannot be listed`);
  if (database !== undefined && local === "nothing" && listing.isReplica) {
    return (await isBelowLink(entry.dir, database.path)) ? { below: [] } : { database, below: [] };
  }
  if (!isRoot && !descends(entry)) return { below: [] };
  return { below: listing.folders.filter(isName).map((name) => names.concat(name)) };
}

/** The database whose replica lies at `names`; undefined when it does not belong to the folder. */
function databaseAt(place: Place, names: readonly string[]): DatabaseConfig | undefined {
  const { entry, replica } = place;
  const here = destinationAt(place, names);
  // Litestream leaves names percent-encoded below a file URL.
  const readings = replica.options.type === "file" ? [names.map(decoded), names] : [names];
  for (const reading of readings) {
    const database = databaseInDirectory(entry, join(entry.dir, ...reading));
    const own = database?.replicas.find(({ name }) => name === replica.name);
    if (own !== undefined && destination(own.options) === here) return database;
  }
  return undefined;
}

function destinationAt({ replica }: Place, names: readonly string[]): string {
  return destination(replicaBelow(replica, names.join(sep)).options);
}

function decoded(name: string): string {
  try {
    const text = decodeURIComponent(name);
    return isName(text) ? text : name;
  } catch {
    return name;
  }
}

/** Whether a store's word for a folder is a name here: nothing that it says may lead elsewhere. */
function isName(name: string): boolean {
  return !["", ".", ".."].includes(name) && !["/", "\0", sep].some((char) => name.includes(char));
}

async function whatIsAt(path: string): Promise<"file" | "folder" | "nothing"> {
  try {
    return (await stat(path)).isDirectory() ? "folder" : "file";
  } catch (error) {
    if (isMissing(error)) return "nothing";
    throw new UsageError(`restore failed: cannot look for ${path}: ${formatError(error)}`, {
      cause: error,
    });
  }
}

/** Links to folders are not followed: a database behind one would not be replicated. */
async function isBelowLink(dir: string, path: string): Promise<boolean> {
  for (let folder = dirname(path); folder.length > dir.length; folder = dirname(folder)) {
    try {
      if (!(await lstat(folder)).isDirectory()) return true;
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }
  return false;
}

function isMissing(error: unknown): boolean {
  return ["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "");
}

function destinations(
  entries: readonly { readonly replicas: readonly ReplicaConfig[] }[],
): ReadonlySet<string> {
  return new Set(
    entries.flatMap(({ replicas }) => replicas.map(({ options }) => destination(options))),
  );
}
