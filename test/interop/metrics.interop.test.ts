/** The metrics of both programs on databases of the same content: whatever the real one has must be ours too, with its type and labels. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { once } from "node:events";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { ours, peer, start } from "../harness/program.ts";
import type { Program } from "../harness/program.ts";
import { Scratch } from "../harness/scratch.ts";
import { until } from "../harness/wait.ts";

interface Family {
  readonly type: string;
  /** Values by their labels, less what is named after the folder. */
  readonly series: ReadonlyMap<string, number>;
}

test("every metric of the real one is there, of the same type, with the same labels and values", async () => {
  const theirs = await scrape(peer());
  const own = await scrape(ours());
  assert.ok(theirs.size >= 9, [...theirs.keys()].join(" "));
  for (const [name, family] of theirs) {
    const same = own.get(name);
    assert.ok(same !== undefined, `${name} is missing`);
    assert.equal(same.type, family.type, name);
    assert.deepEqual([...same.series.keys()].sort(), [...family.series.keys()].sort(), name);
  }
  for (const name of ["txid", "db_size", "sync_error_count", "disk_full"]) {
    const key = `litestream_${name}`;
    assert.deepEqual(own.get(key)?.series, theirs.get(key)?.series, key);
  }
});

/** Replicates a database to which something is written, and reads the metrics when both commits are copied. */
async function scrape(program: Program): Promise<ReadonlyMap<string, Family>> {
  using scratch = new Scratch("metrics");
  const path = scratch.path("app.db");
  using database = new DatabaseSync(path);
  database.exec("PRAGMA journal_mode = WAL; CREATE TABLE t (x)");
  const port = await freePort();
  const config = scratch.path("litestream.yml");
  writeFileSync(
    config,
    `addr: "127.0.0.1:${port}"\ndbs: [{path: ${path}, replica: {path: ${scratch.path("replica")}}}]\n`,
  );
  await using _running = start(program, ["replicate", "-config", config]);
  const read = async (): Promise<Map<string, Family>> => {
    const response = await fetch(`http://127.0.0.1:${port}/metrics`).catch(() => undefined);
    return parse((await response?.text()) ?? "", scratch.folder);
  };
  const txid = (families: Map<string, Family>): number =>
    [...(families.get("litestream_txid")?.series.values() ?? [])][0] ?? 0;
  await until(async () => txid(await read()) === 1, { what: "TXID 1", timeoutMs: 15_000 });
  database.exec("INSERT INTO t VALUES (1)");
  return await until(
    async () => {
      const families = await read();
      return txid(families) === 2 && families;
    },
    { what: "TXID 2", timeoutMs: 15_000 },
  );
}

/** The families whose names begin with `litestream_`, in the text format of Prometheus. */
function parse(text: string, folder: string): Map<string, Family> {
  const families = new Map<string, { type: string; series: Map<string, number> }>();
  for (const line of text.split("\n")) {
    const [, name, type] = /^# TYPE (litestream_\w+) (\w+)$/.exec(line) ?? [];
    if (name !== undefined && type !== undefined) families.set(name, { type, series: new Map() });
    const [, sample = "", labels = "", value] =
      /^(litestream_\w+)(\{.*\})? (\S+)$/.exec(line) ?? [];
    families.get(sample)?.series.set(labels.replaceAll(folder, ""), Number(value));
  }
  return families;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
