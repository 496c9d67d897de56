/** A replica of many small level-0 files, made quickly and always the same. */
import fs from "node:fs";
import path from "node:path";
import { LTXEncoder } from "../src/formats/ltx/encoder.ts";
import { createLTXHeader } from "../src/formats/ltx/header.ts";
import { formatLTXName, levelFolder } from "../src/formats/ltx/layout.ts";
import { mergeLTX } from "../src/formats/ltx/merge.ts";
import { decodeWALHeader, WAL_HEADER_SIZE, WALScanner } from "../src/formats/wal.ts";
import type { WALHeader } from "../src/formats/wal.ts";
import { checkpoint } from "./databases.ts";
import { OrderBook } from "./writers/order-book.ts";

/**
 * Copies `database` into `replicaFolder` as one full image, then commits to it and writes one level-0 file for each
 * transaction, `count` files in all. Leaves the database checkpointed: a restore must equal it. `timeOf` gives the times of
 * the files; now unless told otherwise.
 */
export function buildLevelZeroReplica(
  database: string,
  replicaFolder: string,
  count: number,
  timeOf: (txid: bigint) => Date = () => new Date(),
): void {
  const folder = path.join(replicaFolder, levelFolder(0));
  fs.mkdirSync(folder, { recursive: true });
  writeImage(database, path.join(folder, formatLTXName(1n, 1n)), timeOf(1n));
  using book = new OrderBook(database, 0);
  const wal = new WALTail(`${database}-wal`);
  for (let txid = 2n; txid <= BigInt(count); txid++) {
    book.addEntry();
    wal.writeNew(txid, path.join(folder, formatLTXName(txid, txid)), timeOf(txid));
  }
  wal.close();
  checkpoint(database);
}

/** Merges the level-0 files up to TXID `last` into files of level 1, `inputs` to a file. */
export async function buildLevelOne(
  replicaFolder: string,
  last: number,
  inputs: number,
): Promise<void> {
  const source = (txid: bigint): string =>
    path.join(replicaFolder, levelFolder(0), formatLTXName(txid, txid));
  fs.mkdirSync(path.join(replicaFolder, levelFolder(1)), { recursive: true });
  for (let minTXID = 1n; minTXID <= BigInt(last); minTXID += BigInt(inputs)) {
    const maxTXID = minTXID + BigInt(inputs) - 1n;
    const files = Array.from({ length: inputs }, (_, index) => minTXID + BigInt(index));
    const merged = mergeLTX(
      files.map((txid) => ({
        minTXID: txid,
        maxTXID: txid,
        open: () => fs.createReadStream(source(txid)),
      })),
    );
    const target = path.join(replicaFolder, levelFolder(1), formatLTXName(minTXID, maxTXID));
    for await (const chunk of merged) fs.appendFileSync(target, chunk);
    const createdAt = fs.statSync(source(maxTXID)).mtime;
    fs.utimesSync(target, createdAt, createdAt);
  }
}

function writeImage(database: string, target: string, createdAt: Date): void {
  const bytes = fs.readFileSync(database);
  const pageSize = bytes.readUInt16BE(16);
  const commit = bytes.length / pageSize;
  const timestampMs = createdAt.getTime();
  const encoder = new LTXEncoder(
    createLTXHeader({ pageSize, commit, minTXID: 1n, maxTXID: 1n, timestampMs }),
  );
  using file = new LTXFile(target, encoder);
  for (let first = 1; first <= commit; first += encoder.batchPages) {
    const pages = Math.min(encoder.batchPages, commit - first + 1);
    encoder.pages().set(bytes.subarray((first - 1) * pageSize, (first - 1 + pages) * pageSize));
    file.write(
      encoder.encode(
        Uint32Array.from({ length: pages }, (_, i) => first + i),
        pages,
      ),
    );
  }
}

/** The end of a WAL that nobody restarts. */
class WALTail {
  readonly #fd: number;
  readonly #header: WALHeader;
  readonly #scanner: WALScanner;
  #offset = WAL_HEADER_SIZE;

  constructor(file: string) {
    this.#fd = fs.openSync(file, "r");
    const bytes = new Uint8Array(WAL_HEADER_SIZE);
    fs.readSync(this.#fd, bytes);
    const header = decodeWALHeader(bytes);
    if (!header) throw new Error(`Cannot read WAL "${file}": no valid header`);
    this.#header = header;
    this.#scanner = new WALScanner(header);
  }

  /** Writes the frames since the last call as the LTX file of `txid`. */
  writeNew(txid: bigint, target: string, createdAt: Date): void {
    const scanner = this.#scanner;
    const bytes = fs.readSync(this.#fd, scanner.frames(), { position: this.#offset });
    const count = scanner.scan(Math.floor(bytes / scanner.frameSize));
    const lastFrames = new Map<number, number>();
    for (let frame = 0; frame < count; frame++) lastFrames.set(scanner.pgnos[frame] ?? 0, frame);
    const frames = [...lastFrames].toSorted(([a], [b]) => a - b).map(([, frame]) => frame);
    const encoder = new LTXEncoder(
      createLTXHeader({
        pageSize: scanner.pageSize,
        commit: scanner.commits[count - 1] ?? 0,
        minTXID: txid,
        maxTXID: txid,
        timestampMs: createdAt.getTime(),
        walOffset: this.#offset,
        walSize: count * scanner.frameSize,
        walSalt1: this.#header.salt1,
        walSalt2: this.#header.salt2,
      }),
    );
    using file = new LTXFile(target, encoder);
    file.write(encoder.encodeWALFrames(scanner, Uint32Array.from(frames), frames.length));
    this.#offset += count * scanner.frameSize;
  }

  close(): void {
    fs.closeSync(this.#fd);
  }
}

/** Writes what an encoder gives out, and its end when the scope ends. */
class LTXFile implements Disposable {
  readonly #fd: number;
  readonly #encoder: LTXEncoder;

  constructor(target: string, encoder: LTXEncoder) {
    this.#fd = fs.openSync(target, "wx");
    this.#encoder = encoder;
    this.write(encoder.begin());
  }

  write(bytes: Uint8Array): void {
    fs.writeSync(this.#fd, bytes);
  }

  [Symbol.dispose](): void {
    for (const bytes of this.#encoder.finish()) this.write(bytes);
    const createdAt = new Date(this.#encoder.header.timestampMs);
    fs.futimesSync(this.#fd, createdAt, createdAt);
    fs.closeSync(this.#fd);
  }
}
