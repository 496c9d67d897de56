import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, statSync, writeFileSync } from "node:fs";
import { mkdtempDisposable } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { FileLocks } from "./file-locks.ts";
import { openConnection } from "./node-sqlite.ts";

/** Which of the files another process finds locked. */
function lockedElsewhere(paths: readonly string[]): boolean[] {
  const script = `
    import { FileLocks } from ${JSON.stringify(new URL("file-locks.ts", import.meta.url).href)};
    import { openConnection } from ${JSON.stringify(new URL("node-sqlite.ts", import.meta.url).href)};
    const locks = new FileLocks(openConnection);
    console.log(JSON.stringify(${JSON.stringify(paths)}.map((path) => locks.lock(path) === "busy")));`;
  const text = execFileSync(process.execPath, ["--input-type=module", "-e", script], {
    encoding: "utf8",
  });
  return JSON.parse(text) as boolean[];
}

test("FileLocks hold many files, and let each go alone", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "litestream-locks-"));
  // More than one connection has room for, and a quote in a name.
  const paths = Array.from({ length: 23 }, (_, index) => join(folder.path, `it's ${index}`));
  for (const path of paths) writeFileSync(path, "");
  const locks = new FileLocks(openConnection);
  const held = paths.map((path) => locks.lock(path));
  assert.equal(held.includes("busy"), false);
  assert.ok(lockedElsewhere(paths).every(Boolean), "another process gets none of them");
  assert.equal(locks.lock(paths[3] ?? ""), "busy", "nor does this one again");

  for (const [index, lock] of held.entries())
    if (index % 2 === 0 && lock !== "busy") lock[Symbol.dispose]();
  assert.deepEqual(
    lockedElsewhere(paths),
    paths.map((_, index) => index % 2 === 1),
  );
  const again = locks.lock(paths[0] ?? "");
  assert.notEqual(again, "busy", "the room of one that went is used again");
  assert.deepEqual(lockedElsewhere(paths.slice(0, 2)), [true, true]);

  assert.ok(
    paths.every((path) => statSync(path).size === 0),
    "nothing is written",
  );
  for (const [index, lock] of [...held, again].entries())
    if ((index % 2 === 1 || index === held.length) && lock !== "busy") lock[Symbol.dispose]();
  assert.ok(lockedElsewhere(paths).every((isLocked) => !isLocked));
  assert.equal(readdirSync(folder.path).length, paths.length, "no journal is left");
});
