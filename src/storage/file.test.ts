import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { testReplicaClient } from "../../test/conformance/replica-client.ts";
import { formatLTXName } from "../formats/ltx/layout.ts";
import { FileReplicaClient } from "./file.ts";
import { fileError, tempPathOf } from "./file-system.ts";
import { StorageError } from "./replica-client.ts";

const folder = await mkdtemp(join(tmpdir(), "storage-file-"));
after(() => rm(folder, { recursive: true, force: true }));

testReplicaClient("file", {
  open: async (replica) => new FileReplicaClient({ type: "file", path: join(folder, replica) }),
});

const name = { level: 0, minTXID: 1n, maxTXID: 1n };
const text = "0000000000000001-0000000000000001.ltx";
const createdAt = new Date("2024-02-29T12:34:56.789Z");
const body = { kind: "bytes", bytes: Buffer.from("x") } as const;

test("write() lays files out as Litestream does, private by default", async () => {
  const path = join(folder, "layout");
  await using client = new FileReplicaClient({ type: "file", path });
  await client.write(name, body, { createdAt });
  await client.write({ level: 9, minTXID: 1n, maxTXID: 0xabcn }, body, { createdAt });
  assert.deepEqual(await readdir(join(path, "ltx/0")), [text]);
  assert.deepEqual(await readdir(join(path, "ltx/9")), ["0000000000000001-0000000000000abc.ltx"]);
  const stats = await stat(join(path, "ltx/0", text));
  assert.equal(stats.mtimeMs, createdAt.getTime());
  assert.equal(stats.mode & 0o777, 0o600);
  assert.equal((await stat(join(path, "ltx"))).mode & 0o777, 0o700);
});

test("write() gives files their time to the millisecond, none a little earlier", async () => {
  const path = join(folder, "times");
  await using client = new FileReplicaClient({ type: "file", path });
  for (let ms = 0; ms < 40; ms++) {
    const at = new Date(Date.UTC(2026, 10, 24, 19, 44, 36, ms * 25 + 8));
    const txid = BigInt(ms + 1);
    const { maxTXID } = await client.write({ level: 0, minTXID: txid, maxTXID: txid }, body, {
      createdAt: at,
    });
    const file = join(path, "ltx/0", formatLTXName(maxTXID, maxTXID));
    const { mtimeNs } = await stat(file, { bigint: true });
    const late = Number(mtimeNs - BigInt(at.getTime()) * 1_000_000n);
    assert.ok(late >= 0 && late < 1_000, `${at.toISOString()} is ${late} ns off`);
  }
});

test("write() gives files and folders the modes it is told, whatever the umask", async () => {
  const path = join(folder, "modes");
  const options = { fileMode: 0o664, folderMode: 0o775 };
  await using client = new FileReplicaClient({ type: "file", path, ...options });
  const source = join(folder, "modes-source");
  await writeFile(source, "abc", { mode: 0o400 });
  await client.write(name, { kind: "file", path: source, sizeBytes: 3 }, { createdAt });
  assert.equal((await stat(join(path, "ltx/0", text))).mode & 0o777, 0o664);
  for (const part of ["", "ltx", "ltx/0"])
    assert.equal((await stat(join(path, part))).mode & 0o777, 0o775);
});

test("write() refuses a file body that is not as long as announced", async () => {
  const path = join(folder, "short");
  await using client = new FileReplicaClient({ type: "file", path });
  const source = join(folder, "short-source");
  await writeFile(source, "abc");
  const announced = { kind: "file", path: source, sizeBytes: 4 } as const;
  await assert.rejects(client.write(name, announced, { createdAt }), { kind: "corrupt" });
  assert.deepEqual(await readdir(join(path, "ltx/0")), []);
});

test("write() cleans up after writers that died, and only after them", async () => {
  const path = join(folder, "leftovers");
  const level = join(path, "ltx/0");
  await mkdir(level, { recursive: true });
  const dead = spawnSync(process.execPath, ["-e", ""]).pid;
  const temp = (pid: number): string => `${text}.${pid}-1-00000000.tmp`;
  for (const kept of [temp(process.pid), "notes.tmp", `${text}.tmp`])
    await writeFile(join(level, kept), "");
  await writeFile(join(level, temp(dead)), "");
  // The change time cannot be set: wait out the grace that another machine's writer gets, by a clock that runs ahead.
  const now = Date.now;
  Date.now = () => now() + 60_000;
  try {
    await using client = new FileReplicaClient({ type: "file", path });
    await client.write({ level: 0, minTXID: 2n, maxTXID: 2n }, body, { createdAt });
  } finally {
    Date.now = now;
  }
  const left = (await readdir(level)).filter((found) => !found.endsWith(".ltx")).toSorted();
  assert.deepEqual(left, [temp(process.pid), `${text}.tmp`, "notes.tmp"].toSorted());
});

test("write() survives that somebody removes the replica's folder", async () => {
  const path = join(folder, "vanishing");
  await using client = new FileReplicaClient({ type: "file", path });
  await client.write(name, body, { createdAt });
  await rm(path, { recursive: true });
  await assert.rejects(client.write(name, body, { createdAt }), { kind: "unavailable" });
  await client.write(name, body, { createdAt });
  assert.deepEqual(await readdir(join(path, "ltx/0")), [text]);
});

test("list() takes the time of a file from its mtime", async () => {
  const path = join(folder, "mtime");
  await using client = new FileReplicaClient({ type: "file", path });
  await client.write(name, body, { createdAt });
  const copied = new Date("2020-01-01T00:00:00.001Z");
  await utimes(join(path, "ltx/0", text), copied, copied);
  for await (const file of client.list(0)) assert.deepEqual(file.createdAt, copied);
});

test("open() refuses a path that is a file", async () => {
  const path = join(folder, "a-file");
  await writeFile(path, "");
  await using client = new FileReplicaClient({ type: "file", path });
  await assert.rejects(client.open(), { kind: "misconfigured" });
  await assert.rejects(client.write(name, body, { createdAt }), { kind: "misconfigured" });
});

test("write() into a folder without permission is denied", async () => {
  const path = join(folder, "locked");
  await mkdir(path);
  await chmod(folder, 0o755);
  await chmod(path, 0o555);
  await using client = new FileReplicaClient({ type: "file", path });
  using _nobody = asNobody();
  await assert.rejects(client.write(name, body, { createdAt }), {
    kind: "denied",
    code: "EACCES",
  });
});

/** Permissions mean nothing to root: another user for as long as the result lives. */
function asNobody(): Disposable {
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) process.seteuid?.(65_534);
  return {
    [Symbol.dispose]: () => {
      if (isRoot) process.seteuid?.(0);
    },
  };
}

test(
  "write() to a full device is full and leaves no temporary file",
  { skip: process.getuid?.() !== 0 },
  async (context) => {
    const path = join(folder, "full");
    await mkdir(path);
    const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=256k", "tmpfs", path]);
    if (mounted.status !== 0) {
      context.skip(`no tmpfs can be mounted: ${mounted.stderr.toString().trim()}`);
      return;
    }
    try {
      await using client = new FileReplicaClient({ type: "file", path });
      const large = { kind: "bytes", bytes: new Uint8Array(1 << 20) } as const;
      await assert.rejects(client.write(name, large, { createdAt }), {
        kind: "full",
        code: "ENOSPC",
      });
      assert.deepEqual(await readdir(join(path, "ltx/0")), []);
      await client.write(name, body, { createdAt });
    } finally {
      spawnSync("umount", [path]);
    }
  },
);

test("fileError() names what a system call's failure means and leaves other errors alone", () => {
  const kinds = {
    ENOSPC: "full",
    EDQUOT: "full",
    EACCES: "denied",
    EROFS: "denied",
    ENOTDIR: "misconfigured",
    EIO: "unavailable",
  };
  for (const [code, kind] of Object.entries(kinds)) {
    const cause = Object.assign(new Error(code), { code, syscall: "write" });
    const error = fileError("write", "/r/x", cause);
    assert.ok(error instanceof StorageError);
    assert.deepEqual([error.kind, error.code], [kind, code]);
    assert.match(error.message, /^Cannot write "\/r\/x": /);
  }
  const source = new Error("of the source");
  assert.equal(fileError("write", "/r/x", source), source);
});

test("tempPathOf() never gives a name twice", () => {
  const names = new Set(Array.from({ length: 100 }, () => tempPathOf("/r/x")));
  assert.equal(names.size, 100);
});
