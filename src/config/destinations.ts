/** Checks across databases: entries of one path are one database, and no two databases share a place. */
import type { ReplicaOptions } from "../storage/replica-options.ts";
import type { DatabaseConfig } from "./config.ts";
import type { DatabaseEntry } from "./database-section.ts";
import type { ProblemSink } from "./section.ts";

/**
 * Entries of the same path as one database with several replicas, when their other settings agree; upstream refuses
 * them. Entries that disagree are an error and only the first is kept.
 */
export function groupByPath(
  entries: readonly DatabaseEntry[],
  sink: ProblemSink,
): readonly (readonly DatabaseEntry[])[] {
  const groups = new Map<string, DatabaseEntry[]>();
  for (const entry of entries) {
    const isFolder = (entry.section.values.dir ?? "") !== "";
    const key = isFolder ? `dir ${entry.index}` : `path ${entry.path ?? ""}`;
    const group = groups.get(key);
    const first = group?.[0];
    if (group === undefined || first === undefined) {
      groups.set(key, [entry]);
      continue;
    }
    const line = entry.section.lineOf("path");
    if (ownSettings(entry) === ownSettings(first)) {
      group.push(entry);
      const message = `Database config #${entry.index + 1} has the path of #${first.index + 1}, their replicas are taken together`;
      const hint = "Write one entry with a list of replicas";
      sink.warnings.push({ line, key: entry.label, message, hint });
      continue;
    }
    const text =
      `database config #${entry.index + 1}: duplicate path "${entry.path ?? ""}" ` +
      `(already used by database config #${first.index + 1}); each database can be listed only once`;
    sink.errors.push({
      line,
      key: entry.label,
      message: `Database configs #${first.index + 1} and #${entry.index + 1} have the same path and different settings`,
      hint: "Write one entry with a list of replicas",
      upstream: { kind: "plain", text },
    });
  }
  return [...groups.values()];
}

/** A database that cannot be replicated beside those before it. */
export interface PlaceConflict {
  readonly path: string;
  readonly message: string;
  readonly hint: string;
}

/** Two replicas in one place, or two databases with one folder of local state: what is wrong with the later ones. */
export function findConflicts(databases: readonly DatabaseConfig[]): readonly PlaceConflict[] {
  const places = new Map<string, string>();
  const metaPaths = new Map<string, string>();
  const conflicts: PlaceConflict[] = [];
  for (const { path, metaPath, replicas } of databases) {
    const found: PlaceConflict[] = [];
    const otherMeta = metaPaths.get(metaPath);
    if (otherMeta !== undefined) {
      const message = `Databases "${otherMeta}" and "${path}" have the same meta path "${metaPath}"`;
      found.push({ path, message, hint: "Give each a meta-path of its own" });
    }
    const own = new Set<string>();
    for (const { options } of replicas) {
      const place = destination(options);
      const other = own.has(place) ? path : places.get(place);
      own.add(place);
      if (other === undefined) continue;
      const message =
        other === path
          ? `Two replicas have the same destination ${place}`
          : `Databases "${other}" and "${path}" have the same destination ${place}`;
      found.push({ path, message, hint: "Give each replica a path of its own" });
    }
    conflicts.push(...found);
    // What is refused takes no place from those that come later.
    if (found.length > 0) continue;
    metaPaths.set(metaPath, path);
    for (const place of own) places.set(place, path);
  }
  return conflicts;
}

/** Refuses the conflicts of the entries with `path`: what folders hold is known only when they are looked into. */
export function checkDestinations(
  databases: readonly DatabaseConfig[],
  entries: readonly DatabaseEntry[],
  sink: ProblemSink,
): void {
  for (const { path, message, hint } of findConflicts(databases)) {
    const line = entries.find((entry) => entry.path === path)?.section.line;
    sink.errors.push({ line, key: `dbs[${path}]`, message, hint });
  }
}

/** Where a replica's files lie, equal for two that would write the same names. */
export function destination(options: ReplicaOptions): string {
  switch (options.type) {
    case "file":
      return `file://${options.path}`;
    case "s3":
    case "oss":
    case "abs": {
      const at = options.endpoint === undefined ? "" : ` at ${options.endpoint}`;
      return `${options.type}://${options.bucket}/${keyPrefix(options.path)}${at}`;
    }
    case "gs":
      return `gs://${options.bucket}/${keyPrefix(options.path)}`;
    case "sftp":
      return `sftp://${options.user}@${options.host}/${options.path ?? ""}`;
    case "webdav":
      return `${options.webdavURL}/${keyPrefix(options.path)}`;
    case "nats":
      return `${options.url ?? "nats://127.0.0.1:4222"}/${options.bucket}`;
    case "memory":
      return `memory://${options.name ?? ""}`;
  }
}

/** A key prefix without the slashes and the dot that upstream writes for an empty one. */
function keyPrefix(path: string | undefined): string {
  return path === undefined || path === "." ? "" : path.replace(/^\.?\/+|\/+$/g, "");
}

/** Everything of an entry but its path and replicas, as text to compare. */
function ownSettings(entry: DatabaseEntry): string {
  const values = Object.entries({ ...entry.section.values, path: undefined });
  const snapshot = Object.entries(entry.snapshot.values);
  return JSON.stringify([sortedByKey(values), sortedByKey(snapshot)]);
}

function sortedByKey(list: readonly [string, unknown][]): [string, unknown][] {
  return list.toSorted(([a], [b]) => (a < b ? -1 : 1));
}
