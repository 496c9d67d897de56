/** What a replica holds of v0.3 backups (formats §10): generations of snapshots and WAL segments. */
import { parseV3Path, V3_FOLDER } from "../formats/v3.ts";
import { isStorageError } from "../storage/replica-client.ts";
import type { ObjectInfo, ReplicaClient } from "../storage/replica-client.ts";

interface V3Object extends ObjectInfo {
  /** 16 hex digits. */
  readonly generation: string;
  /** Number of the WAL: a snapshot is the database as it was at the start of it. */
  readonly index: number;
}

export interface V3Snapshot extends V3Object {
  readonly kind: "snapshot";
}

export interface V3Segment extends V3Object {
  readonly kind: "segment";
  /** Where its bytes begin in the uncompressed WAL. */
  readonly offset: number;
}

export interface V3Inventory {
  /** By generation and index. */
  readonly snapshots: readonly V3Snapshot[];
  /** By generation, index and offset. */
  readonly segments: readonly V3Segment[];
  /** Paths of objects in the folder of v0.3 backups that are neither. */
  readonly unknownNames: readonly string[];
}

/** Lists the v0.3 backups of a replica: one listing, empty for a replica that has none. */
export async function readV3Inventory(
  client: ReplicaClient,
  signal?: AbortSignal,
): Promise<V3Inventory> {
  const objects: ObjectInfo[] = [];
  const listed = client.beside?.list(V3_FOLDER, signal === undefined ? {} : { signal });
  if (listed !== undefined) for await (const object of listed) objects.push(object);
  return sortV3Objects(objects);
}

/** Sorts the objects of a listing, in any order. */
export function sortV3Objects(objects: readonly ObjectInfo[]): V3Inventory {
  const snapshots: V3Snapshot[] = [];
  const segments: V3Segment[] = [];
  const unknownNames: string[] = [];
  for (const object of objects) {
    // What consoles of object stores make for a folder.
    if (object.name.endsWith("/")) continue;
    const parsed = parseV3Path(object.name);
    if (parsed === null) unknownNames.push(object.name);
    else if (parsed.kind === "snapshot") snapshots.push({ ...object, ...parsed });
    else segments.push({ ...object, ...parsed });
  }
  return {
    snapshots: snapshots.toSorted(compareObjects),
    segments: segments.toSorted((a, b) => compareObjects(a, b) || a.offset - b.offset),
    unknownNames,
  };
}

/** Whether there is any v0.3 backup, or what is left of one. */
export function hasV3Backups({ snapshots, segments }: V3Inventory): boolean {
  return snapshots.length > 0 || segments.length > 0;
}

/** Whether anything lies where v0.3 keeps its backups. A store that does not let us look there has nothing for us. */
export async function hasV3Objects(client: ReplicaClient, signal: AbortSignal): Promise<boolean> {
  const objects = client.beside?.list(V3_FOLDER, { signal });
  if (objects === undefined) return false;
  try {
    for await (const _object of objects) return true;
  } catch (error) {
    if (!isStorageError(error, "denied")) throw error;
  }
  return false;
}

export interface V3Generation {
  readonly generation: string;
  /** Times of its oldest and newest object. */
  readonly startAt: Date;
  readonly endAt: Date;
}

/** The generations in order of name. */
export function listV3Generations({ snapshots, segments }: V3Inventory): readonly V3Generation[] {
  const objects = Map.groupBy([...snapshots, ...segments], ({ generation }) => generation);
  return [...objects]
    .map(([generation, members]) => {
      const times = members.map(({ createdAt }) => createdAt.getTime()).toSorted((a, b) => a - b);
      const startAt = new Date(times[0] ?? 0);
      return { generation, startAt, endAt: new Date(times.at(-1) ?? 0) };
    })
    .toSorted((a, b) => (a.generation < b.generation ? -1 : 1));
}

function compareObjects(a: V3Object, b: V3Object): number {
  if (a.generation !== b.generation) return a.generation < b.generation ? -1 : 1;
  return a.index - b.index;
}
