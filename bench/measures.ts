import type { Measure } from "./measure.ts";
import { firstCopy, firstCopyLarge } from "./measures/first-copy.ts";
import { restoreFile, restoreFileLarge, restoreS3 } from "./measures/restore.ts";
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
  startUp,
];
