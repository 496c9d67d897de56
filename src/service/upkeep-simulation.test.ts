/**
 * Days in the life of a replica in seconds: commits, lost continuity, restarts, a store that fails, delays, and takes effect although it
 * failed. A model that remembers every committed state judges.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  array,
  asyncProperty,
  assert as check,
  constant,
  constantFrom,
  integer,
  oneof,
  record,
} from "fast-check";
import type { Arbitrary } from "fast-check";
import { FaultyClient } from "../../test/harness/faulty-client.ts";
import type { Fault, FaultyOperation } from "../../test/harness/faulty-client.ts";
import { owner, publish } from "../../test/harness/local-files.ts";
import { sampleLTX } from "../../test/harness/sample-ltx.ts";
import { Scratch } from "../../test/harness/scratch.ts";
import { SimulatedClock } from "../../test/harness/simulated-clock.ts";
import type { EngineEvent } from "../engine/events.ts";
import { LocalLTX } from "../engine/local-ltx.ts";
import { LocalTrim } from "../engine/local-trim.ts";
import { checkLevel } from "../engine/level-plan.ts";
import { Replica } from "../engine/replica.ts";
import { ReplicaLevels } from "../engine/replica-levels.ts";
import type { LevelSettings } from "../engine/level-settings.ts";
import { listReplica } from "../engine/replica-inventory.ts";
import { restore } from "../engine/restore.ts";
import { planRestore } from "../engine/restore-plan.ts";
import type { SnapshotView } from "../engine/snapshot.ts";
import { LTXDecoder } from "../formats/ltx/decoder.ts";
import { formatLTXName } from "../formats/ltx/layout.ts";
import type { TXID } from "../formats/ltx/txid.ts";
import { MemoryReplicaClient } from "../storage/memory.ts";
import type { LTXFileInfo } from "../storage/replica-client.ts";
import { LocalTrimLoop, UpkeepLoop } from "./upkeep-loop.ts";
import { readFileSync } from "node:fs";

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const PAGE_SIZE = 512;

const settings: LevelSettings = {
  levelIntervalsMs: [30 * SECOND, 5 * MINUTE, HOUR],
  snapshotIntervalMs: 6 * HOUR,
  snapshotRetentionMs: 12 * HOUR,
  l0RetentionMs: 5 * MINUTE,
  l0RetentionCheckIntervalMs: 15 * SECOND,
  retentionEnabled: true,
  verifyCompaction: false,
  validationIntervalMs: 0,
  auditIntervalMs: HOUR,
};

type Step =
  | { readonly kind: "commit"; readonly files: number; readonly gapMs: number }
  | { readonly kind: "wait"; readonly ms: number }
  | { readonly kind: "image" }
  | { readonly kind: "restart" }
  | { readonly kind: "snapshot" }
  | { readonly kind: "lose"; readonly level: number; readonly pick: number };

/** Page → the byte that fills it; the size is the commit. */
type State = readonly number[];

interface Options {
  readonly canCopy: boolean;
  readonly conditional: boolean;
  readonly settings?: Partial<LevelSettings>;
}

class World implements AsyncDisposable {
  readonly scratch = new Scratch("upkeep");
  readonly clock = new SimulatedClock();
  readonly local = LocalLTX.open(this.scratch.path("meta"), owner);
  readonly client: FaultyClient;
  readonly states = new Map<TXID, State>();
  readonly times = new Map<TXID, number>();
  readonly events: EngineEvent[] = [];
  /** Where a compacted file or a snapshot ever ended. */
  readonly ends = new Set<TXID>();
  replica!: Replica;
  levels!: ReplicaLevels;
  calm = false;
  /** Files were taken away by others: what is lost is not ours to promise. */
  hostile = false;
  #state: State = [];
  #seed = 1;
  readonly #options: Options;
  readonly #fates: readonly Fault[];
  #fateIndex = 0;
  #stop = new AbortController();
  #running: Promise<unknown> = Promise.resolve();
  #loop!: UpkeepLoop;
  #trim!: LocalTrimLoop;

  constructor(options: Options, fates: readonly Fault[]) {
    this.#options = options;
    this.#fates = fates;
    const inner = new MemoryReplicaClient({
      readFile: async function* (path) {
        yield readFileSync(path);
      },
    });
    this.client = new FaultyClient(inner, {
      fate: (operation) => this.#fate(operation),
      delay: (signal) => this.clock.sleep(250, signal),
      canCopy: options.canCopy,
      conditional: options.conditional,
    });
    this.start();
  }

  start(): void {
    const { clock, local } = this;
    const emit = (event: EngineEvent): void => {
      this.events.push(event);
      if (
        event.type === "replica-opened" ||
        event.type === "replica-synced" ||
        event.type === "replica-recovered"
      ) {
        this.#loop.notify();
        this.#trim.notify();
      }
    };
    this.replica = new Replica({
      name: "memory",
      client: this.client,
      clock,
      emit,
      source: {
        databasePath: "/app.db",
        local,
        onImageNeeded: () => {},
        onLocalHistoryBroken: (_, error) => assert.fail(error.message),
      },
      syncIntervalMs: SECOND,
      onStored: (file) => this.levels.stored(file),
    });
    this.levels = new ReplicaLevels({
      replica: this.replica,
      local,
      databasePath: "/app.db",
      source: { open: async () => this.#view() },
      settings: { ...settings, ...this.#options.settings },
      clock,
      emit,
      jitter: 0.5,
      onAuditWanted: () => this.#loop.notify(),
    });
    this.#loop = new UpkeepLoop(this.levels, clock);
    const trim = new LocalTrim({
      local,
      databasePath: "/app.db",
      clock,
      emit,
      retentionMs: settings.l0RetentionMs,
      checkIntervalMs: settings.l0RetentionCheckIntervalMs,
      backlogLimitBytes: () => Number.POSITIVE_INFINITY,
      replicas: () => {
        const { name, neededFromTXID } = this.replica;
        return [{ name, neededFromTXID, isReachable: true }];
      },
    });
    this.#trim = new LocalTrimLoop(trim, { clock, databasePath: "/app.db", emit });
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    this.#running = Promise.all([
      this.replica.run(signal),
      this.#loop.run(signal),
      this.#trim.run(signal),
    ]);
  }

  async restart(): Promise<void> {
    this.#stop.abort(new Error("killed by the simulation"));
    await this.#running;
    this.start();
  }

  commit(full: boolean): void {
    const before = this.#state;
    const size = Math.max(1, before.length + (this.#random(4) - 1));
    const after = Array.from({ length: size }, (_, index) => before[index] ?? this.#random(250));
    const changed = new Set([1 + this.#random(size), 1 + this.#random(size)]);
    for (let pgno = before.length + 1; pgno <= size; pgno++) changed.add(pgno);
    for (const pgno of changed) after[pgno - 1] = this.#random(250);
    const isFirst = this.local.newestTXID === 0n;
    const pgnos = full || isFirst ? after.map((_, index) => index + 1) : [...changed];
    const txid = this.local.reservedTXID + 1n;
    const pages = new Map(pgnos.map((pgno) => [pgno, after[pgno - 1] ?? 0]));
    const timestampMs = this.clock.now();
    publish(
      this.local,
      sampleLTX({
        maxTXID: txid,
        commit: size,
        pages,
        pageSize: PAGE_SIZE,
        timestampMs,
        walOffset: 32,
        walSize: Number(txid) * 536,
      }),
    );
    this.#state = after;
    this.states.set(txid, after);
    this.times.set(txid, timestampMs);
    this.replica.notify();
    this.#trim.notify();
  }

  /** Somebody else, or a lifecycle rule, deletes a file of a level that others cover. */
  lose(level: number, pick: number): void {
    const names = [...this.client.inner.objects.keys()].filter((key) =>
      key.startsWith(`ltx/${level}/`),
    );
    const name = names[pick % Math.max(1, names.length)];
    if (name === undefined) return;
    this.hostile = true;
    this.client.inner.objects.delete(name);
  }

  async files(): Promise<LTXFileInfo[][]> {
    const listing = await listReplica(this.client.inner, new AbortController().signal);
    return listing.map((files) => files.slice());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error("over"));
    await this.#running;
    this.scratch[Symbol.dispose]();
  }

  #view(): SnapshotView | null {
    const txid = this.local.newestTXID;
    if (txid === 0n) return null;
    const state = this.#state;
    const pages = new Map(state.map((fill, index) => [index + 1, fill]));
    const sample = sampleLTX({
      minTXID: 1n,
      maxTXID: txid,
      commit: state.length,
      pages,
      pageSize: PAGE_SIZE,
      timestampMs: this.clock.now(),
    });
    return {
      txid,
      header: sample.header,
      sizeHintBytes: sample.bytes.length,
      heldWALBytes: 0,
      chunks: async function* () {
        yield sample.bytes.subarray(0, 150);
        yield sample.bytes.subarray(150);
      },
      [Symbol.dispose]: () => {},
    };
  }

  #fate(operation: FaultyOperation): Fault {
    if (this.calm) return "ok";
    const fault = this.#fates[this.#fateIndex++ % this.#fates.length] ?? "ok";
    // The upload's own simulation covers what its listings meet; here they only fail.
    return operation === "list" && fault !== "fail" ? "ok" : fault;
  }

  #random(below: number): number {
    this.#seed = (Math.imul(this.#seed, 1_103_515_245) + 12_345) & 0x7fff_ffff;
    return (this.#seed >> 8) % below;
  }
}

/** What the files of a chain add up to. */
function apply(world: World, files: readonly LTXFileInfo[]): number[] {
  let pages: number[] = [];
  for (const file of files) {
    const key = `ltx/${file.level}/${formatLTXName(file.minTXID, file.maxTXID)}`;
    const bytes = world.client.inner.objects.get(key)?.bytes;
    assert.ok(bytes, key);
    const decoder = new LTXDecoder();
    decoder.push(bytes);
    for (let batch = decoder.read(); batch !== null; batch = decoder.read())
      for (let i = 0; i < batch.count; i++)
        pages[(batch.pgnos[i] ?? 0) - 1] = batch.pages[i * PAGE_SIZE] ?? 0;
    pages = pages.slice(0, decoder.end().header.commit);
  }
  return pages;
}

async function checkPromises(world: World): Promise<void> {
  const { position } = world.replica;
  // Of several uploads in flight a later one may be there first.
  const isConfirmed = (file: LTXFileInfo): boolean => file.level > 0 || file.maxTXID <= position;
  const listing = (await world.files()).map((level) => level.filter(isConfirmed));
  const files = listing.flat();
  if (files.length === 0) return;
  const latest = planRestore(files, { kind: "latest" });
  assert.ok(latest.kind === "restore", latest.kind === "refused" ? latest.message : "");
  assert.ok(
    latest.reached.txid >= position,
    `restores end at ${latest.reached.txid}, ${position} was promised`,
  );
  const snapshots = listing[9] ?? [];
  const oldest = snapshots[0]?.maxTXID ?? 0n;
  // What a compacted file ended at once stays restorable as long as the snapshots reach back.
  for (const file of files) if (file.level > 0) world.ends.add(file.maxTXID);
  const ends = new Set([...world.ends, ...files.map((file) => file.maxTXID)]);
  // What is younger than the retention of level 0 can be restored to the transaction.
  const now = world.clock.now();
  for (const [txid, at] of world.times)
    if (txid <= position && now - at < settings.l0RetentionMs) ends.add(txid);
  for (const txid of ends) {
    if (txid < oldest) continue;
    const plan = planRestore(files, { kind: "txid", txid });
    assert.ok(
      plan.kind === "restore",
      `TXID ${txid}: ${plan.kind === "refused" ? plan.message : ""}`,
    );
    assert.deepEqual(apply(world, plan.files), world.states.get(txid), `state at ${txid}`);
  }
  for (let level = 0; level <= 3; level++)
    assert.deepEqual(
      checkLevel(listing[level] ?? [], snapshots).map(({ message }) => message),
      [],
    );
}

async function checkAtRest(world: World): Promise<void> {
  const { local, replica, scratch, client } = world;
  assert.equal(replica.position, local.newestTXID);
  const listing = await world.files();
  const snapshots = listing[9] ?? [];
  if (local.newestTXID > 0n) {
    assert.equal(snapshots.length, 1, "days later only the newest snapshot is left");
    assert.equal(snapshots[0]?.maxTXID, local.newestTXID);
    assert.equal(listing[0]?.length, 1, "level 0 is empty but for its newest file");
    assert.ok(local.newestTXID - local.oldestTXID < 6n, "local files are trimmed");
    const output = scratch.path(`restored-${local.newestTXID}.db`);
    await restore(client.inner, {
      target: { kind: "latest" },
      outputPath: output,
      parallelism: 4,
      integrityCheck: "none",
      force: true,
    });
    const bytes = readFileSync(output);
    const pages = Array.from(
      { length: bytes.length / PAGE_SIZE },
      (_, index) => bytes[index * PAGE_SIZE + 100],
    );
    assert.deepEqual(pages, world.states.get(local.newestTXID));
  }
  const before = client.total;
  await world.clock.advance(3 * HOUR);
  const audits = (client.total - before) / 10;
  assert.ok(
    Number.isInteger(audits) && audits <= 4,
    `idle costs the audits only: ${client.total - before} requests`,
  );
}

async function simulate(
  steps: readonly Step[],
  fates: readonly Fault[],
  options: Options,
): Promise<World> {
  await using world = new World(options, fates);
  const { clock } = world;
  await clock.settle();
  for (const step of steps) {
    switch (step.kind) {
      case "commit":
        for (let i = 0; i < step.files; i++) {
          world.commit(false);
          await clock.advance(step.gapMs);
        }
        break;
      case "wait":
        await clock.advance(step.ms);
        break;
      case "image":
        world.commit(true);
        break;
      case "restart":
        await world.restart();
        break;
      case "snapshot":
        await world.levels.snapshotNow(AbortSignal.timeout(5)).catch(() => 0n);
        break;
      case "lose":
        world.lose(step.level, step.pick);
        break;
    }
    await clock.settle();
    if (!world.hostile) await checkPromises(world);
  }
  world.calm = true;
  world.commit(false);
  for (let i = 0; i < 5; i++) {
    await clock.advance(6 * HOUR);
    if (!world.hostile) await checkPromises(world);
  }
  world.commit(false);
  for (let i = 0; i < 8; i++) await clock.advance(7 * HOUR);
  if (!world.hostile) await checkPromises(world);
  await checkAtRest(world);
  return world;
}

const step: Arbitrary<Step> = oneof(
  {
    weight: 8,
    arbitrary: record({
      kind: constant("commit" as const),
      files: integer({ min: 1, max: 12 }),
      gapMs: constantFrom(0, 100, 1_000, 20_000),
    }),
  },
  {
    weight: 6,
    arbitrary: record({
      kind: constant("wait" as const),
      ms: constantFrom(100, SECOND, 31 * SECOND, 6 * MINUTE, HOUR, 7 * HOUR),
    }),
  },
  { weight: 1, arbitrary: record({ kind: constant("image" as const) }) },
  { weight: 2, arbitrary: record({ kind: constant("restart" as const) }) },
);
const hostileStep: Arbitrary<Step> = oneof(
  { weight: 3, arbitrary: step },
  {
    weight: 3,
    arbitrary: record({
      kind: constant("wait" as const),
      ms: constantFrom(31 * SECOND, 2 * MINUTE),
    }),
  },
  {
    weight: 2,
    arbitrary: record({
      kind: constant("lose" as const),
      level: constantFrom(1, 1, 1, 2),
      pick: integer({ min: 0, max: 20 }),
    }),
  },
);
const fault: Arbitrary<Fault> = constantFrom(
  "ok",
  "ok",
  "ok",
  "ok",
  "fail",
  "fail-after",
  "slow",
  "slow-after",
  "break",
);
const options: Arbitrary<Options> = record({
  canCopy: constantFrom(true, false),
  conditional: constantFrom(true, true, false),
});

const runs = process.env["SIMULATION_RUNS"];
const parameters = {
  ...(runs === undefined ? { numRuns: 15, seed: 2026 } : { numRuns: Number(runs) }),
  interruptAfterTimeLimit: 300_000,
  markInterruptAsFailure: true,
};

test("every promised TXID is restorable and equal, levels are whole, local disk is bounded, idle costs nothing (CP1, CP8, CP9, F7)", async () => {
  let compacted = 0;
  let deleted = 0;
  let snapshots = 0;
  let failures = 0;
  const property = asyncProperty(
    array(step, { minLength: 4, maxLength: 25 }),
    array(fault, { minLength: 1, maxLength: 14 }),
    options,
    async (steps, fates, how) => {
      const { events } = await simulate(steps, fates, how);
      compacted += events.filter(({ type }) => type === "compacted").length;
      deleted += events.filter(({ type }) => type === "ltx-deleted").length;
      snapshots += events.filter(({ type }) => type === "snapshot-written").length;
      failures += events.filter(({ type }) => type === "maintenance-failed").length;
    },
  );
  await check(property, parameters);
  assert.ok(
    compacted > 100 && deleted > 50 && snapshots > 30 && failures > 20,
    `the workload must meet everything: ${compacted} compactions, ${deleted} deletions, ${snapshots} snapshots, ${failures} failures`,
  );
});

test("CP13: files that others delete are found missing and got around: in the end everything is restorable again", async () => {
  let gaps = 0;
  const property = asyncProperty(
    array(hostileStep, { minLength: 6, maxLength: 25 }),
    array(fault, { minLength: 1, maxLength: 14 }),
    options,
    async (steps, fates, how) => {
      const { events } = await simulate(steps, fates, how);
      gaps += events.filter(({ type }) => type === "level-gap").length;
    },
  );
  await check(property, parameters);
  assert.ok(gaps > 0, `only ${gaps} gaps were met`);
});
