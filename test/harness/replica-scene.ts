/** One local folder, one clock, and replicas of it on scripted stores: what a test of uploads needs. */
import type { EngineEvent } from "../../src/engine/events.ts";
import type { LocalDiskError } from "../../src/engine/local-disk-error.ts";
import { LocalLTX, readLocalFile } from "../../src/engine/local-ltx.ts";
import { Replica } from "../../src/engine/replica.ts";
import type { ReplicaOptions } from "../../src/engine/replica.ts";
import type { ImageRequest } from "../../src/engine/upload-plan.ts";
import type { TXID } from "../../src/formats/ltx/txid.ts";
import { formatTXID } from "../../src/formats/ltx/txid.ts";
import { MemoryReplicaClient } from "../../src/storage/memory.ts";
import type { MemoryObjects } from "../../src/storage/memory.ts";
import { owner, publish } from "./local-files.ts";
import type { SampleLTX } from "./sample-ltx.ts";
import { Scratch } from "./scratch.ts";
import { ScriptedClient } from "./scripted-client.ts";
import { SimulatedClock } from "./simulated-clock.ts";

export class ReplicaScene implements AsyncDisposable {
  readonly scratch: Scratch;
  readonly clock: SimulatedClock;
  readonly local: LocalLTX;
  readonly client: ScriptedClient;
  readonly events: EngineEvent[] = [];
  readonly imageRequests: ImageRequest[] = [];
  readonly brokenFiles: LocalDiskError[] = [];
  autoRecover = false;
  readonly replica: Replica;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;

  constructor(
    name: string,
    options: {
      readonly objects?: MemoryObjects;
      readonly clock?: SimulatedClock;
      readonly local?: LocalLTX;
    } & Partial<
      Pick<ReplicaOptions, "syncIntervalMs" | "maxInFlight" | "burst" | "soleWriterCheckMs">
    > = {},
  ) {
    this.scratch = new Scratch(name);
    this.clock = options.clock ?? new SimulatedClock();
    this.local = options.local ?? LocalLTX.open(this.scratch.path("meta"), owner);
    const objects: MemoryObjects = options.objects ?? new Map();
    this.client = new ScriptedClient(
      new MemoryReplicaClient({ objects, name, readFile: (path) => this.#read(path) }),
    );
    this.replica = new Replica({
      name,
      client: this.client,
      clock: this.clock,
      emit: (event) => this.events.push(event),
      source: {
        databasePath: "/app.db",
        local: this.local,
        onImageNeeded: (_, request) => this.imageRequests.push(request),
        onLocalHistoryBroken: (_, error) => this.brokenFiles.push(error) > 0 && this.autoRecover,
      },
      syncIntervalMs: options.syncIntervalMs ?? 1_000,
      ...(options.maxInFlight === undefined ? {} : { maxInFlight: options.maxInFlight }),
      ...(options.soleWriterCheckMs === undefined
        ? {}
        : { soleWriterCheckMs: options.soleWriterCheckMs }),
      ...(options.burst === undefined ? {} : { burst: options.burst }),
    });
  }

  /** Starts the loop. */
  run(): void {
    this.#running = this.replica.run(this.#stop.signal);
  }

  async stop(): Promise<void> {
    this.#stop.abort(new Error("stopped by the test"));
    await this.#running;
  }

  /** Publishes a local file and tells the replica. */
  write(sample: SampleLTX): void {
    publish(this.local, sample);
    this.replica.notify();
  }

  /** Names in the store, such as "0/5" and "9/1-5". */
  stored(): string[] {
    return [...this.client.inner.objects.keys()]
      .map(shortName)
      .toSorted((a, b) => a.localeCompare(b, "en", { numeric: true }));
  }

  eventTypes(): string[] {
    return this.events.map((event) => event.type);
  }

  put(
    level: number,
    minTXID: TXID,
    maxTXID: TXID,
    bytes: Uint8Array,
    createdAt: Date = new Date(0),
  ): void {
    const key = `ltx/${level}/${formatTXID(minTXID)}-${formatTXID(maxTXID)}.ltx`;
    this.client.inner.objects.set(key, { bytes, createdAt });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    this.scratch[Symbol.dispose]();
  }

  #read(path: string): AsyncIterable<Uint8Array> {
    const txid = BigInt(`0x${/-([0-9a-f]{16})\.ltx$/.exec(path)?.[1] ?? "0"}`);
    return readLocalFile(this.local.read(txid), new AbortController().signal);
  }
}

function shortName(key: string): string {
  const [, level, min, max] = /^ltx\/(\d)\/([0-9a-f]+)-([0-9a-f]+)\.ltx$/.exec(key) ?? [];
  const [from, to] = [Number(`0x${min}`), Number(`0x${max}`)];
  return from === to ? `${level}/${from}` : `${level}/${from}-${to}`;
}
