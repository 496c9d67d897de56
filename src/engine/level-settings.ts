/** How often the levels of a replica are made, and how long their files stay. */

export interface LevelSettings {
  /** Intervals of levels 1, 2, …; at most 8. Empty: no compaction. */
  readonly levelIntervalsMs: readonly number[];
  /** 0: no snapshots by schedule. */
  readonly snapshotIntervalMs: number;
  readonly snapshotRetentionMs: number;
  /** How long level-0 files stay after they are in level 1; 0 = for ever. */
  readonly l0RetentionMs: number;
  readonly l0RetentionCheckIntervalMs: number;
  /** False: nothing is ever deleted in the store; its own rules do that. */
  readonly retentionEnabled: boolean;
  /** List a level after each compaction into it, and report files that do not follow each other. */
  readonly verifyCompaction: boolean;
  /** How often all levels are listed and checked; 0 = never. */
  readonly validationIntervalMs: number;
  /** How often the store is listed although nothing happened; 0 = never. */
  readonly auditIntervalMs: number;
  /** How much of level 0 may wait on the local disk for a replica out of reach; undefined = the database's size, at least 1 GiB; 0 = any amount. */
  readonly backlogLimitBytes?: number | undefined;
}

/** Upstream's defaults, and an audit every hour. */
export const DEFAULT_LEVEL_SETTINGS: LevelSettings = {
  levelIntervalsMs: [30_000, 300_000, 3_600_000],
  snapshotIntervalMs: 86_400_000,
  snapshotRetentionMs: 86_400_000,
  l0RetentionMs: 300_000,
  l0RetentionCheckIntervalMs: 15_000,
  retentionEnabled: true,
  verifyCompaction: false,
  validationIntervalMs: 0,
  auditIntervalMs: 3_600_000,
};
