/** Writes one level-0 file from WAL frames and database pages, in large pieces, without allocating per page. */
import { writeSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import { LTXEncoder } from "../formats/ltx/encoder.ts";
import type { LTXHeader } from "../formats/ltx/header.ts";
import { lockPgno } from "../formats/sqlite-header.ts";
import type { DatabaseFile } from "../sqlite/database-file.ts";
import { localDiskError } from "./local-disk-error.ts";
import type { LocalLTXTemp } from "./local-ltx.ts";
import type { PageHashList, PageHashTable } from "./page-hash-file.ts";
import { PageHashCollector } from "./page-hashes.ts";
import type { WALFile } from "./wal-file.ts";

/** Bytes of pages encoded between two turns of the event loop: about 3 ms of work. */
const SLICE_BYTES = 2 << 20;

/** Where page content comes from: the newest committed WAL frame where there is one, else the database file. */
export interface PageSource {
  readonly database: DatabaseFile;
  readonly wal: WALFile | null;
  /** Page number → WAL offset of its data. */
  readonly pages: ReadonlyMap<number, number>;
}

/** Which pages a file holds. */
export type PageSelection =
  /** Every page of the database, 1…commit. */
  | { readonly kind: "all" }
  /** The pages of `source.pages`, and those by which the database grew from `previousCommit`. */
  | { readonly kind: "changed"; readonly previousCommit: number }
  /** Every page that is not as `table` says, and those by which the database grew from the table's size. */
  | { readonly kind: "different"; readonly table: PageHashTable };

export interface WrittenLTX {
  readonly sizeBytes: number;
  readonly pageCount: number;
  readonly fileChecksum: bigint;
  /** Hashes of its pages, when they were asked for. */
  readonly hashes: PageHashList | null;
}

/**
 * Writes a whole LTX file; making it durable is the caller's. Null: with "different", no page differs; what was written is no LTX file.
 *
 * @throws LocalDiskError when it cannot be written.
 * @throws Error when a page is neither in the WAL nor in the database file: the file is shorter than its commit says.
 */
export async function writeLTXFile(
  temp: LocalLTXTemp,
  header: LTXHeader,
  selection: PageSelection,
  source: PageSource,
  options: { readonly hashing: boolean; readonly signal: AbortSignal | undefined },
): Promise<WrittenLTX | null> {
  const encoder = new LTXEncoder(header);
  const output = new FileOutput(temp);
  const collector = options.hashing ? new PageHashCollector() : null;
  output.write(encoder.begin());
  const batches =
    selection.kind === "changed"
      ? changedPages(header, selection.previousCommit, source.pages, encoder.batchPages)
      : allPages(header, encoder.batchPages);
  const fill = selection.kind === "changed" ? fillSingly : fillConsecutive;
  let sinceTurn = 0;
  for (const read of batches) {
    if (sinceTurn >= SLICE_BYTES) {
      sinceTurn = 0;
      await nextTurn();
      options.signal?.throwIfAborted();
    }
    fill(encoder.pages(), read, header.pageSize, source);
    const pgnos =
      selection.kind === "different" ? keepDifferent(encoder, read, selection.table) : read;
    if (pgnos.length > 0) {
      collector?.add(pgnos, encoder.hash(pgnos.length));
      output.write(encoder.encode(pgnos, pgnos.length));
    }
    sinceTurn += read.length * header.pageSize;
  }
  if (encoder.pageCount === 0 && selection.kind === "different") return null;
  for (const chunk of encoder.finish()) output.write(chunk);
  const { pageCount, fileChecksum } = encoder;
  const hashes = collector?.finish() ?? null;
  return { sizeBytes: output.position, pageCount, fileChecksum, hashes };
}

/**
 * Leaves in `encoder.pages()` only those of the pages just read that the table does not know so, and returns their numbers. Page 1
 * stays when the size changed: a file of no pages could not say so.
 */
function keepDifferent(encoder: LTXEncoder, read: Uint32Array, table: PageHashTable): Uint32Array {
  const { pageSize, commit } = encoder.header;
  const hashes = encoder.hash(read.length);
  const pages = encoder.pages();
  const kept = new Uint32Array(read.length);
  let count = 0;
  for (let index = 0; index < read.length; index++) {
    const pgno = read[index] ?? 0;
    // Behind the table's size its entries are void, even those that would fit.
    const isKnown = pgno <= table.commit && table.hashes[pgno - 1] === hashes[index];
    if (isKnown && (pgno !== 1 || commit === table.commit)) continue;
    if (count !== index)
      pages.copyWithin(count * pageSize, index * pageSize, (index + 1) * pageSize);
    kept[count++] = pgno;
  }
  return kept.subarray(0, count);
}

/** Pages 1…commit in batches of consecutive numbers; the lock page, which holds no data, is between two batches. */
export function* allPages(header: LTXHeader, batchPages: number): Generator<Uint32Array> {
  const { commit, pageSize } = header;
  const lock = lockPgno(pageSize);
  const batch = new Uint32Array(batchPages);
  let next = 1;
  while (next <= commit) {
    if (next === lock) {
      next++;
      continue;
    }
    const limit = next < lock ? Math.min(commit, lock - 1) : commit;
    const count = Math.min(batchPages, limit - next + 1);
    for (let index = 0; index < count; index++) batch[index] = next + index;
    yield batch.subarray(0, count);
    next += count;
  }
}

/** The changed pages up to the commit size, and all pages of the growth, ascending. */
function* changedPages(
  header: LTXHeader,
  previousCommit: number,
  pages: ReadonlyMap<number, number>,
  batchPages: number,
): Generator<Uint32Array> {
  const { commit } = header;
  const lock = lockPgno(header.pageSize);
  const grown = Math.max(0, commit - previousCommit);
  const pgnos = new Uint32Array(pages.size + grown);
  let count = 0;
  for (const pgno of pages.keys()) if (pgno <= commit && pgno !== lock) pgnos[count++] = pgno;
  for (let pgno = previousCommit + 1; pgno <= commit; pgno++) {
    if (pgno !== lock && !pages.has(pgno)) pgnos[count++] = pgno;
  }
  const sorted = pgnos.subarray(0, count).sort();
  for (let start = 0; start < count; start += batchPages) {
    yield sorted.subarray(start, Math.min(count, start + batchPages));
  }
}

/** One read of the database file for the whole run; then the pages that have a newer copy in the WAL. */
export function fillConsecutive(
  target: Uint8Array,
  pgnos: Uint32Array,
  pageSize: number,
  source: PageSource,
): void {
  const first = pgnos[0] ?? 1;
  const length = pgnos.length * pageSize;
  const present = source.database.read(target, 0, length, (first - 1) * pageSize);
  for (let index = 0; index < pgnos.length; index++) {
    const pgno = first + index;
    const offset = source.pages.get(pgno);
    if (offset !== undefined) source.wal?.read(target, index * pageSize, pageSize, offset);
    else if ((index + 1) * pageSize > present) throw missingPage(pgno, source.database);
  }
}

function fillSingly(
  target: Uint8Array,
  pgnos: Uint32Array,
  pageSize: number,
  source: PageSource,
): void {
  for (let index = 0; index < pgnos.length; index++) {
    const pgno = pgnos[index] ?? 0;
    const offset = source.pages.get(pgno);
    if (offset !== undefined) source.wal?.read(target, index * pageSize, pageSize, offset);
    else if (
      source.database.read(target, index * pageSize, pageSize, (pgno - 1) * pageSize) < pageSize
    ) {
      throw missingPage(pgno, source.database);
    }
  }
}

function missingPage(pgno: number, database: DatabaseFile): Error {
  return new Error(
    `Cannot read page ${pgno} of "${database.path}": the file has only ${database.sizeBytes} bytes and the WAL does not hold the page`,
  );
}

class FileOutput {
  position = 0;
  readonly #temp: LocalLTXTemp;

  constructor(temp: LocalLTXTemp) {
    this.#temp = temp;
  }

  write(bytes: Uint8Array): void {
    const { fd, path, txid } = this.#temp;
    let done = 0;
    try {
      while (done < bytes.length) {
        done += writeSync(fd, bytes, done, bytes.length - done, this.position + done);
      }
    } catch (error) {
      throw localDiskError(error, { action: "write", path, txid });
    }
    this.position += done;
  }
}
