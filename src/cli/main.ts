/** Picks a command, prints errors with their hint, returns an exit code. Each command is loaded when it is called. */
import type { CommandIO } from "./io.ts";

/** Runs with the words after the command; resolves to the exit code. */
type RunCommand = (args: readonly string[], io: CommandIO) => Promise<number>;

interface Command {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<RunCommand>;
}

/** In the order of the usage text. */
const COMMANDS: readonly Command[] = [
  {
    name: "config",
    summary: "check a config file, or show what it means",
    load: async () => (await import("./commands/config.ts")).runConfig,
  },
  {
    name: "databases",
    summary: "list databases specified in config file",
    load: async () => (await import("./commands/databases.ts")).runDatabases,
  },
  {
    name: "generations",
    summary: "list generations of a v0.3 backup",
    load: async () => (await import("./commands/generations.ts")).runGenerations,
  },
  {
    name: "info",
    summary: "show daemon information",
    load: async () => (await import("./commands/info.ts")).runInfo,
  },
  {
    name: "list",
    summary: "list all managed databases",
    load: async () => (await import("./commands/list.ts")).runList,
  },
  {
    name: "ltx",
    summary: "list available LTX files for a database",
    load: async () => (await import("./commands/ltx.ts")).runLTX,
  },
  {
    name: "points",
    summary: "list the states a database can be restored to",
    load: async () => (await import("./commands/points.ts")).runPoints,
  },
  {
    name: "register",
    summary: "register a database for replication",
    load: async () => (await import("./commands/register.ts")).runRegister,
  },
  {
    name: "replicate",
    summary: "runs a server to replicate databases",
    load: async () => (await import("./commands/replicate.ts")).runReplicate,
  },
  {
    name: "reset",
    summary: "reset local state for a database",
    load: async () => (await import("./commands/reset.ts")).runReset,
  },
  {
    name: "restore",
    summary: "recovers database backup from a replica",
    load: async () => (await import("./commands/restore.ts")).runRestore,
  },
  {
    name: "snapshot",
    summary: "take a snapshot of a database now",
    load: async () => (await import("./commands/snapshot.ts")).runSnapshot,
  },
  {
    name: "snapshots",
    summary: "list snapshots of a v0.3 backup",
    load: async () => (await import("./commands/snapshots.ts")).runSnapshots,
  },
  {
    name: "start",
    summary: "start replication for a database",
    load: async () => (await import("./commands/start.ts")).runStart,
  },
  {
    name: "status",
    summary: "display replication status for databases",
    load: async () => (await import("./commands/status.ts")).runStatus,
  },
  {
    name: "stop",
    summary: "stop replication for a database",
    load: async () => (await import("./commands/stop.ts")).runStop,
  },
  {
    name: "sync",
    summary: "force an immediate sync for a database",
    load: async () => (await import("./commands/sync.ts")).runSync,
  },
  {
    name: "unregister",
    summary: "unregister a database from replication",
    load: async () => (await import("./commands/unregister.ts")).runUnregister,
  },
  {
    name: "verify",
    summary: "read a replica whole and check every file of it",
    load: async () => (await import("./commands/verify.ts")).runVerify,
  },
  {
    name: "version",
    summary: "prints the binary version",
    load: async () => (await import("./commands/version.ts")).runVersion,
  },
  {
    name: "wal",
    summary: "list WAL segments of a v0.3 backup",
    load: async () => (await import("./commands/wal.ts")).runWAL,
  },
];

const HELP_WORDS: ReadonlySet<string> = new Set(["help", "-h", "-help", "--help"]);
const VERSION_WORDS: ReadonlySet<string> = new Set(["-version", "--version"]);

/** Runs the command line `args` (without the program). Never rejects. */
export async function run(args: readonly string[], io: CommandIO): Promise<number> {
  const [first, ...rest] = args;
  copyCredentials(io.env);
  if (first === undefined) {
    io.stdout(mainUsage());
    return 1;
  }
  if (HELP_WORDS.has(first)) return runHelp(rest, io);
  const name = VERSION_WORDS.has(first) ? "version" : first;
  const command = COMMANDS.find((candidate) => candidate.name === name);
  try {
    if (command === undefined) return await refuse(name, rest, io);
    const runCommand = await command.load();
    return await runCommand(rest, io);
  } catch (error) {
    const { ExitCode, formatCLIError } = await import("./errors.ts");
    if (error instanceof ExitCode) return error.code;
    io.stderr(formatCLIError(error));
    return 1;
  }
}

async function runHelp(rest: readonly string[], io: CommandIO): Promise<number> {
  const command = COMMANDS.find((candidate) => candidate.name === rest[0]);
  if (command === undefined) {
    const { helpTopic } = await import("./help-topics.ts");
    io.stdout(helpTopic(rest[0] ?? "") ?? mainUsage());
    return 0;
  }
  return (await command.load())(["-h"], io);
}

async function refuse(name: string, rest: readonly string[], io: CommandIO): Promise<number> {
  const { UsageError } = await import("./errors.ts");
  if (name.startsWith("-")) {
    io.stdout(mainUsage());
    const command =
      COMMANDS.find((candidate) => rest.includes(candidate.name))?.name ?? "replicate";
    throw new UsageError(`flag before the command: ${name}`, {
      hint: `Flags stand after the command: litestream ${command} ${name} …`,
    });
  }
  const { nearest } = await import("../config/nearest.ts");
  const meant = nearest(
    name,
    COMMANDS.map((command) => command.name),
  );
  const suggestion = meant === undefined ? "" : `Did you mean "litestream ${meant}"? `;
  throw new UsageError(`litestream ${name}: unknown command`, {
    hint: `${suggestion}"litestream help" lists the commands`,
  });
}

/**
 * Gives the AWS credential chain the LITESTREAM_ variables: only where the AWS one is not there at all, as upstream.
 * The session token goes with the keys, so it is copied only beside them.
 */
function copyCredentials(env: Record<string, string | undefined>): void {
  for (const name of ["ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN"]) {
    const value = env[`LITESTREAM_${name}`];
    if (value !== undefined && env[`AWS_${name}`] === undefined) env[`AWS_${name}`] = value;
  }
}

function mainUsage(): string {
  const commands = COMMANDS.map(({ name, summary }) => `\t${name.padEnd(12)} ${summary}\n`);
  return `litestream is a tool for replicating SQLite databases.

Usage:

\tlitestream <command> [arguments]

The commands are:

${commands.join("")}
"litestream <command> -h" explains a command, "litestream help exit-codes" its
exit codes.
`;
}
