/** Databases come and go while the store runs. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { FaultyClient } from "../../test/harness/faulty-client.ts";
import { Scratch } from "../../test/harness/scratch.ts";
import { storeDatabase } from "../../test/harness/store-options.ts";
import { until } from "../../test/harness/wait.ts";
import type { EngineEvent } from "../engine/events.ts";
import { MemoryReplicaClient } from "../storage/memory.ts";
import type { ReplicaClient } from "../storage/replica-client.ts";
import { StoreError } from "./store-error.ts";
import type { DatabaseOptions } from "./store-options.ts";
import { Store } from "./store.ts";

const { signal } = new AbortController();

class Scene implements AsyncDisposable {
  readonly scratch = new Scratch("store");
  readonly events: EngineEvent[] = [];
  readonly store: Store;

  constructor(settings: { readonly names?: readonly string[]; readonly timeoutMs?: number } = {}) {
    this.store = new Store({
      databases: (settings.names ?? []).map((name) => this.options(name)),
      emit: (event) => this.events.push(event),
      shutdownSyncTimeoutMs: settings.timeoutMs ?? 5_000,
      shutdownSyncIntervalMs: 20,
    });
  }

  options(name: string, client?: ReplicaClient): DatabaseOptions {
    return storeDatabase(this.path(name), client ?? this.scratch.path(`replica-${name}`));
  }

  path(name: string): string {
    return this.scratch.path(name);
  }

  create(name: string): DatabaseSync {
    const database = new DatabaseSync(this.path(name));
    database.exec("PRAGMA journal_mode = WAL; CREATE TABLE t (x)");
    return database;
  }

  images(name: string): number {
    return this.events.filter(
      (event) =>
        event.type === "ltx-written" &&
        event.database === this.path(name) &&
        event.image !== undefined,
    ).length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.store.close();
    this.scratch[Symbol.dispose]();
  }
}

/** Accepts nothing. */
function brokenClient(): ReplicaClient {
  return new FaultyClient(new MemoryReplicaClient(), {
    fate: (operation) => (operation === "write" ? "fail" : "ok"),
    delay: async () => undefined,
  });
}

test("Store.add() replicates a database until remove(), and its events end there", async () => {
  await using scene = new Scene();
  const { store } = scene;
  using database = scene.create("a.db");
  const path = scene.path("a.db");
  const result = await store.add(scene.options("a.db"));
  assert.equal(result.added, true);
  if (result.added) await result.copied;
  assert.equal(store.status(path).state, "replicating");
  database.exec("INSERT INTO t VALUES (1)");
  await until(() => store.status(path).replicas[0]?.txid === 2n, {
    what: "the upload",
    timeoutMs: 10_000,
  });
  const status = store.status(path);
  assert.equal(status.txid, 2n);
  assert.equal(status.replicas[0]?.state, "running");
  assert.equal(status.replicas[0]?.lag.files, 0);
  assert.ok(status.syncedAtMs !== undefined && status.syncedAtMs <= Date.now());
  assert.deepEqual(await store.remove(path, signal), { path, synced: true, txid: 2n });
  assert.equal(store.has(path), false);
  const { length } = scene.events;
  database.exec("INSERT INTO t VALUES (2)");
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(scene.events.length, length);
  assert.equal(scene.events.at(-1)?.type, "database-removed");
  await assert.rejects(
    store.remove(path, signal),
    (error) => error instanceof StoreError && error.kind === "unknown",
  );
});

test("Store.stop() and start() go on without another full image, whatever was written meanwhile", async () => {
  await using scene = new Scene({ names: ["a.db"] });
  const { store } = scene;
  using database = scene.create("a.db");
  const path = scene.path("a.db");
  await store.open(signal);
  for (let round = 0; round < 3; round++) {
    database.exec("INSERT INTO t VALUES (1)");
    assert.equal((await store.stop(path, signal))?.synced, true);
    assert.equal(await store.stop(path, signal), undefined);
    assert.equal(store.status(path).state, "stopped");
    assert.ok(store.status(path).txid > 0n, "the last TXID stays known");
    database.exec("INSERT INTO t VALUES (2)");
    await assert.rejects(store.sync(path, signal), /database not open/);
    assert.equal(await store.start(path), true);
    assert.equal(await store.start(path), false);
    await store.sync(path, signal);
  }
  assert.equal(scene.images("a.db"), 1);
});

test("a database whose final sync fails is closed all the same, and the report says so", async () => {
  await using scene = new Scene();
  const { store } = scene;
  using _database = scene.create("a.db");
  const path = scene.path("a.db");
  await store.add(scene.options("a.db", brokenClient()));
  await until(() => store.status(path).replicas[0]?.failure !== undefined, {
    what: "a failure",
    timeoutMs: 10_000,
  });
  assert.ok((store.status(path).replicas[0]?.lag.bytes ?? 0) > 0);
  const report = await store.stop(path, AbortSignal.timeout(100));
  assert.equal(report?.synced, false);
  assert.equal(store.status(path).state, "stopped");
  assert.equal(scene.events.at(-1)?.type, "database-closed");
});

test("a sync under way when the database is stopped ends, and does not open it again", async () => {
  await using scene = new Scene();
  const { store } = scene;
  using _database = scene.create("a.db");
  const path = scene.path("a.db");
  await store.add(scene.options("a.db", brokenClient()));
  const waits = store.use(path, signal, async (runner, within) => {
    await runner.sync(within).catch(() => undefined);
    while (!within.aborted) await new Promise((resolve) => setTimeout(resolve, 5));
    within.throwIfAborted();
  });
  const [, ended] = await Promise.all([
    store.stop(path, AbortSignal.timeout(50)),
    waits.catch((error: unknown) => error),
  ]);
  assert.ok(ended instanceof StoreError && ended.kind === "stopped");
  assert.equal(store.status(path).isOpen, false);
});

test("Store.start() of what is no database fails, and leaves it stopped", async () => {
  await using scene = new Scene();
  const { store } = scene;
  const path = scene.path("no.db");
  writeFileSync(path, "x".repeat(10_000));
  await store.add(scene.options("no.db"), { start: false });
  await assert.rejects(store.start(path), /not a database/);
  assert.equal(store.status(path).state, "stopped");
});

test("operations on one path take their turn; other paths do not wait", async () => {
  await using scene = new Scene();
  const { store } = scene;
  const options = scene.options("a.db");
  const path = scene.path("a.db");
  using _database = scene.create("a.db");
  const results = await Promise.all([
    store.add(options),
    store.add(options),
    store.remove(path, signal),
    store.add(options, { start: false }),
    store.start(path),
    store.replace(options, signal),
    store.stop(path, signal),
    store.add(scene.options("b.db"), { start: false }),
  ]);
  assert.deepEqual(
    [results[0].added, results[1].added, results[2].synced, results[3].added, results[4]],
    [true, false, true, true, true],
  );
  assert.equal(results[5].synced, true);
  assert.equal(results[6]?.synced, true);
  assert.deepEqual(
    store.list().map(({ state }) => state),
    ["stopped", "stopped"],
  );
});

test("a store that shuts down refuses what comes, ends what waits, and releases what databases need", async () => {
  const scene = new Scene({ timeoutMs: 300 });
  const { store } = scene;
  using _a = scene.create("a.db");
  let released = 0;
  const resources = { [Symbol.asyncDispose]: async () => void released++ };
  await store.add({ ...scene.options("a.db", brokenClient()), resources });
  await store.add({ ...scene.options("b.db"), resources });
  // A stop without any limit of its own, of a database that cannot be uploaded.
  const stopping = store.stop(scene.path("a.db"), signal);
  const late = store.start(scene.path("a.db"));
  const refused = assert.rejects(late, /shutting down/);
  await until(() => scene.events.some(({ type }) => type === "final-sync-failed"), {
    what: "an attempt",
    timeoutMs: 10_000,
  });
  const report = await store.close();
  await refused;
  assert.equal((await stopping)?.synced, false);
  await assert.rejects(
    store.add(scene.options("c.db")),
    (error) => error instanceof StoreError && error.kind === "closing",
  );
  assert.equal(report.databases.length, 2);
  assert.equal(released, 2);
  scene.scratch[Symbol.dispose]();
});
