/** A WAL of more than 4 GiB: every byte of it goes through the restore, compressed to some 20 MB. */
import assert from "node:assert/strict";
import { readFileSync, rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { Scratch } from "../../test/harness/scratch.ts";
import { LZ4_HEADER, V3Replica, WALWriter } from "../../test/harness/v3-replica.ts";
import { planV3Restore } from "./restore-v3-plan.ts";
import { restoreV3 } from "./restore-v3.ts";
import { readV3Inventory } from "./v3-inventory.ts";

const pageSize = 65_536;
const frameSize = pageSize + 24;
const framesPerBlock = 63;

test("restoreV3() restores WAL segments beyond 4 GiB in little memory, and the first write works (OL3)", async () => {
  using scratch = new Scratch("v3-large");
  const { before, after, freePage } = makeDatabase(scratch.path("source.db"));
  const pageCount = before.length / pageSize;
  const writer = new WALWriter(pageSize);
  const replica = new V3Replica();
  replica.snapshot(0, before);

  let offset = 0;
  const addSegment = (blocks: readonly Uint8Array[], sizeBytes: number): void => {
    const name = `00000000_${offset.toString(16).padStart(8, "0")}.wal.lz4`;
    const folder = "generations/0123456789abcdef/wal";
    const end = new Uint8Array(4);
    replica.put(`${folder}/${name}`, Buffer.concat([HEADER_WITHOUT_CHECKSUM, ...blocks, end]));
    offset += sizeBytes;
  };
  addSegment([storedBlock(writer.header)], writer.header.length);
  // A page that nothing uses, over and over.
  for (const count of [40_000, 25_600]) {
    const blocks: Uint8Array[] = [];
    for (let done = 0; done < count; done += framesPerBlock) {
      const inBlock = Math.min(framesPerBlock, count - done);
      blocks.push(zeroPagesBlock(writer, freePage, pageCount, inBlock));
    }
    addSegment(blocks, count * frameSize);
  }
  assert.ok(offset > 0x1_0000_0000);
  const changed = changedPages(before, after);
  const frames = changed.map(({ pgno, page }, index) =>
    writer.frame(pgno, page, index === changed.length - 1 ? after.length / pageSize : 0),
  );
  addSegment(frames.map(storedBlock), frames.length * frameSize);

  const { client } = replica;
  const outputPath = scratch.path("app.db");
  const plan = planV3Restore(await readV3Inventory(client), {});
  const peakBefore = process.resourceUsage().maxRSS;
  const summary = await restoreV3(client, {
    plan,
    target: {},
    outputPath,
    parallelism: 4,
    integrityCheck: "full",
    force: false,
  });
  const grownKiB = process.resourceUsage().maxRSS - peakBefore;
  assert.equal(summary.offset, offset);
  assert.ok(grownKiB < 128 * 1024, `memory grew by ${grownKiB} KiB`);
  const restored = readFileSync(outputPath);
  const expected = Buffer.from(after);
  if (!changed.some(({ pgno }) => pgno === freePage))
    expected.fill(0, (freePage - 1) * pageSize, freePage * pageSize);
  assert.ok(restored.equals(expected));
  using database = new DatabaseSync(outputPath);
  database.exec("INSERT INTO t (x) VALUES ('later')");
  const rows = database.prepare("SELECT x FROM t ORDER BY id").all();
  assert.deepEqual(
    rows.map((row) => row["x"]),
    ["first", "last", "later"],
  );
});

/** A database before and after its last transaction, with a page on the freelist whose content does not matter. */
function makeDatabase(path: string): {
  readonly before: Buffer;
  readonly after: Buffer;
  readonly freePage: number;
} {
  using database = new DatabaseSync(path);
  database.exec(`PRAGMA page_size = ${pageSize}; PRAGMA journal_mode = WAL;
    CREATE TABLE t (id INTEGER PRIMARY KEY, x); CREATE TABLE big (x);
    INSERT INTO big VALUES (zeroblob(${pageSize * 4})); DELETE FROM big;
    INSERT INTO t (x) VALUES ('first'); PRAGMA wal_checkpoint(TRUNCATE)`);
  const before = readFileSync(path);
  const trunk = before.readUInt32BE(32);
  assert.ok(trunk > 0 && before.readUInt32BE((trunk - 1) * pageSize + 4) > 0);
  const freePage = before.readUInt32BE((trunk - 1) * pageSize + 8);
  database.exec("INSERT INTO t (x) VALUES ('last'); PRAGMA wal_checkpoint(TRUNCATE)");
  const after = readFileSync(path);
  database.close();
  rmSync(path);
  return { before, after, freePage };
}

function changedPages(
  before: Buffer,
  after: Buffer,
): readonly { readonly pgno: number; readonly page: Uint8Array }[] {
  return Array.from({ length: after.length / pageSize }, (_, index) => ({
    pgno: index + 1,
    page: after.subarray(index * pageSize, (index + 1) * pageSize),
  })).filter(
    ({ pgno, page }) => !page.equals(before.subarray((pgno - 1) * pageSize, pgno * pageSize)),
  );
}

const HEADER_WITHOUT_CHECKSUM = Uint8Array.from([...LZ4_HEADER.subarray(0, 4), 0x60, 0x70, 0x73]);

const zeros = new Uint8Array(pageSize);

/** An LZ4 block of frames of zero pages: each a header of 24 bytes and a zero as literals, then one long match. */
function zeroPagesBlock(
  writer: WALWriter,
  pgno: number,
  commit: number,
  count: number,
): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let i = 0; i < count; i++) {
    const isLast = i === count - 1;
    // A block ends with literals.
    const matched = pageSize - 1 - (isLast ? 8 : 0);
    const literals = [...writer.frameHeader(pgno, zeros, commit), 0];
    const [literalBytes, matchBytes] = [lengthBytes(literals.length), lengthBytes(matched - 4)];
    parts.push(Uint8Array.from([0xff, ...literalBytes, ...literals, 1, 0, ...matchBytes]));
  }
  parts.push(Uint8Array.from([0x80, 0, 0, 0, 0, 0, 0, 0, 0]));
  return withSize(Buffer.concat(parts), 0);
}

/** What follows a nibble of 15 in an LZ4 length. */
function lengthBytes(length: number): readonly number[] {
  const rest = length - 15;
  return [...Array.from({ length: Math.floor(rest / 255) }, () => 255), rest % 255];
}

function storedBlock(bytes: Uint8Array): Uint8Array {
  return withSize(bytes, 0x8000_0000);
}

function withSize(block: Uint8Array, flag: number): Uint8Array {
  const size = new Uint8Array(4);
  new DataView(size.buffer).setUint32(0, (block.length | flag) >>> 0, true);
  return Buffer.concat([size, block]);
}
