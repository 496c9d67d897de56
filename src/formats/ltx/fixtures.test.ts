/** Every LTX file that real Litestream binaries wrote into test/fixtures, and what is wrong with the damaged ones. */
import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { basename, sep } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import { FormatError } from "../format-error.ts";
import type { FormatErrorKind } from "../format-error.ts";
import { decodeFrames, verifyLTX } from "./decoder.ts";
import type { LTXSummary } from "./decoder.ts";
import { checkLTXName } from "./header.ts";
import { parseLTXName } from "./layout.ts";
import { decodePageIndex, INDEX_TAIL_SIZE, locatePageIndex, sliceTail } from "./page-index.ts";

const fixtures = fileURLToPath(new URL("../../../test/fixtures/", import.meta.url));

/** In these cases one file is damaged. */
const DAMAGED: Readonly<Record<string, FormatErrorKind>> = {
  "10-bad-index-valid-checksum": "bad-page-index",
  "10-flip-header-commit": "file-checksum",
  "10-flip-header-magic": "bad-magic",
  "10-flip-header-reserved": "file-checksum",
  "10-flip-header-timestamp": "file-checksum",
  "10-flip-header-txid": "file-checksum",
  "10-flip-index-length": "index-length",
  "10-flip-l1-covered": "bad-lz4",
  "10-flip-page-data": "file-checksum",
  "10-flip-page-flags": "bad-page-header",
  "10-flip-page-header": "page-order",
  "10-flip-page-index": "bad-page-index",
  "10-flip-page-size": "frame-too-large",
  "10-flip-snapshot-covered": "bad-lz4",
  "10-flip-trailer": "file-checksum",
  "10-trailing-garbage": "trailing-data",
  "10-truncated-after-pages": "truncated",
  "10-truncated-half": "truncated",
  "10-truncated-header-only": "truncated",
  "10-truncated-last-byte": "truncated",
  "10-truncated-short-header": "truncated",
  "10-truncated-trailer": "truncated",
  "10-wrong-content-name": "name-mismatch",
  "10-zero-filled": "bad-magic",
  "10-zero-length": "truncated",
};

/** One LTX file as the makers of the fixture saw it. */
interface History {
  readonly file: string;
  readonly timestamp: string;
  readonly commit: number;
  readonly pages: number;
}

const paths = globSync("*/{replica,state}/**/*.ltx", { cwd: fixtures }).toSorted();
let compared = 0;
const cases = Map.groupBy(paths, (path) => path.split(sep)[0] ?? "");

test("fixtures hold files of every kind", () => {
  assert.ok(paths.length > 500, `${paths.length} files`);
  for (const name of Object.keys(DAMAGED)) assert.ok(cases.has(name), name);
});

for (const [name, files] of cases) {
  test(`verifyLTX() reads the files of ${name}`, () => {
    const failures: [string, unknown][] = [];
    for (const path of files) {
      const ids = parseLTXName(basename(path));
      // Litestream ignores other names, and so do listings.
      if (!ids) continue;
      const bytes = new Uint8Array(readFileSync(`${fixtures}${path}`));
      try {
        const file = verifyLTX([bytes]);
        checkLTXName(file.header, ids);
        checkRangedReads(bytes, file.header.pageSize, file.header.commit);
        checkHistory(name, path, file);
      } catch (error) {
        failures.push([path, error]);
      }
    }
    const kinds = failures.map(([, error]) => (error instanceof FormatError ? error.kind : error));
    assert.deepEqual(kinds, name in DAMAGED ? [DAMAGED[name]] : []);
  });
}

test("verifyLTX() agreed with the recorded history of most files", () => {
  assert.ok(compared > 200, `${compared} files compared`);
});

/** Index from the tail, then each page on its own: as a restore reads them. */
function checkRangedReads(bytes: Uint8Array, pageSize: number, commit: number): void {
  const tail = bytes.subarray(Math.max(0, bytes.length - INDEX_TAIL_SIZE));
  const range = locatePageIndex(tail, bytes.length);
  const indexBytes =
    sliceTail(tail, bytes.length, range) ??
    bytes.subarray(range.offset, range.offset + range.length);
  const index = decodePageIndex(indexBytes, { offset: range.offset, commit, pageSize });
  for (let i = 0; i < index.count; i++) {
    const offset = index.offsets[i] ?? 0;
    const frame = bytes.subarray(offset, offset + (index.sizes[i] ?? 0));
    for (const batch of decodeFrames(frame, pageSize)) {
      assert.equal(batch.count, 1);
      assert.equal(batch.pgnos[0], index.pgnos[i]);
      assert.equal(batch.sizes[0], index.sizes[i]);
    }
  }
}

function checkHistory(name: string, path: string, file: LTXSummary): void {
  const entry = historyOf(name).find(
    (item) => `${name}/${item.file}` === path.replaceAll(sep, "/"),
  );
  if (!entry) return;
  compared++;
  assert.equal(file.header.commit, entry.commit);
  assert.equal(new Date(file.header.timestampMs).toISOString(), entry.timestamp);
  assert.equal(file.pageCount, entry.pages);
}

function historyOf(name: string): readonly History[] {
  const text = readFileSync(`${fixtures}${name}/case.json`, "utf8");
  return (JSON.parse(text) as { readonly history?: readonly History[] }).history ?? [];
}
