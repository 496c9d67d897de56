/**
 * `$NAME` and `${NAME}` in the text of a configuration file, before it is read as YAML.
 *
 * The rules are those of Go's os.Expand, which upstream uses, with three additions: `$$` is a dollar sign,
 * `${NAME:-default}` gives a default for an unset or empty variable, `${NAME:?message}` makes it an error.
 */

export interface ExpandedText {
  readonly text: string;
  /** For each line of `text`, 0-based: the line of the source it came from, 1-based. A value may hold newlines. */
  readonly sourceLines: readonly number[];
  /** Names that were not set, outside of comments, each once. */
  readonly unset: readonly EnvProblem[];
  /** `${NAME:?message}` of variables that are not set. */
  readonly required: readonly (EnvProblem & { readonly message: string })[];
}

interface EnvProblem {
  readonly name: string;
  /** 1-based line of the source. */
  readonly line: number;
}

/** Expands every variable of `source`. `PID` is always this process's id. */
export function expandEnv(
  source: string,
  env: Readonly<Record<string, string | undefined>>,
  pid: number,
): ExpandedText {
  const unset: EnvProblem[] = [];
  const required: (EnvProblem & { message: string })[] = [];
  const sourceLines: number[] = [];
  const lines = source.split("\n");
  const expanded = lines.map((lineText, index) => {
    const line = index + 1;
    const text = expandLine(lineText, (reference, inComment) => {
      const { name, operator, argument } = splitReference(reference);
      const value = name === "PID" ? String(pid) : env[name];
      if (value !== undefined && (value !== "" || operator === "")) return value;
      if (operator === ":-") return argument;
      if (inComment) return value ?? "";
      if (operator === ":?") required.push({ name, line, message: argument });
      else if (!unset.some((problem) => problem.name === name)) unset.push({ name, line });
      return value ?? "";
    });
    for (let count = text.split("\n").length; count > 0; count--) sourceLines.push(line);
    return text;
  });
  return { text: expanded.join("\n"), sourceLines, unset, required };
}

interface Reference {
  readonly name: string;
  readonly operator: "" | ":-" | ":?";
  readonly argument: string;
}

function splitReference(reference: string): Reference {
  const match = /^([A-Za-z_]\w*)(:-|:\?)(.*)$/s.exec(reference);
  if (match === null) return { name: reference, operator: "", argument: "" };
  const [, name = "", operator, argument = ""] = match;
  return { name, operator: operator === ":-" ? ":-" : ":?", argument };
}

function expandLine(text: string, valueOf: (name: string, inComment: boolean) => string): string {
  const commentAt = commentStart(text);
  let result = "";
  let at = 0;
  while (at < text.length) {
    const dollar = text.indexOf("$", at);
    if (dollar < 0 || dollar === text.length - 1) break;
    result += text.slice(at, dollar);
    const token = readToken(text, dollar + 1);
    result += token.name === undefined ? token.literal : valueOf(token.name, dollar >= commentAt);
    at = token.end;
  }
  return result + text.slice(at);
}

type Token =
  | { readonly name: string; readonly end: number }
  | { readonly name: undefined; readonly literal: string; readonly end: number };

/** Reads what follows a dollar sign at `start`. */
function readToken(text: string, start: number): Token {
  const first = text[start] ?? "";
  if (first === "$") return { name: undefined, literal: "$", end: start + 1 };
  if (first === "{") {
    const close = text.indexOf("}", start + 1);
    // Go drops a `${` without an end, and `${}` altogether.
    if (close < 0) return { name: undefined, literal: "", end: start + 1 };
    if (close === start + 1) return { name: undefined, literal: "", end: close + 1 };
    return { name: text.slice(start + 1, close), end: close + 1 };
  }
  if (/[*#@!?\-\d]/.test(first)) return { name: first, end: start + 1 };
  const name = /^\w+/.exec(text.slice(start))?.[0];
  if (name === undefined) return { name: undefined, literal: "$", end: start };
  return { name, end: start + name.length };
}

/** Where a comment begins: a `#` at the start or after a blank, outside of quotes. */
function commentStart(text: string): number {
  let quote = "";
  for (let at = 0; at < text.length; at++) {
    const char = text[at] ?? "";
    const before = at === 0 ? " " : (text[at - 1] ?? "");
    if (quote !== "") {
      if (char === "\\" && quote === '"') at++;
      else if (char === quote) quote = "";
    } else if (char === "#" && /\s/.test(before)) {
      return at;
    } else if ((char === '"' || char === "'") && /[\s[{,:]/.test(before)) {
      quote = char;
    }
  }
  return text.length;
}
