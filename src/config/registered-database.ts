/** A database that is registered while the program runs: as if it stood in the configuration file, whose defaults it inherits. */
import { buildConfig } from "./build-config.ts";
import type { Config } from "./config.ts";
import { ConfigError } from "./config-error.ts";
import type { LoadOptions } from "./load.ts";
import type { ProblemSink } from "./section.ts";
import type { YAMLEntry, YAMLNode } from "./yaml-tree.ts";

/**
 * The configuration that `root`, the tree of the file, would be with this database as its only one. `replica`: keys as in the file,
 * from JSON. Throws ConfigError.
 */
export function registeredDatabase(
  root: YAMLNode | undefined,
  path: string,
  replica: Readonly<Record<string, unknown>>,
  options: LoadOptions,
): Config {
  const inherited = root?.kind === "mapping" ? root.entries.filter(({ key }) => key !== "dbs") : [];
  const dbs = fromJSON([{ path, replicas: [replica] }]);
  const sink: ProblemSink = { typeErrors: [], errors: [], warnings: [] };
  const entries: readonly YAMLEntry[] = [...inherited, { key: "dbs", line: 1, value: dbs }];
  const config = buildConfig({ kind: "mapping", line: 1, entries }, undefined, options, sink);
  const problems = [...sink.typeErrors, ...sink.errors];
  if (problems.length > 0) {
    const withoutLines = problems.map((problem) => Object.assign({}, problem, { line: undefined }));
    throw new ConfigError(withoutLines, undefined);
  }
  return config;
}

function fromJSON(value: unknown): YAMLNode {
  const line = 1;
  if (Array.isArray(value)) return { kind: "sequence", line, items: value.map(fromJSON) };
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value).map(([key, field]) => ({
      key,
      line,
      value: fromJSON(field),
    }));
    return { kind: "mapping", line, entries };
  }
  if (value === null || value === undefined) return { kind: "null", line };
  return {
    kind: "scalar",
    line,
    text: typeof value === "string" ? value : JSON.stringify(value),
    quoted: typeof value === "string",
  };
}
