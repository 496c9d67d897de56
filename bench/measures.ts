import type { Measure } from "./measure.ts";
import { firstCopy, firstCopyLarge } from "./measures/first-copy.ts";

/** All measures, in the order of the table. */
export const measures: readonly Measure[] = [firstCopy, firstCopyLarge];
