/** Configurations made of command-line arguments: the defaults everywhere, nothing is inherited. */
import { buildConfig } from "./build-config.ts";
import type { Config, ReplicaConfig } from "./config.ts";
import { ConfigError } from "./config-error.ts";
import type { LoadOptions } from "./load.ts";
import type { ProblemSink } from "./section.ts";
import type { YAMLNode } from "./yaml-tree.ts";

/** The configuration of `replicate DB URL…`. Throws ConfigError. */
export function commandLineConfig(
  databasePath: string,
  urls: readonly string[],
  options: LoadOptions,
): Config {
  const replicas = urls.map((url) => mapping({ url: text(url) }));
  const database = mapping({
    path: text(databasePath),
    replicas: { kind: "sequence", line: 1, items: replicas },
  });
  const root = mapping({ dbs: { kind: "sequence", line: 1, items: [database] } });
  const sink: ProblemSink = { typeErrors: [], errors: [], warnings: [] };
  const config = buildConfig(root, undefined, options, sink);
  const problems = [...sink.typeErrors, ...sink.errors];
  if (problems.length > 0) throw new ConfigError(problems.map(withoutPlace), undefined);
  return { ...config, warnings: sink.warnings.map(withoutPlace) };
}

/** The replica of a URL on the command line. */
export function commandLineReplica(
  url: string,
  options: LoadOptions,
): { readonly replica: ReplicaConfig; readonly warnings: Config["warnings"] } {
  const config = commandLineConfig("/database", [url], options);
  const replica = config.databases[0]?.replicas[0];
  if (replica === undefined) throw new TypeError(`No replica in ${url}`);
  return { replica, warnings: config.warnings };
}

/** Arguments have no lines and keys. */
function withoutPlace<T extends { readonly line?: number | undefined }>(problem: T): T {
  return { ...problem, line: undefined, key: undefined };
}

function mapping(values: Readonly<Record<string, YAMLNode>>): YAMLNode {
  const entries = Object.entries(values).map(([key, value]) => ({ key, line: 1, value }));
  return { kind: "mapping", line: 1, entries };
}

function text(value: string): YAMLNode {
  return { kind: "scalar", line: 1, text: value, quoted: true };
}
