/** What a store holds, as far as it is known without asking: listed once, kept up to date by what is written and deleted since. */
import { SNAPSHOT_LEVEL } from "../formats/ltx/layout.ts";
import type { TXID } from "../formats/ltx/txid.ts";
import { compareLTXFiles } from "../storage/replica-client.ts";
import type { LTXFileInfo, LTXFileName, ReplicaClient } from "../storage/replica-client.ts";
import { greatestTXID } from "./upload-plan.ts";

/** The listing of all levels; the index is the level. */
export type ReplicaListing = readonly (readonly LTXFileInfo[])[];

/** The highest level that compaction writes. */
export const MAX_COMPACTION_LEVEL: number = SNAPSHOT_LEVEL - 1;

/** Lists every level. Level 0 comes first: what moves up meanwhile is then seen twice, never not at all. */
export async function listReplica(
  client: ReplicaClient,
  signal: AbortSignal,
): Promise<ReplicaListing> {
  const list = async (level: number): Promise<LTXFileInfo[]> => {
    const files: LTXFileInfo[] = [];
    for await (const file of client.list(level, { signal })) files.push(file);
    return files;
  };
  const level0 = await list(0);
  const others = Array.from({ length: SNAPSHOT_LEVEL }, (_, index) => list(index + 1));
  return [level0, ...(await Promise.all(others))];
}

export class ReplicaInventory {
  #levels: LTXFileInfo[][] = emptyLevels();
  #known = false;
  /** What came in while a listing was under way, for each of them: several may be. */
  readonly #arrivals = new Set<LTXFileInfo[]>();

  /** Whether the store was listed since the last `forget`. */
  get isKnown(): boolean {
    return this.#known;
  }

  /** Files of a level in TXID order; of levels 1 … 8 only those that `trim` left. */
  files(level: number): readonly LTXFileInfo[] {
    return this.#levels[level] ?? [];
  }

  newest(level: number): LTXFileInfo | undefined {
    let newest: LTXFileInfo | undefined;
    for (const file of this.files(level))
      if (newest === undefined || file.maxTXID > newest.maxTXID) newest = file;
    return newest;
  }

  /** How far compaction has come on this level or a higher one; 0 = nowhere. */
  reached(level: number): TXID {
    let reached = 0n;
    for (let at = level; at <= MAX_COMPACTION_LEVEL; at++)
      reached = greatestTXID([reached, this.newest(at)?.maxTXID ?? 0n]);
    return reached;
  }

  /** A file got into the store. */
  add(file: LTXFileInfo): void {
    for (const arrivals of this.#arrivals) arrivals.push(file);
    insert(this.#levels[file.level], file);
  }

  /** Files are gone from the store. */
  remove(files: readonly LTXFileName[]): void {
    const names = new Set(files.map(nameOf));
    this.#levels = this.#levels.map((level) => level.filter((file) => !names.has(nameOf(file))));
  }

  /** What is known may be wrong. */
  forget(): void {
    this.#known = false;
  }

  /** Lists the store. Returns the whole listing, of which only what matters later is kept. */
  async load(client: ReplicaClient, signal: AbortSignal): Promise<ReplicaListing> {
    const arrivals: LTXFileInfo[] = [];
    this.#arrivals.add(arrivals);
    try {
      const listing = await listReplica(client, signal);
      this.#levels = listing.map((files) => files.slice());
      for (const file of arrivals) insert(this.#levels[file.level], file);
      this.#known = true;
      const whole = this.#levels.map((files) => files.slice());
      return whole;
    } finally {
      this.#arrivals.delete(arrivals);
    }
  }

  /**
   * Drops files that no next compaction needs, so that memory does not grow with the life of the replica: of levels 1 … `topLevel`,
   * and of level 0 when nobody deletes there.
   */
  trim(topLevel: number, keepLevel0: boolean): void {
    if (!keepLevel0) {
      const reached = this.reached(1);
      this.#levels[0] = this.files(0).filter((file) => file.maxTXID > reached);
    }
    const oldest = this.files(0)[0]?.minTXID;
    for (let level = 1; level <= MAX_COMPACTION_LEVEL; level++) {
      const newest = this.newest(level);
      const reached = level < topLevel ? this.reached(level + 1) : (newest?.maxTXID ?? 0n);
      const coversLevel0 = (file: LTXFileInfo): boolean =>
        level === 1 && oldest !== undefined && file.maxTXID >= oldest;
      this.#levels[level] = this.files(level).filter(
        (file) => file === newest || file.maxTXID > reached || coversLevel0(file),
      );
    }
  }
}

/** A file's level and TXIDs as a key. */
export function nameOf({ level, minTXID, maxTXID }: LTXFileName): string {
  return `${level}/${minTXID}-${maxTXID}`;
}

function insert(files: LTXFileInfo[] | undefined, file: LTXFileInfo): void {
  if (files === undefined) return;
  let at = files.length;
  while (at > 0 && compareLTXFiles(files[at - 1] as LTXFileInfo, file) > 0) at--;
  const before = files[at - 1];
  if (before !== undefined && compareLTXFiles(before, file) === 0) files[at - 1] = file;
  else files.splice(at, 0, file);
}

function emptyLevels(): LTXFileInfo[][] {
  return Array.from({ length: SNAPSHOT_LEVEL + 1 }, () => []);
}
