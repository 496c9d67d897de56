/** The two programs that are measured: the real Litestream from PyPI and this repository's build. */
import { createHash } from "node:crypto";
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";

const PEER_VERSION = "0.5.17";
const REPOSITORY = path.resolve(import.meta.dirname, "..");

export type ProgramName = "peer" | "ours";

/** A command line that understands Litestream's arguments. */
export interface Program {
  readonly name: ProgramName;
  /** What to start, before the arguments of the command. */
  readonly command: readonly [string, ...string[]];
  /** What the program answers to `version`, and the hash of its file. */
  readonly identity: string;
}

/** Installs the peer binary into `folder` unless it is there already. */
export function installPeer(folder: string): Program {
  const script = path.join(REPOSITORY, "test/servers/peer.sh");
  const binary = execFileSync(script, ["install", folder, PEER_VERSION], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  }).trim();
  return describe("peer", [binary], `sha256 ${sha256(binary)}`);
}

/**
 * This repository's build, or the command `override` (a binary's path) in its place. With `profileFolder`, V8 writes a
 * CPU profile of every process and worker thread there.
 */
export function ownProgram(
  override: string | undefined,
  profileFolder: string | undefined,
): Program {
  if (override !== undefined) return describe("ours", [path.resolve(override)], override);
  const entry = path.join(REPOSITORY, "bin/litestream.js");
  if (!fs.existsSync(path.join(REPOSITORY, "dist/program/litestream.js"))) {
    throw new Error("Cannot measure this repository: no build in dist (run npm run build)");
  }
  const profile = profileFolder ? ["--cpu-prof", `--cpu-prof-dir=${profileFolder}`] : [];
  const { node, sqlite } = process.versions;
  return describe("ours", [process.execPath, ...profile, entry], `Node ${node}, SQLite ${sqlite}`);
}

function describe(name: ProgramName, command: [string, ...string[]], detail: string): Program {
  const [file, ...args] = command;
  const version = execFileSync(file, [...args, "version"], { encoding: "utf8" }).trim();
  return { name, command, identity: `${version} (${detail})` };
}

function sha256(file: string): string {
  return createHash("sha256").update(fs.readFileSync(file)).digest("hex");
}
