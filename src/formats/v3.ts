/** Names in the replicas of Litestream 0.3 (formats §10): generations of snapshots and WAL segments. */

const GENERATION = /^[0-9a-f]{16}$/;
const SNAPSHOT = /^([0-9a-f]{8})\.snapshot\.lz4$/;
const SEGMENT = /^([0-9a-f]{8})_([0-9a-f]{8,16})\.wal\.lz4$/;
const MAX_INDEX = 0x7fff_ffff;

/** A piece of the WAL with number `index`: its raw bytes from `offset` on. */
export interface V3SegmentName {
  readonly index: number;
  readonly offset: number;
}

/** What an object of a v0.3 replica is, by its path. */
export type V3ObjectName =
  | { readonly kind: "snapshot"; readonly generation: string; readonly index: number }
  | ({ readonly kind: "segment"; readonly generation: string } & V3SegmentName);

/** The folder of all v0.3 backups below the replica path. */
export const V3_FOLDER = "generations";

/**
 * Reads a path below the replica path: `generations/<generation>/snapshots/<name>` or `generations/<generation>/wal/<name>`.
 * Null when it is neither.
 */
export function parseV3Path(path: string): V3ObjectName | null {
  const [folder, generation = "", kind, name = "", ...more] = path.split("/");
  if (folder !== V3_FOLDER || !isV3Generation(generation) || more.length > 0) return null;
  if (kind === "snapshots") {
    const index = parseV3SnapshotName(name);
    return index === null ? null : { kind: "snapshot", generation, index };
  }
  const segment = kind === "wal" ? parseV3SegmentName(name) : null;
  return segment === null ? null : { kind: "segment", generation, ...segment };
}

/** Whether a folder name is that of a generation: 16 hex digits. */
export function isV3Generation(name: string): boolean {
  return GENERATION.test(name);
}

/** The WAL index at whose start the snapshot was taken, or null when it is no snapshot name. */
export function parseV3SnapshotName(name: string): number | null {
  const match = SNAPSHOT.exec(name);
  return match ? toIndex(match[1]) : null;
}

/** Index and offset of a WAL segment, or null when it is no segment name. */
export function parseV3SegmentName(name: string): V3SegmentName | null {
  const match = SEGMENT.exec(name);
  const index = match ? toIndex(match[1]) : null;
  const offset = Number.parseInt(match?.[2] ?? "", 16);
  return index === null || !Number.isSafeInteger(offset) ? null : { index, offset };
}

export function formatV3SnapshotName(index: number): string {
  return `${hex8(index)}.snapshot.lz4`;
}

export function formatV3SegmentName({ index, offset }: V3SegmentName): string {
  return `${hex8(index)}_${hex8(offset)}.wal.lz4`;
}

/** `<generation>/<index>:<offset>`, as Litestream prints positions. */
export function formatV3Pos(generation: string, index: number, offset: number): string {
  return `${generation}/${hex8(index)}:${offset.toString(16).padStart(16, "0")}`;
}

function toIndex(hex: string | undefined): number | null {
  const index = Number.parseInt(hex ?? "", 16);
  return index <= MAX_INDEX ? index : null;
}

function hex8(value: number): string {
  return value.toString(16).padStart(8, "0");
}
