/**
 * Flags as Go's `flag` package reads them: `-name value`, `-name=value`, `--name`; a boolean never takes the next word.
 * One difference: flags may also stand after other arguments, until `--`.
 */
import { formatDuration, parseDuration } from "../config/duration.ts";
import { nearest } from "../config/nearest.ts";
import { UsageError } from "./errors.ts";

interface FlagSpec {
  readonly kind: "string" | "boolean" | "integer" | "duration";
  /** Text for the value in the usage. */
  readonly value?: string;
  /** What it does, as lines of the usage; absent: accepted, but not shown. */
  readonly help?: readonly string[];
}

export type FlagTable = Readonly<Record<string, FlagSpec>>;

interface FlagKinds {
  string: string;
  boolean: boolean;
  integer: number;
  /** Milliseconds. */
  duration: number;
}

/** The flags that were given. */
export type FlagValues<T extends FlagTable> = {
  readonly [K in keyof T]?: FlagKinds[T[K]["kind"]];
};

export type ParsedFlags<T extends FlagTable> =
  | { readonly kind: "help" }
  | {
      readonly kind: "arguments";
      readonly flags: FlagValues<T>;
      readonly positionals: readonly string[];
    };

const HELP_NAMES: ReadonlySet<string> = new Set(["h", "help"]);

/** Reads the words after the command. Throws UsageError in Go's wording. */
export function parseFlags<T extends FlagTable>(args: readonly string[], table: T): ParsedFlags<T> {
  const flags: Record<string, string | boolean | number> = {};
  const positionals: string[] = [];
  for (let at = 0; at < args.length; at++) {
    const word = args[at] ?? "";
    if (word === "--") {
      positionals.push(...args.slice(at + 1));
      break;
    }
    if (word.length < 2 || !word.startsWith("-")) {
      positionals.push(word);
      continue;
    }
    const { name, value } = splitFlag(word);
    const spec = Object.hasOwn(table, name) ? table[name] : undefined;
    if (spec === undefined) {
      if (HELP_NAMES.has(name)) return { kind: "help" };
      throw unknownFlag(name, table);
    }
    if (spec.kind === "boolean") {
      flags[name] = value === undefined ? true : parseBoolean(value, name);
      continue;
    }
    const text = value ?? args[++at];
    if (text === undefined) throw new UsageError(`flag needs an argument: -${name}`);
    flags[name] = parseValue(text, name, spec.kind);
  }
  return { kind: "arguments", flags: flags as FlagValues<T>, positionals };
}

/** The "Arguments:" part of a usage text. */
export function formatFlags(table: FlagTable): string {
  return Object.entries(table)
    .filter(([, spec]) => spec.help !== undefined)
    .map(([name, { value, help = [] }]) => {
      const title = value === undefined ? `\t-${name}` : `\t-${name} ${value}`;
      return [title, ...help.map((line) => `\t    ${line}`)].join("\n");
    })
    .join("\n\n");
}

function splitFlag(word: string): { readonly name: string; readonly value: string | undefined } {
  const body = word.slice(word.startsWith("--") ? 2 : 1);
  if (body === "" || body.startsWith("-") || body.startsWith("=")) {
    throw new UsageError(`bad flag syntax: ${word}`);
  }
  const equals = body.indexOf("=");
  if (equals < 0) return { name: body, value: undefined };
  return { name: body.slice(0, equals), value: body.slice(equals + 1) };
}

function unknownFlag(name: string, table: FlagTable): UsageError {
  const meant = nearest(name, Object.keys(table));
  const hint = meant === undefined ? undefined : `Did you mean "-${meant}"?`;
  return new UsageError(`flag provided but not defined: -${name}`, { hint });
}

const TRUE: ReadonlySet<string> = new Set(["1", "t", "T", "true", "TRUE", "True"]);
const FALSE: ReadonlySet<string> = new Set(["0", "f", "F", "false", "FALSE", "False"]);

function parseBoolean(text: string, name: string): boolean {
  if (TRUE.has(text)) return true;
  if (FALSE.has(text)) return false;
  throw new UsageError(`invalid boolean value ${JSON.stringify(text)} for -${name}: parse error`);
}

function parseValue(
  text: string,
  name: string,
  kind: "string" | "integer" | "duration",
): string | number {
  switch (kind) {
    case "string":
      return text;
    case "integer": {
      const value = parseInteger(text);
      if (value !== undefined) return value;
      throw new UsageError(`invalid value ${JSON.stringify(text)} for flag -${name}: parse error`);
    }
    case "duration":
      try {
        return parseDuration(text);
      } catch {
        const hint = `Write a duration such as "${formatDuration(10_000)}"`;
        const quoted = JSON.stringify(text);
        throw new UsageError(`invalid value ${quoted} for flag -${name}: parse error`, { hint });
      }
  }
}

/** Go's ParseInt with base 0: `0x10`, `0b1`, `0o7` and `07`, underscores between digits. */
function parseInteger(text: string): number | undefined {
  const match = /^([-+]?)(.+)$/.exec(text);
  const body = match?.[2] ?? "";
  if (!/^(0[xX](_?[\da-fA-F])+|0[bB](_?[01])+|0[oO]?(_?[0-7])+|0|[1-9](_?\d)*)$/.test(body)) {
    return undefined;
  }
  const digits = body.replaceAll("_", "").toLowerCase();
  const value = Number(/^0[0-7]+$/.test(digits) ? `0o${digits.slice(1)}` : digits);
  if (!Number.isSafeInteger(value)) return undefined;
  return match?.[1] === "-" ? -value : value;
}
