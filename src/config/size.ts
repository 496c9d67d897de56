/** Byte sizes as the go-humanize library reads them: `MB` is a million bytes, `MiB` 1,048,576. */

const PREFIXES = ["", "k", "m", "g", "t", "p", "e"] as const;
const UNIT_BYTES: ReadonlyMap<string, number> = new Map(
  PREFIXES.flatMap((prefix, power): [string, number][] =>
    prefix === ""
      ? [
          ["", 1],
          ["b", 1],
        ]
      : [
          [prefix, 1000 ** power],
          [`${prefix}b`, 1000 ** power],
          [`${prefix}i`, 1024 ** power],
          [`${prefix}ib`, 1024 ** power],
        ],
  ),
);

/** Bytes of a size such as `5MiB`, `1,000` or `1.5 GB`. Throws SyntaxError in upstream's wording. */
export function parseSize(text: string): number {
  const trimmed = text.trim();
  if (trimmed === "") throw new SyntaxError("empty size string");
  const digits = /^[\d.,]*/.exec(trimmed)?.[0] ?? "";
  const number = digits.replaceAll(",", "");
  if (!/^(\d+\.?\d*|\.\d+)$/.test(number)) {
    const quoted = JSON.stringify(number);
    throw new SyntaxError(
      `invalid size format: strconv.ParseFloat: parsing ${quoted}: invalid syntax`,
    );
  }
  const unit = trimmed.slice(digits.length).trim().toLowerCase();
  const factor = UNIT_BYTES.get(unit);
  if (factor === undefined) {
    throw new SyntaxError(`invalid size format: unhandled size name: ${unit}`);
  }
  const bytes = Math.floor(Number(number) * factor);
  if (bytes > Number.MAX_SAFE_INTEGER) {
    throw new SyntaxError(`invalid size format: too large: ${text}`);
  }
  return bytes;
}
