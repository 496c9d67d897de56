/** Every effective setting of a configuration with the place it comes from, for people: secrets are hidden. Pure. */
import type { Config, DatabaseSettings, ReplicaConfig } from "./config.ts";
import { readDatabaseEntry, type DatabaseEntry } from "./database-section.ts";
import { formatDuration } from "./duration.ts";
import type { ParsedConfig } from "./load.ts";
import { HIDDEN, redactHeartbeatURL, redactURL } from "./redact.ts";
import { REPLICA_TABLE, type ReplicaTable } from "./replica-section.ts";
import type { ProblemSink, Section } from "./section.ts";
import type { SettingValue } from "./setting-value.ts";
import {
  DATABASE_SETTINGS,
  LOGGING_SETTINGS,
  REPLICA_SETTINGS,
  RETENTION_SETTINGS,
  SNAPSHOT_SETTINGS,
  SOCKET_SETTINGS,
  TOP_SETTINGS,
  VALIDATION_SETTINGS,
  type Setting,
  type SettingTable,
} from "./settings.ts";
import { readBlocks, readTop, type Blocks, type TopSection } from "./top-section.ts";

export type SettingSource =
  /** A line of the file; `key` is there when it is another key's, such as the URL's or an inherited one. */
  | { readonly kind: "file"; readonly line: number; readonly key?: string }
  | { readonly kind: "environment"; readonly name: string }
  | { readonly kind: "default" };

export interface ShownSetting {
  /** As `dbs[/data/app.db].replica.sync-interval`. */
  readonly key: string;
  readonly value: string;
  readonly source: SettingSource;
}

export interface ExplainOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

/** All settings that have a value: the top of the file, then each entry of `dbs` with its replicas. */
export function explainConfig(
  parsed: ParsedConfig,
  options: ExplainOptions,
): readonly ShownSetting[] {
  const explainer = new Explainer(parsed, options);
  return explainer.explain();
}

class Explainer {
  readonly #parsed: ParsedConfig;
  readonly #options: ExplainOptions;
  readonly #sink: ProblemSink = { typeErrors: [], errors: [], warnings: [] };
  readonly #rows: ShownSetting[] = [];

  constructor(parsed: ParsedConfig, options: ExplainOptions) {
    this.#parsed = parsed;
    this.#options = options;
  }

  explain(): readonly ShownSetting[] {
    const top = readTop(this.#parsed.root, this.#sink);
    const blocks = readBlocks(top, this.#sink);
    this.#addTop(top, blocks, this.#parsed.config);
    const dbs = top.child("dbs");
    const nodes = dbs?.kind === "sequence" ? dbs.items : [];
    const entries = nodes.flatMap(
      (node, index) => readDatabaseEntry(node, index, this.#options.cwd, this.#sink) ?? [],
    );
    this.#addEntries(entries, top, blocks);
    return this.#rows;
  }

  #addTop(top: TopSection, blocks: Blocks, config: Config): void {
    this.#addSection(top, TOP_SETTINGS, "");
    this.#addSection(blocks.socket, SOCKET_SETTINGS, "socket.");
    this.#addSection(blocks.logging.section, LOGGING_SETTINGS, "logging.");
    const level = this.#options.env["LOG_LEVEL"];
    if (level !== undefined && level !== "") {
      const at = this.#rows.findIndex((row) => row.key === "logging.level");
      this.#rows[at] = {
        key: "logging.level",
        value: level,
        source: { kind: "environment", name: "LOG_LEVEL" },
      };
    }
    this.#addSection(blocks.snapshot, SNAPSHOT_SETTINGS, "snapshot.");
    this.#addSection(blocks.validation, VALIDATION_SETTINGS, "validation.");
    this.#addSection(blocks.retention, RETENTION_SETTINGS, "retention.");
    const levels = top.child("levels");
    const items = levels?.kind === "sequence" ? levels.items : [];
    for (const [index, interval] of config.levelIntervalsMs.entries()) {
      const line = items[index]?.line;
      this.#add(
        `levels[${index}].interval`,
        formatDuration(interval),
        line === undefined ? { kind: "default" } : this.#line(line),
      );
    }
  }

  #addEntries(entries: readonly DatabaseEntry[], top: TopSection, blocks: Blocks): void {
    const { databases, directories } = this.#parsed.config;
    // Entries of one path are one database, whose replicas are theirs in order.
    const taken = new Map<DatabaseSettings, number>();
    let directory = 0;
    for (const entry of entries) {
      const isFolder = (entry.section.values.dir ?? "") !== "";
      const settings = isFolder
        ? directories[directory++]
        : databases.find((database) => database.path === entry.path);
      if (settings === undefined) continue;
      const first = taken.get(settings) ?? 0;
      taken.set(settings, first + entry.replicas.length);
      this.#addDatabase(entry, settings, blocks);
      for (const [index, replica] of entry.replicas.entries()) {
        const built = settings.replicas[first + index];
        const key = `${entry.label}.${replica.label}.`;
        if (built !== undefined) this.#addReplica(replica.section, built, top, key);
      }
    }
  }

  #addDatabase(
    entry: DatabaseEntry,
    settings: DatabaseSettings & { readonly metaPath?: string | undefined },
    blocks: Blocks,
  ): void {
    const { section, label } = entry;
    const isFolder = (section.values.dir ?? "") !== "";
    for (const [key, setting] of Object.entries<Setting>(DATABASE_SETTINGS)) {
      const where = `${label}.${key}`;
      const own = (section.values as Readonly<Record<string, SettingValue>>)[key];
      if (key === "path" || key === "dir") {
        if (own === undefined) continue;
        this.#add(where, entry.path ?? "", this.#line(section.lineOf(key)));
      } else if (key === "meta-path" && settings.metaPath !== undefined) {
        const source: SettingSource =
          own === undefined ? { kind: "default" } : this.#line(section.lineOf(key));
        this.#add(where, settings.metaPath, source);
      } else if (own !== undefined || isFolder || (key !== "recursive" && key !== "watch")) {
        this.#addValue(where, setting, own, section.lineOf(key));
      }
    }
    for (const [key, setting] of Object.entries<Setting>(SNAPSHOT_SETTINGS)) {
      const own = (entry.snapshot.values as Readonly<Record<string, SettingValue>>)[key];
      const inherited = (blocks.snapshot.values as Readonly<Record<string, SettingValue>>)[key];
      const where = `${label}.snapshot.${key}`;
      if (own === undefined && inherited !== undefined) {
        this.#add(where, formatSetting(setting, key, inherited), {
          ...this.#line(blocks.snapshot.lineOf(key)),
          key: `snapshot.${key}`,
        });
      } else this.#addValue(where, setting, own, entry.snapshot.lineOf(key));
    }
  }

  #addReplica(
    section: Section<ReplicaTable>,
    replica: ReplicaConfig,
    top: TopSection,
    prefix: string,
  ): void {
    const values = section.values as Readonly<Record<string, SettingValue>>;
    const inherited = top.values as Readonly<Record<string, SettingValue>>;
    const options = replica.options as unknown as Readonly<Record<string, SettingValue>>;
    const hasURL = (section.values.url ?? "") !== "";
    for (const [key, setting] of Object.entries<Setting>(REPLICA_TABLE)) {
      const where = prefix + key;
      const isOwn = values[key] !== undefined && values[key] !== "";
      const own = this.#line(section.lineOf(key));
      const fromURL: SettingSource = { ...this.#line(section.lineOf("url")), key: `${prefix}url` };
      if (key === "name" || key === "type") {
        const value = key === "name" ? replica.name : replica.options.type;
        const written: SettingSource = hasURL && key === "type" ? fromURL : { kind: "default" };
        this.#add(where, value, isOwn && values[key] === value ? own : written);
      } else if (setting.option === undefined) {
        const isGlobal = !isOwn && Object.hasOwn(REPLICA_SETTINGS, key);
        if (isGlobal && inherited[key] !== undefined) {
          const value = formatSetting(setting, key, inherited[key]);
          this.#add(where, value, { ...this.#line(top.lineOf(key)), key });
        } else this.#addValue(where, setting, values[key], section.lineOf(key));
      } else {
        const value = options[setting.option];
        if (setting.types !== undefined && !setting.types.includes(replica.options.type)) continue;
        if (value === undefined || value === "") {
          this.#addCredential(where, key, setting, replica.options.type);
          continue;
        }
        const isInherited =
          !isOwn && inherited[key] !== undefined && String(inherited[key]) === String(value);
        // A lone name in a NATS URL is a token to many servers.
        const isLoneName = key === "username" && options["password"] === undefined;
        this.#add(
          where,
          isLoneName && !isOwn ? HIDDEN : formatSetting(setting, key, value),
          isOwn
            ? own
            : isInherited
              ? { ...this.#line(top.lineOf(key)), key }
              : this.#notInFile(key, value, hasURL ? fromURL : undefined),
        );
      }
    }
  }

  #notInFile(key: string, value: SettingValue, fromURL: SettingSource | undefined): SettingSource {
    const name = "LITESTREAM_S3_ENDPOINT";
    if (key === "endpoint" && this.#options.env[name] === value) {
      return { kind: "environment", name };
    }
    return fromURL ?? { kind: "default" };
  }

  /** Credentials that are not in the file come from the variables of the AWS chain. */
  #addCredential(where: string, key: string, setting: Setting, type: string): void {
    const name = CREDENTIAL_VARIABLES[key];
    if (type !== "s3" || name === undefined) return;
    const value = this.#options.env[name];
    if (value === undefined || value === "") return;
    this.#add(where, formatSetting(setting, key, value), { kind: "environment", name });
  }

  #addSection(section: Section<SettingTable>, table: SettingTable, prefix: string): void {
    const values = section.values as Readonly<Record<string, SettingValue>>;
    for (const [key, setting] of Object.entries(table)) {
      this.#addValue(prefix + key, setting, values[key], section.lineOf(key));
    }
  }

  #addValue(where: string, setting: Setting, value: SettingValue | undefined, line: number): void {
    const key = where.split(".").at(-1) ?? where;
    if (value !== undefined && value !== "") {
      this.#add(where, formatSetting(setting, key, value), this.#line(line));
    } else if (setting.default !== undefined) {
      this.#add(where, setting.default, { kind: "default" });
    }
  }

  #add(key: string, value: string, source: SettingSource): void {
    this.#rows.push({ key, value, source });
  }

  #line(line: number): { readonly kind: "file"; readonly line: number } {
    return { kind: "file", line: this.#parsed.sourceLine(line) };
  }
}

const CREDENTIAL_VARIABLES: Readonly<Record<string, string>> = {
  "access-key-id": "AWS_ACCESS_KEY_ID",
  "secret-access-key": "AWS_SECRET_ACCESS_KEY",
  "session-token": "AWS_SESSION_TOKEN",
};

/** A value as it could be written in the file, or what stands for a secret. */
function formatSetting(setting: Setting, key: string, value: SettingValue): string {
  if (setting.secret === true) return HIDDEN;
  if (key === "heartbeat-url" || key === "heartbeat-failure-url")
    return redactHeartbeatURL(String(value));
  if (key.endsWith("url") && typeof value === "string") return redactURL(value);
  switch (setting.kind) {
    case "duration":
      return typeof value === "number" ? formatDuration(value) : String(value);
    case "mode":
      return `0${Number(value).toString(8)}`;
    case "size":
      return formatSizeSetting(Number(value));
    case "strings":
      return JSON.stringify(value);
    case "pages":
      return Number(value) < 0 ? "off" : String(value);
    case "string":
    case "boolean":
    case "integer":
      return String(value);
  }
}

function formatSizeSetting(bytes: number): string {
  const mebi = 1024 * 1024;
  return bytes > 0 && bytes % mebi === 0 ? `${bytes / mebi}MiB` : String(bytes);
}
