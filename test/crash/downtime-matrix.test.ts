/**
 * E1, E6, F2, WL4, WL9: whatever an application does while nobody replicates, the next restore equals the source.
 * Many databases share one configuration, so that one start of the program serves them all. `MATRIX=all` takes every
 * combination instead of a random choice.
 */
import { writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { DowntimeSource, everyDowntime } from "../harness/downtime-source.ts";
import type { Downtime } from "../harness/downtime-source.ts";
import { checkAll } from "../harness/check-all.ts";
import { start, succeed } from "../harness/program.ts";
import { configuration } from "../harness/replication.ts";
import { scenario, seed } from "../harness/scenario.ts";
import type { ScenarioContext } from "../harness/scenario.ts";
import { until } from "../harness/wait.ts";

const sampleSize = 48;

/** High enough that the WAL still has its frames when the downtime begins. */
const settings = { "min-checkpoint-page-count": 1000 };

for (const ending of ["finished", "killed"] as const) {
  scenario(
    `E1 F2 writes, checkpoints, VACUUM and close after the replicator was ${ending}, seed ${seed}`,
    {
      peer: { varies: "it misses frames that were checkpointed during downtime" },
      timeoutMs: 600_000,
    },
    (context) =>
      runMatrix(
        context,
        everyDowntime.filter(({ pageSizeChange }) => !pageSizeChange),
        ending,
      ),
  );

  scenario(
    `E6 a changed page size after the replicator was ${ending}, seed ${seed}`,
    { peer: { fails: "it cannot continue after a change of the page size" }, timeoutMs: 600_000 },
    (context) =>
      runMatrix(
        context,
        everyDowntime.filter(({ pageSizeChange }) => pageSizeChange),
        ending,
      ),
  );
}

for (const checkpoint of ["PASSIVE", "FULL", "RESTART"] as const) {
  scenario(
    `E1 big inserts, ${checkpoint} and a few small writes while stopped`,
    { peer: { fails: "what was checkpointed is silently missing from the restore" } },
    (context) => {
      const rest = {
        vacuum: false,
        close: false,
        pageSizeChange: false,
        rounds: 1,
        frames: "fewer",
        spill: false,
      } as const;
      return runMatrix(context, [{ checkpoint, ...rest }], "finished");
    },
  );
}

scenario(
  `WL3 WL12 writes, rollbacks and TRUNCATE while stopped, seed ${seed}`,
  { peer: "passes", timeoutMs: 600_000 },
  (context) => runMatrix(context, everyDowntime.filter(isSimple), "finished"),
);

function isSimple({ checkpoint, vacuum, pageSizeChange }: Downtime): boolean {
  return (checkpoint === "none" || checkpoint === "TRUNCATE") && !vacuum && !pageSizeChange;
}

async function runMatrix(
  { program, scratch, random }: ScenarioContext,
  combinations: readonly Downtime[],
  ending: "finished" | "killed",
): Promise<void> {
  using sources = new DisposableStack();
  const cases = sample(combinations, () => random.next()).map((downtime, index) =>
    sources.use(
      new DowntimeSource(
        {
          program,
          scratch,
          id: `db-${index}`,
          database: scratch.inFolder(`db-${index}`, "app.db"),
        },
        downtime,
      ),
    ),
  );
  const config = scratch.path("all.yml");
  writeFileSync(
    config,
    configuration(
      cases.map(({ replication }) => replication),
      { settings },
    ),
  );
  const once = async (): Promise<void> => {
    await succeed(program, ["replicate", "-once", "-config", config], { timeoutMs: 120_000 });
  };

  if (ending === "finished") await once();
  else await killDuringWrites();
  for (const source of cases) source.spendDowntime();
  await once();
  await checkAll(
    cases,
    (source) => source.name,
    (source) => source.replication.assertRestoreEqualsSource(),
  );
  // A resume point that is wrong now would show with the next write.
  for (const source of cases) source.write(3);
  await once();
  await checkAll(
    cases,
    (source) => `${source.name}, one write later`,
    (source) => source.replication.assertRestoreEqualsSource(),
  );

  async function killDuringWrites(): Promise<void> {
    await using running = start(program, ["replicate", "-config", config]);
    await until(() => cases.every(({ replication }) => replication.hasFiles()), {
      what: "the first files of all databases",
      timeoutMs: 60_000,
      everyMs: 50,
    });
    for (const source of cases) source.write(2);
    await sleep(random.integer(0, 200));
    await running.kill();
  }
}

function sample<T>(from: readonly T[], next: () => number): T[] {
  if (process.env["MATRIX"] === "all") return [...from];
  return from
    .map((item) => ({ item, key: next() }))
    .toSorted((a, b) => a.key - b.key)
    .slice(0, sampleSize)
    .map(({ item }) => item);
}
