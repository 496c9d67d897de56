/** What two programs must be able to do with one replica, wherever it is: read each other, and continue each other. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { Application } from "../harness/application.ts";
import { assertIntegrity, assertSamePages, readImage } from "../harness/database-image.ts";
import type { Program } from "../harness/program.ts";
import type { Random } from "../harness/random.ts";
import { isFullImage, listLevel } from "../harness/replica-folder.ts";
import { Replication } from "../harness/replication.ts";
import type { Place } from "../harness/replication.ts";
import { restore } from "../harness/restored.ts";
import type { Scratch } from "../harness/scratch.ts";
import { until } from "../harness/wait.ts";

export interface Exchange {
  readonly ours: Program;
  readonly peer: Program;
  readonly scratch: Scratch;
  readonly random: Random;
  readonly place: Place;
}

/** The WAL keeps its frames. */
const noCheckpoints = { "min-checkpoint-page-count": 1000, "checkpoint-interval": "0s" };
/** Each program restarts the WAL again and again. */
const manyCheckpoints = { "min-checkpoint-page-count": 30, "checkpoint-interval": "200ms" };

const writeSettings = [
  { pageSize: 512, autoVacuum: "FULL", cacheSize: 10 },
  { pageSize: 1024, autoVacuum: "INCREMENTAL", cacheSize: 10 },
  { pageSize: 4096, autoVacuum: "NONE", cacheSize: 10 },
  { pageSize: 65_536, autoVacuum: "NONE", cacheSize: 10 },
] as const;

export type ExchangeDatabase = (typeof writeSettings)[number];

export const exchangeDatabases: readonly ExchangeDatabase[] = writeSettings;

/** `writer` makes a history with checkpoints, VACUUM and a snapshot; both restore every moment of it alike. */
export async function writeAndReadBack(
  exchange: Exchange,
  writer: Program,
  settings: ExchangeDatabase,
): Promise<void> {
  const { scratch, place, random } = exchange;
  const replication = new Replication({
    program: writer,
    scratch,
    place,
    settings: { "min-checkpoint-page-count": 30 },
  });
  await using application = await replication.application({
    ...settings,
    seed: random.integer(1, 2 ** 31),
  });
  for (let step = 0; step < 5; step++) {
    await application.transact(random.integer(3, 12));
    if (step === 2) await application.execute("DELETE FROM item WHERE id % 2 = 0", "VACUUM");
    await replication.once(step === 3 && writer === exchange.peer ? ["-force-snapshot"] : []);
  }
  const image = readImage(replication.database, scratch.path("source"));
  assertSamePages(await restoreAlike(exchange, []), image, "Latest state");
  for (const { maxTXID } of listLevel(replication.metaFolder, 0)) {
    await restoreAlike(exchange, ["-txid", maxTXID.toString(16).padStart(16, "0")]);
  }
}

/** The programs take turns on one meta folder and one replica, as daemon or in single passes, with writes in between. */
export async function alternate(
  exchange: Exchange,
  turns: number,
  checkpoints: "none" | "many",
): Promise<void> {
  const settings = checkpoints === "many" ? manyCheckpoints : noCheckpoints;
  const { ours, peer, scratch, place, random } = exchange;
  const replications = [ours, peer].map(
    (program) =>
      new Replication({
        program,
        scratch,
        place,
        id: "shared",
        database: scratch.path("app.db"),
        settings,
      }),
  ) as [Replication, Replication];
  await using application = await replications[0].application({
    seed: random.integer(1, 2 ** 31),
    cacheSize: 20,
  });
  await application.transact(60);
  // Pages that nobody touches again: a file that holds them can only be a full image.
  await application.execute("CREATE TABLE ballast AS SELECT randomblob(300000) AS body");
  let newest = 0;
  for (let turn = 0; turn < turns; turn++) {
    const replication = replications[turn % 2] as Replication;
    if (random.chance(0.7)) await writeSomething(application, random);
    await takeTurn(replication, application, random, checkpoints === "none");
    const written = listLevel(replication.metaFolder, 0).filter(
      ({ minTXID }) => minTXID > Math.max(newest, 1),
    );
    for (const file of written) {
      const what = `Turn ${turn} of ${replication.program.name}: TXID ${file.minTXID} has ${file.pageCount} of ${file.commit} pages`;
      assert.ok(!isFullImage(file), `${what}: a needless full image`);
    }
    newest = listLevel(replication.metaFolder, 0).at(-1)?.maxTXID ?? newest;
    assertSamePages(
      await restoreAlike(exchange, []),
      readImage(replication.database, scratch.path("source")),
      `After turn ${turn}`,
    );
  }
  assert.ok(newest > turns / 2, `Only ${newest} transactions after ${turns} turns`);
}

/** The peer compacts and snapshots what we wrote; both restore it, and we go on. */
export async function compactOurFiles(exchange: Exchange): Promise<void> {
  const { ours, peer, scratch, place } = exchange;
  const common = {
    scratch,
    place,
    id: "shared",
    database: scratch.path("app.db"),
    settings: noCheckpoints,
  };
  const mine = new Replication({ ...common, program: ours });
  await using application = await mine.application();
  for (let step = 0; step < 6; step++) {
    await application.transact(4);
    await mine.once();
  }
  const globals = {
    levels: "[{interval: 1s}, {interval: 2s}]",
    "l0-retention": "1s",
    "l0-retention-check-interval": "1s",
  };
  const theirs = new Replication({ ...common, program: peer, globals });
  {
    await using daemon = theirs.start();
    for (let step = 0; step < 8; step++) {
      await application.transact(1);
      await sleep(500);
    }
    assert.equal((await daemon.stop()).code, 0);
  }
  assertSamePages(
    await restoreAlike(exchange, []),
    readImage(mine.database, scratch.path("source")),
    "After the peer's compactions",
  );
  const again = new Replication({ ...common, program: ours });
  await application.transact(3);
  await again.once();
  assertSamePages(
    await restoreAlike(exchange, []),
    readImage(mine.database, scratch.path("source")),
    "After our next pass",
  );
}

async function takeTurn(
  replication: Replication,
  application: Application,
  random: Random,
  mayBeKilled: boolean,
): Promise<void> {
  if (random.chance(0.4)) {
    await replication.once();
    return;
  }
  await using daemon = replication.start();
  await until(() => daemon.output.includes("replicating to"), {
    what: "the start",
    timeoutMs: 15_000,
  });
  for (let writes = random.integer(1, 3); writes > 0; writes--) {
    await writeSomething(application, random);
    await sleep(random.integer(0, 150));
  }
  // The real one replicates nothing at all when it is stopped before its first tick.
  await sleep(100);
  if (mayBeKilled && random.chance(0.3)) {
    // What it did not copy any more is for the next one.
    await daemon.kill();
    await replication.once();
  } else {
    assert.equal((await daemon.stop()).code, 0, daemon.output);
  }
}

async function writeSomething(application: Application, random: Random): Promise<void> {
  if (random.chance(0.3)) await application.rollBackSpill();
  await application.transact(random.integer(1, 3));
}

/** Restores with both programs; they must agree in every byte. */
async function restoreAlike(
  { ours, peer, place, scratch }: Exchange,
  flags: readonly string[],
): Promise<Buffer> {
  const [byUs, byPeer] = await Promise.all(
    [ours, peer].map((program, index) =>
      restore({
        program,
        from: place.url,
        env: place.env,
        output: scratch.path(`restored-by-${index}`),
        flags,
      }),
    ),
  );
  assert.ok(byUs !== undefined && byPeer !== undefined);
  assertSamePages(byUs, byPeer, `Restored by us and by ${peer.name} ${flags.join(" ")}`);
  assertIntegrity(scratch.path("restored-by-0"));
  return byUs;
}
