/** A real S3 server behind a network that breaks: every operation completes or fails by name, nothing is half done. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, suite, test } from "node:test";
import { testReplicaClient } from "../../../test/conformance/replica-client.ts";
import type { FaultProxy, Faults, S3Server } from "../../../test/servers/servers.ts";
import { missingServer, startCephRGW, startFaultProxy } from "../../../test/servers/servers.ts";
import { levelHexFolder } from "../../formats/ltx/layout.ts";
import { RetryingClient } from "../decorators/retry.ts";
import type { ReplicaClient } from "../replica-client.ts";
import { S3ReplicaClient } from "./client.ts";

const skip = missingServer("ceph");
const createdAt = new Date("2024-02-29T12:34:56.789Z");
const file = { level: 0, minTXID: 1n, maxTXID: 1n };
const MIB = 1024 * 1024;
const quick = { attempts: 10, baseMs: 5, capMs: 50 };

let ceph: S3Server;
let proxy: FaultProxy;
before(async () => {
  if (skip !== undefined) return;
  ceph = await startCephRGW();
  proxy = await startFaultProxy(ceph.endpoint.replace("http://", ""));
});
after(async () => {
  if (skip !== undefined) return;
  await proxy[Symbol.asyncDispose]();
  await ceph[Symbol.asyncDispose]();
});

function clientAt(path: string, attempts = 10): ReplicaClient {
  const { bucket, region, accessKeyID, secretAccessKey } = ceph;
  const endpoint = `http://127.0.0.1:${proxy.port}`;
  const backoff = { ...quick, attempts };
  const client = new S3ReplicaClient(
    { type: "s3", bucket, region, path, endpoint, accessKeyID, secretAccessKey },
    { environment: {}, backoff, silenceTimeoutMs: 500 },
  );
  return new RetryingClient(client, { calls: { ...quick, attempts: 1 }, reads: backoff });
}

async function readAll(client: ReplicaClient): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of client.read(file)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function sizesOf(client: ReplicaClient): Promise<number[]> {
  const sizes: number[] = [];
  for await (const { sizeBytes } of client.list(0)) sizes.push(sizeBytes);
  return sizes;
}

/** How many exchanges met the faults while `act` ran. */
async function under(faults: Faults, act: () => Promise<void>): Promise<number> {
  const { hits } = await proxy.counts();
  await proxy.setFaults(faults);
  try {
    await act();
  } finally {
    await proxy.setFaults({});
  }
  return (await proxy.counts()).hits - hits;
}

testReplicaClient("S3 over a slow network", {
  skip,
  folderOfLevel: levelHexFolder,
  largeBytes: 6 * MIB,
  fileCount: 40,
  open: async (replica) => {
    await proxy.setFaults({ latencyMs: 3, jitterMs: 5 });
    return clientAt(replica);
  },
});

void suite("S3 over a network that breaks", { skip: skip ?? false }, () => {
  test("read() gives every byte once, wherever the connection is cut", async () => {
    await proxy.setFaults({});
    await using client = clientAt("cut-reads");
    const bytes = randomBytes(MIB);
    await client.write(file, { kind: "bytes", bytes }, { createdAt });
    for (let cut = 0; cut <= MIB; cut += 128 * 1024) {
      for (const kind of ["resetAfterDown", "closeAfterDown"] as const) {
        const hits = await under({ [kind]: cut, match: "^GET /", times: 2 }, async () => {
          assert.ok(bytes.equals(await readAll(client)), `${kind} ${cut}`);
        });
        assert.ok(hits >= 1 && hits <= 2, `${kind} ${cut}: ${hits} hits`);
      }
    }
    const { live } = await proxy.counts();
    assert.ok(live < 20, `${live} connections are open`);
  });

  test("read() of a file whose connection is cut every 64 KiB arrives, in a bounded number of requests", async () => {
    await using client = clientAt("cut-reads");
    const bytes = await readAll(client);
    const hits = await under({ resetAfterDown: 64 * 1024, match: "^GET /" }, async () => {
      assert.ok(bytes.equals(await readAll(client)));
    });
    assert.ok(hits >= 15 && hits <= 24, `${hits} requests`);
  });

  test("write() is whole or not there, wherever the connection is cut", async () => {
    await using client = clientAt("cut-writes");
    for (const sizeBytes of [300_000, 11 * MIB]) {
      const bytes = randomBytes(sizeBytes);
      for (const resetAfterUp of [0, 200, 65_536, 250_000]) {
        const hits = await under({ resetAfterUp, match: "^PUT ", times: 2 }, async () => {
          await client.write(file, { kind: "bytes", bytes }, { createdAt });
        });
        assert.equal(hits, 2);
        assert.deepEqual(await sizesOf(client), [sizeBytes]);
        assert.ok(bytes.equals(await readAll(client)));
        await client.delete([file]);
      }
    }
  });

  test("write() does not report success for an answer that never came, and leaves no part of a file", async () => {
    await using client = clientAt("lost", 2);
    const bytes = randomBytes(400_000);
    await under({ resetAfterUp: 100_000, match: "^PUT " }, async () => {
      await assert.rejects(client.write(file, { kind: "bytes", bytes }, { createdAt }), {
        kind: "unavailable",
      });
    });
    assert.deepEqual(await sizesOf(client), []);
    // The write is applied, and only its answer lost: still a failure, and the file is whole.
    await under({ resetAfterDown: 0, match: "^PUT " }, async () => {
      await assert.rejects(client.write(file, { kind: "bytes", bytes }, { createdAt }), {
        kind: "unavailable",
      });
    });
    assert.ok(bytes.equals(await readAll(client)));
    // With a condition, the second attempt finds what the first has written.
    assert.equal(await client.conditionalWrites(), true);
    await client.delete([file]);
    await under({ resetAfterDown: 0, match: "^PUT ", times: 1 }, async () => {
      await assert.rejects(
        client.write(file, { kind: "bytes", bytes }, { createdAt, ifAbsent: true }),
        { kind: "exists" },
      );
    });
    assert.ok(bytes.equals(await readAll(client)));
  });

  test("list() and delete() come through bursts of 503, cut answers and silence", async () => {
    await using client = clientAt("bursts");
    for (let txid = 1n; txid <= 30n; txid += 1n)
      await client.write(
        { level: 0, minTXID: txid, maxTXID: txid },
        { kind: "bytes", bytes: Buffer.alloc(10) },
        { createdAt },
      );
    const slowDown = { httpStatus: 503, httpBody: "<Error><Code>SlowDown</Code></Error>" };
    const all: Faults[] = [
      { ...slowDown, times: 5 },
      { closeAfterDown: 900, times: 3 },
      { resetAfterDown: 2_000, times: 3 },
      { refuse: true, times: 4 },
      { blackhole: true, times: 2 },
      { httpStatus: 500, httpBody: "", times: 3 },
    ];
    for (const faults of all) {
      const hits = await under(faults, async () => {
        assert.equal((await sizesOf(client)).length, 30, JSON.stringify(faults));
      });
      assert.ok(hits >= 1, JSON.stringify(faults));
    }
    await under({ ...slowDown, match: "^POST ", times: 4 }, async () => {
      await client.delete([file, { level: 0, minTXID: 2n, maxTXID: 2n }]);
    });
    assert.equal((await sizesOf(client)).length, 28);
  });

  test("a server that is gone is an error by name after a bounded number of attempts", async () => {
    await using client = clientAt("gone", 3);
    for (const faults of [{ refuse: true }, { blackhole: true }, { httpStatus: 503 }] as Faults[]) {
      const hits = await under(faults, async () => {
        await assert.rejects(sizesOf(client), { kind: "unavailable" }, JSON.stringify(faults));
      });
      assert.ok(hits >= 3 && hits <= 4, `${hits} attempts`);
    }
  });

  test("many reads survive that all connections are dropped at once", async () => {
    await using client = clientAt("cut-reads");
    const bytes = await readAll(client);
    await proxy.setFaults({ rateBps: 4 * MIB });
    const reads = Promise.all(Array.from({ length: 12 }, () => readAll(client)));
    for (let drops = 0; drops < 3; drops += 1) {
      await new Promise((resolve) => setTimeout(resolve, 60));
      await proxy.dropConnections();
    }
    await proxy.setFaults({});
    for (const read of await reads) assert.ok(bytes.equals(read));
  });
});
