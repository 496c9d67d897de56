/** ER9: database paths that are hard to carry through URLs, configuration files and SQLite's own URI syntax. */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { dirname } from "node:path";
import { Replication } from "../harness/replication.ts";
import { assertRestoreEquals } from "../harness/restored.ts";
import { scenario } from "../harness/scenario.ts";
import type { PeerVerdict, ScenarioContext } from "../harness/scenario.ts";

const decodes = { fails: "its SQLite connection opens the decoded name" } as const;

const names: readonly (readonly [string, PeerVerdict])[] = [
  ["my data.db", "passes"],
  ["données-数据.db", "passes"],
  ["plus+and&.db", "passes"],
  ["100% sure.db", "passes"],
  ["a%20b.db", decodes],
  ["question?mark#hash.db", { varies: "SQLite's URI syntax" }],
  [".hidden.db", "passes"],
  ["no-extension", "passes"],
  ["quote'\"s.db", { varies: "quoting" }],
];

for (const [name, peer] of names) {
  scenario(`ER9 a database called ${name}`, { peer }, (context) =>
    replicateAndRestore(context, context.scratch.path("data", name)),
  );
}

scenario(
  "ER9 a symbolic link to the database",
  { peer: { fails: "it looks for the WAL beside the link" } },
  async (context) => {
    const target = context.scratch.path("volume", "real.db");
    const link = context.scratch.path("data", "app.db");
    mkdirSync(dirname(target));
    mkdirSync(dirname(link));
    symlinkSync(target, link);
    await replicateAndRestore(context, link, target);
  },
);

scenario("ER9 a symbolic link to the database's folder", { peer: "passes" }, async (context) => {
  mkdirSync(context.scratch.path("volume"));
  symlinkSync(context.scratch.path("volume"), context.scratch.path("data"));
  await replicateAndRestore(context, context.scratch.path("data", "app.db"));
});

/** A page size other than SQLite's default tells the real file from a stray one. */
async function replicateAndRestore(
  context: ScenarioContext,
  database: string,
  applicationPath: string = database,
): Promise<void> {
  const replication = new Replication({ ...context, database, id: "replicated" });
  const { journal } = replication;
  await using application = await new Replication({
    ...context,
    database: applicationPath,
    id: "application",
  }).application({ journal, pageSize: 8192 });
  await application.transact(10);
  await replication.once();
  await application.transact(5);
  {
    await using replicator = replication.start();
    await application.transact(5);
    await replication.untilReplicated(await application.transact(1));
    await replicator.stop();
  }
  const output = context.scratch.path("restored-by-path.db");
  await assertRestoreEquals(applicationPath, {
    program: context.program,
    from: database,
    config: replication.config,
    output,
  });
  const strays = readdirSync(dirname(applicationPath)).filter(
    (name) => name.endsWith(".db") && !applicationPath.endsWith(name),
  );
  assert.deepEqual(strays, [], "Stray databases");
}
