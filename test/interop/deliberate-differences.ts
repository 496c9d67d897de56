/**
 * Where ours answers otherwise than the real Litestream, on purpose. docs/compatibility.md is made of this; the suite
 * fails for a difference that is not here, and for one that is here and no longer exists.
 */
import type { ComparedField } from "./compatibility-compare.ts";

export interface DeliberateDifference {
  readonly title: string;
  readonly reason: string;
  readonly fields: readonly ComparedField[];
  /** Names of cases. */
  readonly cases: readonly string[];
  /** Not wanted, only not there yet. */
  readonly missing?: true;
}

export const DELIBERATE_DIFFERENCES: readonly DeliberateDifference[] = [
  {
    title: "A mistake in the flags is one line",
    reason:
      "Litestream prints the message twice and the whole help text to stdout, where a script takes it for the answer. Ours prints the message once, in the same words, to stderr, with the flag that was probably meant.",
    fields: ["stdout"],
    cases: [
      "version: unknown flag",
      "flags: unknown flag of databases",
      "flags: unknown flag of ltx",
      "flags: unknown flag of status",
      "flags: unknown flag of reset",
      "flags: unknown flag of replicate",
      "flags: unknown flag of restore",
      "flags: unknown flag with a value",
      "flags: unknown flag with two dashes",
      "flags: -config without a value",
      "flags: -o without a value",
      "flags: -level without a value",
      "flags: -exec without a value",
      "flags: boolean with a bad value",
      "flags: boolean yes",
      "flags: boolean with an empty value",
      "flags: -parallelism abc",
      "flags: -parallelism with a fraction",
      "flags: -parallelism empty",
      "flags: -follow-interval bare number",
      "flags: -follow-interval unknown unit",
      "flags: -txid no hex",
      "flags: -txid too long",
      "flags: three dashes",
      "flags: dash equals",
      "ltx: level 10",
      "ltx: level -1",
      "ltx: level word",
      "ltx: level empty",
      "wal: unknown flag",
    ],
  },
  {
    title: "wal stays wal",
    reason:
      "For Litestream it is another name of ltx. Ours shows version 0.3 backups with it as well, and its example says so.",
    fields: ["stderr"],
    cases: ["wal: no argument"],
  },
  {
    title: "-txid takes fewer than 16 digits",
    reason: "A transaction ID is a number: leading zeros say nothing.",
    fields: ["stdout", "stderr"],
    cases: ["flags: -txid too short"],
  },
  {
    title: "Flags may stand after the other arguments",
    reason:
      "Litestream takes them for further arguments and fails, or for a replica URL. A word behind -- is never a flag.",
    fields: ["code", "stdout", "stderr"],
    cases: ["flags: flag after a positional"],
  },
  {
    title: "Flags may stand after the replica URL",
    reason: "As above; here the flag is then found to contradict another.",
    fields: ["stderr"],
    cases: ["replicate: flag after the URL"],
  },
  {
    title: "--version and -version print the version",
    reason: "Litestream prints its help text and exits with 1.",
    fields: ["code", "stdout"],
    cases: ["dispatch: -version", "dispatch: --version"],
  },
  {
    title: "A flag before the command is explained",
    reason: "Litestream prints its help text and exits with 1 without a word about what is wrong.",
    fields: ["stderr"],
    cases: ["dispatch: a flag first"],
  },
  {
    title: "version -verbose tells of Node and SQLite instead of Go",
    reason: "These are what ours runs on.",
    fields: ["stdout"],
    cases: ["version: verbose"],
  },
  {
    title: "Several replicas per database",
    reason: "As version 0.3 had them; since 0.5 Litestream refuses more than one.",
    fields: ["code", "stdout", "stderr"],
    cases: ["databases: replicas list of two"],
  },
  {
    title: "Several entries of one path are one database with several replicas",
    reason:
      "The documentation of Litestream itself advised to write two destinations so. When other settings of the entries disagree, both programs refuse.",
    fields: ["code", "stdout", "stderr"],
    cases: ["entries: the same path twice"],
  },
  {
    title: "Type gcs is another name of gs",
    reason: "Version 0.3 called it so.",
    fields: ["code", "stdout", "stderr"],
    cases: ["databases: type gcs"],
  },
  {
    title: "dir entries stand for the databases in them",
    reason: "Litestream shows the current directory instead.",
    fields: ["stdout"],
    cases: ["databases: a directory entry", "status: a directory entry"],
  },
  {
    title: "${NAME:-default} and $$ in the configuration",
    reason:
      "Litestream has neither: it looks for a variable called `NAME:-default`, and eats a dollar sign.",
    fields: ["stdout"],
    cases: ["environment: a default", "environment: two dollars"],
  },
  {
    title: "YAML mistakes are told by another reader",
    reason:
      "Both begin with `yaml:`. Ours names the line in every case, and the place in the file once more behind it.",
    fields: ["stderr"],
    cases: [
      "environment: malformed braces",
      "config: a tab",
      "config: an unclosed bracket",
      "config: an unclosed quote",
      "config: a bad anchor",
      "config: a bad key order",
    ],
  },
  {
    title: "A bare number is no duration",
    reason:
      "Litestream takes 10 for ten nanoseconds: a loop that never rests and a bill for its requests. Ours refuses it and suggests 10s. 0 stays allowed where it means something.",
    fields: ["code", "stdout", "stderr"],
    cases: ["config: bare number as duration"],
  },
  {
    title: "Durations in days and weeks",
    reason: "1d and 2w are what people write for a retention.",
    fields: ["code", "stdout", "stderr"],
    cases: ["config: duration in days"],
  },
  {
    title: "Permissions may be quoted",
    reason: '"0600", 0600, 0o600 and 600 all mean 0600; Litestream reads the last as 01130.',
    fields: ["code", "stdout", "stderr"],
    cases: ["config: permissions quoted"],
  },
  {
    title: "Snapshot settings belong to their database",
    reason:
      "In Litestream the value of one database becomes that of all, and different ones are refused. Ours keeps them apart, and its messages name the database.",
    fields: ["stderr"],
    cases: ["entry: zero snapshot interval", "entry: negative snapshot retention"],
  },
  {
    title: "Databases may have different snapshot settings",
    reason: "As above.",
    fields: ["code", "stdout", "stderr"],
    cases: ["entries: different snapshot intervals"],
  },
  {
    title: "age is refused where it would matter",
    reason:
      "age.recipients keeps `replicate` from starting, with Litestream's words: it never writes plain text instead. Commands that do not write accept the configuration.",
    fields: ["code", "stdout", "stderr"],
    cases: ["entry: age recipients"],
  },
  {
    title: "A malformed replica URL is named as such",
    reason: "Litestream shows the message of Go's URL parser.",
    fields: ["stderr"],
    cases: ["entry: a URL with a bad escape"],
  },
  {
    title: "An empty entry is an error, not a crash",
    reason: "Litestream ends with a Go panic and exit code 2.",
    fields: ["code", "stderr"],
    cases: ["entries: a null entry"],
  },
  {
    title: "A replica's URL wins over inherited settings",
    reason: "A bucket at the top of the file makes Litestream refuse every replica that has a URL.",
    fields: ["code", "stdout", "stderr"],
    cases: ["entries: global bucket and a URL"],
  },
  {
    title: "sqlite:// and sqlite3:// stand before a path in every command",
    reason: "Litestream knows them in replicate and in the configuration only.",
    fields: ["code", "stdout", "stderr"],
    cases: ["ltx: database with a scheme", "reset: with a scheme"],
  },
  {
    title: "status finds a database by any spelling of its path",
    reason:
      "Litestream compares the text and shows nothing, with exit code 0, for a relative path. A path that the configuration does not have is said on stderr.",
    fields: ["stdout"],
    cases: ["status: one relative database"],
  },
  {
    title: "reset needs a path",
    reason: "Litestream takes an empty word, such as an unset variable, for the current directory.",
    fields: ["code", "stdout", "stderr"],
    cases: ["reset: empty argument"],
  },
  {
    title: "Every restore is checked",
    reason:
      "PRAGMA quick_check runs unless -integrity-check says otherwise, and the JSON summary reports what was run.",
    fields: ["stdout"],
    cases: ["restore: as JSON"],
  },
  {
    title: "A restore that fails for missing files says which",
    reason:
      "Litestream says `no matching backup files available` where the first file is missing, and `cannot calc restore plan` before what ours says too.",
    fields: ["stderr"],
    cases: ["restore: with a gap", "restore: missing first file"],
  },
  {
    title: "Nothing to replicate is a failure",
    reason:
      "With no databases Litestream logs an error and runs on, or ends well with -once. Ours exits with 1.",
    fields: ["code", "stdout", "stderr"],
    cases: ["replicate: no databases"],
  },
  {
    title: "A pass that failed is not reported as complete",
    reason: "Litestream logs `replication complete` also when -once failed.",
    fields: ["stdout"],
    cases: ["replicate: one pass", "replicate: one pass, no database"],
  },
  {
    title: "The command of -exec is read before anything starts",
    reason: "Litestream opens the databases first and then finds the open quote.",
    fields: ["stdout"],
    cases: ["replicate: exec with an open quote"],
  },
  {
    title: "Help of replicate",
    reason:
      "It also names what is new: several replica URLs, -exec-exit-code, and that -force-snapshot and -enforce-retention require -once.",
    fields: ["stdout"],
    cases: ["help: replicate -h", "help: replicate --help after others"],
  },
];
