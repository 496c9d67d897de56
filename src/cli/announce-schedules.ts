/** The records with which upstream says, at start, what runs by itself and how often. */
import type { Config } from "../config/config.ts";
import { SNAPSHOT_LEVEL } from "../formats/ltx/layout.ts";
import type { Logger } from "../service/logger.ts";

/** One record per level, snapshots included, one for level-0 retention, and one for what is on besides. */
export function announceSchedules(config: Config, logger: Logger): void {
  const store = logger.with({ system: "store" });
  const compaction = (level: number, intervalMs: number): void =>
    store.info("starting compaction monitor", { level, interval: { durationMs: intervalMs } });
  for (const [index, intervalMs] of config.levelIntervalsMs.entries())
    compaction(index + 1, intervalMs);
  const entries = [...config.databases, ...config.directories];
  for (const intervalMs of new Set(entries.map(({ snapshotIntervalMs }) => snapshotIntervalMs)))
    compaction(SNAPSHOT_LEVEL, intervalMs);
  if (config.retentionEnabled && config.l0RetentionMs > 0) {
    store.info("starting L0 retention monitor", {
      interval: { durationMs: config.l0RetentionCheckIntervalMs },
      retention: { durationMs: config.l0RetentionMs },
    });
  }
  if (config.validationIntervalMs !== undefined && config.validationIntervalMs > 0) {
    const interval = { durationMs: config.validationIntervalMs };
    store.info("starting validation monitor", { interval });
  }
}
