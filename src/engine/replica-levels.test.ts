import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { FaultyClient } from "../../test/harness/faulty-client.ts";
import type { Fault, FaultyOperation } from "../../test/harness/faulty-client.ts";
import { image, increment, owner, publish } from "../../test/harness/local-files.ts";
import { sampleLTX } from "../../test/harness/sample-ltx.ts";
import { Scratch } from "../../test/harness/scratch.ts";
import { SimulatedClock } from "../../test/harness/simulated-clock.ts";
import { verifyLTX } from "../formats/ltx/decoder.ts";
import { decodeLTXHeader } from "../formats/ltx/header.ts";
import { formatLTXName } from "../formats/ltx/layout.ts";
import type { TXID } from "../formats/ltx/txid.ts";
import { RetryingClient } from "../storage/decorators/retry.ts";
import { readPieces } from "../storage/file-system.ts";
import { MemoryReplicaClient } from "../storage/memory.ts";
import type { LTXFileName, ReplicaClient } from "../storage/replica-client.ts";
import type { EngineEvent } from "./events.ts";
import { LocalLTX } from "./local-ltx.ts";
import { Replica } from "./replica.ts";
import { DEFAULT_LEVEL_SETTINGS } from "./level-settings.ts";
import { ReplicaLevels } from "./replica-levels.ts";
import type { LevelSettings } from "./level-settings.ts";

const SECOND = 1_000;
const MINUTE = 60_000;

interface SceneOptions {
  readonly settings?: Partial<LevelSettings>;
  readonly fate?: (operation: FaultyOperation, file: LTXFileName | undefined) => Fault;
  readonly canCopy?: boolean;
  readonly wrap?: (client: ReplicaClient) => ReplicaClient;
}

/** A replica with its levels, whose tasks run when the test says so. */
class Scene implements AsyncDisposable {
  readonly scratch = new Scratch("levels");
  readonly clock = new SimulatedClock();
  readonly events: EngineEvent[] = [];
  readonly client: FaultyClient;
  readonly signal: AbortSignal = new AbortController().signal;
  local!: LocalLTX;
  replica!: Replica;
  levels!: ReplicaLevels;
  /** By how much the WAL has grown while a snapshot reads the database. */
  heldWALBytes = 0;
  fate: (operation: FaultyOperation, file: LTXFileName | undefined) => Fault;
  readonly #options: SceneOptions;

  private constructor(options: SceneOptions) {
    this.#options = options;
    this.fate = options.fate ?? (() => "ok");
    this.client = new FaultyClient(new MemoryReplicaClient({ readFile: readPieces }), {
      fate: (operation, file) => this.fate(operation, file),
      delay: () => Promise.resolve(),
      canCopy: options.canCopy ?? false,
    });
  }

  static async open(options: SceneOptions = {}): Promise<Scene> {
    const scene = new Scene(options);
    await scene.start();
    return scene;
  }

  /** As a new process would. */
  async start(): Promise<void> {
    const { clock } = this;
    const emit = (event: EngineEvent): void => void this.events.push(event);
    this.local = LocalLTX.open(this.scratch.path("meta"), owner);
    const local = this.local;
    this.replica = new Replica({
      name: "memory",
      client: this.#options.wrap?.(this.client) ?? this.client,
      clock,
      emit,
      source: {
        databasePath: "/app.db",
        local,
        onImageNeeded: () => {},
        onLocalHistoryBroken: () => false,
      },
      syncIntervalMs: SECOND,
      onStored: (file) => this.levels.stored(file),
    });
    this.levels = new ReplicaLevels({
      replica: this.replica,
      local,
      databasePath: "/app.db",
      source: {
        open: async () => {
          const txid = local.newestTXID;
          const pages = new Map([1, 2, 3, 4].map((pgno) => [pgno, Number(txid % 200n)]));
          const { header, bytes } = sampleLTX({
            minTXID: 1n,
            maxTXID: txid,
            commit: 4,
            pages,
            timestampMs: clock.now(),
          });
          const chunks = async function* (): AsyncGenerator<Uint8Array, void> {
            yield bytes;
          };
          return {
            txid,
            header,
            sizeHintBytes: bytes.length,
            heldWALBytes: this.heldWALBytes,
            chunks,
            [Symbol.dispose]: () => {},
          };
        },
      },
      settings: { ...DEFAULT_LEVEL_SETTINGS, snapshotIntervalMs: 0, ...this.#options.settings },
      clock,
      emit,
    });
    await this.replica.start(this.signal);
  }

  /** Commits and uploads up to `txid`. */
  async write(txid: TXID, pageSize = 512): Promise<void> {
    for (let next = this.local.newestTXID + 1n; next <= txid; next++) {
      const fields = { timestampMs: this.clock.now(), pageSize };
      publish(
        this.local,
        next === 1n || pageSize !== 512 ? image(next, fields) : increment(next, fields),
      );
    }
    await this.replica.flush(this.signal);
  }

  async maintain(): Promise<number> {
    return await this.levels.maintain(this.signal);
  }

  /** Names at a level: "1-4 5-5". */
  async names(level: number): Promise<string> {
    const names: string[] = [];
    for await (const { minTXID, maxTXID } of this.client.inner.list(level))
      names.push(`${minTXID}-${maxTXID}`);
    return names.join(" ");
  }

  bytes(level: number, minTXID: TXID, maxTXID: TXID): Uint8Array {
    const bytes = this.client.inner.objects.get(
      `ltx/${level}/${formatLTXName(minTXID, maxTXID)}`,
    )?.bytes;
    assert.ok(bytes, `${level}/${minTXID}-${maxTXID}`);
    return bytes;
  }

  damage(level: number, minTXID: TXID, maxTXID: TXID): void {
    const bytes = this.bytes(level, minTXID, maxTXID);
    bytes[150] = (bytes[150] ?? 0) ^ 1;
  }

  put(level: number, minTXID: TXID, maxTXID: TXID, bytes: Uint8Array): void {
    const key = `ltx/${level}/${formatLTXName(minTXID, maxTXID)}`;
    this.client.inner.objects.set(key, { bytes, createdAt: new Date(this.clock.now()) });
  }

  lose(level: number, minTXID: TXID, maxTXID: TXID): void {
    assert.ok(this.client.inner.objects.delete(`ltx/${level}/${formatLTXName(minTXID, maxTXID)}`));
  }

  types(): string[] {
    return this.events
      .map(({ type }) => type)
      .filter((type) => !/^replica-|^ltx-uploaded/.test(type));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.scratch[Symbol.dispose]();
  }
}

test("CP1, CP5: levels are made of each other at their times; a restart does not repeat them", async () => {
  await using scene = await Scene.open();
  const { clock } = scene;
  await scene.write(3n);
  await scene.maintain();
  assert.equal(await scene.names(1), "1-3", "the first run is at once");
  await scene.write(4n);
  await clock.advance(7);
  await scene.write(5n);
  const lastTime = clock.now();
  const waitMs = await scene.maintain();
  assert.equal(await scene.names(1), "1-3", "too early");
  assert.equal(waitMs, 30 * SECOND - 7);
  await clock.advance(waitMs);
  await scene.maintain();
  assert.equal(await scene.names(1), "1-3 4-5");
  const header = decodeLTXHeader(scene.bytes(1, 4n, 5n).subarray(0, 100));
  assert.equal(header.timestampMs, lastTime, "the time of the last input");
  assert.equal(header.walOffset, 0);
  await scene.write(6n);
  await scene.start();
  await scene.maintain();
  assert.equal(await scene.names(1), "1-3 4-5 6-6", "its time is before the last multiple");
  await scene.write(7n);
  await scene.start();
  await scene.maintain();
  assert.equal(
    await scene.names(1),
    "1-3 4-5 6-6",
    "level 1 has been made since the last multiple",
  );
  await clock.advance(5 * MINUTE);
  await scene.maintain();
  assert.equal(await scene.names(1), "1-3 4-5 6-6 7-7");
  // What was there at the first look, then the rest.
  assert.equal(await scene.names(2), "1-3 4-7");
  assert.equal(await scene.names(3), "1-3");
  await clock.advance(60 * MINUTE);
  await scene.maintain();
  assert.equal(await scene.names(3), "1-3 4-7");
  assert.equal(verifyLTX([scene.bytes(3, 4n, 7n)]).header.commit, 4);
});

test("idle asks nothing of the store, and sets no timer but the audit's", async () => {
  await using scene = await Scene.open({ settings: { auditIntervalMs: 60 * MINUTE } });
  await scene.write(5n);
  await scene.maintain();
  await scene.clock.advance(10 * MINUTE);
  for (let i = 0; i < 4; i++) {
    await scene.maintain();
    await scene.clock.advance(30 * SECOND);
  }
  const before = scene.client.total;
  const waitMs = await scene.maintain();
  assert.ok(waitMs > 40 * MINUTE, `wants to be called in ${waitMs} ms`);
  await scene.clock.advance(waitMs - 1);
  await scene.maintain();
  assert.equal(scene.client.total, before);
});

test("CP2: a write that fails leaves nothing; one that only seems to fail is recognised", async () => {
  await using scene = await Scene.open();
  await scene.write(3n);
  scene.fate = (operation) => (operation === "write" ? "fail" : "ok");
  await scene.maintain();
  assert.equal(await scene.names(1), "");
  scene.fate = (operation) => (operation === "write" ? "fail-after" : "ok");
  await scene.clock.advance(SECOND);
  await scene.maintain();
  assert.equal(await scene.names(1), "1-3");
  // Uploads go on meanwhile: the next attempt must not make a longer file beside that one.
  scene.fate = () => "ok";
  await scene.write(5n);
  await scene.clock.advance(30 * SECOND);
  await scene.maintain();
  await scene.clock.advance(30 * SECOND);
  await scene.maintain();
  assert.equal(await scene.names(1), "1-3 4-5");
  assert.ok(scene.types().includes("maintenance-recovered"));
});

test("CP2: a lost acknowledgement that a late listing hides is found by making the same file again", async () => {
  await using scene = await Scene.open();
  await scene.write(3n);
  scene.fate = (operation) => (operation === "write" ? "fail-after" : "ok");
  await scene.maintain();
  const key = `ltx/1/${formatLTXName(1n, 3n)}`;
  const hidden = scene.client.inner.objects.get(key);
  assert.ok(hidden);
  scene.client.inner.objects.delete(key);
  scene.fate = () => "ok";
  await scene.write(5n);
  await scene.clock.advance(SECOND);
  // The listing does not show the file; the write then meets it.
  scene.fate = (operation) => {
    if (operation === "write") scene.client.inner.objects.set(key, hidden);
    return "ok";
  };
  await scene.maintain();
  assert.equal(await scene.names(1), "1-3");
  await scene.clock.advance(30 * SECOND);
  await scene.maintain();
  assert.equal(await scene.names(1), "1-3 4-5");
  const methods = scene.events.flatMap((event) =>
    event.type === "compacted" ? [event.method] : [],
  );
  assert.equal(methods[0], "present");
});

test("CP3: a source that breaks in mid-read goes on at its offset", async () => {
  const offsets: number[] = [];
  const pause = { attempts: 5, baseMs: 1, capMs: 1, sleep: async () => {} };
  await using scene = await Scene.open({
    wrap: (client) => {
      const read = client.read.bind(client);
      client.read = (file, options) => {
        offsets.push(options?.offset ?? 0);
        return read(file, options);
      };
      return new RetryingClient(client, { calls: pause, reads: pause });
    },
  });
  await scene.write(4n);
  // Level 1 of local files, so that level 2 has to read the store.
  await scene.maintain();
  await scene.write(8n);
  await scene.clock.advance(5 * MINUTE);
  let broken = 0;
  scene.fate = (operation) => (operation === "read" && broken++ < 2 ? "break" : "ok");
  await scene.maintain();
  assert.equal(await scene.names(2), "1-4 5-8");
  assert.ok(
    offsets.some((offset) => offset > 0),
    `offsets: ${offsets.join(" ")}`,
  );
});

test("CP4: level 0 is read from the local folder, not from the store, once this process has sent it", async () => {
  await using scene = await Scene.open();
  await scene.write(4n);
  scene.fate = (operation) => (operation === "read" ? "fail" : "ok");
  for (const txid of [2n, 3n]) scene.damage(0, txid, txid);
  await scene.maintain();
  assert.equal(await scene.names(1), "1-4");
  verifyLTX([scene.bytes(1, 1n, 4n)]);
});

test("after a start level 0 is read from the store: local files may be of another history", async () => {
  await using scene = await Scene.open();
  await scene.write(4n);
  await scene.start();
  for (const txid of [2n, 3n]) {
    const path = scene.local.path(txid);
    const bytes = readFileSync(path);
    bytes[150] = (bytes[150] ?? 0) ^ 1;
    writeFileSync(path, bytes);
  }
  await scene.maintain();
  assert.equal(await scene.names(1), "1-4");
  verifyLTX([scene.bytes(1, 1n, 4n)]);
  assert.ok(!scene.types().includes("ltx-damaged"));
});

test("a snapshot waits until the replica holds everything up to it, or its level would have a hole", async () => {
  await using scene = await Scene.open({ settings: { snapshotIntervalMs: 5 * MINUTE } });
  await scene.write(2n);
  await scene.maintain();
  publish(scene.local, increment(3n, { timestampMs: scene.clock.now() }));
  const snapshot = scene.levels.takeSnapshot(scene.signal);
  await scene.clock.advance(SECOND);
  assert.equal(await scene.names(9), "");
  await scene.replica.flush(scene.signal);
  await snapshot;
  assert.equal(await scene.names(9), "1-3");
  assert.equal(await scene.names(0), "1-1 2-2 3-3");
});

test("a snapshot above all numbers that appears later makes the replica start again; a second writer's files do not", async () => {
  for (const isOther of [false, true]) {
    await using scene = await Scene.open();
    await scene.write(3n);
    await scene.maintain();
    const pages = new Map([1, 2, 3, 4].map((pgno) => [pgno, 50]));
    const earlier = sampleLTX({ minTXID: 1n, maxTXID: 50n, commit: 4, pages });
    scene.put(9, 1n, 50n, earlier.bytes);
    if (isOther) scene.put(0, 50n, 50n, image(50n).bytes);
    await scene.clock.advance(61 * MINUTE);
    await scene.maintain();
    assert.equal(scene.replica.status.state, isOther ? "running" : "starting");
    if (isOther) continue;
    const plan = await scene.replica.start(scene.signal);
    assert.ok(plan.kind === "behind" && plan.nextTXID === 51n);
  }
});

test("a snapshot that holds up more than 512 MiB of WAL is given up and made of the replica's own files", async () => {
  await using scene = await Scene.open({ settings: { snapshotIntervalMs: MINUTE } });
  await scene.write(3n);
  await scene.maintain();
  await scene.levels.takeSnapshot(scene.signal);
  await scene.clock.advance(2 * MINUTE);
  await scene.write(5n);
  const sources = (): unknown[] =>
    scene.events.flatMap((event) => (event.type === "snapshot-written" ? [event.source] : []));
  scene.heldWALBytes = (512 << 20) + 1;
  await scene.levels.takeSnapshot(scene.signal);
  assert.equal(await scene.names(9), "1-3 1-5");
  assert.deepEqual(sources(), ["database", "replica"]);
  await scene.clock.advance(2 * MINUTE);
  await scene.write(6n);
  scene.heldWALBytes = 512 << 20;
  await scene.levels.takeSnapshot(scene.signal);
  assert.equal(await scene.names(9), "1-3 1-5 1-6");
  assert.deepEqual(sources(), ["database", "replica", "database"]);
});

test("with an L0 retention of 0 level 0 stays for ever", async () => {
  await using scene = await Scene.open({ settings: { l0RetentionMs: 0 } });
  await scene.write(4n);
  await scene.maintain();
  assert.equal(await scene.names(1), "1-4");
  for (let hour = 0; hour < 3; hour++) {
    await scene.clock.advance(60 * MINUTE);
    await scene.maintain();
  }
  assert.equal(await scene.names(0), "1-1 2-2 3-3 4-4");
});

test("CP6: a file that is missing below is got around by another level, and told", async () => {
  await using scene = await Scene.open({ settings: { l0RetentionMs: 60 * MINUTE } });
  for (const txid of [2n, 4n, 6n]) {
    await scene.write(txid);
    await scene.maintain();
    await scene.clock.advance(30 * SECOND);
  }
  assert.equal(await scene.names(1), "1-2 3-4 5-6");
  scene.lose(1, 3n, 4n);
  await scene.write(7n);
  await scene.clock.advance(5 * MINUTE);
  await scene.start();
  await scene.maintain();
  assert.equal(await scene.names(2), "1-2 3-7");
  const gap = scene.events.find((event) => event.type === "level-gap");
  assert.ok(gap?.type === "level-gap");
  assert.deepEqual([gap.level, gap.fromTXID, gap.toTXID, gap.remedy], [2, 3n, 4n, "other-levels"]);
});

test("CP6: what no level has is bridged by a new snapshot, behind which the level goes on", async () => {
  await using scene = await Scene.open();
  await scene.write(2n);
  await scene.maintain();
  await scene.write(6n);
  scene.lose(0, 3n, 3n);
  scene.local.trim(6n);
  await scene.clock.advance(30 * SECOND);
  await scene.start();
  await scene.maintain();
  assert.equal(await scene.names(1), "1-2");
  const gap = scene.events.find((event) => event.type === "level-gap");
  assert.ok(gap?.type === "level-gap" && gap.remedy === "new-snapshot");
  await scene.levels.takeSnapshot(scene.signal);
  assert.equal(await scene.names(9), "1-6");
  await scene.write(8n);
  await scene.clock.advance(30 * SECOND);
  await scene.maintain();
  assert.equal(await scene.names(1), "1-2 7-8");
});

test("a damaged file is named once, left out and got around", async () => {
  await using scene = await Scene.open({ settings: { l0RetentionMs: 60 * MINUTE } });
  for (const txid of [2n, 4n, 6n]) {
    await scene.write(txid);
    await scene.maintain();
    await scene.clock.advance(30 * SECOND);
  }
  scene.damage(1, 3n, 4n);
  await scene.clock.advance(5 * MINUTE);
  await scene.maintain();
  assert.equal(await scene.names(2), "1-2 3-6");
  verifyLTX([scene.bytes(2, 3n, 6n)]);
  const damaged = scene.events.filter((event) => event.type === "ltx-damaged");
  assert.equal(damaged.length, 1);
  assert.ok(
    damaged[0]?.type === "ltx-damaged" && damaged[0].level === 1 && damaged[0].minTXID === 3n,
  );
});

test("levels never merge across a change of the page size", async () => {
  await using scene = await Scene.open();
  await scene.write(3n);
  await scene.maintain();
  await scene.write(4n);
  await scene.write(6n, 1024);
  assert.equal(
    await scene.names(9),
    "1-5",
    "the uploads take a snapshot where the new chain starts",
  );
  await scene.clock.advance(30 * SECOND);
  await scene.maintain();
  assert.equal(await scene.names(1), "1-3 4-4 5-6");
  await scene.clock.advance(10 * MINUTE);
  await scene.maintain();
  assert.equal(await scene.names(2), "1-3 4-4 5-6");
});

test("the first copy of a database travels once where the store can copy", async () => {
  const mib = new Map(Array.from({ length: 3_000 }, (_, index) => [index + 1, index % 250]));
  await using scene = await Scene.open({
    canCopy: true,
    settings: { snapshotIntervalMs: 60 * MINUTE },
  });
  publish(
    scene.local,
    sampleLTX({ maxTXID: 1n, commit: 3_000, pages: mib, timestampMs: scene.clock.now() }),
  );
  for (const txid of [2n, 3n, 4n])
    publish(scene.local, increment(txid, { commit: 3_000, timestampMs: scene.clock.now() }));
  await scene.replica.flush(scene.signal);
  const sent = scene.client.counts.write;
  await scene.maintain();
  await scene.levels.takeSnapshot(scene.signal);
  assert.equal(await scene.names(1), "1-1 2-4");
  assert.equal(await scene.names(9), "1-1");
  assert.equal(await scene.names(3), "1-1 2-4");
  assert.equal(scene.client.counts.write, sent + 1, "only the increments are sent again");
  verifyLTX([scene.bytes(9, 1n, 1n)]);
});

test("CP8: level 0 stays until a listing shows what stands in for it", async () => {
  await using scene = await Scene.open({
    settings: { levelIntervalsMs: [30 * SECOND], auditIntervalMs: 24 * 60 * MINUTE },
  });
  await scene.write(4n);
  await scene.maintain();
  assert.equal(await scene.names(1), "1-4");
  scene.lose(1, 1n, 4n);
  await scene.clock.advance(6 * MINUTE);
  for (let i = 0; i < 2; i++) {
    await scene.maintain();
    await scene.clock.advance(16 * SECOND);
  }
  assert.equal(await scene.names(0), "1-1 2-2 3-3 4-4");
  await scene.clock.advance(30 * SECOND);
  await scene.maintain();
  assert.equal(await scene.names(1), "1-4", "it is made again");
  await scene.clock.advance(61 * MINUTE);
  for (let i = 0; i < 3; i++) {
    await scene.maintain();
    await scene.clock.advance(16 * SECOND);
  }
  assert.equal(await scene.names(0), "4-4");
});

test("CP10: with retention disabled nothing is deleted in the store", async () => {
  await using scene = await Scene.open({
    settings: {
      retentionEnabled: false,
      snapshotIntervalMs: 5 * MINUTE,
      snapshotRetentionMs: MINUTE,
    },
  });
  for (let txid = 2n; txid < 12n; txid += 2n) {
    await scene.write(txid);
    await scene.maintain();
    await scene.levels.takeSnapshot(scene.signal);
    await scene.clock.advance(10 * MINUTE);
  }
  await scene.maintain();
  assert.equal(scene.client.counts.delete, 0);
  assert.equal((await scene.names(9)).split(" ").length, 5);
});

test("a store that says it deleted and did not is noticed, and not asked again and again", async () => {
  await using scene = await Scene.open({
    settings: { snapshotIntervalMs: 10 * MINUTE, snapshotRetentionMs: MINUTE },
  });
  const remove = scene.client.inner.delete.bind(scene.client.inner);
  scene.client.inner.delete = async () => {};
  for (let txid = 2n; txid <= 20n; txid++) {
    await scene.write(txid);
    for (let i = 0; i < 20; i++) {
      await scene.maintain();
      await scene.levels.takeSnapshot(scene.signal);
      await scene.clock.advance(30 * SECOND);
    }
  }
  const ignored = scene.events.filter((event) => event.type === "deletion-ignored");
  assert.ok(ignored.length >= 1 && ignored.length <= 8, `${ignored.length} times told`);
  assert.ok(
    scene.client.counts.delete < 30,
    `${scene.client.counts.delete} deletions in three hours`,
  );
  scene.client.inner.delete = remove;
  await scene.clock.advance(25 * 60 * MINUTE);
  for (let i = 0; i < 10; i++) {
    await scene.maintain();
    await scene.clock.advance(10 * MINUTE);
  }
  assert.ok((await scene.names(9)).split(" ").length <= 2, await scene.names(9));
});

test("verify-compaction reports files that do not follow each other", async () => {
  await using scene = await Scene.open({ settings: { verifyCompaction: true } });
  for (const txid of [2n, 4n]) {
    await scene.write(txid);
    await scene.maintain();
    await scene.clock.advance(30 * SECOND);
  }
  assert.ok(!scene.types().includes("level-invalid"));
  scene.lose(1, 3n, 4n);
  await scene.write(6n);
  await scene.maintain();
  const found = scene.events.find((event) => event.type === "level-invalid");
  assert.ok(found?.type === "level-invalid" && found.kind === "gap" && found.level === 1);
});
