/** D8, OL6: what Litestream 0.3.13 wrote is restored to the same bytes by all three, and ours goes on beside it. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { ours, peer, start, succeed, type Program } from "../harness/program.ts";
import { Scratch } from "../harness/scratch.ts";

test("replicas of Litestream 0.3.13 restore to the same bytes and are continued beside (D8, OL6)", async () => {
  using scratch = new Scratch("v3-interop");
  const [litestream3, litestream5, own] = [peer("0.3.13"), peer(), ours()];
  const database = scratch.path("app.db");
  const replica = scratch.path("replica");
  const config = scratch.path("litestream.yml");
  mkdirSync(replica);
  writeFileSync(
    config,
    `dbs:
  - path: ${database}
    min-checkpoint-page-count: 20
    replicas:
      - type: file
        path: ${replica}
        sync-interval: 100ms
        snapshot-interval: 1500ms
`,
  );
  using application = new DatabaseSync(database);
  application.exec(`PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; PRAGMA busy_timeout = 5000;
    CREATE TABLE t (id INTEGER PRIMARY KEY, x)`);
  const insert = application.prepare("INSERT INTO t (x) VALUES (hex(randomblob(3000)))");
  {
    await using daemon = start(litestream3, ["replicate", "-config", config]);
    for (let i = 0; i < 70; i++) {
      insert.run();
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await daemon.stop();
  }
  const backup = filesBelow(join(replica, "generations"));
  const segments = [...backup.keys()].filter((name) => name.includes("/wal/"));
  assert.ok(segments.length > 5, segments.join(" "));

  const times = [...backup.values()].map(({ mtimeMs }) => mtimeMs).toSorted((a, b) => a - b);
  const middle = new Date(Math.ceil(times[Math.floor(times.length / 2)] ?? 0)).toISOString();
  for (const flags of [[], ["-timestamp", middle]]) {
    const restored = [litestream3, litestream5, own].map((program) =>
      restoreWith(program, scratch, replica, flags),
    );
    const [three, five, mine] = await Promise.all(restored);
    assert.equal(mine, three, `${flags.join(" ")}: 0.3.13`);
    assert.equal(mine, five, `${flags.join(" ")}: 0.5.17`);
  }
  const last = await restoreWith(own, scratch, replica, []);

  insert.run();
  const once = ["replicate", "-once", "-config", config];
  const first = await succeed(own, once);
  assert.match(first.stdout, /level=INFO .*v0\.3 backups found, starting a new series beside them/);
  insert.run();
  const second = await succeed(own, once);
  assert.doesNotMatch(second.stdout, /v0\.3 backups found/);
  assert.deepEqual(filesBelow(join(replica, "generations")), backup);
  assert.ok(existsSync(join(replica, "ltx/0")));

  const newest = await restoreWith(own, scratch, replica, []);
  assert.equal(newest, await restoreWith(litestream5, scratch, replica, []));
  assert.notEqual(newest, last);
  const generation = readdirSync(join(replica, "generations"))[0] ?? "";
  assert.equal(await restoreWith(own, scratch, replica, ["-generation", generation]), last);
});

let outputs = 0;

/** Hash of the database that a program restores. */
async function restoreWith(
  program: Program,
  scratch: Scratch,
  replica: string,
  flags: readonly string[],
): Promise<string> {
  const output = scratch.path(`restored-${outputs++}.db`);
  await succeed(program, ["restore", ...flags, "-o", output, `file://${replica}`]);
  return createHash("sha256").update(readFileSync(output)).digest("hex");
}

/** Hash and time of every file. */
function filesBelow(
  folder: string,
): Map<string, { readonly hash: string; readonly mtimeMs: number }> {
  return new Map(
    readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((name) => statSync(join(folder, name)).isFile())
      .toSorted()
      .map((name) => {
        const hash = createHash("sha256").update(readFileSync(join(folder, name)));
        return [
          `/${name}`,
          { hash: hash.digest("hex"), mtimeMs: statSync(join(folder, name)).mtimeMs },
        ];
      }),
  );
}
