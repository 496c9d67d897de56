/** One section of the configuration file: its values by the table of its settings, and the sections inside it. */
import { formatDuration } from "./duration.ts";
import type { ConfigProblem } from "./config-error.ts";
import { nearest } from "./nearest.ts";
import { readSettingValue, wrongType, type SettingValue } from "./setting-value.ts";
import type { Setting, SettingTable, Values } from "./settings.ts";
import type { YAMLEntry, YAMLNode } from "./yaml-tree.ts";

/** Where problems are gathered. Types come first, as upstream reports them before anything else. */
export interface ProblemSink {
  readonly typeErrors: ConfigProblem[];
  readonly errors: ConfigProblem[];
  readonly warnings: ConfigProblem[];
}

export interface Section<T extends SettingTable> {
  readonly values: Values<T>;
  /** Line of the section itself. */
  readonly line: number;
  /** Line of a key, or of the section when the key is not there. */
  readonly lineOf: (key: string) => number;
  /** The value of a key that is a section or a list itself; undefined when absent. Null counts as present. */
  readonly child: (key: string) => YAMLNode | undefined;
}

export interface SectionShape<T extends SettingTable> {
  readonly table: T;
  /** Keys whose values are sections or lists. */
  readonly children?: readonly string[];
  readonly goType: string;
  /** Prefix of the keys in messages, such as `socket.`; empty at the top. */
  readonly prefix: string;
}

/** Words that mean encryption: mistyping one must never lead to plain text in a bucket. */
const ENCRYPTION_WORDS = /encrypt|recipient|identit|^sse|^age/i;

/** Reads a section; `node` undefined or null is an empty one. */
export function readSection<T extends SettingTable>(
  node: YAMLNode | undefined,
  shape: SectionShape<T>,
  sink: ProblemSink,
): Section<T> {
  const values: Record<string, SettingValue> = {};
  const lines = new Map<string, number>();
  const children = new Map<string, YAMLNode>();
  const line = node?.line ?? 1;
  const section: Section<T> = {
    values: values as Values<T>,
    line,
    lineOf: (key) => lines.get(key) ?? line,
    child: (key) => children.get(key),
  };
  if (node === undefined || node.kind === "null") return section;
  if (node.kind !== "mapping") {
    addWrongType(node, shape.goType, shape.prefix.replace(/\.$/, ""), sink);
    return section;
  }
  for (const entry of node.entries) {
    const setting = Object.hasOwn(shape.table, entry.key) ? shape.table[entry.key] : undefined;
    if (setting !== undefined) {
      lines.set(entry.key, entry.line);
      const value = readEntry(entry, setting, shape.prefix + entry.key, sink);
      if (value !== undefined) values[entry.key] = value;
    }
    const isChild = shape.children?.includes(entry.key) === true;
    if (isChild) {
      lines.set(entry.key, entry.line);
      children.set(entry.key, entry.value);
    }
    if (setting === undefined && !isChild) addUnknownKey(entry, shape, sink);
  }
  return section;
}

/** Adds "cannot unmarshal … into TYPE" for a node that should have been a section or a list. */
export function addWrongType(node: YAMLNode, goType: string, key: string, sink: ProblemSink): void {
  const read = wrongType(node, goType);
  if (read.kind === "wrong-type") addTypeError(node.line, key, read.message, read.hint, sink);
}

function readEntry(
  entry: YAMLEntry,
  setting: Setting,
  key: string,
  sink: ProblemSink,
): SettingValue | undefined {
  const read = readSettingValue(setting, entry.value);
  switch (read.kind) {
    case "unset":
      return undefined;
    case "wrong-type":
      addTypeError(entry.value.line, key, read.message, read.hint, sink);
      return undefined;
    case "invalid":
      sink.typeErrors.push({
        line: entry.value.line,
        key,
        message: read.message,
        hint: read.hint,
        upstream: { kind: "plain", text: read.message },
      });
      return undefined;
    case "value": {
      const problem = checkRule(read.value, setting, key);
      if (problem === undefined) return read.value;
      sink.errors.push({ ...problem, line: entry.value.line });
      return undefined;
    }
  }
}

/** Upstream's "X must be greater than 0 (got 0s)", where X is the key in words. */
function checkRule(value: SettingValue, setting: Setting, key: string): ConfigProblem | undefined {
  if (setting.rule === undefined || typeof value !== "number") return undefined;
  if (setting.rule === "positive" ? value > 0 : value >= 0) return undefined;
  const got = setting.kind === "duration" ? formatDuration(value) : String(value);
  const words = ruleWords(key);
  // The one setting that upstream names and bounds in other words than the rest.
  if (key === "shutdown-sync-timeout") return { key, message: `${key} must be >= 0 (got ${got})` };
  const must = setting.rule === "positive" ? "must be greater than 0" : "must not be negative";
  return { key, message: `${words} ${must} (got ${got})` };
}

function ruleWords(key: string): string {
  if (/^levels\[\d+\]\.interval$/.test(key)) return "compaction interval";
  if (/(^|\.)snapshot\.(interval|retention)$/.test(key)) {
    return key.endsWith("retention") ? "snapshot retention" : "snapshot interval";
  }
  return (key.split(".").at(-1) ?? key).replaceAll("-", " ");
}

function addTypeError(
  line: number,
  key: string,
  message: string,
  hint: string | undefined,
  sink: ProblemSink,
): void {
  const upstream = { kind: "type", text: `line ${line}: ${message}` } as const;
  sink.typeErrors.push({ line, key: key === "" ? undefined : key, message, hint, upstream });
}

function addUnknownKey<T extends SettingTable>(
  entry: YAMLEntry,
  shape: SectionShape<T>,
  sink: ProblemSink,
): void {
  const known = [...Object.keys(shape.table), ...(shape.children ?? [])];
  const meant = nearest(entry.key, known);
  const hint = meant === undefined ? undefined : `Did you mean "${meant}"?`;
  const problem = { line: entry.line, key: shape.prefix + entry.key, hint };
  if (ENCRYPTION_WORDS.test(entry.key) || (meant !== undefined && ENCRYPTION_WORDS.test(meant))) {
    const message = "Unknown key looks like encryption, refusing to write plain text";
    sink.errors.push({ ...problem, message });
    return;
  }
  sink.warnings.push({ ...problem, message: "Unknown key is ignored" });
}
