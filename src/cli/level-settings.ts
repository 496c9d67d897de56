/** The configuration of levels, snapshots and retention as the engine takes it. */
import type { Config, DatabaseConfig, ReplicaConfig } from "../config/config.ts";
import { DEFAULT_LEVEL_SETTINGS } from "../engine/level-settings.ts";
import type { LevelSettings } from "../engine/level-settings.ts";

export function levelSettings(
  config: Config,
  { snapshotIntervalMs, snapshotRetentionMs }: DatabaseConfig,
): LevelSettings {
  return {
    ...DEFAULT_LEVEL_SETTINGS,
    levelIntervalsMs: config.levelIntervalsMs,
    snapshotIntervalMs,
    snapshotRetentionMs,
    l0RetentionMs: config.l0RetentionMs,
    l0RetentionCheckIntervalMs: config.l0RetentionCheckIntervalMs,
    retentionEnabled: config.retentionEnabled,
    verifyCompaction: config.verifyCompaction,
    validationIntervalMs: config.validationIntervalMs ?? 0,
    auditIntervalMs: config.auditIntervalMs,
    backlogLimitBytes: config.backlogLimitBytes,
  };
}

/** What a replica sets for itself. */
export function replicaLevelSettings(replica: ReplicaConfig): Partial<LevelSettings> {
  const { snapshotIntervalMs, retentionMs, validationIntervalMs } = replica;
  return {
    ...(snapshotIntervalMs === undefined ? {} : { snapshotIntervalMs }),
    ...(retentionMs === undefined ? {} : { snapshotRetentionMs: retentionMs }),
    ...(validationIntervalMs === undefined ? {} : { validationIntervalMs }),
  };
}
