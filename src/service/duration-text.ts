/** Durations as Go writes them ("1m0s", "500ms"): log lines, messages and JSON of upstream use this text. */

const NS_PER_MS = 1_000_000;

/** Writes a duration of `ms` milliseconds (fractions down to a nanosecond) as Go's Duration.String does. */
export function formatDuration(ms: number): string {
  const ns = Math.round(ms * NS_PER_MS);
  if (ns === 0) return "0s";
  const sign = ns < 0 ? "-" : "";
  return sign + formatPositive(Math.abs(ns));
}

/** Nanoseconds of a duration, as JSON log lines give them. */
export function durationNanoseconds(ms: number): number {
  return Math.round(ms * NS_PER_MS);
}

function formatPositive(ns: number): string {
  if (ns < 1_000) return `${ns}ns`;
  if (ns < 1_000_000) return `${trim(ns / 1_000, 3)}µs`;
  if (ns < 1_000_000_000) return `${trim(ns / 1_000_000, 6)}ms`;
  const wholeSeconds = Math.floor(ns / 1_000_000_000);
  const seconds = (wholeSeconds % 60) + (ns % 1_000_000_000) / 1_000_000_000;
  const minutes = Math.floor(wholeSeconds / 60) % 60;
  const hours = Math.floor(wholeSeconds / 3_600);
  if (hours > 0) return `${hours}h${minutes}m${trim(seconds, 9)}s`;
  if (minutes > 0) return `${minutes}m${trim(seconds, 9)}s`;
  return `${trim(seconds, 9)}s`;
}

function trim(value: number, digits: number): string {
  return value.toFixed(digits).replace(/\.?0+$/, "");
}
