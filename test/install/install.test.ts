/** What is handed out works on a clean prefix: npm's package, the single executable, the Debian package. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { transform } from "esbuild";
import { Scratch } from "../harness/scratch.ts";

const root = resolve(import.meta.dirname, "../..");

/** Nothing of this repository is on the path. */
function environment(scratch: Scratch): Record<string, string> {
  const path = `${dirname(process.execPath)}:/usr/bin:/bin`;
  return { PATH: path, HOME: scratch.folder, npm_config_cache: scratch.path("npm-cache") };
}

/** Replicates and restores, with the threads that check and compress. */
function prove(scratch: Scratch, command: readonly [string, ...string[]]): void {
  const [program, ...first] = command;
  const run = (...args: string[]): void => {
    execFileSync(program, [...first, ...args], { env: environment(scratch), stdio: "pipe" });
  };
  const source = scratch.path("app.db");
  const place = `file://${scratch.path("replica")}`;
  using database = new DatabaseSync(source);
  // 64 MiB and more are compressed in threads.
  database.exec(
    `PRAGMA journal_mode = wal; CREATE TABLE t (x);
     INSERT INTO t SELECT randomblob(1000000) FROM generate_series(1, 70)`.replace(
      "generate_series(1, 70)",
      "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 70) SELECT i FROM n)",
    ),
  );
  run("replicate", "-once", "-force-snapshot", source, place);
  const output = scratch.path("restored.db");
  run("restore", "-integrity-check", "full", "-o", output, place);
  database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
  assert.ok(readFileSync(output).equals(readFileSync(source)), "the restored pages are the same");
}

test("the npm package, installed globally and run by npx", () => {
  using scratch = new Scratch("install-npm");
  const npm = (...args: string[]): string =>
    execFileSync("npm", args, { cwd: scratch.folder, encoding: "utf8" });
  const output = execFileSync(
    "npm",
    ["pack", "--silent", "--pack-destination", scratch.folder, root],
    {
      cwd: root,
      encoding: "utf8",
    },
  );
  const tarball = scratch.path(output.trim().split("\n").at(-1) ?? "");
  const prefix = scratch.path("prefix");
  npm("install", "--global", "--prefix", prefix, "--no-audit", "--no-fund", tarball);
  prove(scratch, [process.execPath, join(prefix, "bin/litestream")]);
  const printed = npm("exec", "--yes", "--package", tarball, "--", "litestream", "version");
  assert.match(printed, /^\d+\.\d+\.\d+\n$/);
});

test("the launcher is in the language of the oldest Node", async () => {
  const source = readFileSync(resolve(root, "bin/litestream.js"), "utf8");
  await transform(source, { target: "es5" });
  await assert.rejects(transform(`const a = 1;`, { target: "es5" }), "this test can fail");
});

test("the Debian package and the single executable in it", (context) => {
  if (spawnSync("dpkg-deb", ["--version"]).status !== 0) {
    context.skip("needs dpkg-deb");
    return;
  }
  using scratch = new Scratch("install-deb");
  execFileSync(process.execPath, [resolve(root, "packaging/deb.ts")], { stdio: "pipe" });
  const { version } = JSON.parse(readFileSync(resolve(root, "package.json"), "utf8"));
  const architecture = process.arch === "x64" ? "amd64" : process.arch;
  const file = resolve(root, `build/litestream_${version}_${architecture}.deb`);
  const folder = scratch.path("root");
  execFileSync("dpkg-deb", ["--extract", file, folder]);
  const settings = readFileSync(join(folder, "etc/litestream.yml"), "utf8");
  assert.deepEqual(
    settings.split("\n").filter((line) => !/^(#.*)?$/.test(line)),
    [],
  );
  assert.match(
    execFileSync("dpkg-deb", ["--info", file, "conffiles"], { encoding: "utf8" }),
    /^\/etc\/litestream\.yml$/m,
  );
  prove(scratch, [join(folder, "usr/bin/litestream")]);
});
