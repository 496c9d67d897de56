/** Makes build/litestream: this Node and the whole program in one file that needs nothing beside it. */
import { execFileSync } from "node:child_process";
import { chmod, copyFile, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { bundleScripts, WORKER_FILES } from "./bundle.ts";

/** Marks the place in Node's executable that says whether a program was put into it. */
const FUSE = "NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2";

const folder = resolve(import.meta.dirname, "../build");

/** Makes the executable; resolves to its path. */
export async function makeExecutable(): Promise<string> {
  const scripts = join(folder, "scripts");
  await bundleScripts(scripts);
  await mkdir(folder, { recursive: true });
  const blob = join(folder, "litestream.blob");
  const config = join(folder, "sea.json");
  await writeFile(config, JSON.stringify(seaConfig(scripts, blob), null, 2));
  execFileSync(process.execPath, ["--experimental-sea-config", config], { stdio: quiet() });
  const output = join(folder, "litestream");
  const unfinished = `${output}.tmp`;
  await copyFile(process.execPath, unfinished);
  await chmod(unfinished, 0o755);
  const postject = createRequire(import.meta.url).resolve("postject/dist/cli.js");
  const words = [postject, unfinished, "NODE_SEA_BLOB", blob, "--sentinel-fuse", FUSE];
  execFileSync(process.execPath, words, { stdio: quiet() });
  // An executable that runs cannot be written to, but replaced.
  await rename(unfinished, output);
  for (const path of [scripts, blob, config]) await rm(path, { recursive: true });
  return output;
}

function seaConfig(scripts: string, output: string): object {
  return {
    main: join(scripts, "litestream.js"),
    output,
    disableExperimentalSEAWarning: true,
    useCodeCache: true,
    assets: Object.fromEntries(WORKER_FILES.map((name) => [name, join(scripts, name)])),
  };
}

/** Errors only. */
function quiet(): ["ignore", "ignore", "inherit"] {
  return ["ignore", "ignore", "inherit"];
}

if (import.meta.main) console.log(await makeExecutable());
