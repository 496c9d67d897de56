/**
 * Splits a command line into words: quotes and backslashes as in a shell, nothing else of it. What upstream drops
 * silently, such as everything behind `&&`, is refused.
 */
import { UsageError } from "./errors.ts";

/** The words of `text`. Throws UsageError when it is unbalanced, blank, or needs a shell. */
export function splitShellWords(text: string): readonly string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote = "";
  for (let at = 0; at < text.length; at++) {
    const char = text[at] ?? "";
    if (char === "\\" && quote !== "'") {
      const next = text[++at];
      if (next === undefined) throw unbalanced();
      word = (word ?? "") + next;
    } else if (quote !== "") {
      if (char === quote) quote = "";
      else word = (word ?? "") + char;
    } else if (char === '"' || char === "'") {
      quote = char;
      word ??= "";
    } else if (/[ \t\r\n]/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (/[;&|<>()`]/.test(char)) {
      throw needsShell(char, text);
    } else {
      word = (word ?? "") + char;
    }
  }
  if (quote !== "") throw unbalanced();
  if (word !== undefined) words.push(word);
  if (words.length === 0) {
    throw new UsageError("cannot parse exec command: command is blank", {
      hint: "Name the program to run",
    });
  }
  return words;
}

function unbalanced(): UsageError {
  return new UsageError("cannot parse exec command: invalid command line string", {
    hint: "A quote or backslash is not closed",
  });
}

function needsShell(char: string, text: string): UsageError {
  const hint = `No shell runs the command; for one write: sh -c '${text.replaceAll("'", String.raw`'\''`)}'`;
  return new UsageError(
    `cannot parse exec command: invalid command line string: unquoted ${JSON.stringify(char)}`,
    { hint },
  );
}
