/** The thread of one integrity check: runs the pragma of its `workerData` and posts the problems found. */
import { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";
import { parentPort, workerData } from "node:worker_threads";

export interface IntegrityTask {
  readonly path: string;
  readonly pragma: "quick_check" | "integrity_check";
}

const port = parentPort;
if (port === null) throw new Error("This file runs as a worker thread only");
const problems = runCheck(workerData as IntegrityTask);
port.postMessage(problems, []);

function runCheck({ path, pragma }: IntegrityTask): string[] {
  const url = pathToFileURL(path);
  url.searchParams.set("immutable", "1");
  try {
    using database = new DatabaseSync(url, { readOnly: true });
    const rows = database.prepare(`PRAGMA ${pragma}`).all();
    return rows.map((row) => String(Object.values(row)[0])).filter((text) => text !== "ok");
  } catch (error) {
    // What SQLite cannot even read ("file is not a database") is a finding, too.
    if (typeof (error as { errcode?: unknown }).errcode !== "number") throw error;
    return [(error as Error).message];
  }
}
