/** What the replica holds, seen from outside: by reading it, not by asking the replicator. */
import { LTXDecoder } from "../src/formats/ltx/decoder.ts";
import type { TXID } from "../src/formats/ltx/txid.ts";
import { openReplicaClient } from "../src/storage/open.ts";
import type { LTXFileInfo, ReplicaClient } from "../src/storage/replica-client.ts";
import type { ReplicaOptions } from "../src/storage/replica-options.ts";
import { parseReplicaURL } from "../src/storage/replica-url.ts";
import { newestOrderIn } from "./orders.ts";

const LEVELS = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

/** Follows the level-0 files of a replica and knows the newest order that they contain. */
export class ReplicaView implements AsyncDisposable {
  /** The newest order in the replica so far; 0 = none. All older ones are there too. */
  newestOrder = 0;
  readonly #client: ReplicaClient;
  #nextTXID: TXID = 1n;

  private constructor(client: ReplicaClient) {
    this.#client = client;
  }

  static async open(url: string): Promise<ReplicaView> {
    const client = await openReplicaClient(optionsOf(url));
    await client.open();
    return new ReplicaView(client);
  }

  /** Reads the files that are new since the last call; returns how many there were. */
  async update(): Promise<number> {
    let count = 0;
    for await (const file of this.#client.list(0, { from: this.#nextTXID })) {
      // Several uploads may be under way: what stands behind a gap cannot be restored yet.
      if (file.minTXID !== this.#nextTXID) break;
      this.newestOrder = Math.max(this.newestOrder, await this.#newestOrderOf(file));
      this.#nextTXID = file.maxTXID + 1n;
      count++;
    }
    return count;
  }

  /** Deletes every LTX file of the replica. */
  async clear(): Promise<void> {
    for (const level of LEVELS) {
      const files = await Array.fromAsync(this.#client.list(level));
      await this.#client.delete(files);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
  }

  async #newestOrderOf(file: LTXFileInfo): Promise<number> {
    const decoder = new LTXDecoder();
    let newest = 0;
    for await (const chunk of this.#client.read(file)) {
      decoder.push(chunk);
      for (let batch = decoder.read(); batch !== null; batch = decoder.read()) {
        newest = Math.max(newest, newestOrderIn(batch.pages));
      }
    }
    decoder.end();
    return newest;
  }
}

function optionsOf(url: string): ReplicaOptions {
  const { options } = parseReplicaURL(url);
  if (options.type === "file") return { ...options, path: options.path ?? "" };
  if (options.type === "s3") {
    return { ...options, bucket: options.bucket ?? "", path: options.path ?? "" };
  }
  throw new TypeError(`The demo keeps its replica in a folder or on S3, not in "${url}"`);
}
