/** `litestream version`: prints the version. */
import { parseFlags } from "../flags.ts";
import type { CommandIO } from "../io.ts";
import { commandUsage } from "../usage.ts";
import { readVersion } from "../version.ts";

const FLAGS = {
  verbose: { kind: "boolean", help: ["Print the versions of what it runs on too."] },
} as const;

const USAGE = {
  about: "Prints the version.",
  forms: ["litestream version [arguments]"],
  flags: FLAGS,
} as const;

/** Runs the command; further arguments are ignored, as upstream does. */
export function runVersion(args: readonly string[], io: CommandIO): Promise<number> {
  const parsed = parseFlags(args, FLAGS);
  if (parsed.kind === "help") io.stdout(commandUsage(USAGE));
  else if (parsed.flags.verbose === true) io.stdout(verboseVersion());
  else io.stdout(`${readVersion()}\n`);
  return Promise.resolve(0);
}

function verboseVersion(): string {
  const rows = [
    ["Version:", readVersion()],
    ["Node:", process.versions.node],
    ["SQLite:", process.versions["sqlite"] ?? "none"],
    ["OS/Arch:", `${process.platform}/${process.arch}`],
  ] as const;
  return rows.map(([name, value]) => `${name.padEnd(13)}${value}\n`).join("");
}
