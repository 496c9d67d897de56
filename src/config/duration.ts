/** Durations in Go's syntax ("1h30m", "300ms"), with `d` and `w` as additions. */
export { formatDuration } from "../service/duration-text.ts";

const UNIT_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  "\u00b5s": 1e-3, // micro sign
  "\u03bcs": 1e-3, // Greek mu
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** Go keeps a duration in 63 bits of nanoseconds, some 292 years. */
const MAX_DURATION_MS = 2 ** 63 / 1e6;

/**
 * Milliseconds of a duration; fractions of a millisecond are kept.
 * Throws SyntaxError with Go's wording for a text that is no duration.
 */
export function parseDuration(text: string): number {
  const match = /^([-+]?)(.*)$/su.exec(text);
  const sign = match?.[1] === "-" ? -1 : 1;
  let rest = match?.[2] ?? "";
  if (rest === "0") return 0;
  if (rest === "") throw new SyntaxError(`time: invalid duration ${JSON.stringify(text)}`);
  let total = 0;
  while (rest !== "") {
    const part = /^(\d+\.?\d*|\.\d+)([^\d.]*)/u.exec(rest);
    if (part === null) throw new SyntaxError(`time: invalid duration ${JSON.stringify(text)}`);
    const [whole, number = "", unit = ""] = part;
    if (unit === "") {
      throw new SyntaxError(`time: missing unit in duration ${JSON.stringify(text)}`);
    }
    const factor = UNIT_MS[unit];
    if (factor === undefined) {
      const name = JSON.stringify(unit);
      throw new SyntaxError(`time: unknown unit ${name} in duration ${JSON.stringify(text)}`);
    }
    total += Number(number) * factor;
    rest = rest.slice(whole.length);
  }
  if (total > MAX_DURATION_MS) {
    throw new SyntaxError(`time: invalid duration ${JSON.stringify(text)}`);
  }
  return total === 0 ? 0 : sign * total;
}
