/** A database under the real engine, an application in another process, and the image that the level-0 files add up to. */
import assert from "node:assert/strict";
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Database } from "../../src/engine/database.ts";
import type { DatabaseOptions } from "../../src/engine/database.ts";
import type { EngineEvent } from "../../src/engine/events.ts";
import type { SyncResult } from "../../src/engine/sync.ts";
import { LTXDecoder } from "../../src/formats/ltx/decoder.ts";
import { systemClock } from "../../src/service/system-clock.ts";
import { CheckpointThread } from "../../src/sqlite/checkpoint-thread.ts";
import type { OpenConnection } from "../../src/sqlite/driver.ts";
import { openConnection } from "../../src/sqlite/node-sqlite.ts";
import type { ApplicationReply, ApplicationRequest } from "./application.ts";

export class Application implements AsyncDisposable {
  readonly #process: ChildProcess = fork(new URL("./application.ts", import.meta.url), {
    execArgv: [],
  });

  async ask(request: ApplicationRequest): Promise<unknown> {
    this.#process.send(request);
    const [reply] = (await once(this.#process, "message")) as [ApplicationReply];
    if ("error" in reply) throw new Error(reply.error);
    return reply.row;
  }

  sql(sql: string): Promise<unknown> {
    return this.ask({ kind: "sql", sql });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    if (this.#process.exitCode === null && this.#process.signalCode === null)
      await once(this.#process, "exit");
  }
}

/** A temporary folder with one database path in it. */
export class Workspace implements Disposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), "engine-"));
  readonly path: string = join(this.folder, "app.db");
  readonly metaPath: string = join(this.folder, ".app.db-litestream");

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The engine on one database; every level-0 file it writes is applied to `image`. */
export class Engine implements AsyncDisposable {
  readonly database: Database;
  readonly events: EngineEvent[] = [];
  /** Every file written, as the engine reported it. */
  readonly results: SyncResult[] = [];
  readonly #thread = new CheckpointThread();
  readonly #replica: ReplicaImage;

  constructor(
    workspace: Workspace,
    replica: ReplicaImage,
    options: Partial<DatabaseOptions> = {},
    open: OpenConnection = openConnection,
  ) {
    this.#replica = replica;
    this.database = new Database(
      {
        path: workspace.path,
        metaPath: workspace.metaPath,
        checkpoint: { minFrames: 1000, intervalMs: 0, reportFrames: 0 },
        maxSyncWALBytes: 64 << 20,
        busyTimeoutMs: 1_000,
        autoRecover: false,
        ...options,
      },
      {
        openConnection: open,
        checkpointThread: this.#thread,
        clock: systemClock,
        emit: (event) => this.events.push(event),
        onWritten: (result) => {
          this.results.push(result);
          const { txid } = result;
          const { local } = this.database;
          assert.ok(local);
          this.#replica.apply(readFileSync(local.path(txid)));
        },
      },
    );
  }

  /** Reasons of the full images taken so far. */
  images(results: readonly { readonly image: string | undefined }[]): string[] {
    return results.map(({ image }) => image).filter((reason) => reason !== undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.database.close();
    await this.#thread[Symbol.asyncDispose]();
  }
}

/** What a restore of all level-0 files would give, kept in memory. */
export class ReplicaImage {
  image: Buffer = Buffer.alloc(0);
  /** The newest file's number and whether it held every page. */
  txid = 0n;
  files = 0;
  fullImages = 0;

  apply(bytes: Uint8Array): void {
    const decoder = new LTXDecoder();
    decoder.push(bytes);
    let image = this.image;
    let pageSize = 0;
    for (let batch = decoder.read(); batch !== null; batch = decoder.read()) {
      pageSize = decoder.header?.pageSize ?? 0;
      for (let index = 0; index < batch.count; index++) {
        const end = (batch.pgnos[index] ?? 0) * pageSize;
        if (image.length < end) image = Buffer.concat([image, Buffer.alloc(end - image.length)]);
        image.set(batch.pages.subarray(index * pageSize, (index + 1) * pageSize), end - pageSize);
      }
    }
    const { header, pageCount } = decoder.end();
    assert.ok(header.maxTXID > this.txid, `TXID ${header.maxTXID} after ${this.txid}`);
    assert.equal(header.minTXID, header.maxTXID);
    this.txid = header.maxTXID;
    this.files++;
    if (pageCount === header.commit) this.fullImages++;
    const size = header.commit * header.pageSize;
    this.image =
      image.length >= size
        ? image.subarray(0, size)
        : Buffer.concat([image, Buffer.alloc(size - image.length)]);
  }

  /** Compares page by page with the database file, which must hold everything. */
  assertEquals(path: string, message: string): void {
    const source = readFileSync(path);
    assert.equal(this.image.length, source.length, `${message}: size`);
    if (this.image.equals(source)) return;
    const pageSize = source.readUInt16BE(16) === 1 ? 65_536 : source.readUInt16BE(16);
    const different: number[] = [];
    for (let offset = 0; offset < source.length; offset += pageSize) {
      const page = source.subarray(offset, offset + pageSize);
      if (!page.equals(this.image.subarray(offset, offset + pageSize)))
        different.push(offset / pageSize + 1);
    }
    assert.fail(`${message}: pages ${different.slice(0, 20).join(", ")} differ`);
  }
}
