/** Sizes for people, as go-humanize writes them: `9 B`, `4.1 kB`, `33 kB`. */

const UNITS = ["B", "kB", "MB", "GB", "TB", "PB", "EB"] as const;

/** One decimal below ten units, none above; powers of 1000. */
export function formatHumanSize(bytes: number): string {
  if (bytes < 10) return `${bytes} B`;
  const power = Math.min(UNITS.length - 1, Math.floor(Math.log(bytes) / Math.log(1000) + 1e-12));
  const value = Math.floor((bytes / 1000 ** power) * 10 + 0.5) / 10;
  const text = value < 10 ? value.toFixed(1) : value.toFixed(0);
  return `${text} ${UNITS[power] ?? ""}`;
}
