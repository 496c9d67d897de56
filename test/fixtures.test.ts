/** Restores every replica of test/fixtures and compares with what the real Litestream restores (see the README there). */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import * as fs from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { brotliDecompressSync } from "node:zlib";
import { formatLTXName } from "../src/formats/ltx/layout.ts";
import { parseTXID } from "../src/formats/ltx/txid.ts";
import { readRestorePlan } from "../src/engine/restore-listing.ts";
import type { RestoreTarget } from "../src/engine/restore-plan.ts";
import { restore } from "../src/engine/restore.ts";
import { FileReplicaClient } from "../src/storage/file.ts";
import { Scratch } from "./harness/scratch.ts";

const fixtures: string = join(import.meta.dirname, "fixtures");

interface FixtureCase {
  readonly name: string;
  readonly format: string;
  readonly compressed?: "br";
  readonly slow?: boolean;
  readonly files: readonly { readonly path: string; readonly mtime: string }[];
  readonly expect: readonly Expectation[];
}

interface Expectation {
  readonly args: Readonly<Record<string, string | boolean>>;
  readonly cli: readonly string[];
  readonly form: readonly string[];
  readonly replica?: string;
  readonly sha256?: string;
  readonly error?: string;
  readonly names?: readonly string[];
  readonly quirk?: string;
  readonly or_error?: boolean;
  readonly or_sha256?: string;
  readonly informative?: boolean;
}

const cases: FixtureCase[] = fs
  .readdirSync(fixtures)
  .filter((name) => fs.existsSync(join(fixtures, name, "case.json")))
  .map(
    (name) => JSON.parse(fs.readFileSync(join(fixtures, name, "case.json"), "utf8")) as FixtureCase,
  )
  .filter(({ format }) => format !== "v0.3");

for (const fixture of cases) {
  test(`restore() of ${fixture.name} as Litestream restores it`, async () => {
    using scratch = new Scratch("fixture");
    copyReplica(fixture, scratch);
    const expectations = fixture.expect.filter((expected) => isOurs(fixture, expected));
    assert.ok(expectations.length > 0);
    for (const expected of expectations) await checkExpectation(fixture, expected, scratch);
  });
}

const plans = cases.filter(({ name }) =>
  fs.existsSync(join(fixtures, name, "expect/dry-run.json")),
);

for (const fixture of plans) {
  test(`readRestorePlan() of ${fixture.name} chooses Litestream's files`, async () => {
    using scratch = new Scratch("fixture");
    copyReplica(fixture, scratch);
    await using client = new FileReplicaClient({ type: "file", path: scratch.path("replica") });
    const plan = await readRestorePlan(client, { kind: "latest" });
    assert.equal(plan.kind, "restore");
    const text = fs.readFileSync(join(fixtures, fixture.name, "expect/dry-run.json"), "utf8");
    const dryRun = JSON.parse(text) as { files: { level: number; name: string; size: number }[] };
    assert.deepEqual(
      plan.files.map((file) => [
        file.level,
        formatLTXName(file.minTXID, file.maxTXID),
        file.sizeBytes,
      ]),
      dryRun.files.map((file) => [file.level, file.name, file.size]),
    );
  });
}

test("The fixtures hold enough expectations", () => {
  const count = cases.flatMap((fixture) => fixture.expect.filter((e) => isOurs(fixture, e))).length;
  assert.ok(plans.length >= 5, `${plans.length} plans`);
  assert.ok(count >= 700, `${count} expectations`);
});

/** Whether an expectation is about restoring LTX files (the command line is tested elsewhere). */
function isOurs(
  { slow, format }: FixtureCase,
  { cli, args, informative, quirk }: Expectation,
): boolean {
  if (!cli.includes("0.5") || informative === true || "if-replica-exists" in args) return false;
  // Choosing between v0.3 and LTX data is not a matter of LTX files.
  if (format === "v0.3+ltx" && quirk !== undefined) return false;
  return slow !== true || !("txid" in args);
}

async function checkExpectation(
  fixture: FixtureCase,
  expected: Expectation,
  scratch: Scratch,
): Promise<void> {
  const what = `${fixture.name} ${expected.form.join("+")} ${JSON.stringify(expected.args)}`;
  const output = scratch.inFolder("out", "restored.db");
  await using client = new FileReplicaClient({
    type: "file",
    path: scratch.path(expected.replica ?? "replica"),
  });
  const integrityCheck =
    (expected.args["integrity-check"] as "full" | "quick" | undefined) ?? "none";
  let failure: unknown;
  try {
    const target = targetOf(expected.args);
    await restore(client, {
      target,
      outputPath: output,
      parallelism: 8,
      integrityCheck,
      force: false,
    });
  } catch (error) {
    failure = error;
  }
  const left = fs.readdirSync(dirname(output));
  if (failure === undefined) {
    assert.deepEqual(left, ["restored.db"], what);
    const hashes = acceptedHashes(fixture, expected);
    assert.ok(hashes.includes(hashFile(output)), `${what}: restored something else`);
  } else {
    assert.deepEqual(left, [], what);
    const { message } = failure as Error;
    assert.ok(expected.error ?? expected.or_error, `${what}: ${message}`);
    const patterns = expected.names ?? [".*"];
    assert.ok(
      patterns.some((pattern) => new RegExp(pattern, "i").test(message)),
      `${what}: ${message}`,
    );
  }
  fs.rmSync(output, { force: true });
}

function acceptedHashes(fixture: FixtureCase, expected: Expectation): (string | undefined)[] {
  // A time later than everything: Litestream's URL form says "timestamp does not exist", ours restores the newest
  // state, as its config form does.
  if (expected.error !== undefined && isAfterEverything(fixture, expected)) {
    return [fixture.expect.find(({ args }) => Object.keys(args).length === 0)?.sha256];
  }
  return [expected.sha256, expected.or_sha256].filter((hash) => hash !== undefined);
}

function isAfterEverything(fixture: FixtureCase, { args, form }: Expectation): boolean {
  if (form.includes("config") || typeof args["timestamp"] !== "string") return false;
  const at = Date.parse(args["timestamp"]);
  return fixture.files.every(({ mtime }) => Date.parse(mtime) < at);
}

function targetOf(args: Expectation["args"]): RestoreTarget {
  if (typeof args["txid"] === "string") return { kind: "txid", txid: parseTXID(args["txid"]) };
  if (typeof args["timestamp"] === "string")
    return { kind: "timestamp", at: new Date(args["timestamp"]) };
  return { kind: "latest" };
}

/** Git keeps no modification times, which are the created-at times of a file replica. */
function copyReplica({ name, files, compressed }: FixtureCase, scratch: Scratch): void {
  fs.mkdirSync(scratch.path("replica"), { recursive: true });
  for (const { path, mtime } of files) {
    if (!path.startsWith("replica/")) continue;
    const copy = scratch.path(path);
    fs.mkdirSync(dirname(copy), { recursive: true });
    const source = join(fixtures, name, path);
    const bytes =
      compressed === "br"
        ? brotliDecompressSync(fs.readFileSync(`${source}.br`))
        : fs.readFileSync(source);
    fs.writeFileSync(copy, bytes);
    fs.utimesSync(copy, new Date(mtime), new Date(mtime));
    assert.equal(Math.round(fs.statSync(copy).mtimeMs), Date.parse(mtime));
  }
}

function hashFile(path: string): string {
  const hash = createHash("sha256");
  const fd = fs.openSync(path, "r");
  const piece = new Uint8Array(1 << 22);
  for (let n = fs.readSync(fd, piece); n > 0; n = fs.readSync(fd, piece))
    hash.update(piece.subarray(0, n));
  fs.closeSync(fd);
  return hash.digest("hex");
}
