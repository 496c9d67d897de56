/** Commands of ours run in this process: as fast as a function call, with their streams caught. */
import type { CommandIO } from "../../src/cli/io.ts";
import { run } from "../../src/cli/main.ts";

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandEnvironment {
  readonly cwd: string;
  /** The whole environment: nothing of this process's gets through. */
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs `litestream ARGS`; no signal ever comes. */
export async function runCommand(
  args: readonly string[],
  { cwd, env = {} }: CommandEnvironment,
): Promise<CommandResult> {
  let stdout = "";
  let stderr = "";
  const io: CommandIO = {
    stdout: (text) => void (stdout += text),
    stderr: (text) => void (stderr += text),
    stderrIsTerminal: false,
    stdoutIsTerminal: false,
    hasTerminal: false,
    columns: 80,
    env: { ...env },
    cwd,
    onSignal: () => () => undefined,
    exit: (code) => {
      throw new Error(`exit(${code})`);
    },
  };
  const code = await run(args, io);
  return { code, stdout, stderr };
}
