/** Handle on the application process: start it, tell it what to do, kill it. */
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { within } from "./wait.ts";

export interface OpenSettings {
  /** File for the oracle; with it the application's tables are created too. */
  readonly journal?: string;
  readonly seed?: number;
  readonly pageSize?: number;
  readonly autoVacuum?: "NONE" | "FULL" | "INCREMENTAL";
  readonly journalMode?: "wal" | "delete";
  /** `PRAGMA wal_autocheckpoint`; default 0 = never. SQLite's own default is 1000. */
  readonly autoCheckpoint?: number;
  readonly synchronous?: "OFF" | "NORMAL" | "FULL";
  /** `PRAGMA cache_size` in pages; small ones make big transactions spill into the WAL. */
  readonly cacheSize?: number;
  readonly busyTimeoutMs?: number;
}

export type CheckpointMode = "PASSIVE" | "FULL" | "RESTART" | "TRUNCATE";

export type ApplicationCommand =
  | { readonly do: "open"; readonly path: string; readonly settings: OpenSettings }
  | { readonly do: "execute"; readonly statements: readonly string[] }
  | { readonly do: "query"; readonly sql: string }
  | { readonly do: "transact"; readonly count: number }
  | { readonly do: "roll-back-spill" }
  | { readonly do: "run"; readonly pauseMs: number }
  | {
      readonly do: "checkpoint-forever";
      readonly modes: readonly CheckpointMode[];
      readonly pauseMs: number;
    }
  | { readonly do: "pause" }
  | { readonly do: "close" }
  | { readonly do: "exit" };

export interface ApplicationStatistics {
  committed: number;
  /** How often a statement failed although it had waited for the whole busy timeout. */
  busyErrors: number;
  longestCommitMs: number;
  checkpoints: number;
}

/** What `PRAGMA wal_checkpoint` reports. */
export interface CheckpointResult {
  readonly busy: number;
  readonly log: number;
  readonly checkpointed: number;
}

type Row = Readonly<Record<string, string | number | null>>;

export class Application implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #exited: Promise<void>;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  #nextId = 1;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#exited = new Promise((resolve) => {
      child.once("exit", () => {
        for (const { reject } of this.#waiting.values())
          reject(new Error("The application is gone"));
        resolve();
      });
    });
    child.on("message", (message: { id: number; value?: unknown; error?: string }) => {
      const waiting = this.#waiting.get(message.id);
      this.#waiting.delete(message.id);
      if (message.error === undefined) waiting?.resolve(message.value);
      else waiting?.reject(new Error(message.error));
    });
  }

  /** Starts the process and opens the database there. */
  static async start(path: string, settings: OpenSettings = {}): Promise<Application> {
    const child = fork(join(import.meta.dirname, "application-process.ts"), {
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    const application = new Application(child);
    const ready = Promise.withResolvers<unknown>();
    application.#waiting.set(0, ready);
    await within(20_000, "Starting the application", ready.promise);
    await application.open(path, settings);
    return application;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async open(path: string, settings: OpenSettings = {}): Promise<void> {
    await this.#tell({ do: "open", path, settings });
  }

  async execute(...statements: string[]): Promise<void> {
    await this.#tell({ do: "execute", statements });
  }

  async query(sql: string): Promise<Row[]> {
    return (await this.#tell({ do: "query", sql })) as Row[];
  }

  /** Commits that many transactions and returns the number of the last. */
  async transact(count: number): Promise<number> {
    return (await this.#tell({ do: "transact", count })) as number;
  }

  async rollBackSpill(): Promise<void> {
    await this.#tell({ do: "roll-back-spill" });
  }

  async checkpoint(mode: CheckpointMode): Promise<CheckpointResult> {
    const [row] = await this.query(`PRAGMA wal_checkpoint(${mode})`);
    return row as unknown as CheckpointResult;
  }

  /** Transactions without end, `pauseMs` apart on average. */
  async run(pauseMs: number): Promise<void> {
    await this.#tell({ do: "run", pauseMs });
  }

  async checkpointForever(modes: readonly CheckpointMode[], pauseMs: number): Promise<void> {
    await this.#tell({ do: "checkpoint-forever", modes, pauseMs });
  }

  /** Ends `run` or `checkpointForever`. */
  async pause(): Promise<ApplicationStatistics> {
    return (await this.#tell({ do: "pause" })) as ApplicationStatistics;
  }

  /** Closes the database, keeps the process. */
  async close(): Promise<void> {
    await this.#tell({ do: "close" });
  }

  /** Closes the database and ends. */
  async exit(): Promise<void> {
    await this.#tell({ do: "exit" });
    await within(10_000, "The end of the application", this.#exited);
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#exited;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await this.kill();
  }

  async #tell(command: ApplicationCommand): Promise<unknown> {
    const id = this.#nextId++;
    const answer = Promise.withResolvers<unknown>();
    this.#waiting.set(id, answer);
    this.#child.send({ id, command });
    return await within(60_000, `"${command.do}" of the application`, answer.promise);
  }
}
