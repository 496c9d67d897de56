/** Starts worker threads by name: from source, from compiled files, from the bundle, inside the single executable. */
import { getAsset, isSea } from "node:sea";
import { Worker, type WorkerOptions } from "node:worker_threads";

/** Set by packaging/bundle.ts, where all entries lie side by side. */
declare const BUNDLED_VERSION: string | undefined;

/** Where each entry lies below the source folder. */
const ENTRIES = {
  "checkpoint-worker": "sqlite/checkpoint-worker",
  "frame-worker": "engine/frame-worker",
  "integrity-worker": "engine/integrity-worker",
} as const;

export type WorkerName = keyof typeof ENTRIES;

/** Starts a thread. The single executable has no files: there an entry is an asset, a script without imports. */
export function startWorker(name: WorkerName, options: WorkerOptions = {}): Worker {
  if (isSea()) return new Worker(getAsset(`${name}.js`, "utf8"), { ...options, eval: true });
  return new Worker(entryURL(name), options);
}

function entryURL(name: WorkerName): URL {
  if (typeof BUNDLED_VERSION === "string") return new URL(`./${name}.js`, import.meta.url);
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  return new URL(`../${ENTRIES[name]}.${extension}`, import.meta.url);
}
