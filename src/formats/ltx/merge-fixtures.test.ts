/** Merges the level-0 files that real Litestream binaries wrote, and compares with applying them one after the other. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { concatBytes } from "../../../test/formats/craft-ltx.ts";
import { LTXDecoder } from "./decoder.ts";
import { parseLTXName } from "./layout.ts";
import { mergeLTX } from "./merge.ts";
import type { MergeInput } from "./merge.ts";

const fixtures = fileURLToPath(new URL("../../../test/fixtures/", import.meta.url));
const undamaged = readdirSync(fixtures).filter(
  (name) => /^\d\d-/.test(name) && !name.startsWith("10-"),
);
const folders = undamaged
  .map((name) => `${fixtures}${name}/replica/ltx/0`)
  .filter((folder) => existsSync(folder));

test("fixtures hold chains of level-0 files", () => {
  assert.ok(folders.length >= 30, `${folders.length} folders`);
});

for (const folder of folders) {
  const inputs = chainOf(folder);
  if (inputs.length === 0) continue;
  test(`mergeLTX() merges ${folder.slice(fixtures.length)}`, async () => {
    const pages = new Map<number, Uint8Array>();
    for (const input of inputs) for await (const bytes of input.open()) applyFile(pages, bytes);
    const merged = new Map<number, Uint8Array>();
    applyFile(merged, concatBytes(await Array.fromAsync(mergeLTX(inputs))));
    assert.deepEqual(
      [...merged.keys()],
      [...pages.keys()].toSorted((a, b) => a - b),
    );
    for (const [pgno, data] of pages) assert.deepEqual(merged.get(pgno), data);
  });
}

/** The files up to the first gap. */
function chainOf(folder: string): MergeInput[] {
  const inputs: MergeInput[] = [];
  for (const name of readdirSync(folder).toSorted()) {
    const ids = parseLTXName(name);
    if (!ids) continue;
    const before = inputs.at(-1);
    if (before && ids.minTXID !== before.maxTXID + 1n) break;
    const open = async function* (): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(readFileSync(`${folder}/${name}`));
    };
    inputs.push({ ...ids, open });
  }
  return inputs;
}

function applyFile(pages: Map<number, Uint8Array>, bytes: Uint8Array): void {
  const decoder = new LTXDecoder();
  decoder.push(bytes);
  for (let batch = decoder.read(); batch !== null; batch = decoder.read()) {
    const size = batch.pages.length / batch.count;
    for (let i = 0; i < batch.count; i++) {
      pages.set(batch.pgnos[i] ?? 0, batch.pages.slice(i * size, (i + 1) * size));
    }
  }
  const { commit } = decoder.end().header;
  for (const pgno of pages.keys()) if (pgno > commit) pages.delete(pgno);
}
