/** Bundles the command line: fewer files to find and to read, so that commands start sooner. */
import { build, type BuildOptions } from "esbuild";
import { readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { resolve } from "node:path";

const root = resolve(import.meta.dirname, "..");

/** The threads started by src/sqlite/start-worker.ts, by name. */
const WORKERS: Readonly<Record<string, string>> = {
  "checkpoint-worker": "src/sqlite/checkpoint-worker.ts",
  "frame-worker": "src/engine/frame-worker.ts",
  "integrity-worker": "src/engine/integrity-worker.ts",
};

/** Names of the files that hold a thread each. */
export const WORKER_FILES: readonly string[] = Object.keys(WORKERS).map((name) => `${name}.js`);

/** The version in package.json. */
export function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(resolve(root, "package.json"), "utf8")) as {
    readonly version: string;
  };
  return version;
}

/** Modules in chunks: a command reads only what it needs. */
export async function bundleModules(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await build({
    ...settings(folder),
    format: "esm",
    splitting: true,
    // Libraries that are not modules ask for Node's own by require().
    banner: {
      js: 'import { createRequire as makeRequire } from "node:module"; const require = makeRequire(import.meta.url);',
    },
  });
}

/** One script for each entry, without imports: what the single executable holds. */
export async function bundleScripts(folder: string): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  // Every module is inside: an import() becomes a call.
  await build({ ...settings(folder), format: "cjs", supported: { "dynamic-import": false } });
}

function settings(folder: string): BuildOptions {
  return {
    absWorkingDir: root,
    entryPoints: { litestream: "src/cli/program.ts", ...WORKERS },
    outdir: folder,
    bundle: true,
    platform: "node",
    target: "node24",
    define: { BUNDLED_VERSION: JSON.stringify(packageVersion()) },
    // A script has no import.meta; what reads it there is not reached.
    logOverride: { "empty-import-meta": "silent" },
    logLevel: "warning",
  };
}

if (import.meta.main) await bundleModules(resolve(root, "dist/program"));
