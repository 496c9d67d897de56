/** The machine's time. Timers of the program are made here and nowhere else. */
import { setTimeout as delay } from "node:timers/promises";
import type { Clock } from "../engine/clock.ts";

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) => delay(ms, undefined, signal === undefined ? {} : { signal }),
};
