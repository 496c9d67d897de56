/** `litestream version`: prints the version. */
import type { CommandIO } from "../io.ts";
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
export async function runVersion(args: readonly string[], io: CommandIO): Promise<number> {
  if (args.length === 0) {
    // What scripts call most loads nothing it does not need.
    io.stdout(`${readVersion()}\n`);
    return 0;
  }
  const { parseFlags } = await import("../flags.ts");
  const parsed = parseFlags(args, FLAGS);
  if (parsed.kind === "help") {
    const { commandUsage } = await import("../usage.ts");
    io.stdout(commandUsage(USAGE));
  } else if (parsed.flags.verbose === true) io.stdout(verboseVersion());
  else io.stdout(`${readVersion()}\n`);
  return 0;
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
