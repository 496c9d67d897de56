/** The machine that will die: its disk is a folder, and two processes run on it. */
import { fork, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import type { Order, ShopMessage } from "./orders.ts";

const LITESTREAM = path.resolve(import.meta.dirname, "../bin/litestream.js");

/** Intervals of replication in the demo: at most this much is lost when the machine dies. */
export const INTERVAL = "10ms";

/** An order that the shop has committed, with the monotonic time when the commit returned. */
export interface CommittedOrder {
  readonly order: Order;
  readonly atNs: bigint;
}

export class Machine {
  readonly disk: string;
  readonly database: string;
  /** In the order of their numbers. */
  readonly committed: CommittedOrder[] = [];
  readonly #children: ChildProcess[] = [];
  readonly #log: number;

  /** `logFile` is outside the machine: it survives. */
  constructor(disk: string, logFile: string) {
    this.disk = disk;
    this.database = path.join(disk, "shop.db");
    this.#log = fs.openSync(logFile, "a");
    fs.mkdirSync(disk, { recursive: true });
  }

  /** Starts the shop and waits until it takes orders; returns how many products it has. */
  async openShop(): Promise<number> {
    const shop = fork(path.join(import.meta.dirname, "shop.ts"), [this.database]);
    this.#children.push(shop);
    return new Promise<number>((resolve, reject) => {
      shop.on("message", (message: ShopMessage) => {
        if (message.type === "open") resolve(message.products);
        else this.committed.push({ order: message.order, atNs: BigInt(message.atNs) });
      });
      shop.once("error", reject);
      shop.once("exit", () => reject(new Error("The shop could not open")));
    });
  }

  /** Starts `litestream replicate` with a configuration file; returns the command as a person would type it. */
  startReplication(url: string): string {
    const config = path.join(this.disk, "litestream.yml");
    // JSON is YAML too.
    const replica = { url, "sync-interval": INTERVAL };
    const dbs = [{ path: this.database, "monitor-interval": INTERVAL, replica }];
    fs.writeFileSync(config, JSON.stringify({ dbs }, null, 2));
    const args = ["replicate", "-config", config];
    this.#children.push(
      spawn(process.execPath, [LITESTREAM, ...args], { stdio: ["ignore", this.#log, this.#log] }),
    );
    return `litestream ${args.join(" ")}`;
  }

  /** An error when a process has ended although nobody killed it. */
  assertAlive(): void {
    for (const { exitCode, signalCode, spawnargs } of this.#children) {
      const status = exitCode ?? signalCode;
      if (status === null) continue;
      throw new Error(`${path.basename(spawnargs[1] ?? "")} ended early with ${status}`);
    }
  }

  /** Kills everything at once, without a chance to finish anything, and erases the disk. */
  async die(): Promise<void> {
    const ends = this.#running().map(
      (child) => new Promise((resolve) => child.once("exit", resolve)),
    );
    this.kill();
    await Promise.all(ends);
    fs.rmSync(this.disk, { recursive: true, force: true });
  }

  kill(): void {
    for (const child of this.#running()) child.kill("SIGKILL");
  }

  #running(): readonly ChildProcess[] {
    return this.#children.filter(
      ({ exitCode, signalCode }) => exitCode === null && signalCode === null,
    );
  }
}

/** Runs `litestream restore` into `output`; resolves to the milliseconds it took. */
export async function restore(url: string, output: string, logFile: string): Promise<number> {
  const log = fs.openSync(logFile, "a");
  const startedAt = performance.now();
  const child = spawn(process.execPath, [LITESTREAM, "restore", "-o", output, url], {
    stdio: ["ignore", log, log],
  });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", resolve);
  });
  fs.closeSync(log);
  if (code !== 0) throw new Error(`litestream restore ended with ${code}`);
  return performance.now() - startedAt;
}
