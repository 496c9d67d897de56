/** A store that delays, fails, does what it was told and fails then, breaks connections, and lists late. */
import { readFileSync } from "node:fs";
import type { MemoryObjects } from "../../src/storage/memory.ts";
import { MemoryReplicaClient } from "../../src/storage/memory.ts";
import { levelFolder, formatLTXName } from "../../src/formats/ltx/layout.ts";
import { StorageError } from "../../src/storage/replica-client.ts";
import type {
  CopyOptions,
  ListOptions,
  LTXFileInfo,
  LTXFileName,
  OpenOptions,
  ReplicaClient,
  WriteBody,
  WriteOptions,
} from "../../src/storage/replica-client.ts";
import type { Random } from "../harness/random.ts";
import { currentLife } from "./scheduler.ts";
import type { Scheduler } from "./scheduler.ts";

export interface StoreHabits {
  /** How often a request meets a fault. */
  readonly faultRate: number;
  readonly canCopy: boolean;
  readonly conditional: boolean;
  /** How long a new object stays out of listings; 0 = never. */
  readonly listsLateMs: number;
}

type StoredObject = NonNullable<ReturnType<MemoryObjects["get"]>>;
type Fault = "none" | "fail" | "fail-after" | "slow" | "slow-after" | "break" | "late";

/** How much later than its sender gave up a late write arrives. */
export const LATE_MS = 3_000;

/** What all machines share: the objects, and what must never happen to them. */
export class SharedStore {
  readonly objects: MemoryObjects = new Map();
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly habits: StoreHabits;
  /** Things no store should see, as sentences. */
  readonly violations: string[] = [];
  calm = false;
  requests = 0;
  /** Something arrived, or may arrive, after somebody had looked for it. */
  isUnpunctual: boolean;
  readonly #deleted = new Map<string, Uint8Array>();
  readonly #writtenAt = new Map<string, number>();

  constructor(random: Random, scheduler: Scheduler, habits: StoreHabits) {
    this.random = random;
    this.scheduler = scheduler;
    this.habits = habits;
    this.isUnpunctual = habits.listsLateMs > 0;
  }

  /** A client without faults, for the judge. */
  judge(): MemoryReplicaClient {
    return new MemoryReplicaClient({ objects: this.objects });
  }

  fault(): Fault {
    if (this.calm || !this.random.chance(this.habits.faultRate)) return "none";
    return this.random.pick(["fail", "fail-after", "slow", "slow-after", "break", "late"] as const);
  }

  isListed(file: LTXFileName): boolean {
    const { listsLateMs } = this.habits;
    if (listsLateMs === 0 || this.calm) return true;
    return this.scheduler.elapsedMs - (this.#writtenAt.get(keyOf(file)) ?? 0) >= listsLateMs;
  }

  stored(file: LTXFileName, before: StoredObject | undefined, by: string): void {
    const key = keyOf(file);
    const now = this.objects.get(key);
    if (before === undefined) this.#writtenAt.set(key, this.scheduler.elapsedMs);
    if (now === undefined) return;
    // A snapshot may be taken anew: it is the same state, read again.
    if (file.level === 9) return;
    if (before !== undefined && Buffer.compare(before.bytes, now.bytes) !== 0)
      this.violations.push(`${by} wrote ${key} over other content`);
    const gone = this.#deleted.get(key);
    if (gone !== undefined && Buffer.compare(gone, now.bytes) !== 0)
      this.violations.push(`${by} brought ${key} back with other content`);
  }

  deleted(file: LTXFileName): void {
    const object = this.objects.get(keyOf(file));
    if (object !== undefined) this.#deleted.set(keyOf(file), object.bytes);
  }
}

export class SimulatedClient implements ReplicaClient {
  readonly type: string = "simulated";
  readonly description: string = "memory://simulated";
  readonly attributes: Readonly<Record<string, string>> = {};
  copy?: NonNullable<ReplicaClient["copy"]>;
  readonly #store: SharedStore;
  readonly #inner: MemoryReplicaClient;

  constructor(store: SharedStore) {
    this.#store = store;
    this.#inner = new MemoryReplicaClient({
      objects: store.objects,
      readFile: async function* (path) {
        yield readFileSync(path);
      },
    });
    if (store.habits.canCopy) this.copy = (from, to, options) => this.#copy(from, to, options);
  }

  async open(): Promise<void> {
    await this.#store.scheduler.turn();
  }

  async conditionalWrites(): Promise<boolean> {
    return this.#store.habits.conditional;
  }

  async *list(level: number, options: ListOptions = {}): AsyncIterable<LTXFileInfo> {
    const files = await this.#do(options.signal, async () => {
      const found: LTXFileInfo[] = [];
      for await (const file of this.#inner.list(level, options))
        if (this.#store.isListed(file)) found.push(file);
      return found;
    });
    yield* files;
  }

  async *read(file: LTXFileName, options: OpenOptions = {}): AsyncIterable<Uint8Array> {
    const { scheduler } = this.#store;
    this.#store.requests++;
    const fault = this.#store.fault();
    await (fault === "slow" ? scheduler.sleep(250, options.signal) : scheduler.turn());
    options.signal?.throwIfAborted();
    if (fault === "fail" || fault === "fail-after" || fault === "late") throw unavailable("read");
    for await (const chunk of this.#inner.read(file, options)) {
      if (fault === "break") {
        yield chunk.subarray(0, chunk.length >> 1);
        throw unavailable("read on");
      }
      yield chunk;
    }
  }

  write(file: LTXFileName, body: WriteBody, options: WriteOptions): Promise<LTXFileInfo> {
    return this.#do(options.signal, async (isLate) => {
      const { habits, objects } = this.#store;
      const ifAbsent = habits.conditional && options.ifAbsent === true;
      // A body of several turns is complete before the name is looked at: that is one moment.
      const content = body.kind === "stream" ? await collect(body.chunks) : body;
      const name = this.#name();
      const arrive = async (): Promise<LTXFileInfo> => {
        const before = objects.get(keyOf(file));
        const { createdAt } = options;
        const info = await this.#inner.write(file, content, { createdAt, ifAbsent });
        this.#store.stored(file, before, name);
        return info;
      };
      if (!isLate) return await arrive();
      this.#store.isUnpunctual = true;
      // It is on its way, and arrives whatever became of the sender.
      currentLife.exit(() => {
        void this.#store.scheduler
          .sleep(LATE_MS)
          .then(arrive)
          .catch(() => undefined);
      });
      throw unavailable("answer in time");
    });
  }

  delete(
    files: readonly LTXFileName[],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    return this.#do(options.signal, async () => {
      for (const file of files) this.#store.deleted(file);
      await this.#inner.delete(files);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #copy(
    from: LTXFileInfo,
    to: LTXFileName,
    options: CopyOptions = {},
  ): Promise<LTXFileInfo | undefined> {
    return this.#do(options.signal, async () => {
      const before = this.#store.objects.get(keyOf(to));
      const copied = await this.#inner.copy(from, to, options);
      this.#store.stored(to, before, this.#name());
      return copied;
    });
  }

  #name(): string {
    return currentLife.getStore()?.machine ?? "nobody";
  }

  async #do<T>(signal: AbortSignal | undefined, act: (isLate: boolean) => Promise<T>): Promise<T> {
    const { scheduler } = this.#store;
    signal?.throwIfAborted();
    this.#store.requests++;
    const fault = this.#store.fault();
    await (fault === "slow" ? scheduler.sleep(250, signal) : scheduler.turn());
    signal?.throwIfAborted();
    if (fault === "fail" || fault === "break") throw unavailable("answer");
    const result = await act(fault === "late");
    if (fault === "fail-after") throw unavailable("answer");
    await (fault === "slow-after" ? scheduler.sleep(250, signal) : scheduler.turn());
    signal?.throwIfAborted();
    return result;
  }
}

export function keyOf({ level, minTXID, maxTXID }: LTXFileName): string {
  return `${levelFolder(level)}/${formatLTXName(minTXID, maxTXID)}`;
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<WriteBody> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk.slice());
  return { kind: "bytes", bytes: Buffer.concat(parts) };
}

function unavailable(what: string): StorageError {
  return new StorageError("unavailable", `The store does not ${what}: injected failure`);
}
