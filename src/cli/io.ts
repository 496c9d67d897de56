/** What a command touches of the process it runs in; tests give their own. */

export type ShutdownSignal = "SIGINT" | "SIGTERM" | "SIGHUP";

export interface CommandIO {
  readonly stdout: (text: string) => void;
  readonly stderr: (text: string) => void;
  /** Whether stderr is a terminal: progress is shown only there. */
  readonly stderrIsTerminal: boolean;
  readonly stdoutIsTerminal: boolean;
  /** Whether the process belongs to a terminal at all. */
  readonly hasTerminal: boolean;
  /** Columns of the terminal. */
  readonly columns: number;
  /** Environment; changes are seen by the places and by children. */
  readonly env: Record<string, string | undefined>;
  readonly cwd: string;
  /** Calls back for each signal until the returned function is called. */
  readonly onSignal: (listener: (signal: ShutdownSignal) => void) => () => void;
  /** Ends the process at once. */
  readonly exit: (code: number) => never;
}

const SIGNALS: readonly ShutdownSignal[] = ["SIGINT", "SIGTERM", "SIGHUP"];

/** The real process. */
export function processIO(): CommandIO {
  const { stdin, stdout, stderr } = process;
  for (const stream of [stdout, stderr]) stream.on("error", ignoreClosedPipe);
  return {
    stdout: (text) => void stdout.write(text),
    stderr: (text) => void stderr.write(text),
    stderrIsTerminal: stderr.isTTY,
    stdoutIsTerminal: stdout.isTTY,
    hasTerminal: stdin.isTTY || stdout.isTTY || stderr.isTTY,
    // Some pseudo-terminals say 0.
    columns: stderr.columns > 0 ? stderr.columns : 80,
    env: process.env,
    cwd: process.cwd(),
    onSignal: (listener) => {
      const listeners = SIGNALS.map((signal) => {
        const own = (): void => listener(signal);
        process.on(signal, own);
        return () => process.off(signal, own);
      });
      return () => {
        for (const remove of listeners) remove();
      };
    },
    exit: (code) => process.exit(code),
  };
}

/** Whoever read the output may go away; databases are replicated all the same. */
function ignoreClosedPipe(error: NodeJS.ErrnoException): void {
  if (error.code !== "EPIPE") throw error;
}
