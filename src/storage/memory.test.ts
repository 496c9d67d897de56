import assert from "node:assert/strict";
import { test } from "node:test";
import { testReplicaClient } from "../../test/conformance/replica-client.ts";
import { readPieces } from "./file-system.ts";
import { MemoryReplicaClient } from "./memory.ts";
import type { MemoryObjects } from "./memory.ts";

const replicas = new Map<string, MemoryObjects>();

testReplicaClient("memory", {
  open: async (name) => {
    const objects: MemoryObjects = replicas.get(name) ?? new Map();
    replicas.set(name, objects);
    return new MemoryReplicaClient({ name, objects, readFile: readPieces });
  },
});

test("MemoryReplicaClient refuses a file body when nobody told it how to read files", async () => {
  await using client = new MemoryReplicaClient();
  const body = { kind: "file", path: "/nowhere", sizeBytes: 1 } as const;
  const name = { level: 0, minTXID: 1n, maxTXID: 1n };
  await assert.rejects(client.write(name, body, { createdAt: new Date() }), TypeError);
});
