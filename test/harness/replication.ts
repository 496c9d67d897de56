/** One database, its replica and the program between them, as every scenario needs it. */
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { Application } from "./application.ts";
import type { OpenSettings } from "./application.ts";
import { run, start, succeed } from "./program.ts";
import type { Outcome, Program, RunningProgram } from "./program.ts";
import { listNames } from "./replica-folder.ts";
import { assertCommittedState, assertRestoreEquals, restore } from "./restored.ts";
import type { Scratch } from "./scratch.ts";
import { until } from "./wait.ts";

/** Where a replica is, as YAML lines and as URL. */
export interface Place {
  readonly url: string;
  /** Keys of the `replica:` map. */
  readonly yaml: Readonly<Record<string, string | boolean>>;
  readonly env: Readonly<Record<string, string>>;
}

export interface ReplicationOptions {
  readonly program: Program;
  readonly scratch: Scratch;
  /** Path of the database; default `app.db` in the scratch folder. */
  readonly database?: string;
  /** Tells it from others in the same scratch folder; default: the database's file name. */
  readonly id?: string;
  /** Default: a `file` replica in the scratch folder. */
  readonly place?: Place;
  /** Keys of the `dbs:` entry, over the short intervals that keep tests quick. */
  readonly settings?: Readonly<Record<string, string | number>>;
  /** Keys at the top of the configuration file. */
  readonly globals?: Readonly<Record<string, string>>;
}

const quickSettings: Readonly<Record<string, string | number>> = {
  "monitor-interval": "20ms",
  "checkpoint-interval": "1s",
  "min-checkpoint-page-count": 50,
};

export class Replication {
  readonly program: Program;
  readonly scratch: Scratch;
  readonly database: string;
  /** Folder of a `file` replica. */
  readonly replicaFolder: string;
  readonly place: Place;
  readonly journal: string;
  readonly config: string;
  readonly #id: string;
  #restores = 0;

  constructor(options: ReplicationOptions) {
    this.program = options.program;
    this.scratch = options.scratch;
    this.database = options.database ?? this.scratch.path("app.db");
    this.#id = options.id ?? basename(this.database);
    this.replicaFolder = this.scratch.path(`replica-of-${this.#id}`);
    this.place = options.place ?? filePlace(this.replicaFolder);
    this.journal = this.scratch.path(`journal-of-${this.#id}.txt`);
    this.config = this.scratch.path(`${this.#id}.yml`);
    mkdirSync(dirname(this.database), { recursive: true });
    writeFileSync(this.config, configuration([this], options));
  }

  /** Where the program keeps its local state. */
  get metaFolder(): string {
    return join(dirname(this.database), `.${basename(this.database)}-litestream`);
  }

  /** Starts the application on this database. */
  async application(settings: OpenSettings = {}): Promise<Application> {
    return await Application.start(this.database, { journal: this.journal, ...settings });
  }

  /** Starts `replicate`. */
  start(extra: readonly string[] = []): RunningProgram {
    return start(this.program, ["replicate", "-config", this.config, ...extra], {
      env: this.place.env,
    });
  }

  /** One pass: everything committed is in the replica afterwards. */
  async once(extra: readonly string[] = []): Promise<Outcome> {
    return await succeed(this.program, ["replicate", "-once", ...extra, "-config", this.config], {
      env: this.place.env,
    });
  }

  /** As `once`, whatever comes of it. */
  async tryOnce(): Promise<Outcome> {
    return await run(this.program, ["replicate", "-once", "-config", this.config], {
      env: this.place.env,
    });
  }

  /** Fails unless a restore is, page by page, what the source holds now. */
  async assertRestoreEqualsSource(flags: readonly string[] = []): Promise<void> {
    await assertRestoreEquals(this.database, { ...this.#request(), flags });
  }

  /** Restores what is in the replica now; fails unless that is a committed state; returns its number. */
  async restoredState(flags: readonly string[] = []): Promise<number> {
    const request = this.#request();
    await restore({ ...request, flags });
    return assertCommittedState(request.output, this.journal);
  }

  /** Restores again and again until transaction `n` has arrived. */
  async untilReplicated(n: number, timeoutMs: number = 15_000): Promise<void> {
    await until(async () => (this.hasFiles() ? (await this.restoredState()) >= n : false), {
      what: `transaction ${n} in the replica`,
      timeoutMs,
      everyMs: 50,
    });
  }

  /** Whether a `file` replica holds anything yet. */
  hasFiles(): boolean {
    return (
      listNames(this.replicaFolder, 0).length > 0 || listNames(this.replicaFolder, 9).length > 0
    );
  }

  #request(): {
    program: Program;
    from: string;
    output: string;
    env: Readonly<Record<string, string>>;
  } {
    this.#restores++;
    const output = this.scratch.path(`restored-${this.#restores}-${this.#id}`);
    return { program: this.program, from: this.place.url, output, env: this.place.env };
  }
}

export function filePlace(folder: string): Place {
  return { url: pathToFileURL(folder).href, yaml: { type: "file", path: folder }, env: {} };
}

/** The configuration file for several databases at once. */
export function configuration(
  entries: readonly { readonly database: string; readonly place: Place }[],
  { settings = {}, globals = {} }: Pick<ReplicationOptions, "settings" | "globals"> = {},
): string {
  const top = Object.entries(globals).map(([key, value]) => `${key}: ${value}\n`);
  const databases = entries.map(({ database, place }) =>
    [
      `  - path: ${JSON.stringify(database)}`,
      ...Object.entries({ ...quickSettings, ...settings }).map(
        ([key, value]) => `    ${key}: ${value}`,
      ),
      "    replica:",
      ...Object.entries({ "sync-interval": "20ms", ...place.yaml }).map(
        ([key, value]) => `      ${key}: ${JSON.stringify(value)}`,
      ),
    ].join("\n"),
  );
  return `${top.join("")}dbs:\n${databases.join("\n")}\n`;
}

/** Whether the database has its WAL beside it. */
export function hasWAL(database: string): boolean {
  return existsSync(`${database}-wal`);
}
