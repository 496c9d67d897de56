import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { sampleLTX } from "../../test/harness/sample-ltx.ts";
import { Scratch } from "../../test/harness/scratch.ts";
import { FileReplicaClient } from "../storage/file.ts";

const pageSize = 65_536;
const pageCount = 300;

/** Runs a restore in a process of its own; its exit code, `null` when it was killed before its end. */
async function restoreAndKill(
  replica: string,
  outputPath: string,
  afterMs: number | undefined,
): Promise<number | null> {
  const options = {
    target: { kind: "latest" },
    outputPath,
    parallelism: 4,
    integrityCheck: "none",
    force: true,
  };
  const script = `
    const { restore } = await import(${JSON.stringify(import.meta.resolve("./restore.ts"))});
    const { FileReplicaClient } = await import(${JSON.stringify(import.meta.resolve("../storage/file.ts"))});
    const client = new FileReplicaClient({ type: "file", path: ${JSON.stringify(replica)} });
    console.log("ready");
    await restore(client, ${JSON.stringify(options)});`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exit = once(child, "exit");
  await once(child.stdout, "data");
  if (afterMs !== undefined) {
    await sleep(afterMs);
    child.kill("SIGKILL");
  }
  const [code] = (await exit) as [number | null];
  return code;
}

/** Pages 1…300, page n filled with n modulo 256. */
function expectedDatabase(): Buffer {
  const pages = Array.from({ length: pageCount }, (_, i) => Buffer.alloc(pageSize, (i + 1) % 256));
  return Buffer.concat(pages);
}

test("restore() killed at any moment leaves a whole database or none", async () => {
  using scratch = new Scratch("restore-kill");
  const expected = expectedDatabase();
  await using client = new FileReplicaClient({ type: "file", path: scratch.path("replica") });
  const pages = new Map(Array.from({ length: pageCount }, (_, i) => [i + 1, (i + 1) % 256]));
  const { bytes } = sampleLTX({ maxTXID: 1n, commit: pageCount, pages, pageSize });
  const name = { level: 0, minTXID: 1n, maxTXID: 1n };
  await client.write(name, { kind: "bytes", bytes }, { createdAt: new Date() });

  const outputPath = scratch.inFolder("out", "app.db");
  let killed = 0;
  for (let round = 0; round < 16; round++) {
    fs.writeFileSync(outputPath, "old database");
    fs.writeFileSync(`${outputPath}-wal`, "old log");
    const code = await restoreAndKill(scratch.path("replica"), outputPath, round * 5);
    if (code === null) killed += 1;
    const found = fs.readFileSync(outputPath);
    const hasWAL = fs.existsSync(`${outputPath}-wal`);
    if (found.equals(expected)) assert.ok(!hasWAL, "an old log beside the new database");
    else assert.equal(found.toString(), "old database");
  }
  assert.ok(killed >= 4, `${killed} of 16 were killed in time`);
  assert.equal(await restoreAndKill(scratch.path("replica"), outputPath, undefined), 0);
  assert.ok(fs.readFileSync(outputPath).equals(expected));
  assert.deepEqual(fs.readdirSync(scratch.path("out")), ["app.db"]);
});
