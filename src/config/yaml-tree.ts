/**
 * YAML as upstream's library (yaml.v2) reads it, as a plain tree with line numbers: scalars keep their source text,
 * the last of several equal keys wins, anchors and merge keys are resolved. What a scalar means is decided where a
 * setting is read (setting-value.ts), because it depends on the setting.
 */
import {
  type Alias,
  type Document,
  type Node,
  LineCounter,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  parseAllDocuments,
} from "yaml";

export type YAMLNode =
  | { readonly kind: "null"; readonly line: number }
  | {
      readonly kind: "scalar";
      readonly line: number;
      readonly text: string;
      /** Quoted or block text, or tagged `!!str`: never a number, boolean or null. */
      readonly quoted: boolean;
    }
  | { readonly kind: "sequence"; readonly line: number; readonly items: readonly YAMLNode[] }
  | { readonly kind: "mapping"; readonly line: number; readonly entries: readonly YAMLEntry[] };

export interface YAMLEntry {
  readonly key: string;
  readonly line: number;
  readonly value: YAMLNode;
}

interface YAMLProblem {
  /** 1-based line. */
  readonly line: number;
  readonly message: string;
}

export interface YAMLTree {
  /** Undefined: the text is empty or unreadable. */
  readonly root: YAMLNode | undefined;
  readonly errors: readonly YAMLProblem[];
  readonly warnings: readonly YAMLProblem[];
}

const NULL_TEXT = /^(?:|~|null|Null|NULL)$/;

/** Reads the first document of `text`. */
export function parseYAML(text: string): YAMLTree {
  const lineCounter = new LineCounter();
  const documents = parseAllDocuments(text, {
    schema: "failsafe",
    version: "1.1",
    uniqueKeys: false,
    logLevel: "silent",
    lineCounter,
  });
  const first = Array.isArray(documents) ? documents[0] : undefined;
  if (first === undefined) return { root: undefined, errors: [], warnings: [] };
  const lineAt = (offset: number): number => lineCounter.linePos(offset).line;
  const errors = first.errors.map((error) => {
    const message = error.message.split(" at line ")[0] ?? error.message;
    return { line: lineAt(error.pos[0]), message: message.replace(/:$/, "") };
  });
  if (errors.length > 0) return { root: undefined, errors, warnings: [] };
  const reader = new TreeReader(first, lineAt);
  const root = first.contents === null ? undefined : reader.read(first.contents);
  if (documents.length > 1) {
    const line = lineAt(documents[1]?.range[0] ?? 0);
    reader.warnings.push({ line, message: "Only the first YAML document of the file is read" });
  }
  return { root, errors: reader.errors, warnings: reader.warnings };
}

class TreeReader {
  readonly errors: YAMLProblem[] = [];
  readonly warnings: YAMLProblem[] = [];
  readonly #document: Document;
  readonly #lineAt: (offset: number) => number;
  /** Each node is read once, so that aliases of aliases cannot multiply the work; undefined while being read. */
  readonly #done = new Map<Node, YAMLNode | undefined>();

  constructor(document: Document, lineAt: (offset: number) => number) {
    this.#document = document;
    this.#lineAt = lineAt;
  }

  read(node: unknown): YAMLNode {
    if (isAlias(node)) return this.#readAlias(node);
    if (!isScalar(node) && !isSeq(node) && !isMap(node)) return { kind: "null", line: 1 };
    const done = this.#done.get(node);
    if (done !== undefined) return done;
    this.#done.set(node, undefined);
    const result = this.#readNode(node);
    this.#done.set(node, result);
    return result;
  }

  #readNode(node: Node): YAMLNode {
    const line = this.#lineAt(node.range?.[0] ?? 0);
    if (isScalar(node)) {
      const text = typeof node.value === "string" ? node.value : "";
      const quoted = (node.type !== undefined && node.type !== "PLAIN") || isTaggedString(node.tag);
      if (!quoted && NULL_TEXT.test(text)) return { kind: "null", line };
      return { kind: "scalar", line, text, quoted };
    }
    if (isSeq(node)) {
      return { kind: "sequence", line, items: node.items.map((item) => this.read(item)) };
    }
    if (!isMap(node)) return { kind: "null", line };
    const own = new Map<string, YAMLEntry>();
    const merged = new Map<string, YAMLEntry>();
    for (const pair of node.items) {
      const keyNode = this.read(pair.key);
      const value = pair.value === null ? nullAfter(keyNode) : this.read(pair.value);
      if (keyNode.kind !== "scalar") {
        this.errors.push({ line: keyNode.line, message: "A key must be a plain word" });
      } else if (keyNode.text === "<<" && !keyNode.quoted) {
        for (const entry of this.#mergeEntries(value)) {
          if (!merged.has(entry.key)) merged.set(entry.key, entry);
        }
      } else {
        this.#warnDuplicate(own.get(keyNode.text), keyNode.text, keyNode.line);
        own.set(keyNode.text, { key: keyNode.text, line: keyNode.line, value });
      }
    }
    for (const [key, entry] of merged) if (!own.has(key)) own.set(key, entry);
    return { kind: "mapping", line, entries: [...own.values()] };
  }

  #readAlias(alias: Alias): YAMLNode {
    const line = this.#lineAt(alias.range?.[0] ?? 0);
    const target = alias.resolve(this.#document);
    if (target === undefined) {
      this.errors.push({ line, message: `unknown anchor '${alias.source}' referenced` });
      return { kind: "null", line };
    }
    if (this.#done.has(target) && this.#done.get(target) === undefined) {
      this.errors.push({ line, message: `anchor '${alias.source}' value contains itself` });
      return { kind: "null", line };
    }
    return this.read(target);
  }

  #mergeEntries(value: YAMLNode): readonly YAMLEntry[] {
    if (value.kind === "mapping") return value.entries;
    if (value.kind === "sequence") return value.items.flatMap((item) => this.#mergeEntries(item));
    this.errors.push({
      line: value.line,
      message: "map merge requires map or sequence of maps as the value",
    });
    return [];
  }

  #warnDuplicate(earlier: YAMLEntry | undefined, key: string, line: number): void {
    if (earlier === undefined) return;
    this.warnings.push({
      line,
      message: `Key "${key}" is given twice, the one in line ${earlier.line} is ignored`,
    });
  }
}

function isTaggedString(tag: string | undefined): boolean {
  return tag === "tag:yaml.org,2002:str" || tag === "!";
}

function nullAfter(key: YAMLNode): YAMLNode {
  return { kind: "null", line: key.line };
}
