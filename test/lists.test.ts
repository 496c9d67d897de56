/** The list commands on every replica of test/fixtures print what the real Litestream printed (see the README there). */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { brotliDecompressSync } from "node:zlib";
import { runCommand } from "./harness/command-run.ts";
import { Scratch } from "./harness/scratch.ts";

const fixtures = join(import.meta.dirname, "fixtures");

interface FixtureCase {
  readonly name: string;
  readonly compressed?: "br";
  readonly files: readonly { readonly path: string; readonly mtime?: string }[];
  readonly lists?: readonly ListExpectation[];
}

interface ListExpectation {
  readonly args: readonly string[];
  /** Path below the case. */
  readonly file: string;
  /** Which command line printed it. */
  readonly cli: readonly string[];
  readonly ignore_column?: string;
}

/** Views of v0.3 backups are another matter: the real 0.5 does not have them. */
const COMMANDS: ReadonlySet<string | undefined> = new Set(["ltx", "databases"]);

const cases = fs
  .readdirSync(fixtures)
  .filter((name) => fs.existsSync(join(fixtures, name, "case.json")))
  .map(
    (name) => JSON.parse(fs.readFileSync(join(fixtures, name, "case.json"), "utf8")) as FixtureCase,
  )
  .map((fixture) => ({
    fixture,
    lists: (fixture.lists ?? []).filter(
      ({ args, cli }) => cli.includes("0.5") && COMMANDS.has(args[0]),
    ),
  }))
  .filter(({ lists }) => lists.length > 0);

test("the fixtures hold expectations of lists", () => {
  assert.ok(cases.length > 30, `${cases.length} cases`);
});

for (const { fixture, lists } of cases) {
  test(`lists of ${fixture.name} are those of Litestream`, async () => {
    using scratch = new Scratch("lists");
    copyReplica(fixture, scratch.folder);
    for (const { args, file } of lists) {
      const words = args.map((word) => word.replaceAll("$DIR", scratch.folder));
      const result = await runCommand(words, { cwd: scratch.folder });
      const expected = fs.readFileSync(join(fixtures, fixture.name, file), "utf8");
      const { code, stderr } = result;
      const stdout = result.stdout.replaceAll(scratch.folder, "$DIR");
      assert.deepEqual(
        { args, code, stdout, stderr },
        { args, code: 0, stdout: expected, stderr: "" },
      );
    }
  });
}

function copyReplica(fixture: FixtureCase, folder: string): void {
  fs.mkdirSync(join(folder, "replica"), { recursive: true });
  for (const { path, mtime } of fixture.files) {
    const target = join(folder, path);
    fs.mkdirSync(dirname(target), { recursive: true });
    const source = join(fixtures, fixture.name, path);
    if (fixture.compressed === "br" && fs.existsSync(`${source}.br`)) {
      fs.writeFileSync(target, brotliDecompressSync(fs.readFileSync(`${source}.br`)));
    } else fs.copyFileSync(source, target);
    // Local state of take-over cases has no time.
    if (mtime === undefined) continue;
    const at = new Date(mtime);
    // A double of seconds can land a millisecond low.
    fs.utimesSync(target, at, (at.getTime() + 0.5) / 1000);
  }
}
