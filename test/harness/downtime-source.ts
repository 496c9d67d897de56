/** A database and what its application does to it while nobody replicates. */
import { statSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import type { CheckpointMode } from "./application.ts";
import { Replication } from "./replication.ts";
import type { ReplicationOptions } from "./replication.ts";

/** One combination of what happens during a downtime. */
export interface Downtime {
  /** "auto": SQLite's own checkpoint by `wal_autocheckpoint`; "none": no checkpoint at all. */
  readonly checkpoint: CheckpointMode | "auto" | "none";
  readonly vacuum: boolean;
  /** Close the last connection, which checkpoints and deletes the WAL. */
  readonly close: boolean;
  readonly pageSizeChange: boolean;
  readonly rounds: number;
  /** Frames in the restarted WAL, compared with what was replicated of the old one. */
  readonly frames: "fewer" | "equal" | "more";
  /** A big transaction that spills into the WAL and is rolled back. */
  readonly spill: boolean;
}

const bools = [false, true];

/** All combinations. */
export const everyDowntime: readonly Downtime[] = (
  ["PASSIVE", "FULL", "RESTART", "TRUNCATE", "auto", "none"] as const
).flatMap((checkpoint) =>
  bools.flatMap((vacuum) =>
    bools.flatMap((close) =>
      bools.flatMap((pageSizeChange) =>
        [1, 2].flatMap((rounds) =>
          (["fewer", "equal", "more"] as const).flatMap((frames) =>
            bools.map((spill) => ({
              checkpoint,
              vacuum,
              close,
              pageSizeChange,
              rounds,
              frames,
              spill,
            })),
          ),
        ),
      ),
    ),
  ),
);

/** Its connection lives in this process: nothing here may open the database file in any other way. */
export class DowntimeSource implements Disposable {
  readonly replication: Replication;
  readonly name: string;
  readonly #downtime: Downtime;
  #connection: DatabaseSync;
  /** Frames that had been replicated when the downtime began. */
  #framesBefore = 0;

  constructor(options: ReplicationOptions, downtime: Downtime) {
    this.replication = new Replication(options);
    this.#downtime = downtime;
    this.name = `${options.id}: ${Object.entries(downtime)
      .map(([key, value]) => `${key}=${value}`)
      .join(" ")}`;
    this.#connection = this.#open();
    this.#connection.exec("PRAGMA page_size = 1024; PRAGMA journal_mode = wal");
    this.#connection.exec(
      "CREATE TABLE note (id INTEGER PRIMARY KEY, body BLOB); CREATE TABLE tick (n INTEGER); INSERT INTO tick VALUES (0)",
    );
    this.#insert(20, 900);
  }

  /** Commits that many small transactions, one frame each. */
  write(count: number): void {
    for (let i = 0; i < count; i++) this.#connection.exec("UPDATE tick SET n = n + 1");
  }

  spendDowntime(): void {
    for (let round = 0; round < this.#downtime.rounds; round++) this.#spendRound(round);
  }

  [Symbol.dispose](): void {
    this.#connection.close();
  }

  #spendRound(round: number): void {
    const { checkpoint, vacuum, close, pageSizeChange, frames, spill } = this.#downtime;
    this.#framesBefore = this.#framesInWAL();
    if (checkpoint === "auto") this.#connection.exec("PRAGMA wal_autocheckpoint = 5");
    this.#insert(4, 2_000);
    if (spill) this.#rollBackSpill();
    if (pageSizeChange) this.#changePageSize(round === 0 ? 4096 : 512);
    else if (vacuum) this.#connection.exec("DELETE FROM note WHERE id % 3 = 0; VACUUM");
    if (checkpoint === "auto") this.#connection.exec("PRAGMA wal_autocheckpoint = 0");
    else if (checkpoint !== "none") this.#connection.exec(`PRAGMA wal_checkpoint(${checkpoint})`);
    if (close) {
      this.#connection.close();
      this.#connection = this.#open();
    }
    this.write({ fewer: 3, equal: this.#framesBefore, more: this.#framesBefore + 7 }[frames]);
    if (spill) this.#rollBackSpill();
  }

  #open(): DatabaseSync {
    const connection = new DatabaseSync(this.replication.database);
    connection.exec(
      "PRAGMA wal_autocheckpoint = 0; PRAGMA synchronous = OFF; PRAGMA cache_size = 10",
    );
    return connection;
  }

  #insert(count: number, sizeBytes: number): void {
    for (let i = 0; i < count; i++)
      this.#connection.exec(`INSERT INTO note (body) VALUES (randomblob(${sizeBytes}))`);
  }

  #rollBackSpill(): void {
    this.#connection.exec("BEGIN");
    this.#insert(15, 2_000);
    this.#connection.exec("ROLLBACK");
  }

  #changePageSize(pageSize: number): void {
    this.#connection.exec(
      `PRAGMA journal_mode = delete; PRAGMA page_size = ${pageSize}; VACUUM; PRAGMA journal_mode = wal`,
    );
  }

  #framesInWAL(): number {
    const size = statSync(`${this.replication.database}-wal`, { throwIfNoEntry: false })?.size ?? 0;
    const pageSize = Number(this.#connection.prepare("PRAGMA page_size").get()?.["page_size"]);
    return Math.max(0, Math.floor((size - 32) / (24 + pageSize)));
  }
}
