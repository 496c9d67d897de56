import assert from "node:assert/strict";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { contentOf, FollowSource } from "../../test/harness/follow-source.ts";
import { Scratch } from "../../test/harness/scratch.ts";
import { SimulatedClock } from "../../test/harness/simulated-clock.ts";
import { MemoryReplicaClient } from "../storage/memory.ts";
import { follow } from "./follow.ts";
import type { FollowEvent, FollowSummary } from "./follow.ts";

const TABLE =
  "CREATE TABLE item (id INTEGER PRIMARY KEY, body BLOB); INSERT INTO item VALUES (1, zeroblob(9000))";

/** A source with some transactions, and a follower under the test's control. */
class Scene implements AsyncDisposable {
  readonly clock = new SimulatedClock();
  readonly scratch = new Scratch("follow");
  readonly client = new MemoryReplicaClient();
  readonly source = new FollowSource(this.scratch.path("source.db"), this.client, () =>
    this.clock.now(),
  );
  readonly output: string = this.scratch.path("copy.db");
  readonly events: FollowEvent[] = [];
  #stop: AbortController | undefined;
  #running: Promise<FollowSummary> | undefined;

  start(options: { readonly force?: boolean } = {}): void {
    const stop = new AbortController();
    this.#stop = stop;
    this.#running = follow(this.client, {
      outputPath: this.output,
      intervalMs: 1000,
      parallelism: 2,
      integrityCheck: "none",
      force: options.force ?? false,
      clock: this.clock,
      signal: stop.signal,
      onEvent: (event) => this.events.push(event),
    });
    this.#running.catch(() => undefined);
  }

  async stop(): Promise<FollowSummary> {
    this.#stop?.abort();
    const running = this.#running;
    this.#running = undefined;
    if (running === undefined) throw new Error("Not started");
    return await running;
  }

  /** Lets intervals pass until something is so. */
  async until(what: string, isSo: () => boolean): Promise<void> {
    const startedAt = performance.now();
    while (performance.now() - startedAt < 30_000) {
      if (isSo()) return;
      // Files are made durable in real time.
      await sleep(1);
      await this.clock.advance(250);
    }
    assert.fail(`${what} did not come about: ${JSON.stringify(this.events.at(-1), asText)}`);
  }

  async untilAt(txid: number): Promise<void> {
    await this.until(`TXID ${txid}`, () => this.position() === txid && existsSync(this.output));
    this.assertAt(txid);
  }

  position(): number {
    const path = `${this.output}-txid`;
    return existsSync(path) ? Number.parseInt(readFileSync(path, "utf8"), 16) : 0;
  }

  /** The copy is byte for byte the state after a transaction. */
  assertAt(txid: number): void {
    const image = this.source.images[txid];
    assert.ok(image);
    const copy = contentOf(readFileSync(this.output));
    assert.ok(copy.equals(contentOf(image)), `content is not that of TXID ${txid}`);
  }

  /** The event of the newest update, which comes just after its position is written. */
  async applied(): Promise<Extract<FollowEvent, { type: "follow-applied" }>> {
    const find = (): Extract<FollowEvent, { type: "follow-applied" }> | undefined =>
      this.events.findLast((event) => event.type === "follow-applied");
    const txid = BigInt(this.position());
    await this.until("event", () => find()?.txid === txid);
    const event = find();
    assert.ok(event);
    return event;
  }

  lastState(): Extract<FollowEvent, { type: "follow-state" }> | undefined {
    return this.events.findLast((event) => event.type === "follow-state");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop?.abort();
    await this.#running?.catch(() => undefined);
    this.source[Symbol.dispose]();
    this.scratch[Symbol.dispose]();
  }
}

function asText(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}

async function followed(transactions = 3): Promise<Scene> {
  const scene = new Scene();
  await scene.source.write(TABLE);
  while (scene.source.txid < transactions) await add(scene);
  scene.start();
  await scene.untilAt(transactions);
  await scene.until("a look", () => scene.lastState()?.state === "current");
  return scene;
}

function insertion(scene: Scene): string {
  const id = scene.source.txid + 1;
  return `INSERT INTO item VALUES (${id}, randomblob(${1000 + 997 * (id % 7)}))`;
}

async function add(scene: Scene): Promise<number> {
  return await scene.source.write(insertion(scene));
}

test("follow() restores, applies what comes, shrinks and grows, and stops (FO1)", async () => {
  await using scene = await followed();
  await scene.untilAt(await add(scene));
  await add(scene);
  await scene.untilAt(await add(scene));
  await scene.untilAt(await scene.source.write("DELETE FROM item WHERE id > 1; VACUUM"));
  await scene.untilAt(await add(scene));
  const summary = await scene.stop();
  assert.equal(summary.txid, BigInt(scene.source.txid));
  assert.equal(summary.lag.lagMs, 0);
  assert.equal(summary.state, "current");
  for (const rest of ["-journal", "-journal.tmp", "-txid.tmp", "-follow", "-seed", "-wal"]) {
    assert.equal(existsSync(scene.output + rest), false, rest);
  }
});

test("follow() resumes ahead of the newest snapshot (FO3, E3)", async () => {
  await using scene = await followed();
  await scene.source.publish(9, 1, 2);
  await scene.untilAt(await add(scene));
  await scene.stop();
  await add(scene);
  await add(scene);
  scene.start();
  await scene.untilAt(6);
  assert.ok(scene.events.some((event) => event.type === "follow-resumed"));
});

test("follow() goes at least to where an interrupted update may have led (FO2)", async () => {
  await using scene = await followed();
  await scene.stop();
  // Killed between the update to 5 and its position; the files have not all been listed since.
  scene.source.commit(insertion(scene));
  scene.source.commit(insertion(scene));
  await scene.source.publish(0, 4, 4);
  writeFileSync(`${scene.output}-txid.tmp`, "0000000000000005\n");
  scene.start();
  scene.events.length = 0;
  await scene.until("stall", () => scene.lastState()?.state === "stalled");
  scene.assertAt(3);
  await scene.source.publish(0, 5, 5);
  await scene.untilAt(5);
});

for (const [what, text] of [
  ["missing", undefined],
  ["empty", ""],
  ["malformed", "12\n"],
  ["zero", "0000000000000000\n"],
] as const) {
  test(`follow() refuses a database whose sidecar is ${what}, and takes it with force (FO3)`, async () => {
    await using scene = await followed();
    await scene.stop();
    if (text === undefined) rmSync(`${scene.output}-txid`);
    else writeFileSync(`${scene.output}-txid`, text);
    await add(scene);
    scene.start();
    await assert.rejects(scene.stop(), (error: Error & { hint?: string }) => {
      assert.match(error.message, /cannot resume follow mode/);
      assert.match(error.hint ?? "", /-force/);
      return true;
    });
    scene.assertAt(3);
    scene.start({ force: true });
    await scene.untilAt(4);
  });
}

test("follow() reads the sidecar of Litestream, with spaces around", async () => {
  await using scene = await followed();
  await scene.stop();
  writeFileSync(`${scene.output}-txid`, "  0000000000000003\r\n");
  await add(scene);
  scene.start();
  await scene.untilAt(4);
});

test("follow() fills gaps from compacted files, also ones that overlap the position (FO4)", async () => {
  await using scene = await followed();
  await scene.stop();
  for (let i = 0; i < 4; i++) scene.source.commit(insertion(scene));
  await scene.source.publish(0, 7, 7);
  await scene.source.publish(2, 2, 6);
  scene.start();
  await scene.untilAt(7);
  assert.equal(
    scene.events.some((event) => event.type === "follow-applied" && event.reseeded !== undefined),
    false,
  );
});

test("follow() notices compacted files when level 0 stays empty (FO4)", async () => {
  await using scene = await followed();
  scene.source.commit(insertion(scene));
  await scene.source.publish(1, 4, 4);
  await scene.untilAt(4);
});

test("follow() counts level 9 when everything else is pruned (FO4, X15)", async () => {
  await using scene = await followed();
  scene.source.commit(insertion(scene));
  scene.source.commit("DELETE FROM item WHERE id = 2");
  await scene.source.publish(9, 1, 5);
  await scene.untilAt(5);
  assert.match((await scene.applied()).reseeded ?? "", /not kept any more/);
  await scene.untilAt(await add(scene));
});

test("follow() leaves the database untouched by a damaged file, and goes on without it (FO5)", async () => {
  await using scene = await followed();
  const before = readFileSync(scene.output);
  scene.source.commit(insertion(scene));
  const bytes = scene.source.encode(4, 4);
  // In the last page: earlier pages of the file are sound.
  bytes[bytes.length - 60] = (bytes[bytes.length - 60] ?? 0) ^ 1;
  const name = { level: 0, minTXID: 4n, maxTXID: 4n };
  await scene.client.write(name, { kind: "bytes", bytes }, { createdAt: new Date() });
  await scene.until("stall", () => scene.lastState()?.state === "stalled");
  assert.ok(readFileSync(scene.output).equals(before));
  assert.match(scene.lastState()?.reason ?? "", /damaged/);
  assert.ok((scene.lastState()?.lag.lagMs ?? 0) >= 0);
  await scene.source.publish(1, 4, 4);
  await scene.untilAt(4);
});

test("follow() takes over a new page size and a history that was started anew", async () => {
  await using scene = await followed();
  scene.source.changePageSize(8192);
  const txid = scene.source.commit(insertion(scene));
  await scene.source.publish(9, 1, txid);
  await scene.untilAt(txid);
  await scene.untilAt(await add(scene));
  for (const level of [0, 9]) {
    for await (const file of scene.client.list(level)) await scene.client.delete([file]);
  }
  await scene.until("stall", () => scene.lastState()?.state === "stalled");
  assert.match(scene.lastState()?.reason ?? "", /holds nothing/);
  scene.assertAt(scene.source.txid);
  await scene.source.publish(9, 1, 4);
  await scene.untilAt(4);
});

test("follow() tells a source that is silent from a follower that is stuck (FO7)", async () => {
  await using scene = await followed();
  for (let minute = 0; minute < 10; minute++) await scene.clock.advance(60_000);
  assert.equal(scene.lastState()?.state, "current");
  assert.equal(scene.lastState()?.lag.lagMs, 0);
  scene.source.commit(insertion(scene));
  await add(scene);
  await scene.until("stall", () => scene.lastState()?.state === "stalled");
  await scene.until("lag", () => (scene.lastState()?.lag.lagMs ?? 0) > 60_000);
  assert.equal(scene.lastState()?.lag.newest, 5n);
  assert.equal(scene.lastState()?.lag.position, 3n);
  await scene.source.publish(0, 4, 4);
  await scene.untilAt(5);
  await scene.until("current", () => scene.lastState()?.state === "current");
});

test("follow() waits for readers without blocking, says so, and can be stopped (FO6)", async () => {
  await using scene = await followed();
  using reader = new DatabaseSync(scene.output, { readOnly: true });
  reader.exec("BEGIN");
  const before = reader.prepare("SELECT count(*) AS n FROM item").get();
  await add(scene);
  await scene.until("wait", () => scene.lastState()?.state === "blocked");
  assert.deepEqual(reader.prepare("SELECT count(*) AS n FROM item").get(), before);
  await scene.stop();
  scene.assertAt(3);
  scene.start();
  await scene.until("wait", () => scene.lastState()?.state === "blocked");
  reader.exec("COMMIT");
  await scene.untilAt(4);
  assert.deepEqual({ ...reader.prepare("SELECT count(*) AS n FROM item").get() }, { n: 4 });
});

test("follow() makes connections drop their caches (FO6)", async () => {
  await using scene = await followed();
  const query = "SELECT hex(body) AS body FROM item WHERE id = 1";
  await scene.source.write("UPDATE item SET body = x'01' WHERE id = 1");
  await scene.untilAt(4);
  using reader = new DatabaseSync(scene.output, { readOnly: true });
  assert.deepEqual({ ...reader.prepare(query).get() }, { body: "01" });
  await scene.source.write("UPDATE item SET body = x'02' WHERE id = 1");
  await scene.untilAt(5);
  assert.deepEqual({ ...reader.prepare(query).get() }, { body: "02" });
});

test("follow() waits for a program that has the database open in WAL mode (E15, X14)", async () => {
  await using scene = await followed();
  const reader = new DatabaseSync(scene.output);
  try {
    reader.exec("PRAGMA journal_mode = WAL");
    reader.prepare("SELECT count(*) FROM item").get();
    await add(scene);
    await scene.until("wait", () => scene.lastState()?.state === "blocked");
    assert.match(scene.lastState()?.reason ?? "", /WAL mode|reading or writing/);
  } finally {
    reader.close();
  }
  await scene.untilAt(4);
});

test("follow() repairs a copy that somebody wrote to", async () => {
  await using scene = await followed();
  {
    using writer = new DatabaseSync(scene.output);
    writer.exec("DELETE FROM item; CREATE TABLE stranger (x)");
  }
  await scene.untilAt(await add(scene));
  assert.match((await scene.applied()).reseeded ?? "", /has written/);
});
