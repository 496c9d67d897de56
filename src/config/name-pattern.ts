/**
 * Name patterns of `dir` entries: those of Go's filepath.Match (`*`, `?`, `[a-z]`, `[^a]`, `\` before a character),
 * and, beyond it, `{a,b}` and `**`, which crosses slashes.
 */

/** A test for file names. Throws SyntaxError when the pattern is not closed. */
export function compileNamePattern(pattern: string): (name: string) => boolean {
  const expression = new RegExp(`^(?:${translate(pattern)})$`, "su");
  return (name) => expression.test(name);
}

function translate(pattern: string): string {
  let source = "";
  let depth = 0;
  for (let at = 0; at < pattern.length;) {
    const char = String.fromCodePoint(pattern.codePointAt(at) ?? 0);
    at += char.length;
    if (char === "*" && pattern[at] === "*") {
      at++;
      // "**/" is also no folder at all.
      if (pattern[at] === "/") {
        at++;
        source += "(?:.*/)?";
      } else source += ".*";
    } else if (char === "*") source += "[^/]*";
    else if (char === "?") source += "[^/]";
    else if (char === "\\") {
      const next = pattern.codePointAt(at);
      if (next === undefined) throw badPattern(pattern, "it ends with a backslash");
      const escaped = String.fromCodePoint(next);
      source += quote(escaped);
      at += escaped.length;
    } else if (char === "[") {
      const set = readSet(pattern, at);
      source += set.source;
      at = set.end;
    } else if (char === "{") {
      depth++;
      source += "(?:";
    } else if (char === "}" && depth > 0) {
      depth--;
      source += ")";
    } else if (char === "," && depth > 0) source += "|";
    else source += quote(char);
  }
  if (depth > 0) throw badPattern(pattern, 'a "{" is not closed');
  return source;
}

/** The set that begins behind its `[`, which stands before `start`. */
function readSet(
  pattern: string,
  start: number,
): { readonly source: string; readonly end: number } {
  let at = start;
  const negated = pattern[at] === "^";
  if (negated) at++;
  let source = "";
  for (let first = true; ; first = false) {
    if (at >= pattern.length) throw badPattern(pattern, 'a "[" is not closed');
    if (pattern[at] === "]" && !first) break;
    const low = readSetChar(pattern, at);
    at = low.end;
    if (pattern[at] === "-" && pattern[at + 1] !== "]") {
      const high = readSetChar(pattern, at + 1);
      at = high.end;
      if (low.char > high.char) throw badPattern(pattern, "a range runs backwards");
      source += `${quote(low.char)}-${quote(high.char)}`;
    } else source += quote(low.char);
  }
  return { source: `[${negated ? "^/" : ""}${source}]`, end: at + 1 };
}

function readSetChar(
  pattern: string,
  start: number,
): { readonly char: string; readonly end: number } {
  const at = pattern[start] === "\\" ? start + 1 : start;
  const point = pattern.codePointAt(at);
  if (point === undefined) throw badPattern(pattern, 'a "[" is not closed');
  const char = String.fromCodePoint(point);
  return { char, end: at + char.length };
}

function quote(char: string): string {
  return char.replace(/[\\^$.*+?()[\]{}|/-]/u, "\\$&");
}

function badPattern(pattern: string, why: string): SyntaxError {
  return new SyntaxError(`Cannot read pattern ${JSON.stringify(pattern)}: ${why}`);
}
