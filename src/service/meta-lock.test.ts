import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtempDisposable, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { acquireMetaLock, MetaLocks } from "./meta-lock.ts";

test("acquireMetaLock() is exclusive, and leaves nothing behind", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "litestream-lock-"));
  {
    using lock = acquireMetaLock(folder.path, true) as Disposable;
    assert.ok(lock);
    assert.equal(acquireMetaLock(folder.path, true), "busy");
    assert.equal(acquireMetaLock(folder.path, false), "busy");
  }
  assert.equal(existsSync(join(folder.path, "lock")), false);
  assert.equal(acquireMetaLock(folder.path, false), undefined);
  assert.equal(existsSync(join(folder.path, "lock")), false, "looking creates nothing");
});

test("acquireMetaLock() of a folder that is not there locks nothing", () => {
  assert.equal(acquireMetaLock("/nowhere/at-all", true), undefined);
});

test("acquireMetaLock() takes the lock of a process that was killed, and not before", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "litestream-lock-"));
  const script = join(folder.path, "holder.ts");
  const module = new URL("meta-lock.ts", import.meta.url).href;
  await writeFile(
    script,
    `import { acquireMetaLock } from ${JSON.stringify(module)};
     globalThis.held = acquireMetaLock(${JSON.stringify(folder.path)}, true);
     console.log(typeof globalThis.held);
     setInterval(() => globalThis.held, 1000);`,
  );
  const child = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] });
  const [text] = (await once(child.stdout, "data")) as [Buffer];
  assert.equal(text.toString().trim(), "object");
  assert.equal(acquireMetaLock(folder.path, false), "busy");
  child.kill("SIGKILL");
  await once(child, "exit");
  assert.ok(existsSync(join(folder.path, "lock")), "a killed process leaves its file");
  using lock = acquireMetaLock(folder.path, false) as Disposable;
  assert.equal(typeof lock, "object");
});

test("MetaLocks holds the lock from the opening of a database to its closing", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "litestream-lock-"));
  const metaPathOf = (path: string): string | undefined =>
    path === "/d/a.db" ? folder.path : undefined;
  const busy: string[] = [];
  using locks = new MetaLocks(metaPathOf, (path) => busy.push(path));
  using others = new MetaLocks(metaPathOf, (path) => busy.push(path));
  locks.read({ type: "database-opened", database: "/d/a.db", pageSize: 4096, txid: 0n });
  assert.equal(acquireMetaLock(folder.path, false), "busy");
  others.read({ type: "database-opened", database: "/d/a.db", pageSize: 4096, txid: 0n });
  assert.deepEqual(busy, ["/d/a.db"]);
  locks.read({ type: "database-closed", database: "/d/a.db", txid: 0n });
  assert.equal(acquireMetaLock(folder.path, false), undefined);
});
