/** Decides which objects of a v0.3 backup make up the database at a time or WAL index. Pure. */
import { formatV3Pos } from "../formats/v3.ts";
import { hasV3Backups } from "./v3-inventory.ts";
import type { V3Inventory, V3Segment, V3Snapshot } from "./v3-inventory.ts";

/** What to restore; everything that is left out is unbounded. */
export interface V3RestoreTarget {
  readonly generation?: string | undefined;
  /** The last WAL to apply. */
  readonly index?: number | undefined;
  /** Objects up to this time, itself included. */
  readonly at?: Date | undefined;
}

/** The segments of one WAL, in order of offset; the first starts at 0. */
export interface V3WAL {
  readonly index: number;
  readonly segments: readonly V3Segment[];
}

export interface V3RestoreChain {
  readonly kind: "restore";
  readonly generation: string;
  readonly snapshot: V3Snapshot;
  /** Consecutive, from the snapshot's index on. */
  readonly wals: readonly V3WAL[];
  /** Time of the last object. */
  readonly reachedAt: Date;
}

export interface V3RestoreRefusal {
  readonly kind: "refused";
  /**
   * no-backup   nothing there, or nothing within the bounds (`nothingAtAll` tells which)
   * gap         segments are missing
   */
  readonly reason: "no-backup" | "gap";
  readonly nothingAtAll: boolean;
  readonly message: string;
  /** What Litestream says in this case. */
  readonly upstreamMessage: string | undefined;
  readonly hint: string | undefined;
  /** On a gap: how far the backup would reach without it. */
  readonly reachedAt: Date | undefined;
}

export type V3RestorePlan = V3RestoreChain | V3RestoreRefusal;

/**
 * Plans a restore. Of several generations the one with the newest data within the bounds is taken, of its snapshots the
 * newest, and every segment behind it up to the first one outside of the bounds.
 */
export function planV3Restore(inventory: V3Inventory, target: V3RestoreTarget): V3RestorePlan {
  const snapshot = chooseSnapshot(inventory, target);
  if (snapshot === undefined) return refuseNothing(inventory, target);
  const { generation } = snapshot;
  const segments = segmentsBehind(snapshot, inventory, target);
  const reachedAt = newestOf([snapshot, ...segments]);
  const wals = [...Map.groupBy(segments, ({ index }) => index)].map(([index, members]) => ({
    index,
    segments: members,
  }));
  const hole = findHole(snapshot, wals);
  if (hole !== undefined) return refuseHole(hole, target, snapshot, segments, reachedAt);
  return { kind: "restore", generation, snapshot, wals, reachedAt };
}

/** The objects of a chain in the order in which they are read. */
export function chainObjects({
  snapshot,
  wals,
}: V3RestoreChain): readonly (V3Snapshot | V3Segment)[] {
  return [snapshot, ...wals.flatMap(({ segments }) => segments)];
}

export function describeV3Target({ generation, index, at }: V3RestoreTarget): string {
  const words = [
    generation === undefined ? undefined : `of generation ${generation}`,
    index === undefined ? undefined : `at index ${index.toString(16).padStart(8, "0")}`,
    at === undefined ? undefined : `at timestamp ${at.toISOString()}`,
  ].filter((word) => word !== undefined);
  return ["the v0.3 backup", ...words].join(" ");
}

/** How to ask `restore` for the state just after `object` was stored. */
export function formatV3RestorePoint({ generation, createdAt }: V3Snapshot | V3Segment): string {
  return `-generation ${generation} -timestamp ${createdAt.toISOString()}`;
}

function chooseSnapshot(
  { snapshots, segments }: V3Inventory,
  target: V3RestoreTarget,
): V3Snapshot | undefined {
  const usable = snapshots.filter((snapshot) => isWithin(snapshot, target));
  const generations = new Set(usable.map(({ generation }) => generation));
  let newest: V3Snapshot | V3Segment | undefined;
  for (const object of [...usable, ...segments]) {
    if (!generations.has(object.generation) || !isWithin(object, target)) continue;
    if (newest === undefined || object.createdAt >= newest.createdAt) newest = object;
  }
  return usable
    .filter(({ generation }) => generation === newest?.generation)
    .toSorted((a, b) => a.createdAt.getTime() - b.createdAt.getTime() || a.index - b.index)
    .at(-1);
}

function segmentsBehind(
  snapshot: V3Snapshot,
  { segments }: V3Inventory,
  target: V3RestoreTarget,
): readonly V3Segment[] {
  const behind = segments.filter(
    ({ generation, index }) => generation === snapshot.generation && index >= snapshot.index,
  );
  // Clocks step back: what lies behind the first object outside the bounds is outside as well.
  const end = behind.findIndex((segment) => !isWithin(segment, target));
  return end < 0 ? behind : behind.slice(0, end);
}

function isWithin(
  object: V3Snapshot | V3Segment,
  { generation, index, at }: V3RestoreTarget,
): boolean {
  if (generation !== undefined && object.generation !== generation) return false;
  if (index !== undefined && object.index > index) return false;
  return at === undefined || object.createdAt.getTime() <= at.getTime();
}

/** A place where a segment should start, and the one that comes instead. */
interface Hole {
  readonly index: number;
  readonly found: V3Segment;
}

/** Missing WALs and missing first segments; holes further on show only when the sizes are known. */
function findHole(snapshot: V3Snapshot, wals: readonly V3WAL[]): Hole | undefined {
  let index = snapshot.index;
  for (const wal of wals) {
    const [found] = wal.segments;
    if (found !== undefined && (wal.index !== index || found.offset !== 0)) return { index, found };
    index += 1;
  }
  return undefined;
}

function refuseHole(
  { index, found }: Hole,
  target: V3RestoreTarget,
  snapshot: V3Snapshot,
  segments: readonly V3Segment[],
  reachedAt: Date,
): V3RestoreRefusal {
  const before = segments[segments.indexOf(found) - 1] ?? snapshot;
  return {
    kind: "refused",
    reason: "gap",
    nothingAtAll: false,
    message: `Cannot restore ${describeV3Target(target)}: ${missingSegment(found, index, 0)}`,
    upstreamMessage: undefined,
    hint: hintBefore(before),
    reachedAt,
  };
}

/** `missing WAL segment: expected <position>, got <position>` */
export function missingSegment(found: V3Segment, index: number, offset: number): string {
  const { generation } = found;
  const expected = formatV3Pos(generation, index, offset);
  return `missing WAL segment: expected ${expected}, got ${formatV3Pos(generation, found.index, found.offset)}`;
}

/** How to go on when what follows `object` is missing or damaged. */
export function hintBefore(object: V3Snapshot | V3Segment): string {
  return `Bring it back from a copy, or restore the last state before it with ${formatV3RestorePoint(object)}`;
}

function refuseNothing(inventory: V3Inventory, target: V3RestoreTarget): V3RestoreRefusal {
  const { snapshots } = inventory;
  const oldest = snapshots
    .filter(({ generation }) => generation === (target.generation ?? generation))
    .toSorted((a, b) => a.createdAt.getTime() - b.createdAt.getTime())[0];
  return {
    kind: "refused",
    reason: "no-backup",
    nothingAtAll: !hasV3Backups(inventory),
    message: `Cannot restore ${describeV3Target(target)}: ${whyNothing(inventory, oldest)}`,
    upstreamMessage: upstreamMessage(inventory, target),
    hint: oldest && `The oldest state kept is ${formatV3RestorePoint(oldest)}`,
    reachedAt: undefined,
  };
}

function whyNothing(inventory: V3Inventory, oldest: V3Snapshot | undefined): string {
  if (!hasV3Backups(inventory)) return "no backups found";
  if (inventory.snapshots.length === 0) return "no snapshots available";
  return oldest === undefined ? "there is no such generation" : "no snapshot is that old";
}

function upstreamMessage(
  { snapshots }: V3Inventory,
  { generation, index, at }: V3RestoreTarget,
): string {
  if (generation !== undefined || index !== undefined) return "no matching backups found";
  if (snapshots.length === 0) return "no snapshots available";
  return at === undefined ? "no matching backup files available" : "timestamp does not exist";
}

function newestOf(objects: readonly { readonly createdAt: Date }[]): Date {
  return new Date(Math.max(...objects.map(({ createdAt }) => createdAt.getTime())));
}
