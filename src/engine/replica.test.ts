import assert from "node:assert/strict";
import { rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import {
  image,
  increment,
  owner,
  publish,
  publishRun,
  writeFolder,
} from "../../test/harness/local-files.ts";
import { ReplicaScene } from "../../test/harness/replica-scene.ts";
import { Scratch } from "../../test/harness/scratch.ts";
import { unavailable } from "../../test/harness/scripted-client.ts";
import { until } from "../../test/harness/wait.ts";
import { verifyLTX } from "../formats/ltx/decoder.ts";
import { LocalDiskError } from "./local-disk-error.ts";
import { LocalLTX } from "./local-ltx.ts";
import { MAX_BODY_IN_MEMORY, ReplicaConflictError } from "./upload.ts";

const never = new AbortController().signal;

test("Replica uploads what is there at once, in order, and says so", async () => {
  await using scene = new ReplicaScene("upload");
  publishRun(scene.local, 6n);
  scene.run();
  await scene.clock.settle();
  assert.deepEqual(scene.stored(), ["0/1", "0/2", "0/3", "0/4", "0/5", "0/6"]);
  assert.equal(scene.replica.position, 6n);
  const uploads = scene.events.flatMap((event) =>
    event.type === "ltx-uploaded" ? [event.maxTXID] : [],
  );
  assert.deepEqual(uploads, [1n, 2n, 3n, 4n, 5n, 6n]);
  assert.equal(scene.eventTypes()[0], "replica-opened");
  assert.deepEqual(scene.events.at(-1), {
    type: "replica-synced",
    database: "/app.db",
    replica: "upload",
    txid: 6n,
  });
  assert.equal(scene.replica.status.state, "running");
  assert.equal(scene.replica.status.syncedAtMs, scene.clock.now());
});

test("Replica uploads a commit after quiet without waiting for an interval", async () => {
  await using scene = new ReplicaScene("quiet");
  scene.run();
  await scene.clock.advance(60_000);
  scene.write(image(1n));
  await scene.clock.settle();
  assert.deepEqual(scene.stored(), ["0/1"]);
});

test("Replica idle for an hour makes no request and runs no timer (UP2, C5)", async () => {
  await using scene = new ReplicaScene("idle");
  publishRun(scene.local, 3n);
  scene.run();
  await scene.clock.settle();
  const before = scene.client.total;
  await scene.clock.advance(3_600_000);
  assert.equal(scene.client.total, before);
  assert.equal(scene.clock.timerCount, 0);
});

test("Replica lists only at its start, whatever fails later (C5)", async () => {
  await using scene = new ReplicaScene("list");
  publishRun(scene.local, 3n);
  scene.run();
  await scene.clock.settle();
  const lists = scene.client.counts.list;
  assert.equal(lists, 10, "every level once (R7)");
  let failures = 3;
  scene.client.onWrite = () => (failures-- > 0 ? "fail" : "ok");
  scene.write(increment(4n));
  await scene.clock.advance(20_000);
  assert.equal(scene.replica.position, 4n);
  assert.equal(scene.client.counts.list, lists);
});

test("Replica drains a backlog of 1000 files in one round (UP1)", async () => {
  using scratch = new Scratch("backlog-files");
  const local = LocalLTX.open(writeFolder(scratch, 1_000n), owner);
  await using scene = new ReplicaScene("backlog", { local });
  scene.run();
  await until(() => scene.replica.position === 1_000n, {
    what: "the backlog",
    timeoutMs: 20_000,
    everyMs: 1,
  });
  assert.equal(scene.clock.monotonic(), 0, "no interval passed");
  assert.equal(scene.client.counts.write, 1_000);
  assert.equal(scene.client.maxInFlight, 4);
});

test("Replica sends a short backlog one after another, so that a kill leaves no hole", async () => {
  await using scene = new ReplicaScene("in-order");
  publishRun(scene.local, 16n);
  scene.run();
  await scene.clock.settle();
  assert.equal(scene.replica.position, 16n);
  assert.equal(scene.client.maxInFlight, 1);
});

test("Replica sends the first file of a long backlog alone, then several together", async () => {
  await using scene = new ReplicaScene("window");
  publishRun(scene.local, 29n);
  const gates = new Map<bigint, PromiseWithResolvers<void>>();
  scene.client.onWrite = ({ maxTXID }) => {
    const gate = Promise.withResolvers<void>();
    gates.set(maxTXID, gate);
    return gate.promise;
  };
  scene.run();
  await scene.clock.settle();
  assert.deepEqual([...gates.keys()], [1n], "a second writer would be met here");
  gates.get(1n)?.resolve();
  await scene.clock.settle();
  assert.deepEqual([...gates.keys()], [1n, 2n, 3n, 4n, 5n]);
  gates.get(4n)?.resolve();
  gates.get(3n)?.resolve();
  await scene.clock.settle();
  assert.equal(scene.replica.position, 1n, "the position does not overtake file 2");
  gates.get(2n)?.resolve();
  await scene.clock.settle();
  assert.equal(scene.replica.position, 4n);
  assert.deepEqual([...gates.keys()].slice(5), [6n, 7n, 8n]);
});

test("Replica stops its position before a failed file and sends the others only once (UP4)", async () => {
  await using scene = new ReplicaScene("order");
  publishRun(scene.local, 20n);
  let failures = 1;
  scene.client.onWrite = ({ maxTXID }) => (maxTXID === 3n && failures-- > 0 ? "fail" : "ok");
  scene.run();
  await scene.clock.settle();
  assert.equal(scene.replica.position, 2n);
  assert.deepEqual(scene.stored(), ["0/1", "0/2", "0/4", "0/5", "0/6"]);
  assert.deepEqual(scene.replica.status.state, "failing");
  await scene.clock.advance(1_000);
  assert.equal(scene.replica.position, 20n);
  assert.equal(scene.client.counts.write, 21, "twenty files and one repetition");
  assert.deepEqual(
    scene.eventTypes().filter((type) => type.startsWith("replica-")),
    ["replica-opened", "replica-failed", "replica-synced", "replica-recovered"],
  );
});

test("Replica recognises a lost acknowledgement by comparing (UP5)", async () => {
  await using scene = new ReplicaScene("lost-ack");
  publishRun(scene.local, 2n);
  let losses = 1;
  scene.client.onWrite = ({ maxTXID }) => (maxTXID === 2n && losses-- > 0 ? "fail-after" : "ok");
  scene.run();
  await scene.clock.settle();
  assert.equal(scene.replica.position, 1n);
  assert.deepEqual(scene.stored(), ["0/1", "0/2"]);
  await scene.clock.advance(1_000);
  assert.equal(scene.replica.position, 2n);
  assert.deepEqual(scene.client.overwritten, []);
  assert.equal(scene.replica.status.consecutiveErrors, 0);
});

test("Replica doubles its pause with every error and starts afresh after a success", async () => {
  await using scene = new ReplicaScene("backoff");
  publish(scene.local, image(1n));
  scene.client.onWrite = () => "fail";
  scene.run();
  await scene.clock.advance(15_000);
  const pauses = scene.events.flatMap((event) =>
    event.type === "replica-failed" ? [event.backoffMs] : [],
  );
  assert.deepEqual(pauses, [1_000, 2_000, 4_000, 8_000, 16_000]);
  scene.client.onWrite = () => "ok";
  await scene.clock.advance(16_000);
  assert.deepEqual(scene.events.at(-1), {
    type: "replica-recovered",
    database: "/app.db",
    replica: "backoff",
    consecutiveErrors: 5,
  });
  scene.client.onWrite = () => "fail";
  scene.write(increment(2n));
  await scene.clock.settle();
  const last = scene.events.at(-1);
  assert.ok(last?.type === "replica-failed");
  assert.deepEqual([last.backoffMs, last.consecutiveErrors], [1_000, 1]);
});

test("Replica that cannot list at its start tries again, and loses nothing", async () => {
  await using scene = new ReplicaScene("start-fails");
  publishRun(scene.local, 2n);
  let failures = 2;
  scene.client.onRequest = (operation) => {
    if (operation === "open" && failures-- > 0) throw unavailable(operation);
  };
  scene.run();
  await scene.clock.settle();
  assert.equal(scene.replica.remoteMaxTXID, undefined);
  assert.equal(scene.replica.neededFromTXID, 0n);
  await scene.clock.advance(3_000);
  assert.equal(scene.replica.position, 2n);
  assert.equal(scene.replica.remoteMaxTXID, 0n);
});

test("Replica under steady traffic makes on average one round per interval", async () => {
  await using scene = new ReplicaScene("pace");
  scene.write(image(1n));
  scene.run();
  for (let txid = 2n; txid <= 240n; txid++) {
    scene.write(increment(txid));
    await scene.clock.advance(250);
  }
  const rounds = scene.eventTypes().filter((type) => type === "replica-synced").length;
  assert.ok(rounds <= 60 + 8, `${rounds} rounds in a minute`);
  assert.ok(rounds >= 58, `${rounds} rounds in a minute`);
  await scene.clock.advance(2_000);
  assert.equal(scene.replica.position, 240n);
});

test("Replica.waitFor draws a round ahead and resolves with the position", async () => {
  await using scene = new ReplicaScene("wait", { burst: 1 });
  scene.write(image(1n));
  scene.run();
  await scene.clock.settle();
  scene.write(increment(2n));
  await scene.clock.settle();
  assert.equal(scene.replica.position, 1n, "the next round is due in a second");
  let done = false;
  const waiting = scene.replica.waitFor(2n, never).then(() => (done = true));
  await scene.clock.settle();
  assert.ok(done);
  await waiting;
  await scene.replica.waitFor(1n, never);
});

test("Replica.waitFor for a file that is still to come draws ahead when it comes", async () => {
  await using scene = new ReplicaScene("wait-later", { burst: 1 });
  scene.write(image(1n));
  scene.run();
  await scene.clock.settle();
  let done = false;
  const waiting = scene.replica.waitFor(2n, never).then(() => (done = true));
  await scene.clock.settle();
  assert.equal(done, false);
  scene.write(increment(2n));
  await scene.clock.settle();
  assert.ok(done);
  await waiting;
});

test("Replica.waitFor rejects with the signal's reason and leaves nothing behind", async () => {
  await using scene = new ReplicaScene("wait-abort");
  scene.write(image(1n));
  const stop = new AbortController();
  const waiting = scene.replica.waitFor(1n, stop.signal);
  const reason = new Error("enough");
  stop.abort(reason);
  await assert.rejects(waiting, reason);
});

test("Replica.waitFor gets one attempt ahead of a long pause, not one after the other", async () => {
  await using scene = new ReplicaScene("wait-backoff");
  scene.write(image(1n));
  scene.client.onWrite = () => "fail";
  scene.run();
  await scene.clock.advance(200_000);
  const attempts = scene.client.counts.write;
  const stop = new AbortController();
  const waiting = scene.replica.waitFor(1n, stop.signal);
  await scene.clock.advance(20_000);
  assert.equal(scene.client.counts.write, attempts + 1);
  stop.abort(new Error("enough"));
  await assert.rejects(waiting, /enough/);
});

test("Replica stops when told, also in the middle of a write, and calls that no failure", async () => {
  await using scene = new ReplicaScene("cancel");
  scene.write(image(1n));
  scene.client.onWrite = () => new Promise(() => {});
  scene.run();
  await scene.clock.settle();
  assert.equal(scene.client.inFlight, 1);
  await scene.stop();
  assert.equal(scene.client.inFlight, 0);
  assert.deepEqual(scene.eventTypes(), ["replica-opened"]);
  scene.client.onWrite = () => "ok";
  await scene.replica.flush(never);
  assert.equal(scene.replica.position, 1n);
});

test("Replica.flush makes one attempt: rejects on an error, does nothing when all is there (UP7, UP8)", async () => {
  await using scene = new ReplicaScene("flush");
  scene.write(image(1n));
  scene.client.onWrite = () => "fail";
  await assert.rejects(scene.replica.flush(never), { name: "StorageError", kind: "unavailable" });
  assert.equal(scene.client.counts.write, 1);
  scene.client.onWrite = () => "ok";
  await Promise.all([scene.replica.flush(never), scene.replica.flush(never)]);
  assert.equal(scene.client.counts.write, 2, "the second one found nothing to do");
});

test("Replica finds a second writer's file, keeps it, and stops until told (UP5, X6)", async () => {
  await using scene = new ReplicaScene("conflict");
  publishRun(scene.local, 2n);
  scene.run();
  await scene.clock.settle();
  const theirs = increment(3n, { pages: new Map([[2, 99]]), timestampMs: 1_600_000_000_000 });
  scene.put(0, 3n, 3n, theirs.bytes, new Date(1_600_000_000_000));
  for (const txid of [3n, 4n, 5n]) scene.write(increment(txid));
  const waiting = scene.replica.waitFor(3n, never);
  await assert.rejects(waiting, ReplicaConflictError);
  const event = scene.events.at(-1);
  assert.ok(event?.type === "replica-conflict" && event.error instanceof ReplicaConflictError);
  assert.equal(event.error.theirs.createdAt.toISOString(), "2020-09-13T12:26:40.000Z");
  assert.equal(event.error.ours?.sizeBytes, increment(3n).bytes.length);
  assert.notEqual(event.error.ours?.fileChecksum, event.error.theirs.fileChecksum);
  assert.match(
    event.error.message,
    /^Conflict in replica "memory:\/\/conflict" at level 0 file 0000000000000003-0000000000000003.ltx: ours is \d+ bytes/,
  );
  assert.deepEqual(scene.stored(), ["0/1", "0/2", "0/3"], "nothing of ours stands behind it");
  assert.deepEqual([scene.replica.status.state, scene.replica.position], ["conflict", 2n]);
  const before = scene.client.total;
  scene.write(increment(6n));
  await scene.clock.advance(3_600_000);
  assert.equal(scene.client.total, before);
  await assert.rejects(scene.replica.waitFor(6n, never), ReplicaConflictError);
  await assert.rejects(scene.replica.flush(never), ReplicaConflictError);
});

test("Replica takes back files that overtook a conflicting one", async () => {
  await using scene = new ReplicaScene("withdraw");
  publishRun(scene.local, 6n);
  const theirs = increment(3n, { pages: new Map([[2, 99]]) });
  // The other writer takes number 3 while our 2 … 5 are on their way.
  scene.client.onWrite = ({ maxTXID }) => {
    if (maxTXID === 3n) scene.put(0, 3n, 3n, theirs.bytes);
    return "ok";
  };
  scene.run();
  await scene.clock.settle();
  assert.equal(scene.replica.status.state, "conflict");
  assert.deepEqual(scene.stored(), ["0/1", "0/2", "0/3"]);
  assert.deepEqual(scene.client.overwritten, []);
});

test("Replica.retry after a conflict asks for an image above everything", async () => {
  await using scene = new ReplicaScene("retry");
  publishRun(scene.local, 2n);
  scene.run();
  await scene.clock.settle();
  scene.put(0, 3n, 3n, increment(3n, { pages: new Map([[3, 3]]) }).bytes);
  scene.write(increment(3n));
  await scene.clock.settle();
  assert.equal(scene.replica.status.state, "conflict");
  scene.replica.retry();
  await scene.clock.settle();
  const requests = scene.imageRequests.map(({ kind, nextTXID }) => [kind, nextTXID]);
  assert.deepEqual(requests, [["diverged", 4n]]);
  assert.deepEqual([scene.replica.status.state, scene.replica.position], ["waiting", 0n]);
  const writes = scene.client.counts.write;
  await scene.clock.advance(60_000);
  assert.equal(scene.client.counts.write, writes, "nothing is sent before the image is there");
});

test("Replica takes back at its start what overtook somebody else's file in an earlier run", async () => {
  await using scene = new ReplicaScene("overtakers");
  publishRun(scene.local, 5n);
  for (const txid of [1n, 3n, 4n]) {
    scene.put(0, txid, txid, (txid === 1n ? image(1n) : increment(txid)).bytes);
  }
  scene.put(0, 2n, 2n, image(2n).bytes);
  const plan = await scene.replica.start(never);
  assert.deepEqual([plan.kind, scene.stored()], ["diverged", ["0/1", "0/2"]]);
});

test("Replica starts a new chain with the image it asked for: level 0 first, then its snapshot (R7)", async () => {
  await using scene = new ReplicaScene("rebase");
  for (const txid of [1n, 2n, 3n])
    scene.put(0, txid, txid, (txid === 1n ? image(1n) : increment(txid)).bytes);
  scene.run();
  await scene.clock.settle();
  assert.deepEqual(
    scene.imageRequests.map(({ kind, nextTXID }) => [kind, nextTXID]),
    [["behind", 4n]],
  );
  assert.equal(scene.replica.remoteMaxTXID, 3n);
  publish(scene.local, image(4n));
  scene.replica.rebase(4n);
  scene.write(increment(5n));
  await until(() => scene.replica.position === 5n, { what: "position 5", timeoutMs: 5_000 });
  assert.deepEqual(scene.stored(), ["0/1", "0/2", "0/3", "0/4", "0/5", "9/1-4"]);
  const order = scene
    .eventTypes()
    .filter((type) => type === "ltx-uploaded" || type === "snapshot-written");
  assert.deepEqual(order, ["ltx-uploaded", "snapshot-written", "ltx-uploaded"]);
});

test("Replica sends a large image from the disk, and its snapshot is a valid file of the same pages", async () => {
  await using scene = new ReplicaScene("large");
  const pages = new Map(Array.from({ length: 20 }, (_, i) => [i + 1, i]));
  const sample = image(7n, { pages, commit: 20, pageSize: 65_536 });
  assert.ok(sample.bytes.length > MAX_BODY_IN_MEMORY);
  scene.write(sample);
  await scene.replica.flush(never);
  assert.deepEqual([scene.stored(), scene.replica.position], [["0/7", "9/1-7"], 7n]);
  const [level0, snapshot] = [...scene.client.inner.objects.values()];
  assert.deepEqual(level0?.bytes, sample.bytes);
  const summary = verifyLTX([snapshot?.bytes ?? new Uint8Array()]);
  assert.deepEqual(
    [summary.header.minTXID, summary.header.maxTXID, summary.pageCount],
    [1n, 7n, 20],
  );
  assert.equal(summary.header.timestampMs, sample.header.timestampMs);
});

test("Replica counts a new chain only when its snapshot is there, and repeats it after a restart", async () => {
  await using scene = new ReplicaScene("rebase-crash");
  publish(scene.local, image(8n));
  scene.write(increment(9n));
  scene.client.onWrite = ({ level }) => (level === 9 ? "fail" : "ok");
  scene.run();
  await scene.clock.settle();
  await until(() => scene.replica.status.consecutiveErrors > 0, {
    what: "a failure",
    timeoutMs: 5_000,
  });
  assert.deepEqual([scene.stored(), scene.replica.position], [["0/8"], 0n]);
  await scene.stop();

  await using later = new ReplicaScene("rebase-again", {
    objects: scene.client.inner.objects,
    local: scene.local,
  });
  const plan = await later.replica.start(never);
  assert.deepEqual([plan.kind, later.replica.neededFromTXID], ["rebase", 8n]);
  await later.replica.flush(never);
  assert.deepEqual([later.stored(), later.replica.position], [["0/8", "0/9", "9/1-8"], 9n]);
});

test("Replica writes a snapshot beside an image with another page size (R6, E6)", async () => {
  await using scene = new ReplicaScene("page-size");
  publishRun(scene.local, 2n);
  await scene.replica.flush(never);
  scene.write(image(3n, { pageSize: 1024 }));
  scene.write(increment(4n, { pageSize: 1024 }));
  await scene.replica.flush(never);
  assert.deepEqual(scene.stored(), ["0/1", "0/2", "0/3", "0/4", "9/1-3"]);
  assert.equal(scene.replica.position, 4n);
});

test("Replica notices that local files were numbered anew, and goes on with the image", async () => {
  await using scene = new ReplicaScene("jump");
  publishRun(scene.local, 5n);
  scene.client.onWrite = ({ maxTXID }) => (maxTXID > 2n ? "fail" : "ok");
  await assert.rejects(scene.replica.flush(never));
  scene.client.onWrite = () => "ok";
  // Another replica was far ahead, so the database reset its files and numbers above it.
  scene.local.reset();
  scene.write(image(11n));
  await scene.replica.flush(never);
  assert.deepEqual(scene.stored(), ["0/1", "0/2", "0/11", "9/1-11"]);
  assert.equal(scene.replica.position, 11n);
});

test("Replica goes on with the next image when the one it was to begin with was discarded for another replica", async () => {
  await using scene = new ReplicaScene("discarded");
  await scene.replica.start(never);
  publish(scene.local, image(8n));
  scene.replica.rebase(8n);
  scene.local.reset();
  await assert.rejects(scene.replica.flush(never), /a full image is needed first/);
  assert.deepEqual(
    scene.imageRequests.map(({ kind, nextTXID }) => [kind, nextTXID]),
    [["gap", 9n]],
  );
  publish(scene.local, image(9n));
  scene.replica.rebase(9n);
  scene.local.reset();
  publish(scene.local, image(10n));
  publish(scene.local, increment(11n));
  await scene.replica.flush(never);
  assert.deepEqual(scene.stored(), ["0/10", "0/11", "9/1-10"]);
  assert.equal(scene.replica.position, 11n);
});

test("Replica asks for an image when files it needs are gone and none stands for them", async () => {
  await using scene = new ReplicaScene("gone");
  publishRun(scene.local, 2n);
  await scene.replica.flush(never);
  for (const txid of [3n, 4n, 5n]) publish(scene.local, increment(txid));
  scene.local.trim(5n);
  await assert.rejects(scene.replica.flush(never), /a full image is needed first/);
  assert.deepEqual(
    scene.imageRequests.map(({ kind, nextTXID }) => [kind, nextTXID]),
    [["gap", 6n]],
  );
});

for (const autoRecover of [false, true]) {
  test(`Replica with a missing local file fails with a hint${autoRecover ? " and hands over to the database" : ""} (ER5)`, async () => {
    await using scene = new ReplicaScene("missing");
    scene.autoRecover = autoRecover;
    publishRun(scene.local, 2n);
    scene.run();
    await scene.clock.settle();
    publish(scene.local, increment(3n));
    rmSync(scene.local.path(3n));
    scene.replica.notify();
    await scene.clock.settle();
    const event = scene.events.at(-1);
    assert.ok(event?.type === "replica-failed" && event.error instanceof LocalDiskError);
    assert.match(event.error.hint ?? "", /auto-recover/);
    assert.deepEqual(
      [event.error.kind, event.error.txid, event.backoffMs],
      ["missing", 3n, autoRecover ? 0 : 1_000],
    );
    assert.equal(scene.brokenFiles.length, 1);
    await scene.clock.advance(1_000);
    assert.equal(
      scene.brokenFiles.length,
      autoRecover ? 1 : 2,
      "the loop waits for the image, or tries again",
    );
    assert.equal(scene.replica.imageRequest?.nextTXID, autoRecover ? 4n : undefined);
  });
}

test("Replica that finds a broken local file at its start waits for the image, then recovers (ER5)", async () => {
  await using scene = new ReplicaScene("broken-start");
  scene.autoRecover = true;
  publishRun(scene.local, 3n);
  for (const txid of [1n, 2n, 3n])
    scene.put(0, txid, txid, scene.local.read(txid, { maxBytes: 9_999 }).bytes ?? new Uint8Array());
  writeFileSync(scene.local.path(3n), new Uint8Array(600));
  scene.run();
  await scene.clock.advance(60_000);
  assert.deepEqual([scene.brokenFiles.length, scene.replica.status.state], [1, "waiting"]);
  await assert.rejects(scene.replica.flush(never), /a full image is needed first/);
  assert.ok(!scene.eventTypes().includes("replica-recovered"));
  scene.local.reset();
  publish(scene.local, image(4n));
  scene.replica.rebase(4n);
  await until(() => scene.replica.position === 4n, { what: "position 4", timeoutMs: 5_000 });
  assert.deepEqual(scene.stored(), ["0/1", "0/2", "0/3", "0/4", "9/1-4"]);
  assert.equal(scene.events.at(-1)?.type, "replica-recovered");
});

test("Replica does not upload a corrupt local file", async () => {
  await using scene = new ReplicaScene("corrupt");
  publishRun(scene.local, 2n);
  writeFileSync(scene.local.path(2n), new Uint8Array(600));
  await assert.rejects(scene.replica.flush(never), {
    name: "LocalDiskError",
    kind: "corrupt",
    txid: 2n,
  });
  assert.deepEqual(scene.stored(), ["0/1"]);
});

test("Replica on a store without create-only writes looks for a second writer, but not at every round", async () => {
  await using scene = new ReplicaScene("unconditional");
  scene.client.conditional = false;
  publish(scene.local, image(1n));
  scene.run();
  await scene.clock.settle();
  const lists = scene.client.counts.list;
  for (let txid = 2n; txid <= 60n; txid++) {
    scene.write(increment(txid));
    await scene.clock.advance(1_000);
  }
  assert.equal(scene.client.counts.list - lists, 1, "one in a minute of rounds every second");
  await scene.clock.advance(600_000);
  scene.put(0, 61n, 61n, increment(61n, { pages: new Map([[4, 4]]) }).bytes);
  scene.write(increment(61n));
  await scene.clock.settle();
  assert.equal(scene.replica.status.state, "conflict");
  assert.deepEqual(scene.client.overwritten, []);
});

test("Replica on a store without create-only writes knows its own file after a lost acknowledgement", async () => {
  await using scene = new ReplicaScene("unconditional-lost-ack");
  scene.client.conditional = false;
  publishRun(scene.local, 3n);
  let losses = 1;
  scene.client.onWrite = ({ maxTXID }) => (maxTXID === 2n && losses-- > 0 ? "fail-after" : "ok");
  scene.run();
  await scene.clock.advance(2_000);
  assert.equal(scene.replica.position, 3n);
  assert.equal(scene.replica.status.state, "running");
});

test("Replica keeps local files from its position on", async () => {
  await using scene = new ReplicaScene("needed");
  publishRun(scene.local, 4n);
  await scene.replica.flush(never);
  assert.equal(scene.replica.neededFromTXID, 4n);
  scene.local.trim(scene.replica.neededFromTXID);
  scene.write(increment(5n));
  await scene.replica.flush(never);
  await using later = new ReplicaScene("needed-later", {
    objects: scene.client.inner.objects,
    local: scene.local,
  });
  const plan = await later.replica.start(never);
  assert.deepEqual([plan.kind, later.replica.position], ["continue", 5n]);
});
