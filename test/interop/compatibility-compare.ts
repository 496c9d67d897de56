/** What a case compares: the outcomes of both programs, less times, versions and folders. */
import type { CommandResult } from "../harness/command-run.ts";
import type { CompatibilityCase } from "./compatibility-cases.ts";

export type ComparedField = "code" | "stdout" | "stderr" | "files";

export interface CaseOutcome extends CommandResult {
  /** The folder of the case, which stands in outputs. */
  readonly folder: string;
  /** The files afterwards, where the case compares them. */
  readonly files: string | undefined;
}

export interface FieldDifference {
  readonly field: ComparedField;
  readonly peer: string;
  readonly ours: string;
}

/** The fields in which ours is not as the real one. */
export function compareOutcomes(
  { stdout: kind = "text" }: CompatibilityCase,
  peer: CaseOutcome,
  ours: CaseOutcome,
): readonly FieldDifference[] {
  const differences: FieldDifference[] = [];
  const add = (field: ComparedField, theirs: string, own: string): void => {
    if (theirs !== own) differences.push({ field, peer: theirs, ours: own });
  };
  add("code", String(peer.code), String(ours.code));
  add("stderr", errorOf(peer, true), errorOf(ours, peer.stderr.includes("\nTry: ")));
  const theirs = normalize(peer.stdout, peer.folder);
  const own = normalize(ours.stdout, ours.folder);
  switch (kind) {
    case "text":
    case "files":
      add("stdout", withoutLog(shortUsage(theirs)), withoutLog(shortUsage(own)));
      break;
    case "log":
      add("stdout", missingMessages(theirs, own).join("\n"), "");
      break;
    case "help":
      add("stdout", missingHelp(theirs, own).join("\n"), "");
      break;
    case "json":
      add("stdout", missingJSON(theirs, own).join("\n"), "");
      break;
  }
  if (kind === "files") add("files", peer.files ?? "", ours.files ?? "");
  return differences;
}

/**
 * The class of what stderr says: the error in the real one's words, and the example where the real one gives one. Hints
 * and log records are ours.
 */
function errorOf({ stderr, folder }: CaseOutcome, withExample: boolean): string {
  const lines = normalize(stderr, folder).split("\n");
  const at = lines.findIndex((line) => line.startsWith("Error: "));
  if (at < 0) return "";
  const message = lines[at] ?? "";
  // Wrong types of a configuration come as a list; the first is enough.
  const first = message.endsWith("unmarshal errors:") ? [lines[at + 1] ?? ""] : [];
  const example = withExample ? lines.filter((line) => line.startsWith("Try: ")) : [];
  return [message, ...first, ...example].join("\n");
}

function normalize(text: string, folder: string): string {
  return text
    .replaceAll(folder, "$DIR")
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[-+]\d\d:\d\d)/g, "TIME")
    .replaceAll(/"duration_ms": \d+/g, '"duration_ms": 0');
}

/** A help text that nobody asked for is compared by its being there. */
function shortUsage(text: string): string {
  return /\nUsage:\n\n\tlitestream /.test(text) ? "(the help text)" : text;
}

function withoutLog(text: string): string {
  return text.replaceAll(/^time=TIME level=.*\n/gm, "");
}

/**
 * Messages of the real one that are not there, in this order; what is no log record is compared too, less a version. Its monitors start
 * together and speak in any order.
 */
function missingMessages(theirs: string, own: string): readonly string[] {
  const found = logMessages(own);
  let at = 0;
  return logMessages(theirs).filter((message) => {
    if (/^INFO starting .* monitor$/.test(message)) return !found.includes(message);
    const next = found.indexOf(message, at);
    if (next >= 0) at = next + 1;
    return next < 0;
  });
}

function logMessages(text: string): readonly string[] {
  return text
    .replaceAll(
      /^time=TIME level=(\S+) msg=(?:"((?:[^"\\]|\\.)*)"|(\S+)).*$/gm,
      (_, level: string, quoted: string | undefined, plain: string | undefined) =>
        `${level} ${quoted ?? plain ?? ""}`,
    )
    .replaceAll(/^\d+\.\d+\.\d+$/gm, "VERSION")
    .split("\n");
}

/** Forms, commands and flags that the other help text does not have. */
function missingHelp(theirs: string, own: string): readonly string[] {
  const lines = new Set(own.split("\n"));
  return theirs
    .split("\n")
    .filter((line) => /^\t(litestream |-|[a-z]+ {2,})/.test(line) && !lines.has(line));
}

/** Paths of fields that are missing or differ. More fields, and more items, do no harm. */
function missingJSON(theirs: string, own: string): readonly string[] {
  const [wanted, found] = [parse(theirs), parse(own)];
  if (wanted === undefined || found === undefined) return theirs === own ? [] : ["(not JSON)"];
  return differingPaths(wanted.value, found.value, "$");
}

function parse(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    return undefined;
  }
}

function differingPaths(wanted: unknown, found: unknown, path: string): readonly string[] {
  if (Array.isArray(wanted) && Array.isArray(found)) {
    const items = wanted.flatMap((item, at) => differingPaths(item, found[at], `${path}[${at}]`));
    return wanted.length === found.length ? items : [...items, `${path}.length`];
  }
  if (isRecord(wanted) && isRecord(found)) {
    return Object.entries(wanted).flatMap(([key, value]) =>
      differingPaths(value, found[key], `${path}.${key}`),
    );
  }
  if (wanted === found) return [];
  return [`${path}: ${JSON.stringify(wanted)}, ours ${JSON.stringify(found)}`];
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
