/** What is wrong with a configuration, every mistake at once. */

export interface ConfigProblem {
  /** 1-based line of the file; undefined on the command line. */
  readonly line?: number | undefined;
  /** Where, as `dbs[/data/app.db].replica.sync-interval`. */
  readonly key?: string | undefined;
  readonly message: string;
  /** How to fix it. */
  readonly hint?: string | undefined;
  /**
   * How upstream would say it, where scripts may look for that: "type" problems are gathered under one heading,
   * others stand alone.
   */
  readonly upstream?: { readonly kind: "type" | "plain"; readonly text: string } | undefined;
}

/** A configuration that cannot be used. `message` begins with upstream's words for the first mistake. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  readonly file: string | undefined;
  readonly problems: readonly ConfigProblem[];

  constructor(problems: readonly ConfigProblem[], file: string | undefined) {
    super([headline(problems), ...problemLines(problems, file)].join("\n"));
    this.file = file;
    this.problems = problems;
  }
}

/** One line for a problem: `file:line: key: message; hint`. */
export function formatProblem(problem: ConfigProblem, file: string | undefined): string {
  const place = file === undefined ? "" : `${file}:`;
  const line = problem.line === undefined ? "" : `${problem.line}:`;
  const prefix = place === "" && line === "" ? "" : `${place}${line} `;
  const key = problem.key === undefined ? "" : `${problem.key}: `;
  const hint = problem.hint === undefined ? "" : `. ${problem.hint}`;
  return `${prefix}${key}${problem.message}${hint}`;
}

function headline(problems: readonly ConfigProblem[]): string {
  const first = problems[0];
  if (first === undefined) return "Configuration is not usable";
  if (first.upstream?.kind !== "type") return upstreamText(first);
  const types = problems.filter((problem) => problem.upstream?.kind === "type");
  return ["yaml: unmarshal errors:", ...types.map((problem) => `  ${upstreamText(problem)}`)].join(
    "\n",
  );
}

function upstreamText(problem: ConfigProblem): string {
  if (problem.upstream !== undefined) return problem.upstream.text;
  return problem.key === undefined ? problem.message : `${problem.key}: ${problem.message}`;
}

function problemLines(problems: readonly ConfigProblem[], file: string | undefined): string[] {
  if (file === undefined && problems.length === 1 && problems[0]?.hint === undefined) return [];
  return problems.map((problem) => `  ${formatProblem(problem, file)}`);
}
