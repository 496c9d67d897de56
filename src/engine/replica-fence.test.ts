import assert from "node:assert/strict";
import { test } from "node:test";
import { increment, publishRun } from "../../test/harness/local-files.ts";
import { ReplicaScene } from "../../test/harness/replica-scene.ts";
import { sampleLTX } from "../../test/harness/sample-ltx.ts";

for (const [name, soleWriterCheckMs, pauseMs] of [
  ["a pause", 30_000, 3_600_000],
  ["a short pause, where level 0 does not stay long", 2_000, 5_000],
] as const) {
  test(`Replica finds a second writer after ${name} in which the other's files were retired (X6, F9)`, async () => {
    await using scene = new ReplicaScene("fence", { soleWriterCheckMs });
    publishRun(scene.local, 2n);
    scene.run();
    await scene.clock.settle();
    assert.equal(scene.replica.position, 2n);
    // The other has written 3 to 7, compacted them, and keeps its newest level-0 file only.
    const theirs = sampleLTX({ maxTXID: 7n, commit: 3, pages: new Map([[1, 77]]) });
    await scene.client.inner.write(
      { level: 0, minTXID: 7n, maxTXID: 7n },
      { kind: "bytes", bytes: theirs.bytes },
      { createdAt: new Date() },
    );
    await scene.clock.advance(pauseMs);
    scene.write(increment(3n));
    await scene.clock.settle();
    assert.equal(scene.replica.status.state, "conflict");
    assert.deepEqual(
      scene.stored(),
      ["0/1", "0/2", "0/7"],
      "nothing of ours stands among the other's",
    );
  });
}
