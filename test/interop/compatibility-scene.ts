/** The folder a compatibility case runs in: databases, replicas and local state, as the real Litestream made them. */
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { join, relative } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { run, type Program } from "../harness/program.ts";

const fixtures = join(import.meta.dirname, "../fixtures");

/** Replicas of test/fixtures and their names in the scene. */
const REPLICAS: Readonly<Record<string, string>> = {
  levels: "02-levels",
  retired: "02-levels-retired",
  gap: "10-gap-missing-l0",
  headless: "10-gap-missing-first",
  strays: "10-extra-files",
};

/** What `$DIR/litestream.yml` says unless the case brings its own. */
const CONFIG = `dbs:
  - path: $DIR/app.db
    replica: {path: $DIR/replica/app}
  - path: $DIR/new.db
    replica: {path: $DIR/replica/new}
  - path: $DIR/wal.db
    replica: {path: $DIR/replica/wal}
  - path: $DIR/gone.db
    replica: {path: $DIR/replica/gone}
`;

/** Makes the scene in `folder`. Paths inside it are not known to any file of it. */
export async function makeScene(folder: string, peer: Program): Promise<void> {
  fs.mkdirSync(folder, { recursive: true });
  for (const [name, fixture] of Object.entries(REPLICAS)) copyFixture(fixture, join(folder, name));
  fs.mkdirSync(join(folder, "empty"));
  fs.writeFileSync(join(folder, "empty.db"), "");
  fs.mkdirSync(join(folder, "broken-meta/ltx"), { recursive: true });
  fs.writeFileSync(join(folder, "broken-meta/ltx/0"), "");
  fs.mkdirSync(join(folder, "dir/sub"), { recursive: true });
  for (const name of ["new.db", "dir/a.db", "dir/b.db", "dir/sub/c.db"]) {
    using db = new DatabaseSync(join(folder, name));
    db.exec("PRAGMA journal_mode = WAL; CREATE TABLE t(x); INSERT INTO t VALUES (1)");
  }
  fs.writeFileSync(join(folder, "dir/d.db"), "no database");
  makeLargeWAL(join(folder, "wal.db"));
  await replicateThrice(join(folder, "app.db"), join(folder, "replica/app"), peer);
}

/** A copy of the scene with the times of its files, and its `litestream.yml`. */
export function copyScene(scene: string, folder: string, config: string | undefined): void {
  fs.rmSync(folder, { recursive: true, force: true });
  fs.cpSync(scene, folder, { recursive: true, preserveTimestamps: true });
  writeConfig(folder, config);
}

export function writeConfig(folder: string, config: string | undefined): void {
  const text = (config ?? CONFIG).replaceAll("$DIR", folder);
  fs.writeFileSync(join(folder, "litestream.yml"), text);
}

/** Every file of the scene with what it holds, but for what differs from run to run. */
export function describeFiles(folder: string): string {
  const entries = fs.readdirSync(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && entry.name !== "litestream.yml")
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      // SQLite gives its shared memory other contents each time.
      const isStable = !entry.name.endsWith("-shm");
      const hash = createHash("sha256").update(fs.readFileSync(path)).digest("hex").slice(0, 16);
      return `${relative(folder, path)}${isStable ? ` ${hash}` : ""}`;
    })
    .toSorted()
    .join("\n");
}

function copyFixture(name: string, folder: string): void {
  const text = fs.readFileSync(join(fixtures, name, "case.json"), "utf8");
  const { files } = JSON.parse(text) as { files: { path: string; mtime: string }[] };
  fs.cpSync(join(fixtures, name, "replica"), folder, { recursive: true });
  for (const { path, mtime } of files) {
    const at = new Date(mtime);
    // A double of seconds can land a millisecond low.
    fs.utimesSync(join(folder, relative("replica", path)), at, (at.getTime() + 0.5) / 1000);
  }
}

function makeLargeWAL(path: string): void {
  using db = new DatabaseSync(path);
  db.exec("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t(x)");
  db.exec("INSERT INTO t VALUES (zeroblob(100000))");
  const wal = fs.readFileSync(`${path}-wal`);
  db.close();
  // As a process that was killed leaves it.
  fs.writeFileSync(`${path}-wal`, wal);
}

/** Three transactions, a pass of the real program after each: three level-0 files and its local state. */
async function replicateThrice(path: string, replica: string, peer: Program): Promise<void> {
  using db = new DatabaseSync(path);
  db.exec("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t(x)");
  for (let row = 0; row < 3; row++) {
    db.exec(`INSERT INTO t VALUES (${row})`);
    const outcome = await run(peer, ["replicate", "-once", path, `file://${replica}`]);
    if (outcome.code !== 0) throw new Error(`Cannot make the scene: ${outcome.stdout}`);
  }
}
