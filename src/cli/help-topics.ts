/** `litestream help TOPIC`: what belongs to no single command. */

const EXIT_CODES = `Exit codes

\t0    Success. Also help that was asked for; a restore that was skipped because of
\t     -if-db-not-exists or -if-replica-exists; and a stopped "replicate" whose
\t     databases were all uploaded to the end.
\t1    Every failure: wrong arguments, an unusable configuration, a storage that
\t     refuses, a final sync that did not reach every replica, a subprocess of
\t     -exec that failed. stderr says why in a line that begins with "Error:".
\t     Also a bare "litestream", and a flag before the command.

Only when asked for:

\t"status -check"           1 when a database shown is not ok, when none was found
\t                          and, with -replica, when a replica is not in sync.
\t"config check"            1 when the file has errors and, with -strict, warnings.
\t"replicate -exec-exit-code"
\t                          the exit code of the subprocess, or 128 and the number
\t                          of the signal that ended it.

By signals:

\t129  SIGHUP, 130 SIGINT and 143 SIGTERM end a "restore"; its output is then as
\t     it was before. They stop "replicate" in good order, so that it exits with 0,
\t     or with 1 when data is left that was not uploaded.
`;

const TOPICS: Readonly<Record<string, string>> = { "exit-codes": EXIT_CODES };

/** The text of a topic; undefined when there is none of that name. */
export function helpTopic(name: string): string | undefined {
  return Object.hasOwn(TOPICS, name) ? TOPICS[name] : undefined;
}
