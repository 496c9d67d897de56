import type { Measure } from "./measure.ts";
import { compaction, compactionOfMany } from "./measures/compaction.ts";
import { firstCopy, firstCopyLarge } from "./measures/first-copy.ts";
import { fullSpeedWriter } from "./measures/full-speed.ts";
import { idleHundred, idleLarge, idleOne, idleS3 } from "./measures/idle.ts";
import { latencyAfterQuiet, latencyTenPerSecond, manyBusyDatabases } from "./measures/latency.ts";
import {
  restoreFile,
  restoreFileLarge,
  restoreManyFiles,
  restoreS3,
  restoreTimestamp,
} from "./measures/restore.ts";
import { snapshot } from "./measures/snapshot.ts";
import { startUp } from "./measures/start-up.ts";
import { walInOneGo } from "./measures/wal.ts";

/** All measures, in the order of the table. */
export const measures: readonly Measure[] = [
  firstCopy,
  firstCopyLarge,
  walInOneGo,
  restoreFile,
  restoreFileLarge,
  restoreS3,
  restoreManyFiles,
  restoreTimestamp,
  snapshot,
  compaction,
  compactionOfMany,
  latencyAfterQuiet,
  latencyTenPerSecond,
  fullSpeedWriter,
  idleOne,
  idleHundred,
  idleS3,
  idleLarge,
  manyBusyDatabases,
  startUp,
];
