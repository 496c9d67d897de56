/** Reads a configuration file: environment, YAML, inheritance, checks. All mistakes are reported at once. */
import { readFile } from "node:fs/promises";
import type { Config } from "./config.ts";
import { ConfigError, type ConfigProblem } from "./config-error.ts";
import { buildConfig } from "./build-config.ts";
import { expandEnv } from "./expand-env.ts";
import { expandPath } from "./expand-path.ts";
import type { ProblemSink } from "./section.ts";
import { DEFAULT_CONFIG_PATH } from "./settings.ts";
import { parseYAML, type YAMLNode } from "./yaml-tree.ts";

export interface LoadOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Replace `$NAME` and `${NAME}` first. Default true. */
  readonly expandEnvironment?: boolean;
  /** Unknown and duplicate keys are errors. Default false. */
  readonly strict?: boolean;
}

/** The file to read: `-config`, else `$LITESTREAM_CONFIG`, else `/etc/litestream.yml`; absolute. */
export function configPath(flag: string | undefined, options: LoadOptions): string {
  const fromEnv = options.env["LITESTREAM_CONFIG"];
  const path = flag !== undefined && flag !== "" ? flag : fromEnv;
  return expandPath(path !== undefined && path !== "" ? path : DEFAULT_CONFIG_PATH, options.cwd);
}

/** Reads the configuration file at the absolute `path`. Throws ConfigError. */
export async function loadConfig(path: string, options: LoadOptions): Promise<Config> {
  return parseConfig(await readConfigText(path), path, options);
}

/** The text of the configuration file at the absolute `path`. Throws ConfigError. */
export async function readConfigText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    throw new ConfigError([{ message: describeReadError(code, path) }], undefined);
  }
}

/** In the words of upstream, which are Go's for what the system says. */
function describeReadError(code: string, path: string): string {
  if (code === "ENOENT") return `config file not found: ${path}`;
  if (code === "EISDIR") return `read ${path}: is a directory`;
  if (code === "EACCES" || code === "EPERM") return `open ${path}: permission denied`;
  return `cannot read config file: ${path}: ${code}`;
}

/** Reads the text of a configuration file. `file` is its name in messages. Throws ConfigError. */
export function parseConfig(source: string, file: string, options: LoadOptions): Config {
  return parseConfigTree(source, file, options).config;
}

/** A configuration and the text it comes from. */
export interface ParsedConfig {
  readonly config: Config;
  /** Undefined: the file is empty. */
  readonly root: YAMLNode | undefined;
  /** The line of the file that a line of the tree comes from: variables may hold newlines. */
  readonly sourceLine: (line: number) => number;
}

/** As parseConfig(), for whoever wants to know where a value comes from. */
export function parseConfigTree(source: string, file: string, options: LoadOptions): ParsedConfig {
  const text = source.replace(/^\u{feff}/u, "");
  const expanded =
    options.expandEnvironment === false ? undefined : expandEnv(text, options.env, process.pid);
  const sourceLine = (line: number): number => expanded?.sourceLines[line - 1] ?? line;
  const toSource = (problem: ConfigProblem): ConfigProblem => ({
    ...problem,
    line: problem.line === undefined ? undefined : sourceLine(problem.line),
  });
  const environment: ConfigProblem[] = (expanded?.required ?? []).map(
    ({ name, line, message }) => ({
      line,
      message: `Environment variable "${name}" is not set${message === "" ? "" : `: ${message}`}`,
    }),
  );
  if (environment.length > 0) throw new ConfigError(environment, file);

  const tree = parseYAML(expanded?.text ?? text);
  const fail = (problems: readonly ConfigProblem[]): never => {
    throw new ConfigError(problems.map(toSource), file);
  };
  if (tree.errors.length > 0) {
    fail(
      tree.errors.map(({ line, message }) => ({
        line,
        message,
        upstream: { kind: "plain", text: `yaml: line ${line}: ${message}` },
      })),
    );
  }
  const sink: ProblemSink = { typeErrors: [], errors: [], warnings: [...tree.warnings] };
  const config = buildConfig(tree.root, file, options, sink);
  const typeErrors = sink.typeErrors.toSorted((a, b) => (a.line ?? 0) - (b.line ?? 0));
  const errors = [...typeErrors, ...inUpstreamOrder(sink.errors)];
  // Warnings go with errors: a mistyped key is often why something is missing.
  if (errors.length > 0 || (options.strict === true && sink.warnings.length > 0)) {
    fail([...errors, ...sink.warnings]);
  }
  const unset = (expanded?.unset ?? []).map(({ name, line }) => unsetWarning(name, line));
  return {
    config: {
      ...config,
      warnings: [...unset, ...sink.warnings.map(toSource)],
      notYet: config.notYet.map((problem) =>
        Object.assign(toSource(problem), { refuse: problem.refuse }),
      ),
    },
    root: tree.root,
    sourceLine,
  };
}

function unsetWarning(name: string, line: number): ConfigProblem {
  const isName = /^[A-Za-z_]\w*$/.test(name);
  return {
    line,
    message: `Environment variable "${name}" is not set, nothing stands in its place`,
    hint: isName
      ? `Write "\${${name}:-}" if it may be missing, "$$" for a dollar sign`
      : 'Write "$$" for a dollar sign',
  };
}

/** The order in which upstream finds mistakes, so that the first one is the one it would name. */
const UPSTREAM_ORDER: readonly RegExp[] = [
  /^snapshot\.interval$/,
  /^snapshot\.retention$/,
  /^l0-retention$/,
  /^l0-retention-check-interval$/,
  /^shutdown-sync-timeout$/,
  /^shutdown-sync-interval$/,
  /^heartbeat-url$/,
  /^heartbeat-interval$/,
  /^levels/,
  /^dbs\[[^\]]*\]$/,
  /^dbs\[[^\]]*\]\.snapshot/,
  /sync-interval$/,
];

function inUpstreamOrder(problems: readonly ConfigProblem[]): readonly ConfigProblem[] {
  return problems.toSorted((a, b) => upstreamRank(a) - upstreamRank(b));
}

function upstreamRank(problem: ConfigProblem): number {
  const at = UPSTREAM_ORDER.findIndex((pattern) => pattern.test(problem.key ?? ""));
  return at < 0 ? UPSTREAM_ORDER.length : at;
}
