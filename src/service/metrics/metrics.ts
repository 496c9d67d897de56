/**
 * Metrics for Prometheus. What is counted lies in plain numbers until somebody asks: then the state of every database is read once and
 * written out, so that an idle database costs nothing and a removed one leaves no series behind. Loaded only when metrics are served.
 */
import { statSync } from "node:fs";
import { basename } from "node:path";
import { setImmediate } from "node:timers/promises";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { EngineEvent } from "../../engine/events.ts";
import type { StorageOperation } from "../../storage/decorators/observe.ts";
import type { DatabaseObservation, ReplicaObservation } from "../observation.ts";
import { asLabel } from "./error-code.ts";
import { EventTotals, replicaTotals } from "./event-totals.ts";
import type { DatabaseTotals } from "./event-totals.ts";
import { METRICS } from "./metric-table.ts";
import type { MetricDefinition, MetricName } from "./metric-table.ts";
import { readProcessFacts } from "./process-facts.ts";

type Labels = Readonly<Record<string, string>>;

/** Databases written out before others get their turn. */
const SLICE = 50;
/** Present from the start, as with the Go client. */
const STATUS_CODES = ["200", "500", "503"];
const LEVEL0_STATUSES = ["eligible", "not_compacted", "too_recent"] as const;

export interface MetricsOptions {
  /** The databases as they are at this moment. */
  readonly observe: () => readonly DatabaseObservation[];
  /** Epoch ms. */
  readonly now?: () => number;
}

export class Metrics {
  readonly #options: MetricsOptions;
  readonly #registry = new Registry();
  readonly #totals = new EventTotals();
  readonly #gauges = new Map<string, Gauge>();
  readonly #counters = new Map<string, Counter>();
  readonly #histograms = new Map<string, Histogram>();
  /** Replicas that the histogram of uploads has series of. */
  readonly #timed = new Map<string, Set<string>>();
  #writing: Promise<string> | undefined;

  constructor(options: MetricsOptions) {
    this.#options = options;
    for (const [name, definition] of Object.entries<MetricDefinition>(METRICS)) {
      const { help, buckets = [] } = definition;
      const common = {
        name,
        help: `${help}.`,
        labelNames: [...definition.labels],
        registers: [this.#registry],
      };
      if (definition.type === "gauge") this.#gauges.set(name, new Gauge(common));
      else if (definition.type === "counter") this.#counters.set(name, new Counter(common));
      else this.#histograms.set(name, new Histogram({ ...common, buckets: [...buckets] }));
    }
    for (const code of STATUS_CODES) this.answered(code, 0);
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  /** Reads one event. */
  read(event: EngineEvent): void {
    this.#totals.read(event);
    if (event.type !== "ltx-uploaded") return;
    const { database: db, replica, durationMs } = event;
    const replicas = this.#timed.get(db) ?? new Set();
    this.#timed.set(db, replicas.add(replica));
    this.#histogram("litestream_replica_upload_seconds").observe(
      { db, replica },
      durationMs / 1_000,
    );
  }

  /** Reads one finished operation on a replica. */
  operated({ replicaType, operation, bytes, durationMs, errorCode }: StorageOperation): void {
    const labels = { replica_type: replicaType, operation };
    this.#add("litestream_replica_operation_total", labels, 1);
    if (bytes > 0) this.#add("litestream_replica_operation_bytes", labels, bytes);
    this.#histogram("litestream_replica_operation_duration_seconds").observe(
      labels,
      durationMs / 1_000,
    );
    if (errorCode === undefined || errorCode === "aborted") return;
    const code = asLabel(errorCode);
    this.#add("litestream_replica_operation_errors_total", { ...labels, code }, 1);
  }

  /** Counts answers to requests for metrics. */
  answered(code: string, requests: number = 1): void {
    this.#add("promhttp_metric_handler_requests_total", { code }, requests);
  }

  /** All metrics in Prometheus' text format. Whoever asks while an answer is being made gets that one. */
  async text(requestsInFlight: number): Promise<string> {
    this.#set("promhttp_metric_handler_requests_in_flight", {}, requestsInFlight);
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
    });
    return await this.#writing;
  }

  async #write(): Promise<string> {
    const databases = this.#options.observe();
    this.#forgetAllBut(new Set(databases.map(({ path }) => path)));
    this.#reset();
    for (const [name, value] of readProcessFacts()) {
      if (METRICS[name].type === "gauge") this.#set(name, {}, value);
      else this.#add(name, {}, value);
    }
    const level0 = new Map<string, number>();
    for (const [index, database] of databases.entries()) {
      if (index > 0 && index % SLICE === 0) await setImmediate();
      this.#writeDatabase(database, level0);
    }
    for (const [key, value] of level0) {
      const [status = "", db = ""] = key.split("\n", 2);
      this.#set("litestream_l0_retention_files_total", { db, status }, value);
    }
    return await this.#registry.metrics();
  }

  #writeDatabase(database: DatabaseObservation, level0: Map<string, number>): void {
    const { path: db, replicas } = database;
    const totals = this.#totals.of(db);
    this.#set("litestream_db_size", { db }, sizeOf(db));
    this.#set("litestream_wal_size", { db }, database.walOffset);
    this.#set("litestream_txid", { db }, Number(database.txid));
    this.#set("litestream_disk_full", { db }, totals.isDiskFull ? 1 : 0);
    this.#add("litestream_total_wal_bytes", { db }, totals.walBytes);
    this.#add("litestream_sync_count", { db }, database.ticks.count);
    this.#add("litestream_sync_error_count", { db }, database.ticks.errorCount);
    this.#add("litestream_sync_seconds", { db }, database.ticks.durationMs / 1_000);
    this.#add("litestream_compaction_verify_error_count", { db }, totals.verifyErrors);
    for (const [mode, { count, errors, ms }] of totals.checkpoints) {
      this.#add("litestream_checkpoint_count", { db, mode }, count);
      this.#add("litestream_checkpoint_error_count", { db, mode }, errors);
      this.#add("litestream_checkpoint_seconds", { db, mode }, ms / 1_000);
    }
    for (const replica of replicas) {
      this.#writeReplica(db, replica, totals);
      const counts = [
        replica.level0.eligible,
        replica.level0.notCompacted,
        replica.level0.tooRecent,
      ];
      for (const [index, status] of LEVEL0_STATUSES.entries()) {
        // Upstream's label is the base name: databases that share it share the series.
        const key = `${status}\n${basename(db).replaceAll("\n", " ")}`;
        level0.set(key, (level0.get(key) ?? 0) + (counts[index] ?? 0));
      }
    }
  }

  #writeReplica(db: string, replica: ReplicaObservation, totals: DatabaseTotals): void {
    const labels = { db, replica: replica.name };
    const now = this.#now();
    const { uploadErrors, upkeepErrors } = replicaTotals(totals, replica.name);
    const age = (atMs: number): number => Math.max(0, now - atMs) / 1_000;
    const isHealthy = replica.state !== "failing" && replica.state !== "conflict";
    this.#set("litestream_replica_txid", labels, Number(replica.txid));
    this.#set("litestream_replica_lag_seconds", labels, replica.lagMs / 1_000);
    this.#set("litestream_replica_pending_files", labels, replica.pendingFiles);
    this.#set("litestream_replica_healthy", labels, isHealthy ? 1 : 0);
    if (replica.uploadedAtMs !== undefined)
      this.#set("litestream_replica_seconds_since_last_upload", labels, age(replica.uploadedAtMs));
    if (replica.snapshotAtMs !== undefined)
      this.#set("litestream_replica_snapshot_age_seconds", labels, age(replica.snapshotAtMs));
    for (const [code, errors] of uploadErrors)
      this.#add("litestream_replica_upload_errors_total", { ...labels, code }, errors);
    for (const [task, errors] of upkeepErrors)
      this.#add("litestream_replica_upkeep_errors_total", { ...labels, task }, errors);
  }

  /** Empties whatever is written from scratch each time. */
  #reset(): void {
    for (const [name, metric] of [...this.#gauges, ...this.#counters])
      if (!IS_LIVE.has(name)) metric.reset();
  }

  #forgetAllBut(paths: ReadonlySet<string>): void {
    for (const path of this.#totals.paths) if (!paths.has(path)) this.#totals.forget(path);
    for (const [db, replicas] of this.#timed) {
      if (paths.has(db)) continue;
      for (const replica of replicas)
        this.#histogram("litestream_replica_upload_seconds").remove({ db, replica });
      this.#timed.delete(db);
    }
  }

  #set(name: MetricName, labels: Labels, value: number): void {
    this.#gauges.get(name)?.set(labels, value);
  }

  #add(name: MetricName, labels: Labels, value: number): void {
    this.#counters.get(name)?.inc(labels, value);
  }

  #histogram(name: MetricName): Histogram {
    const histogram = this.#histograms.get(name);
    if (histogram === undefined) throw new RangeError(`No such histogram: ${name}`);
    return histogram;
  }

  #now(): number {
    return this.#options.now?.() ?? Date.now();
  }
}

/** Counted as it happens, and never emptied. */
const IS_LIVE: ReadonlySet<string> = new Set<MetricName>([
  "litestream_replica_operation_total",
  "litestream_replica_operation_bytes",
  "litestream_replica_operation_errors_total",
  "promhttp_metric_handler_requests_total",
  "promhttp_metric_handler_requests_in_flight",
]);

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
