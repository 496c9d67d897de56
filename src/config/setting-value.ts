/** What a YAML value means for a setting, by upstream's rules (yaml.v2, mostly YAML 1.1). Pure. */
import { parseDuration } from "./duration.ts";
import type { KindValues, Setting } from "./settings.ts";
import { parseSize } from "./size.ts";
import type { YAMLNode } from "./yaml-tree.ts";

export type SettingValue = KindValues[keyof KindValues];

export type ReadValue =
  /** Null in the file: as if the key were not there. */
  | { readonly kind: "unset" }
  | { readonly kind: "value"; readonly value: SettingValue }
  /** Another type than the setting's: upstream collects these under "yaml: unmarshal errors". */
  | { readonly kind: "wrong-type"; readonly message: string; readonly hint?: string }
  /** Of the right type, but not a possible value. */
  | { readonly kind: "invalid"; readonly message: string; readonly hint?: string };

/** Reads `node` as a value of `setting`. */
export function readSettingValue(setting: Setting, node: YAMLNode): ReadValue {
  if (node.kind === "null") return { kind: "unset" };
  if (setting.kind === "strings") return readStrings(node);
  if (node.kind !== "scalar") return wrongType(node, goType(setting));
  const { text } = node;
  switch (setting.kind) {
    case "string":
      return { kind: "value", value: text };
    case "boolean":
      return orWrongType(node.quoted ? undefined : booleans.get(text), node, setting);
    case "integer":
      return orWrongType(node.quoted ? undefined : parseYAMLInteger(text), node, setting);
    case "pages":
      if (text.toLowerCase() === "off") return { kind: "value", value: -1 };
      return orWrongType(node.quoted ? undefined : parseYAMLInteger(text), node, setting);
    case "mode":
      return readMode(text, node, setting);
    case "duration":
      return readDuration(text, node);
    case "size":
      return readSize(text, node, setting);
  }
}

/** Upstream's sentence for a value of the wrong type: "cannot unmarshal !!str `1d` into time.Duration". */
export function wrongType(node: YAMLNode, type: string, hint?: string): ReadValue {
  const message = `cannot unmarshal ${describe(node)} into ${type}`;
  return { kind: "wrong-type", message, ...(hint === undefined ? {} : { hint }) };
}

/** The integer a plain YAML 1.1 scalar writes: `1_000`, `0x10`, `010` (8), `0b1`, `1e3`; floats are cut. */
function parseYAMLInteger(text: string): number | undefined {
  const plain = text.replaceAll("_", "");
  const match = /^([-+]?)(0[xX][\da-fA-F]+|0[oO][0-7]+|0[bB][01]+|0[0-7]*|[1-9]\d*)$/.exec(plain);
  if (match !== null) {
    const [, sign, digits = ""] = match;
    const octal = /^0[0-7]+$/.test(digits) ? `0o${digits.slice(1)}` : digits.toLowerCase();
    return safe(Number(octal) * (sign === "-" ? -1 : 1));
  }
  if (/^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$/.test(plain)) return safe(Math.trunc(Number(plain)));
  return undefined;
}

const booleans: ReadonlyMap<string, boolean> = new Map([
  ...["y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE"].map(
    (text): [string, boolean] => [text, true],
  ),
  ...["n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"].map(
    (text): [string, boolean] => [text, false],
  ),
]);

function readStrings(node: YAMLNode): ReadValue {
  if (node.kind !== "sequence") return wrongType(node, "[]string", "Write it as a list: [ … ]");
  const values: string[] = [];
  for (const item of node.items) {
    if (item.kind === "null") values.push("");
    else if (item.kind === "scalar") values.push(item.text);
    else return wrongType(item, "string");
  }
  return { kind: "value", value: values };
}

function readMode(text: string, node: YAMLNode, setting: Setting): ReadValue {
  const digits = /^(?:0[oO]?)?([0-7]+)$/.exec(text)?.[1];
  if (digits === undefined) return wrongType(node, goType(setting));
  const mode = Number.parseInt(digits, 8);
  if (mode > 0o777) {
    return { kind: "invalid", message: `permissions must be within 0777 (got ${text})` };
  }
  return { kind: "value", value: mode };
}

function readDuration(text: string, node: YAMLNode): ReadValue {
  if (/^[-+]?0+(\.0*)?$/.test(text)) return { kind: "value", value: 0 };
  try {
    return { kind: "value", value: parseDuration(text) };
  } catch {
    const number = /^[-+]?[\d._]+$/.test(text);
    const hint = number
      ? `Write the unit: "${text}s" for seconds (a bare number means nanoseconds to Litestream)`
      : 'Write a duration such as "10s", "5m" or "24h"';
    return wrongType(node, "time.Duration", hint);
  }
}

function readSize(text: string, node: YAMLNode, setting: Setting): ReadValue {
  const integer = node.kind === "scalar" && !node.quoted ? parseYAMLInteger(text) : undefined;
  if (integer !== undefined && setting.goType !== undefined) {
    return { kind: "value", value: integer };
  }
  try {
    return { kind: "value", value: parseSize(text) };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { kind: "invalid", message, hint: 'Write a size such as "5MiB" or "1GB"' };
  }
}

function orWrongType(value: SettingValue | undefined, node: YAMLNode, setting: Setting): ReadValue {
  if (value !== undefined) return { kind: "value", value };
  const quoted = node.kind === "scalar" && node.quoted;
  return wrongType(node, goType(setting), quoted ? "Write it without quotes" : undefined);
}

function goType(setting: Setting): string {
  if (setting.goType !== undefined) return setting.goType;
  if (setting.kind === "boolean") return "bool";
  if (setting.kind === "integer" || setting.kind === "pages") return "int";
  if (setting.kind === "duration") return "time.Duration";
  return "string";
}

function safe(value: number): number | undefined {
  return Number.isSafeInteger(value) ? value : undefined;
}

function describe(node: YAMLNode): string {
  if (node.kind === "sequence") return "!!seq";
  if (node.kind === "mapping") return "!!map";
  if (node.kind === "null") return "!!null";
  const value = node.text.length > 10 ? `${node.text.slice(0, 7)}...` : node.text;
  return `${scalarTag(node.text, node.quoted)} \`${value}\``;
}

function scalarTag(text: string, quoted: boolean): string {
  if (quoted) return "!!str";
  if (booleans.has(text)) return "!!bool";
  if (/^[-+]?(0[xXoObB])?[\da-fA-F_]+$/.test(text) && parseYAMLInteger(text) !== undefined) {
    return "!!int";
  }
  return /^[-+]?(\d[\d_]*\.?\d*|\.\d+)([eE][-+]?\d+)?$/.test(text) ? "!!float" : "!!str";
}
