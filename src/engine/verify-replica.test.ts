import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { sampleLTX } from "../../test/harness/sample-ltx.ts";
import { FileReplicaClient } from "../storage/file.ts";
import { MemoryReplicaClient } from "../storage/memory.ts";
import { StorageError, type LTXFileName } from "../storage/replica-client.ts";
import { verifyReplica, type VerifyResult } from "./verify-replica.ts";

const FIXTURES = join(import.meta.dirname, "../../test/fixtures");
const WITHOUT_HARM: readonly string[] = [
  "10-extra-files",
  "10-gap-covered-by-l1",
  // The database itself was damaged before it was replicated: the replica is a true copy of it.
  "10-integrity-bad-source",
  // Nothing shows that there ever was a later file.
  "10-last-removed",
  "10-only-snapshots",
];
const MISNAMED = "10-wrong-content-name";

async function verifyFixture(name: string): Promise<VerifyResult> {
  await using client = new FileReplicaClient({
    type: "file",
    path: join(FIXTURES, name, "replica"),
  });
  return await verifyReplica(client, { parallelism: 4 });
}

const damaged = readdirSync(FIXTURES).filter((name) => name.startsWith("10-"));

for (const name of damaged) {
  test(`verifyReplica() judges ${name}`, async () => {
    const { isWhole, problems } = await verifyFixture(name);
    const harm = problems.filter(({ isHarmless }) => !isHarmless).map(({ kind }) => kind);
    assert.equal(isWhole, WITHOUT_HARM.includes(name), JSON.stringify(problems));
    assert.equal(isWhole, harm.length === 0);
    for (const { message, hint } of problems) assert.ok(message !== "" && hint !== "");
    if (/^10-(flip|truncated|trailing|zero|bad-index)/.test(name)) {
      assert.equal(harm[0], "damaged");
      assert.ok(problems[0]?.file?.endsWith(".ltx"));
    }
    if (name === MISNAMED) assert.equal(harm[0], "misnamed");
    if (name.startsWith("10-gap-missing")) assert.equal(harm.at(-1), "not-restorable");
    if (name.startsWith("10-v03") || name === "10-empty-replica") assert.deepEqual(harm, ["empty"]);
    if (name.startsWith("10-v03")) assert.match(problems[0]?.message ?? "", /Litestream 0\.3/);
  });
}

test("There are damaged fixtures to judge", () => {
  assert.ok(damaged.length >= 35, `${damaged.length}`);
  for (const name of WITHOUT_HARM) assert.ok(existsSync(join(FIXTURES, name)), name);
});

test("verifyReplica() finds replicas of all levels and page sizes whole, and reads every byte", async () => {
  for (const name of ["01-l0-only", "02-levels", "02-levels-retired", "03-page-00512"]) {
    const { isWhole, problems, levels, filesRead, bytesRead } = await verifyFixture(name);
    assert.ok(isWhole, `${name}: ${JSON.stringify(problems)}`);
    assert.equal(
      levels.reduce((sum, level) => sum + level.files, 0),
      filesRead,
    );
    assert.equal(
      levels.reduce((sum, level) => sum + level.sizeBytes, 0),
      bytesRead,
    );
    assert.ok(levels.every(({ isRead }) => isRead));
  }
});

/** Counts what is read at a time; `before` runs at each read. */
class WatchedClient extends MemoryReplicaClient {
  underWay = 0;
  most = 0;
  before: (file: LTXFileName) => Promise<void> = () => Promise.resolve();

  override async *read(
    ...[file, options]: Parameters<MemoryReplicaClient["read"]>
  ): AsyncGenerator<Uint8Array, void> {
    this.underWay += 1;
    this.most = Math.max(this.most, this.underWay);
    try {
      await this.before(file);
      await new Promise((resolve) => setImmediate(resolve));
      yield* super.read(file, options);
    } finally {
      this.underWay -= 1;
    }
  }
}

async function watched(count: number): Promise<WatchedClient> {
  const client = new WatchedClient();
  for (let at = 1; at <= count; at++) {
    const maxTXID = BigInt(at);
    const { bytes } = sampleLTX({ maxTXID, commit: 1, pages: new Map([[1, at]]) });
    const name = { level: 0, minTXID: maxTXID, maxTXID };
    await client.write(name, { kind: "bytes", bytes }, { createdAt: new Date(at) });
  }
  return client;
}

test("verifyReplica() reads some files at a time, of the level asked for only", async () => {
  await using client = await watched(20);
  const { isWhole, filesRead } = await verifyReplica(client, { parallelism: 3 });
  assert.deepEqual([isWhole, filesRead, client.most, client.underWay], [true, 20, 3, 0]);
  const other = await verifyReplica(client, { parallelism: 3, level: 9 });
  assert.deepEqual([other.isWhole, other.filesRead], [true, 0]);
  assert.deepEqual(
    other.levels.map(({ level, isRead }) => [level, isRead]),
    [[0, false]],
  );
});

test("verifyReplica() leaves out files that are retired meanwhile, and misses those still listed", async () => {
  await using client = await watched(3);
  const first = { level: 0, minTXID: 1n, maxTXID: 1n };
  client.before = async (file) => {
    if (file.minTXID === 3n) throw new StorageError("not-found", "No such object");
  };
  const lying = await verifyReplica(client, { parallelism: 1 });
  assert.deepEqual(
    lying.problems.map(({ kind }) => kind),
    ["missing", "not-restorable"],
  );
  const { bytes } = sampleLTX({
    minTXID: 1n,
    maxTXID: 1n,
    commit: 1,
    pages: new Map([[1, 1]]),
  });
  const snapshot = { level: 9, minTXID: 1n, maxTXID: 1n };
  await client.write(snapshot, { kind: "bytes", bytes }, { createdAt: new Date(1) });
  client.before = async (file) => {
    if (file.level === 0 && file.minTXID === 1n) await client.delete([first]);
  };
  const retired = await verifyReplica(client, { parallelism: 1 });
  assert.deepEqual(
    [retired.isWhole, retired.filesRead],
    [true, 3],
    JSON.stringify(retired.problems),
  );
});

test("verifyReplica() rejects when the storage does not answer: that says nothing of the replica", async () => {
  await using client = await watched(3);
  client.before = async () => {
    throw new StorageError("unavailable", "No answer");
  };
  await assert.rejects(verifyReplica(client, { parallelism: 2 }), /No answer/);
  assert.equal(client.underWay, 0);
});
