/** E7, E11, F15, RS: a restore gives the right database or fails loudly, and never harms what is already there. */
import assert from "node:assert/strict";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { assertSamePages, openForReading, readImage } from "../harness/database-image.ts";
import { run, succeed } from "../harness/program.ts";
import type { Outcome } from "../harness/program.ts";
import { listLevel, listNames } from "../harness/replica-folder.ts";
import { filePlace, Replication } from "../harness/replication.ts";
import { assertCommittedState, restore } from "../harness/restored.ts";
import { scenario } from "../harness/scenario.ts";
import type { ScenarioContext } from "../harness/scenario.ts";
import { refusedPort, startSilentServer, unreachablePlace } from "../harness/silent-server.ts";
import type { Place } from "../harness/replication.ts";

scenario(
  "E7 a stale -wal beside the output is refused or removed, never replayed",
  { peer: { fails: "SQLite replays it over the restored database" } },
  async (context) => {
    const { replication } = await replicated(context, 30);
    const output = context.scratch.path("out.db");
    await restore({ program: context.program, from: replication.place.url, output });
    const expected = readFileSync(output);
    {
      using database = openForReading(output);
      database.exec("PRAGMA wal_autocheckpoint = 0; DELETE FROM item; UPDATE progress SET n = 999");
      execFileSync("cp", [`${output}-wal`, `${output}-kept`]);
    }
    rmSync(output);
    copyFileSync(`${output}-kept`, `${output}-wal`);
    const { code } = await run(context.program, ["restore", "-o", output, replication.place.url]);
    if (code !== 0) {
      assert.ok(!existsSync(output), "A failed restore left its output");
      return;
    }
    assertSamePages(readFileSync(output), expected, "Restored");
    assertCommittedState(output, replication.journal);
  },
);

scenario(
  "E7 cli-1 restore -force keeps the old database when there is nothing to restore",
  { peer: { fails: "it deletes first" } },
  async ({ program, scratch }) => {
    const output = scratch.path("precious.db");
    writeFileSync(output, "precious");
    writeFileSync(`${output}-wal`, "precious wal");
    mkdirSync(scratch.path("empty"));
    const { code } = await run(program, [
      "restore",
      "-force",
      "-o",
      output,
      filePlace(scratch.path("empty")).url,
    ]);
    assert.equal(code, 1);
    assert.equal(readFileSync(output, "utf8"), "precious");
    assert.equal(readFileSync(`${output}-wal`, "utf8"), "precious wal");
  },
);

scenario(
  "E7 cli-1 restore -force keeps the old database when the replica is damaged",
  { peer: { fails: "it deletes first" } },
  async (context) => {
    const { replication } = await replicated(context, 10);
    damageNewest(replication);
    const output = context.scratch.path("precious.db");
    writeFileSync(output, "precious");
    const { code } = await run(context.program, [
      "restore",
      "-force",
      "-o",
      output,
      replication.place.url,
    ]);
    assert.equal(code, 1);
    assert.equal(readFileSync(output, "utf8"), "precious");
  },
);

scenario(
  "RS restore -force replaces a database and its sidecars",
  { peer: "passes" },
  async (context) => {
    const { replication } = await replicated(context, 10);
    const output = context.scratch.path("old.db");
    writeFileSync(output, "old");
    writeFileSync(`${output}-wal`, "old wal");
    await succeed(context.program, ["restore", "-force", "-o", output, replication.place.url]);
    assertSamePages(
      readFileSync(output),
      readImage(replication.database, context.scratch.path("expected")),
      "Restored",
    );
    assert.ok(!existsSync(`${output}-wal`), "The old -wal is still there");
  },
);

scenario(
  "RS restore without -force leaves an existing database alone",
  { peer: "passes" },
  async (context) => {
    const { replication } = await replicated(context, 10);
    const output = context.scratch.path("old.db");
    writeFileSync(output, "old");
    const { code, stderr } = await run(context.program, [
      "restore",
      "-o",
      output,
      replication.place.url,
    ]);
    assert.equal(code, 1);
    assert.match(stderr, /already exists/);
    assert.equal(readFileSync(output, "utf8"), "old");
    await succeed(context.program, [
      "restore",
      "-if-db-not-exists",
      "-o",
      output,
      replication.place.url,
    ]);
    assert.equal(readFileSync(output, "utf8"), "old");
  },
);

scenario(
  "RS a damaged replica: a clear error, and nothing beside the output",
  { peer: "passes" },
  async (context) => {
    const { replication } = await replicated(context, 10);
    damageNewest(replication);
    const folder = context.scratch.inFolder("target", "");
    const { code, stderr } = await run(context.program, [
      "restore",
      "-o",
      join(folder, "out.db"),
      replication.place.url,
    ]);
    assert.equal(code, 1);
    assert.match(stderr, /^Error: \S/);
    assert.deepEqual(readdirSync(folder), []);
  },
);

scenario(
  "RS restore of every TXID gives the state of that moment",
  { peer: "passes" },
  async ({ program, scratch }) => {
    const replication = new Replication({ program, scratch });
    await using application = await replication.application();
    const images = new Map<string, Buffer>();
    for (let step = 0; step < 6; step++) {
      await application.transact(4);
      await replication.once();
      // One pass can make two files when it checkpoints: the last one ends at what is committed now.
      const txid = listNames(replication.replicaFolder, 0).at(-1)?.slice(0, 16) ?? "";
      images.set(txid, readImage(replication.database, scratch.path("image")));
    }
    assert.equal(images.size, 6);
    for (const [txid, image] of images) {
      const pages = await restore({
        program,
        from: replication.place.url,
        output: scratch.path("at"),
        flags: ["-txid", txid],
      });
      assertSamePages(pages, image, `TXID ${txid}`);
    }
  },
);

scenario(
  "E11 a gap in the history: never a silent success with less than asked for",
  { peer: { fails: "with -timestamp it silently stops before the gap" } },
  async ({ program, scratch }) => {
    const replication = new Replication({ program, scratch });
    await using application = await replication.application();
    for (let step = 0; step < 5; step++) {
      await application.transact(3);
      await replication.once();
      await sleep(30);
    }
    const files = listLevel(replication.replicaFolder, 0);
    rmSync((files[2] as { path: string }).path);
    const latest = await run(program, [
      "restore",
      "-o",
      scratch.path("latest.db"),
      replication.place.url,
    ]);
    assert.equal(latest.code, 1);
    const config = ["-config", replication.config];
    const later = new Date(Date.now() + 60_000).toISOString();
    const timed = await run(program, [
      "restore",
      ...config,
      "-timestamp",
      later,
      "-o",
      scratch.path("timed.db"),
      replication.database,
    ]);
    assert.equal(timed.code, 1, "A restore up to a time behind the gap succeeded");
    assert.ok(!existsSync(scratch.path("timed.db")));
    const before = (files[1] as { name: string }).name.slice(0, 16);
    await restore({
      program,
      from: replication.place.url,
      output: scratch.path("before.db"),
      flags: ["-txid", before],
    });
    assert.equal(assertCommittedState(scratch.path("before.db"), replication.journal), 6);
  },
);

scenario(
  "F15 -if-replica-exists: only an empty replica counts as none, not one that refuses connections",
  { peer: "passes", timeoutMs: 200_000 },
  async ({ program, scratch }) => {
    mkdirSync(scratch.path("empty"));
    const output = scratch.path("out.db");
    await succeed(program, [
      "restore",
      "-if-replica-exists",
      "-o",
      output,
      filePlace(scratch.path("empty")).url,
    ]);
    assert.ok(!existsSync(output));
    if (program.isPeer) return; // It takes two minutes to say so.
    const { code } = await restoreFrom(program, unreachablePlace(refusedPort), output, [
      "-if-replica-exists",
    ]);
    assert.equal(code, 1);
    assert.ok(!existsSync(output));
  },
);

scenario(
  "F13 restore from a store that refuses connections fails soon, and names it",
  { peer: { lacks: "a limit below two minutes" } },
  async ({ program, scratch }) => {
    const outcome = await restoreFrom(
      program,
      unreachablePlace(refusedPort),
      scratch.path("out.db"),
    );
    assert.equal(outcome.code, 1);
    assert.match(outcome.stderr, /127\.0\.0\.1:9|ECONNREFUSED/);
    assert.ok(outcome.elapsedMs < 15_000, `It took ${Math.round(outcome.elapsedMs)} ms to say so`);
  },
);

scenario(
  "F13 restore from a store that never answers fails in little more than a minute",
  { peer: { lacks: "a limit below two minutes" }, timeoutMs: 120_000 },
  async ({ program, scratch }) => {
    await using server = await startSilentServer();
    const outcome = await restoreFrom(
      program,
      unreachablePlace(server.port),
      scratch.path("out.db"),
    );
    assert.equal(outcome.code, 1);
    assert.ok(outcome.elapsedMs < 75_000, `It took ${Math.round(outcome.elapsedMs)} ms to say so`);
  },
);

async function restoreFrom(
  program: ScenarioContext["program"],
  place: Place,
  output: string,
  flags: readonly string[] = [],
): Promise<Outcome> {
  return await run(program, ["restore", ...flags, "-o", output, place.url], {
    env: place.env,
    timeoutMs: 110_000,
  });
}

async function replicated(
  { program, scratch }: ScenarioContext,
  transactions: number,
): Promise<{ replication: Replication }> {
  const replication = new Replication({ program, scratch });
  await using application = await replication.application();
  await application.transact(transactions);
  await replication.once();
  await application.exit();
  return { replication };
}

function damageNewest(replication: Replication): void {
  const newest = listLevel(replication.replicaFolder, 0).at(-1);
  assert.ok(newest);
  truncateSync(newest.path, 150);
}
