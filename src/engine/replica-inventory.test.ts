import assert from "node:assert/strict";
import { test } from "node:test";
import { MemoryReplicaClient } from "../storage/memory.ts";
import type { LTXFileInfo, ReplicaClient } from "../storage/replica-client.ts";
import { ReplicaInventory } from "./replica-inventory.ts";

const signal = new AbortController().signal;

function file(level: number, txid: bigint): LTXFileInfo {
  return { level, minTXID: txid, maxTXID: txid, sizeBytes: 1, createdAt: new Date(0) };
}

test("ReplicaInventory keeps what came in while several listings were under way", async () => {
  const inventory = new ReplicaInventory();
  const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const load = (gate: Promise<void>): Promise<unknown> => {
    const client = new MemoryReplicaClient({
      objects: new Map(),
      name: "m",
      readFile: assert.fail,
    });
    const slow: ReplicaClient = Object.assign(Object.create(client) as ReplicaClient, {
      async *list(...options: Parameters<ReplicaClient["list"]>): AsyncIterable<LTXFileInfo> {
        await gate;
        yield* client.list(...options);
      },
    });
    return inventory.load(slow, signal);
  };
  const [first, second] = gates.map(({ promise }) => load(promise));
  inventory.add(file(1, 1n));
  gates[0]?.resolve();
  await first;
  inventory.add(file(1, 2n));
  gates[1]?.resolve();
  await second;
  assert.deepEqual(
    inventory.files(1).map(({ maxTXID }) => maxTXID),
    [1n, 2n],
  );
});
