/** Commands on the v0.3 replicas of test/fixtures do what the real Litestream did, 0.3.13 and 0.5.17 (see the README there). */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { runCommand, type CommandResult } from "./harness/command-run.ts";
import { Scratch } from "./harness/scratch.ts";

const fixtures = join(import.meta.dirname, "fixtures");

interface FixtureCase {
  readonly name: string;
  readonly db: string;
  readonly format: string;
  readonly files: readonly { readonly path: string; readonly mtime: string }[];
  readonly expect: readonly Expectation[];
  readonly lists: readonly ListExpectation[];
}

interface Expectation {
  readonly args: Readonly<Record<string, string | boolean>>;
  readonly cli: readonly string[];
  readonly form: readonly ("url" | "config")[];
  readonly config?: string;
  readonly sha256?: string;
  readonly error?: string;
  readonly names?: readonly string[];
  readonly or_error?: boolean;
  readonly or_sha256?: string;
  readonly note?: string;
}

interface ListExpectation {
  readonly args: readonly string[];
  readonly file: string;
  readonly cli: readonly string[];
  readonly ignore_column?: string;
}

const cases: readonly FixtureCase[] = fs
  .readdirSync(fixtures)
  .filter((name) => fs.existsSync(join(fixtures, name, "case.json")))
  .map(
    (name) => JSON.parse(fs.readFileSync(join(fixtures, name, "case.json"), "utf8")) as FixtureCase,
  )
  .filter(({ format }) => format.startsWith("v0.3"));

/**
 * States between two snapshots that a v0.3 command line restores in another way than ours: 0.3.13 stops silently before a missing segment,
 * which is a refusal with us, and knows nothing of the LTX files beside it.
 */
function isOtherwise(fixture: FixtureCase, { cli, args, sha256 }: Expectation): boolean {
  const is03 = cli.includes("0.3") && !cli.includes("0.5");
  if (!is03) return false;
  if (fixture.format === "v0.3+ltx") return true;
  return (
    fixture.name === "10-v03-missing-segment" && sha256 !== undefined && !("timestamp" in args)
  );
}

test("there are enough expectations", () => {
  const count = cases.flatMap(({ expect }) => expect.flatMap(({ form }) => form)).length;
  assert.ok(cases.length >= 12, `${cases.length} cases`);
  assert.ok(count >= 340, `${count} expectations`);
});

for (const fixture of cases) {
  test(`restore of ${fixture.name} as Litestream restores it`, async () => {
    using scratch = new Scratch("v3");
    copyReplica(fixture, scratch.folder);
    for (const expected of fixture.expect) {
      if (isOtherwise(fixture, expected)) continue;
      for (const form of expected.form) await checkRestore(fixture, expected, form, scratch.folder);
    }
  });
}

for (const fixture of cases) {
  const lists = fixture.lists.filter(({ args }) =>
    ["generations", "snapshots", "wal"].includes(args[0] ?? ""),
  );
  if (lists.length === 0) continue;
  test(`generations, snapshots and wal of ${fixture.name} as Litestream 0.3 lists them`, async () => {
    using scratch = new Scratch("v3");
    copyReplica(fixture, scratch.folder);
    for (const { args, file, ignore_column: ignored } of lists) {
      const words = args.map((word) => word.replaceAll("$DIR", scratch.folder));
      const { code, stdout, stderr } = await runCommand(words, { cwd: scratch.folder });
      const expected = fs.readFileSync(join(fixtures, fixture.name, file), "utf8");
      assert.deepEqual(
        { args, code, stderr, cells: cellsOf(stdout, ignored) },
        { args, code: 0, stderr: "", cells: cellsOf(expected, ignored) },
      );
      if (ignored === undefined) assert.equal(stdout, expected);
    }
  });
}

test("restore of 10-v03-missing-segment names the expected position and how to go on (OL2)", async () => {
  using scratch = new Scratch("v3");
  const fixture = cases.find(({ name }) => name === "10-v03-missing-segment");
  assert.ok(fixture);
  copyReplica(fixture, scratch.folder);
  const { stderr } = await runRestore(
    fixture,
    { args: {}, cli: [], form: [] },
    "url",
    scratch.folder,
  );
  assert.match(
    stderr,
    /expected 2f24ed9478bb60a7\/00000000:0000000000017248, got .*:0000000000021338/,
  );
  const hint = /-generation \S+ -timestamp \S+/.exec(stderr)?.[0].split(" ") ?? [];
  const again = [
    "restore",
    ...hint,
    "-o",
    join(scratch.folder, "again.db"),
    `file://${scratch.folder}/replica`,
  ];
  const { code } = await runCommand(again, { cwd: scratch.folder });
  assert.equal(code, 0, again.join(" "));
  const before = fixture.expect.find(({ cli, sha256 }) => cli.includes("0.3") && sha256);
  assert.equal(hashFile(join(scratch.folder, "again.db")), before?.sha256);
});

async function checkRestore(
  fixture: FixtureCase,
  expected: Expectation,
  form: "url" | "config",
  folder: string,
): Promise<void> {
  const result = await runRestore(fixture, expected, form, folder);
  const what = `${fixture.name} ${form} ${expected.cli.join("+")} ${JSON.stringify(expected.args)} ${expected.note ?? ""}\n${result.stderr}`;
  const output = join(folder, "out/restored.db");
  const left = fs.readdirSync(dirname(output));
  if (result.code === 0) {
    assert.deepEqual(left, ["restored.db"], what);
    assert.ok(acceptedHashes(fixture, expected).includes(hashFile(output)), `${what}: other bytes`);
    fs.rmSync(output);
    return;
  }
  assert.deepEqual(left, [], what);
  assert.ok(expected.error !== undefined || expected.or_error === true, what);
  const patterns = expected.names ?? [".*"];
  assert.ok(
    patterns.some((pattern) => new RegExp(pattern, "i").test(result.stderr)),
    what,
  );
}

async function runRestore(
  fixture: FixtureCase,
  { args, config }: Expectation,
  form: "url" | "config",
  folder: string,
): Promise<CommandResult> {
  const output = join(folder, "out/restored.db");
  fs.mkdirSync(dirname(output), { recursive: true });
  const flags = Object.entries(args).map(([name, value]) => `-${name}=${String(value)}`);
  const words = ["restore", ...flags, "-o", output];
  if (form === "url") {
    return runCommand([...words, `file://${folder}/replica`], { cwd: folder });
  }
  const text =
    config ?? `dbs:\n  - path: "$DIR/${fixture.db}"\n    replica: {path: "$DIR/replica"}\n`;
  fs.writeFileSync(join(folder, "litestream.yml"), text.replaceAll("$DIR", folder));
  return runCommand(
    [...words, "-config", join(folder, "litestream.yml"), join(folder, fixture.db)],
    {
      cwd: folder,
    },
  );
}

function acceptedHashes(fixture: FixtureCase, expected: Expectation): (string | undefined)[] {
  const { expect } = fixture;
  if (expected.error === undefined) {
    return [expected.sha256, expected.or_sha256].filter((hash) => hash !== undefined);
  }
  // A time later than everything restores the newest state, as the configuration form of 0.5 does.
  const { timestamp, generation } = expected.args;
  if (typeof timestamp === "string" && isAfterEverything(fixture, timestamp, generation)) {
    return [
      expect.find(
        ({ args, sha256 }) =>
          sha256 !== undefined &&
          args["generation"] === generation &&
          Object.keys(args).length === (generation === undefined ? 0 : 1),
      )?.sha256,
    ];
  }
  // Between two generations: the last state before, as 0.5 restores it.
  const same = expect.find(
    ({ cli, args, sha256 }) =>
      cli.includes("0.5") && sha256 !== undefined && args["timestamp"] === timestamp,
  );
  // Encrypted backups of a configuration that 0.5 refuses.
  const decrypted = expect.find(
    ({ config, args, sha256 }) =>
      config === expected.config && sha256 !== undefined && Object.keys(args).length === 0,
  );
  return [same?.sha256, expected.config === undefined ? undefined : decrypted?.sha256].filter(
    (hash) => hash !== undefined,
  );
}

function isAfterEverything(
  { files }: FixtureCase,
  timestamp: string,
  generation: string | boolean | undefined,
): boolean {
  return files
    .filter(({ path }) => generation === undefined || path.includes(String(generation)))
    .every(({ mtime }) => Date.parse(mtime) < Date.parse(timestamp));
}

function copyReplica({ name, files }: FixtureCase, folder: string): void {
  for (const { path, mtime } of files) {
    const copy = join(folder, path);
    fs.mkdirSync(dirname(copy), { recursive: true });
    fs.copyFileSync(join(fixtures, name, path), copy);
    fs.utimesSync(copy, new Date(mtime), new Date(mtime));
    assert.equal(Math.round(fs.statSync(copy).mtimeMs), Date.parse(mtime));
  }
}

function cellsOf(table: string, ignored: string | undefined): readonly (readonly string[])[] {
  const rows = table
    .trimEnd()
    .split("\n")
    .map((line) => line.split(/ {2,}/));
  const column = ignored === undefined ? -1 : (rows[0]?.indexOf(ignored) ?? -1);
  return rows.map((row) => row.filter((_, index) => index !== column));
}

function hashFile(path: string): string {
  return createHash("sha256").update(fs.readFileSync(path)).digest("hex");
}
