/** JSON as Go's encoder writes it and its decoder reads it: compact, `<`, `>` and `&` escaped, 64-bit numbers whole. */

const ESCAPES: Readonly<Record<string, string>> = {
  "<": "\\u003c",
  ">": "\\u003e",
  "&": "\\u0026",
  "\u2028": "\\u2028",
  "\u2029": "\\u2029",
};

/** One line, or lines with that many blanks, and a newline at the end. A bigint becomes a plain number; undefined fields are left out. */
export function encodeGoJSON(value: unknown, indent: number = 0): string {
  const text = JSON.stringify(
    value,
    (_key, field: unknown) => (typeof field === "bigint" ? rawNumber(field) : field),
    indent,
  );
  return `${text.replaceAll(/[<>&\u2028\u2029]/g, (char) => ESCAPES[char] ?? char)}\n`;
}

/** TypeScript does not know this part of the language yet. */
function rawNumber(value: bigint): unknown {
  return (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(String(value));
}

/** The text of the first JSON value in `text`, when it is an object or a list: Go ignores what stands behind it. */
function firstValue(text: string): string {
  let depth = 0;
  for (const { 0: token, index } of text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}]/gs)) {
    if (token === "{" || token === "[") depth++;
    else if ((token === "}" || token === "]") && --depth === 0) return text.slice(0, index + 1);
  }
  return text;
}

/** Why a body cannot be read, in Go's words. */
export class BodyError extends Error {
  override readonly name = "BodyError";
}

type FieldKind = "string" | "int" | "bool" | "object";

interface FieldValues {
  string: string;
  int: number;
  bool: boolean;
  object: Readonly<Record<string, unknown>>;
}

type Fields = Readonly<Record<string, FieldKind>>;

type Decoded<T extends Fields> = { readonly [K in keyof T]?: FieldValues[T[K]] };

/** Reads the body of a request of Go's type `goType`; unknown fields are ignored. Throws BodyError. */
export function decodeBody<T extends Fields>(text: string, goType: string, fields: T): Decoded<T> {
  const value = parse(text);
  if (value === null) return {};
  if (typeof value !== "object" || Array.isArray(value))
    throw new BodyError(
      `json: cannot unmarshal ${kindOf(value)} into Go value of type litestream.${goType}`,
    );
  const decoded: Record<string, unknown> = {};
  for (const [key, field] of Object.entries(value)) {
    // Go takes a name in any case.
    const name = Object.keys(fields).find((own) => own.toLowerCase() === key.toLowerCase());
    const kind = name === undefined ? undefined : fields[name];
    if (name === undefined || kind === undefined || field === null) continue;
    if (!matches(field, kind))
      throw new BodyError(
        `json: cannot unmarshal ${kindOf(field)} into Go struct field ${goType}.${name} of type ${kind}`,
      );
    decoded[name] = field;
  }
  return decoded as Decoded<T>;
}

function parse(text: string): unknown {
  if (text.trim() === "") throw new BodyError("EOF");
  try {
    return JSON.parse(firstValue(text));
  } catch {
    const bad = /^\s*([^\s{["\d\-tfn])/u.exec(text)?.[1];
    throw new BodyError(
      bad === undefined
        ? "unexpected EOF"
        : `invalid character '${bad}' looking for beginning of value`,
    );
  }
}

function matches(value: unknown, kind: FieldKind): boolean {
  switch (kind) {
    case "string":
      return typeof value === "string";
    case "bool":
      return typeof value === "boolean";
    case "int":
      return Number.isSafeInteger(value);
    case "object":
      return typeof value === "object" && !Array.isArray(value);
  }
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return "array";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "number" && !Number.isInteger(value)) return `number ${value}`;
  return typeof value;
}
