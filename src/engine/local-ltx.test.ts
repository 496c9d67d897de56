import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { test } from "node:test";
import { increment, image, owner, publish, publishRun } from "../../test/harness/local-files.ts";
import { Scratch, whyNoMount } from "../../test/harness/scratch.ts";
import { LocalDiskError } from "./local-disk-error.ts";
import { LocalLTX, readLocalFile } from "./local-ltx.ts";

test("LocalLTX.open makes the folder with the directory's mode and starts empty", () => {
  using scratch = new Scratch("local-open");
  const local = LocalLTX.open(scratch.path("meta"), owner);
  assert.equal(statSync(scratch.path("meta", "ltx", "0")).mode & 0o777, 0o750);
  assert.deepEqual([local.oldestTXID, local.newestTXID, local.reservedTXID], [0n, 0n, 0n]);
  assert.equal(local.newestHeader(), undefined);
  assert.equal(local.has(0n), false);
});

test("LocalLTX.publish makes a file visible under its name, with the database file's mode", async () => {
  using scratch = new Scratch("local-publish");
  const local = LocalLTX.open(scratch.path("meta"), owner);
  const sample = image(1n);
  const temp = local.createTemp(1n);
  assert.equal(temp.path, `${local.path(1n)}.tmp`);
  writeSync(temp.fd, sample.bytes);
  assert.equal(local.newestTXID, 0n, "nothing counts before it is published");
  await local.publish(temp, sample.header);
  assert.deepEqual(readdirSync(local.folder), ["0000000000000001-0000000000000001.ltx"]);
  assert.equal(statSync(local.path(1n)).mode & 0o777, 0o640);
  assert.deepEqual([local.oldestTXID, local.newestTXID], [1n, 1n]);
  assert.equal(local.newestHeader(), sample.header);
});

test("LocalLTX.publish leaves nothing behind when it fails", async () => {
  using scratch = new Scratch("local-large");
  const local = LocalLTX.open(scratch.path("meta"), owner);
  const sample = image(1n);
  const temp = local.createTemp(1n);
  writeSync(temp.fd, sample.bytes);
  await local.publish(temp, sample.header);
  assert.deepEqual([local.newestTXID, readdirSync(local.folder).length], [1n, 1]);
  assert.deepEqual(local.read(1n, { maxBytes: 9_999 }).bytes, sample.bytes);
  const second = local.createTemp(2n);
  rmSync(second.path);
  await assert.rejects(local.publish(second, increment(2n).header), {
    name: "LocalDiskError",
    txid: 2n,
  });
  assert.deepEqual([local.newestTXID, readdirSync(local.folder).length], [1n, 1]);
});

test("LocalLTX.open finds the files of an earlier run and the newest header", () => {
  using scratch = new Scratch("local-reopen");
  publishRun(LocalLTX.open(scratch.path("meta"), owner), 5n);
  const local = LocalLTX.open(scratch.path("meta"), owner);
  assert.deepEqual([local.oldestTXID, local.newestTXID, local.reservedTXID], [1n, 5n, 5n]);
  assert.equal(local.newestHeader()?.maxTXID, 5n);
});

test("LocalLTX.open removes unfinished files of every level and nothing else", () => {
  using scratch = new Scratch("local-tmp");
  mkdirSync(scratch.path("meta", "ltx", "1"), { recursive: true });
  mkdirSync(scratch.path("meta", "ltx", "0"), { recursive: true });
  const files = ["ltx/0/a.ltx.tmp", "ltx/1/b.tmp", "ltx/1/b.ltx", "resume.tmp", "ltx/0/notes.txt"];
  for (const file of files) writeFileSync(scratch.path("meta", file), "");
  LocalLTX.open(scratch.path("meta"), owner);
  const kept = files.filter((file) => existsSync(scratch.path("meta", file)));
  assert.deepEqual(kept, ["ltx/1/b.ltx", "resume.tmp", "ltx/0/notes.txt"]);
});

test("LocalLTX.open takes the run without holes, and reserves every number a name has used", async () => {
  using scratch = new Scratch("local-holes");
  const first = LocalLTX.open(scratch.path("meta"), owner);
  publishRun(first, 9n);
  rmSync(first.path(4n));
  writeFileSync(scratch.path("meta", "ltx", "0", "0000000000000001-000000000000000c.ltx"), "");
  const local = LocalLTX.open(scratch.path("meta"), owner);
  assert.deepEqual([local.oldestTXID, local.newestTXID, local.reservedTXID], [5n, 9n, 12n]);
  await assert.rejects(local.publish(local.createTemp(10n), increment(10n).header), RangeError);
});

test("LocalLTX.adopt starts a new run when numbers were skipped", () => {
  using scratch = new Scratch("local-skip");
  const local = LocalLTX.open(scratch.path("meta"), owner);
  publishRun(local, 3n);
  publish(local, image(8n));
  assert.deepEqual([local.oldestTXID, local.newestTXID, local.has(3n)], [8n, 8n, false]);
  assert.equal(local.trim(8n), 3, "the old run goes with the next trim");
  assert.deepEqual(readdirSync(local.folder), ["0000000000000008-0000000000000008.ltx"]);
});

test("LocalLTX.trim removes files below a TXID but never the newest", () => {
  using scratch = new Scratch("local-trim");
  const local = LocalLTX.open(scratch.path("meta"), owner);
  assert.equal(local.trim(100n), 0);
  publishRun(local, 5n);
  assert.equal(local.trim(3n), 2);
  assert.deepEqual([local.oldestTXID, local.newestTXID], [3n, 5n]);
  assert.equal(local.trim(2n), 0);
  assert.equal(local.trim(100n), 2);
  assert.deepEqual([local.oldestTXID, local.newestTXID], [5n, 5n]);
  assert.equal(readdirSync(local.folder).length, 1);
});

test("LocalLTX.discard leaves nothing behind", () => {
  using scratch = new Scratch("local-discard");
  const local = LocalLTX.open(scratch.path("meta"), owner);
  local.discard(local.createTemp(1n));
  assert.deepEqual(readdirSync(local.folder), []);
  publish(local, image(1n));
});

test("LocalLTX.reset forgets the files but not the numbers, even when the folder is gone", () => {
  using scratch = new Scratch("local-reset");
  const local = LocalLTX.open(scratch.path("meta"), owner);
  publishRun(local, 4n);
  local.reset();
  assert.deepEqual([local.oldestTXID, local.newestTXID, local.reservedTXID], [0n, 0n, 4n]);
  assert.deepEqual(readdirSync(local.folder), []);
  publish(local, image(5n));
  rmSync(scratch.path("meta"), { recursive: true });
  local.reset();
  publish(local, image(6n));
  assert.deepEqual([local.oldestTXID, local.newestTXID], [6n, 6n]);
});

test("LocalLTX.read gives header, trailer, size and small contents", () => {
  using scratch = new Scratch("local-read");
  const local = LocalLTX.open(scratch.path("meta"), owner);
  publishRun(local, 2n);
  const { bytes } = increment(2n);
  const file = local.read(2n, { maxBytes: 10_000 });
  assert.equal(file.sizeBytes, bytes.length);
  assert.equal(file.header.maxTXID, 2n);
  assert.deepEqual(file.trailer, bytes.slice(-16));
  assert.deepEqual(file.bytes, bytes);
  assert.equal(local.read(2n, { maxBytes: bytes.length - 1 }).bytes, undefined);
  assert.deepEqual(local.read(2n).trailer, file.trailer);
});

const damages: readonly {
  readonly name: string;
  readonly damage: (path: string) => void;
  readonly kind: string;
}[] = [
  { name: "missing", kind: "missing", damage: (path) => rmSync(path) },
  { name: "empty", kind: "corrupt", damage: (path) => truncateSync(path, 0) },
  { name: "cut", kind: "corrupt", damage: (path) => truncateSync(path, 120) },
  { name: "zeroed", kind: "corrupt", damage: (path) => writeFileSync(path, new Uint8Array(500)) },
  {
    name: "named wrongly",
    kind: "corrupt",
    damage: (path) => writeFileSync(path, increment(3n).bytes),
  },
];
for (const { name, damage, kind } of damages) {
  test(`LocalLTX.read says that a file is ${name}, with TXID, path and hint`, () => {
    using scratch = new Scratch("local-damage");
    const local = LocalLTX.open(scratch.path("meta"), owner);
    publishRun(local, 2n);
    damage(local.path(2n));
    assert.throws(
      () => local.read(2n),
      (error: unknown) => {
        assert.ok(error instanceof LocalDiskError);
        assert.deepEqual(
          [error.kind, error.action, error.txid, error.path],
          [kind, "read", 2n, local.path(2n)],
        );
        assert.match(error.hint ?? "", /litestream reset/);
        assert.match(error.message, /TXID 0000000000000002/);
        return true;
      },
    );
  });
}

test("LocalLTX refuses a header of another TXID and a number that was used", () => {
  using scratch = new Scratch("local-number");
  const local = LocalLTX.open(scratch.path("meta"), owner);
  publishRun(local, 2n);
  assert.throws(() => local.adopt(3n, increment(4n).header), {
    name: "FormatError",
    kind: "name-mismatch",
  });
  assert.throws(() => local.adopt(2n, increment(2n).header), RangeError);
});

const noMount = whyNoMount();
test(
  "LocalLTX says that the disk is full, leaves no name behind and goes on once there is room",
  { skip: noMount ?? false },
  () => {
    using scratch = new Scratch("local-full");
    const folder = scratch.mount("disk", 64 * 1024);
    const local = LocalLTX.open(`${folder}/meta`, owner);
    publish(local, image(1n));
    let room = 64 * 1024;
    for (; room > 0; room -= 4096) {
      try {
        writeFileSync(`${folder}/ballast`, new Uint8Array(room));
        break;
      } catch {
        rmSync(`${folder}/ballast`);
      }
    }
    const attemptFull = (): void => {
      const temp = local.createTemp(2n);
      try {
        for (let i = 0; i < 32; i++) writeSync(temp.fd, new Uint8Array(4096));
      } catch (error) {
        local.discard(temp);
        throw error;
      }
    };
    assert.throws(attemptFull, { code: "ENOSPC" });
    assert.deepEqual(readdirSync(local.folder), ["0000000000000001-0000000000000001.ltx"]);
    rmSync(`${folder}/ballast`);
    publish(local, increment(2n));
    assert.equal(local.newestTXID, 2n);
  },
);

test("readLocalFile() streams a file and names it when it is gone", async () => {
  using scratch = new Scratch("local-stream");
  const local = LocalLTX.open(scratch.path("meta"), owner);
  publish(local, image(1n));
  const file = local.read(1n);
  const { signal } = new AbortController();
  const chunks = await Array.fromAsync(readLocalFile(file, signal));
  assert.deepEqual(Buffer.concat(chunks), readFileSync(file.path));
  rmSync(file.path);
  await assert.rejects(Array.fromAsync(readLocalFile(file, signal)), {
    name: "LocalDiskError",
    kind: "missing",
    txid: 1n,
  });
});
