/** Durations in Go's syntax ("1h30m", "300ms"), with `d` and `w` as additions. */
export { formatDuration } from "../service/duration-text.ts";

const UNIT_NS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  "\u00b5s": 1e3, // micro sign
  "\u03bcs": 1e3, // Greek mu
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3_600e9,
  d: 86_400e9,
  w: 604_800e9,
};

/** Go keeps a duration in 63 bits of nanoseconds, some 292 years. */
const MAX_DURATION_NS = 2 ** 63;

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
    const factor = UNIT_NS[unit];
    if (factor === undefined) {
      const name = JSON.stringify(unit);
      throw new SyntaxError(`time: unknown unit ${name} in duration ${JSON.stringify(text)}`);
    }
    total += Number(number) * factor;
    rest = rest.slice(whole.length);
  }
  if (total > MAX_DURATION_NS) {
    throw new SyntaxError(`time: invalid duration ${JSON.stringify(text)}`);
  }
  return total === 0 ? 0 : (sign * total) / 1e6;
}
