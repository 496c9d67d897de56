/** UP8, F20, CL4: how the program ends, what it has done by then, and what its exit status says. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { start } from "../harness/program.ts";
import type { RunningProgram } from "../harness/program.ts";
import { Replication } from "../harness/replication.ts";
import { scenario } from "../harness/scenario.ts";
import type { ScenarioContext } from "../harness/scenario.ts";
import { refusedPort, startSilentServer, unreachablePlace } from "../harness/silent-server.ts";
import { until } from "../harness/wait.ts";

const execChild = join(import.meta.dirname, "../harness/exec-child.ts");
const noFirstSync = {
  fails: "nothing is replicated before the first tick, one second after the start",
};

scenario(
  "UP8 F20 SIGTERM in the first second: exit 0 means that everything is replicated",
  { peer: noFirstSync },
  async (context) => {
    for (const afterMs of [0, 50, 200, 500]) {
      const { replication } = await filled(context, `after-${afterMs}`);
      await using replicator = startPlain(replication);
      await untilStarted(replicator);
      await sleep(afterMs);
      const { code } = await replicator.stop();
      assert.equal(code, 0, replicator.output);
      assert.ok(replication.hasFiles(), `Exit 0 after ${afterMs} ms, and nothing is replicated`);
      await replication.assertRestoreEqualsSource();
    }
  },
);

scenario(
  "UP8 a signal at any moment of the start never ends in a false success",
  { peer: noFirstSync },
  async (context) => {
    for (let afterMs = 0; afterMs <= 280; afterMs += 20) {
      const { replication } = await filled(context, `after-${afterMs}`);
      await using replicator = startPlain(replication);
      await sleep(afterMs);
      const { code } = await replicator.stop();
      if (code !== 0) continue;
      assert.ok(
        replication.hasFiles(),
        `Exit 0 by a signal after ${afterMs} ms, and nothing is replicated`,
      );
      await replication.assertRestoreEqualsSource();
    }
  },
);

scenario(
  "CL4 F20 a child that ends within the first second: its writes are replicated",
  { peer: noFirstSync },
  async (context) => {
    const { replication } = await filled(context, "short");
    const { code } = await startPlain(replication, ["-exec", childCommand(replication, "exit", 0)])
      .exited;
    assert.equal(code, 0);
    assert.ok(replication.hasFiles(), "Exit 0, and nothing is replicated");
    await replication.assertRestoreEqualsSource();
  },
);

scenario(
  "CL4 F20 a child that fails: its writes are replicated, the exit status tells of it",
  { peer: noFirstSync },
  async (context) => {
    const { replication } = await filled(context, "failing");
    const outcome = await startPlain(replication, ["-exec", childCommand(replication, "exit", 3)])
      .exited;
    assert.equal(outcome.code, 1);
    assert.match(outcome.stdout + outcome.stderr, /exit status 3/);
    assert.ok(replication.hasFiles(), "Nothing is replicated");
    await replication.assertRestoreEqualsSource();
  },
);

scenario(
  "CL4 F20 a child that takes SIGTERM and exits 143: what it wrote last is replicated",
  { peer: { fails: "it leaves without a final sync when the child exits non-zero" } },
  async (context) => {
    const { replication } = await filled(context, "trap");
    await using replicator = startPlain(replication, [
      "-exec",
      childCommand(replication, "trap", 143),
    ]);
    await until(() => replicator.output.includes("child is ready"), {
      what: "the child",
      timeoutMs: 15_000,
    });
    await sleep(1_500);
    const outcome = await replicator.stop();
    assert.equal(outcome.code, 1);
    assert.match(outcome.stdout + outcome.stderr, /exit status 143/);
    await replication.assertRestoreEqualsSource();
  },
);

scenario(
  "UP8 F20 SIGTERM while the store refuses connections: ends within its bound and says that data is missing there",
  { peer: { fails: "exit status 0 although nothing was uploaded" } },
  (context) => stopWithUnreachableStore(context, refusedPort),
);

scenario(
  "UP8 F20 SIGTERM while the store never answers: ends within its bound and says that data is missing there",
  { peer: { fails: "exit status 0 although nothing was uploaded" } },
  async (context) => {
    await using server = await startSilentServer();
    await stopWithUnreachableStore(context, server.port);
  },
);

scenario(
  "UP8 a second signal skips the rest of the final sync",
  { peer: { varies: "an attempt under way is not always cut short" } },
  async ({ program, scratch }) => {
    await using server = await startSilentServer();
    const replication = new Replication({ program, scratch, place: unreachablePlace(server.port) });
    await using application = await replication.application();
    await application.transact(5);
    await using replicator = replication.start();
    await untilStarted(replicator);
    await sleep(500);
    const askedAt = performance.now();
    replicator.signal("SIGTERM");
    await sleep(1_000);
    assert.ok(replicator.isRunning, "The final sync should be tried for longer than a second");
    replicator.signal("SIGTERM");
    await replicator.exited;
    const tookMs = performance.now() - askedAt;
    assert.ok(tookMs < 4_000, `It took ${Math.round(tookMs)} ms to end`);
  },
);

async function stopWithUnreachableStore(
  { program, scratch }: ScenarioContext,
  port: number,
): Promise<void> {
  const globals = { "shutdown-sync-timeout": "2s", "shutdown-sync-interval": "100ms" };
  const replication = new Replication({ program, scratch, place: unreachablePlace(port), globals });
  await using application = await replication.application();
  await application.transact(5);
  await using replicator = replication.start();
  await untilStarted(replicator);
  await sleep(1_500);
  const askedAt = performance.now();
  const { code } = await replicator.stop(60_000);
  const tookMs = performance.now() - askedAt;
  assert.ok(tookMs < 4_000, `It took ${Math.round(tookMs)} ms to end, with a bound of 2 s`);
  assert.equal(code, 1, `Exit status ${code}, but nothing was uploaded`);
}

async function filled(
  { program, scratch }: ScenarioContext,
  id: string,
): Promise<{ replication: Replication }> {
  const replication = new Replication({
    program,
    scratch,
    id,
    database: scratch.path(id, "app.db"),
  });
  await using application = await replication.application();
  await application.transact(10);
  await application.kill();
  return { replication };
}

/** With the defaults of the command line: intervals of one second. */
function startPlain(replication: Replication, flags: readonly string[] = []): RunningProgram {
  return start(replication.program, [
    "replicate",
    ...flags,
    replication.database,
    replication.place.url,
  ]);
}

async function untilStarted(replicator: RunningProgram): Promise<void> {
  await until(() => replicator.output.includes("replicating to") || !replicator.isRunning, {
    what: "the start",
    timeoutMs: 15_000,
    everyMs: 2,
  });
  assert.ok(replicator.isRunning, `The program ended: ${replicator.output}`);
}

function childCommand({ database }: Replication, mode: "exit" | "trap", status: number): string {
  return [process.execPath, execChild, database, mode, String(status)]
    .map((word) => `'${word}'`)
    .join(" ");
}
