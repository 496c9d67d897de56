/** The tools of the MCP server: commands of this program, run in this process, with what they print as the answer. */
import { formatCLIError, ExitCode } from "./errors.ts";
import type { CommandIO } from "./io.ts";

type RunCommand = (args: readonly string[], io: CommandIO) => Promise<number>;
type Arguments = Readonly<Record<string, unknown>>;

interface Argument {
  readonly type: "string" | "boolean";
  readonly description: string;
}

export interface MCPTool {
  readonly name: string;
  readonly description: string;
  readonly arguments: Readonly<Record<string, Argument>>;
  readonly required: readonly string[];
  /** It changes nothing: neither here nor in a replica. */
  readonly readOnly: boolean;
  readonly run: (args: Arguments, context: MCPContext) => Promise<MCPResult>;
}

export interface MCPContext {
  /** The service's configuration file, where a call names no other. */
  readonly configPath: string | undefined;
  readonly io: CommandIO;
}

export interface MCPResult {
  readonly text: string;
  readonly isError: boolean;
}

/** More output is cut off: an assistant has no use for it. */
const MAX_OUTPUT_LENGTH = 1 << 20;

const CONFIG: Argument = {
  type: "string",
  description: "Path of the configuration file; that of the running service by default",
};

const COMMANDS: Readonly<Record<string, () => Promise<RunCommand>>> = {
  databases: async () => (await import("./commands/databases.ts")).runDatabases,
  status: async () => (await import("./commands/status.ts")).runStatus,
  ltx: async () => (await import("./commands/ltx.ts")).runLTX,
  restore: async () => (await import("./commands/restore.ts")).runRestore,
  version: async () => (await import("./commands/version.ts")).runVersion,
  reset: async () => (await import("./commands/reset.ts")).runReset,
};

/** In upstream's order, with its names and arguments. */
export const MCP_TOOLS: readonly MCPTool[] = [
  {
    name: "litestream_info",
    description: "A report of the version, the configuration, its databases and their LTX files",
    arguments: { config: CONFIG },
    required: [],
    readOnly: true,
    run: reportInfo,
  },
  {
    name: "litestream_databases",
    description: "Lists the databases of the configuration and their replicas",
    arguments: { config: CONFIG },
    required: [],
    readOnly: true,
    run: (args, context) => runTool("databases", configFlags(args, context), context),
  },
  {
    name: "litestream_status",
    description: "Shows how the replication of each database, or of one, stands",
    arguments: {
      config: CONFIG,
      path: { type: "string", description: "Path of one database" },
    },
    required: [],
    readOnly: true,
    run: (args, context) =>
      runTool("status", [...configFlags(args, context), ...words(text(args, "path"))], context),
  },
  {
    name: "litestream_ltx",
    description: "Lists the LTX files of a database or of a replica URL",
    arguments: {
      path: { type: "string", description: "Path of the database, or URL of the replica" },
      config: CONFIG,
    },
    required: ["path"],
    readOnly: true,
    run: (args, context) => runTool("ltx", withPath([], args, context), context),
  },
  {
    name: "litestream_restore",
    description: "Restores a database to a file that does not exist yet",
    arguments: {
      path: { type: "string", description: "Path of the database, or URL of the replica" },
      o: { type: "string", description: "File to write; the database's own path by default" },
      config: CONFIG,
      txid: { type: "string", description: "Restore up to this transaction ID" },
      timestamp: { type: "string", description: "Restore to this time (RFC 3339)" },
      parallelism: { type: "string", description: "Files read at once" },
      if_db_not_exists: { type: "boolean", description: "Succeed when the file exists already" },
      if_replica_exists: { type: "boolean", description: "Succeed when there is no backup" },
    },
    required: ["path"],
    readOnly: false,
    run: runRestoreTool,
  },
  {
    name: "litestream_version",
    description: "Shows the version of the program",
    arguments: {},
    required: [],
    readOnly: true,
    run: (_args, context) => runTool("version", [], context),
  },
  {
    name: "litestream_reset",
    description: "Removes the local replication state of a database",
    arguments: { path: { type: "string", description: "Path of the database" }, config: CONFIG },
    required: ["path"],
    readOnly: false,
    run: (args, context) => runTool("reset", withPath([], args, context), context),
  },
];

/** Calls a tool with arguments as a client sent them. */
export async function callTool(
  tool: MCPTool,
  args: Arguments,
  context: MCPContext,
): Promise<MCPResult> {
  const wrong = tool.required.find((name) => text(args, name) === undefined);
  if (wrong !== undefined) return { text: `required argument "${wrong}" not found`, isError: true };
  return await tool.run(args, context);
}

async function runRestoreTool(args: Arguments, context: MCPContext): Promise<MCPResult> {
  const flags = ["o", "txid", "timestamp", "parallelism"].flatMap((name) => {
    const value = text(args, name);
    return value === undefined ? [] : [`-${name}`, value];
  });
  if (truth(args, "if_db_not_exists")) flags.push("-if-db-not-exists");
  if (truth(args, "if_replica_exists")) flags.push("-if-replica-exists");
  return await runTool("restore", withPath(flags, args, context), context);
}

async function reportInfo(args: Arguments, context: MCPContext): Promise<MCPResult> {
  const flags = configFlags(args, context);
  const version = await runTool("version", [], context);
  const databases = await runTool("databases", flags, context);
  const ltx: string[] = [];
  for (const line of databases.isError ? [] : databases.text.split("\n").slice(1)) {
    // The columns are aligned by two blanks at least, so that a path may hold single ones.
    const [path = ""] = line.split(/\s{2,}/);
    if (path !== "")
      ltx.push(`${path}:\n${(await runTool("ltx", [...flags, path], context)).text}`);
  }
  const report = [
    "=== Litestream Status Report ===",
    `Version Information:\n${version.text}`,
    `Current Config Path:\n${flags[1] ?? "/etc/litestream.yml"}\n`,
    `Databases:\n${databases.text}`,
    `LTX Files:\n${ltx.join("\n")}`,
  ];
  return { text: report.join("\n"), isError: databases.isError };
}

/** Runs a command with what it prints caught; a failure says its exit status, as a subprocess would. */
async function runTool(
  name: string,
  args: readonly string[],
  { io }: MCPContext,
): Promise<MCPResult> {
  let output = "";
  const print = (chunk: string): void => {
    if (output.length < MAX_OUTPUT_LENGTH) output += chunk.slice(0, MAX_OUTPUT_LENGTH);
  };
  const caught: CommandIO = {
    ...io,
    stdout: print,
    stderr: print,
    stderrIsTerminal: false,
    stdoutIsTerminal: false,
    hasTerminal: false,
    env: { ...io.env },
    onSignal: () => () => {},
    exit: (code) => {
      throw new ExitCode(code);
    },
  };
  const code = await runCaught(name, args, caught);
  return code === 0
    ? { text: output, isError: false }
    : { text: `${output}: exit status ${code}`, isError: true };
}

async function runCaught(name: string, args: readonly string[], io: CommandIO): Promise<number> {
  try {
    const run = await COMMANDS[name]?.();
    return (await run?.(args, io)) ?? 1;
  } catch (error) {
    if (error instanceof ExitCode) return error.code;
    io.stderr(formatCLIError(error));
    return 1;
  }
}

function configFlags(args: Arguments, { configPath }: MCPContext): readonly string[] {
  const path = text(args, "config") ?? configPath;
  return path === undefined ? [] : ["-config", path];
}

/** A replica URL stands for itself: no configuration goes with it. What follows `--` is never a flag. */
function withPath(
  flags: readonly string[],
  args: Arguments,
  context: MCPContext,
): readonly string[] {
  const path = text(args, "path") ?? "";
  const isURL = /^[a-z][a-z0-9+.-]*:\/\//i.test(path) && !/^sqlite3?:/i.test(path);
  return [...(isURL ? [] : configFlags(args, context)), ...flags, ...words(path)];
}

function words(path: string | undefined): readonly string[] {
  return path === undefined ? [] : ["--", path];
}

function text(args: Arguments, name: string): string | undefined {
  const value = args[name];
  if (typeof value === "number") return String(value);
  return typeof value === "string" && value !== "" ? value : undefined;
}

function truth(args: Arguments, name: string): boolean {
  return args[name] === true || args[name] === "true";
}
