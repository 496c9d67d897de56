/** A database whose every state is known, and a replica with just the files a test wants. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { LTXEncoder } from "../../src/formats/ltx/encoder.ts";
import { createLTXHeader } from "../../src/formats/ltx/header.ts";
import type { LTXFileName, ReplicaClient } from "../../src/storage/replica-client.ts";

export class FollowSource implements Disposable {
  readonly #path: string;
  readonly #client: ReplicaClient;
  readonly #now: () => number;
  #database: DatabaseSync;
  /** The database after each transaction; the first entry is the empty file. */
  readonly images: Buffer[] = [Buffer.alloc(0)];

  constructor(path: string, client: ReplicaClient, now: () => number, pageSize = 4096) {
    this.#path = path;
    this.#client = client;
    this.#now = now;
    this.#database = new DatabaseSync(path);
    this.#database.exec(`PRAGMA page_size = ${pageSize}; PRAGMA synchronous = OFF`);
  }

  get txid(): number {
    return this.images.length - 1;
  }

  /** Runs SQL as one more transaction. */
  commit(sql: string): number {
    this.#database.exec(sql);
    const image = readFileSync(this.#path);
    // As in a source that is replicated.
    image[18] = 2;
    image[19] = 2;
    this.images.push(image);
    return this.txid;
  }

  /** A commit and its level-0 file. */
  async write(sql: string): Promise<number> {
    const txid = this.commit(sql);
    await this.publish(0, txid, txid);
    return txid;
  }

  /** Puts transactions min…max into one file of a level. */
  async publish(level: number, min: number, max: number): Promise<LTXFileName> {
    const name = { level, minTXID: BigInt(min), maxTXID: BigInt(max) };
    const bytes = this.encode(min, max);
    await this.#client.write(name, { kind: "bytes", bytes }, { createdAt: new Date(this.#now()) });
    return name;
  }

  encode(min: number, max: number): Uint8Array {
    const last = this.#image(max);
    const pageSize = pageSizeOf(last);
    const commit = last.length / pageSize;
    const changed = new Set<number>();
    for (let txid = min; txid <= max; txid++) {
      const before = this.#image(txid - 1);
      const after = this.#image(txid);
      for (let pgno = 1; pgno <= after.length / pageSize; pgno++) {
        const at = (pgno - 1) * pageSize;
        const isSame =
          at < before.length &&
          before.subarray(at, at + pageSize).equals(after.subarray(at, at + pageSize));
        if (!isSame || min === 1) changed.add(pgno);
      }
    }
    const pgnos = [...changed].filter((pgno) => pgno <= commit).toSorted((a, b) => a - b);
    const encoder = new LTXEncoder(
      createLTXHeader({
        pageSize,
        commit,
        minTXID: BigInt(min),
        maxTXID: BigInt(max),
        timestampMs: this.#now(),
      }),
    );
    const parts: Uint8Array[] = [encoder.begin()];
    for (const pgno of pgnos) {
      encoder.pages().set(last.subarray((pgno - 1) * pageSize, pgno * pageSize));
      parts.push(Uint8Array.from(encoder.encode(Uint32Array.of(pgno), 1)));
    }
    for (const bytes of encoder.finish()) parts.push(Uint8Array.from(bytes));
    return new Uint8Array(Buffer.concat(parts));
  }

  /** Continues with a database of another page size. */
  changePageSize(pageSize: number): void {
    this.#database.exec(`PRAGMA page_size = ${pageSize}; VACUUM`);
  }

  #image(txid: number): Buffer {
    const image = this.images[txid];
    assert.ok(image, `no image of TXID ${txid}`);
    return image;
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }
}

/** The content that replication is about: all but what a follower sets in page 1 (journal mode, change counter). */
export function contentOf(image: Buffer): Buffer {
  const content = Buffer.from(image);
  content.fill(0, 18, 20);
  content.fill(0, 24, 28);
  content.fill(0, 92, 96);
  return content;
}

function pageSizeOf(image: Buffer): number {
  const stored = image.readUInt16BE(16);
  return stored === 1 ? 65_536 : stored;
}
