/** `litestream config`: checks a configuration file, or shows what it means. */
import { readFile } from "node:fs/promises";
import { ConfigError, formatProblem, type ConfigProblem } from "../../config/config-error.ts";
import { explainConfig, type SettingSource } from "../../config/explain.ts";
import { configPath, parseConfigTree, readConfigText } from "../../config/load.ts";
import { CONFIG_FLAGS, loadOptions } from "../config-flags.ts";
import { UsageError } from "../errors.ts";
import { parseFlags, type FlagValues } from "../flags.ts";
import type { CommandIO } from "../io.ts";
import { formatJSON } from "../json.ts";
import { formatTable } from "../table.ts";
import { commandUsage, JSON_FLAG } from "../usage.ts";

const FLAGS = { ...CONFIG_FLAGS, json: JSON_FLAG } as const;

const USAGE = {
  about: `The config command checks a configuration file or shows what it means. Nothing
is opened, created or sent.

"check" reports every mistake at once, with its line, and exits with 1 when there
is one; with -strict, warnings count as mistakes.

"show" prints every setting with its effective value and where that comes from:
a line of the file, the environment or the default. Secrets are not shown.`,
  forms: [
    "litestream config check [arguments] [PATH]",
    "litestream config show [arguments] [PATH]",
  ],
  flags: FLAGS,
  more: `Examples:

\t$ litestream config check
\t$ litestream config check -strict ./litestream.yml
\t$ litestream config show -json`,
} as const;

type ConfigFlags = FlagValues<typeof FLAGS>;

/** Runs the command. */
export async function runConfig(args: readonly string[], io: CommandIO): Promise<number> {
  const parsed = parseFlags(args, FLAGS);
  if (parsed.kind === "help") {
    io.stdout(commandUsage(USAGE));
    return 0;
  }
  const { flags, positionals } = parsed;
  const [action, path, ...more] = positionals;
  if (action !== "check" && action !== "show") {
    const example = "litestream config check";
    const message =
      action === undefined
        ? "check or show required"
        : `unknown action ${JSON.stringify(action)}: check or show required`;
    throw new UsageError(message, { example });
  }
  if (more.length > 0) throw new UsageError("too many arguments");
  if (path !== undefined && flags.config !== undefined) {
    throw new UsageError("cannot specify a path and the -config flag");
  }
  const file = configPath(path ?? flags.config, loadOptions(flags, io));
  return action === "check" ? check(file, flags, io) : show(file, flags, io);
}

interface Findings {
  readonly errors: readonly ConfigProblem[];
  readonly warnings: readonly ConfigProblem[];
  readonly databases: number;
  readonly directories: number;
  readonly replicas: number;
}

async function check(file: string, flags: ConfigFlags, io: CommandIO): Promise<number> {
  const findings = await findMistakes(file, flags, io);
  const { errors, warnings, databases, directories, replicas } = findings;
  const ok = errors.length === 0 && (flags.strict !== true || warnings.length === 0);
  if (flags.json === true) {
    const counts = { databases, directories, replicas };
    io.stdout(
      formatJSON({
        file,
        ok,
        errors: errors.map(problemJSON),
        warnings: warnings.map(problemJSON),
        ...counts,
      }),
    );
    return ok ? 0 : 1;
  }
  for (const problem of errors) io.stdout(`error: ${formatProblem(problem, file)}\n`);
  for (const problem of warnings) io.stdout(`warning: ${formatProblem(problem, file)}\n`);
  const found = [
    count(databases, "database"),
    ...(directories === 0 ? [] : [count(directories, "directory", "directories")]),
    count(replicas, "replica"),
  ].join(", ");
  const verdict = [count(errors.length, "error"), count(warnings.length, "warning")].join(", ");
  io.stdout(errors.length === 0 ? `${file}: ${found}; ${verdict}\n` : `${file}: ${verdict}\n`);
  return ok ? 0 : 1;
}

async function findMistakes(file: string, flags: ConfigFlags, io: CommandIO): Promise<Findings> {
  try {
    const options = { ...loadOptions(flags, io), strict: false };
    const { config } = parseConfigTree(await readConfigText(file), file, options);
    const all = [...config.databases, ...config.directories];
    const errors = config.notYet.filter((problem) => problem.refuse);
    return {
      errors,
      warnings: [...config.warnings, ...config.notYet.filter((problem) => !problem.refuse)],
      databases: config.databases.length,
      directories: config.directories.length,
      replicas: all.reduce((sum, database) => sum + database.replicas.length, 0),
    };
  } catch (error) {
    // A file that is not there is no finding about its content.
    if (!(error instanceof ConfigError) || error.file === undefined) throw error;
    const { problems } = error;
    return { errors: problems, warnings: [], databases: 0, directories: 0, replicas: 0 };
  }
}

function problemJSON({ line, key, message, hint }: ConfigProblem): unknown {
  return {
    ...(line === undefined ? {} : { line }),
    ...(key === undefined ? {} : { key }),
    message,
    ...(hint === undefined ? {} : { hint }),
  };
}

async function show(file: string, flags: ConfigFlags, io: CommandIO): Promise<number> {
  const parsed = parseConfigTree(await readConfigText(file), file, loadOptions(flags, io));
  const settings = explainConfig(parsed, { env: io.env, cwd: io.cwd });
  if (flags.json === true) {
    io.stdout(
      formatJSON(
        settings.map(({ key, value, source }) => ({
          key,
          value,
          source: source.kind === "file" ? { ...source, file } : source,
        })),
      ),
    );
    return 0;
  }
  // Lines that a variable was written in: its value is the environment's.
  const variables = flags["no-expand-env"] === true ? [] : await linesWithVariables(file);
  const rows = settings.map(({ key, value, source }) => [
    key,
    value === "" ? '""' : value,
    describeSource(source, file, variables),
  ]);
  io.stdout(formatTable(["key", "value", "source"], rows));
  return 0;
}

async function linesWithVariables(file: string): Promise<readonly boolean[]> {
  const text = await readFile(file, "utf8");
  return text.split("\n").map((line) => /\$[A-Za-z_{]/.test(line));
}

function describeSource(
  source: SettingSource,
  file: string,
  variables: readonly boolean[],
): string {
  switch (source.kind) {
    case "default":
      return "default";
    case "environment":
      return `environment ${source.name}`;
    case "file": {
      const key = source.key === undefined ? "" : ` (${source.key})`;
      const variable = variables[source.line - 1] === true ? ", with a variable" : "";
      return `${file}:${source.line}${key}${variable}`;
    }
  }
}

function count(number: number, singular: string, plural: string = `${singular}s`): string {
  return `${number} ${number === 1 ? singular : plural}`;
}
