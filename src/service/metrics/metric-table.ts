/**
 * Every metric of the program, once. The names, types and labels down to the first of ours are those of Litestream 0.5, oddities included:
 * dashboards and alerts rely on them.
 */

export interface MetricDefinition {
  readonly type: "gauge" | "counter" | "histogram";
  readonly labels: readonly string[];
  readonly help: string;
  /** Upper bounds of a histogram. */
  readonly buckets?: readonly number[];
}

export type MetricName =
  | "litestream_db_size"
  | "litestream_wal_size"
  | "litestream_total_wal_bytes"
  | "litestream_txid"
  | "litestream_sync_count"
  | "litestream_sync_error_count"
  | "litestream_sync_seconds"
  | "litestream_disk_full"
  | "litestream_checkpoint_count"
  | "litestream_checkpoint_error_count"
  | "litestream_checkpoint_seconds"
  | "litestream_compaction_verify_error_count"
  | "litestream_l0_retention_files_total"
  | "litestream_replica_operation_total"
  | "litestream_replica_operation_bytes"
  | "litestream_replica_operation_duration_seconds"
  | "litestream_replica_operation_errors_total"
  | "litestream_replica_txid"
  | "litestream_replica_lag_seconds"
  | "litestream_replica_seconds_since_last_upload"
  | "litestream_replica_pending_files"
  | "litestream_replica_healthy"
  | "litestream_replica_snapshot_age_seconds"
  | "litestream_replica_upload_seconds"
  | "litestream_replica_upload_errors_total"
  | "litestream_replica_upkeep_errors_total"
  | "promhttp_metric_handler_requests_total"
  | "promhttp_metric_handler_requests_in_flight"
  | "process_cpu_seconds_total"
  | "process_resident_memory_bytes"
  | "process_virtual_memory_bytes"
  | "process_virtual_memory_max_bytes"
  | "process_open_fds"
  | "process_max_fds"
  | "process_start_time_seconds"
  | "nodejs_heap_size_used_bytes"
  | "nodejs_external_memory_bytes";

const OPERATION_BUCKETS = [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60];

export const METRICS: Readonly<Record<MetricName, MetricDefinition>> = {
  litestream_db_size: { type: "gauge", labels: ["db"], help: "Size of the database file in bytes" },
  litestream_wal_size: {
    type: "gauge",
    labels: ["db"],
    help: "End of what is copied of the WAL in bytes",
  },
  litestream_total_wal_bytes: {
    type: "counter",
    labels: ["db"],
    help: "Bytes of the WAL written to LTX files",
  },
  litestream_txid: { type: "gauge", labels: ["db"], help: "Newest local transaction ID" },
  litestream_sync_count: {
    type: "counter",
    labels: ["db"],
    help: "Looks at the database, also those that found nothing new",
  },
  litestream_sync_error_count: {
    type: "counter",
    labels: ["db"],
    help: "Looks at the database that failed",
  },
  litestream_sync_seconds: {
    type: "counter",
    labels: ["db"],
    help: "Time spent in looks at the database, in seconds",
  },
  litestream_disk_full: {
    type: "gauge",
    labels: ["db"],
    help: "1 while the last sync failed because the disk is full",
  },
  litestream_checkpoint_count: {
    type: "counter",
    labels: ["db", "mode"],
    help: "Checkpoints done",
  },
  litestream_checkpoint_error_count: {
    type: "counter",
    labels: ["db", "mode"],
    help: "Checkpoints that failed",
  },
  litestream_checkpoint_seconds: {
    type: "counter",
    labels: ["db", "mode"],
    help: "Time spent in checkpoints, in seconds",
  },
  litestream_compaction_verify_error_count: {
    type: "counter",
    labels: ["db"],
    help: "Checks of a level that found files which do not follow each other",
  },
  litestream_l0_retention_files_total: {
    type: "gauge",
    labels: ["db", "status"],
    help: "Level-0 files in the replicas by what retention makes of them; db is the base name",
  },
  litestream_replica_operation_total: {
    type: "counter",
    labels: ["replica_type", "operation"],
    help: "Operations on replicas",
  },
  litestream_replica_operation_bytes: {
    type: "counter",
    labels: ["replica_type", "operation"],
    help: "Bytes sent to and received from replicas",
  },
  litestream_replica_operation_duration_seconds: {
    type: "histogram",
    labels: ["replica_type", "operation"],
    help: "Duration of operations on replicas, repeated attempts included, in seconds",
    buckets: OPERATION_BUCKETS,
  },
  litestream_replica_operation_errors_total: {
    type: "counter",
    labels: ["replica_type", "operation", "code"],
    help: "Operations on replicas that failed, by the store's error code",
  },
  litestream_replica_txid: {
    type: "gauge",
    labels: ["db", "replica"],
    help: "Everything up to this transaction ID is in the replica",
  },
  litestream_replica_lag_seconds: {
    type: "gauge",
    labels: ["db", "replica"],
    help: "Age of the oldest change that the replica lacks; 0 while it has everything",
  },
  litestream_replica_seconds_since_last_upload: {
    type: "gauge",
    labels: ["db", "replica"],
    help: "Seconds since the last successful upload; absent before the first",
  },
  litestream_replica_pending_files: {
    type: "gauge",
    labels: ["db", "replica"],
    help: "Local files that wait for their upload",
  },
  litestream_replica_healthy: {
    type: "gauge",
    labels: ["db", "replica"],
    help: "1 while uploads succeed, 0 while they fail or were stopped by a second writer",
  },
  litestream_replica_snapshot_age_seconds: {
    type: "gauge",
    labels: ["db", "replica"],
    help: "Age of the newest snapshot; absent while there is none",
  },
  litestream_replica_upload_seconds: {
    type: "histogram",
    labels: ["db", "replica"],
    help: "Duration of the upload of one LTX file in seconds",
    buckets: OPERATION_BUCKETS,
  },
  litestream_replica_upload_errors_total: {
    type: "counter",
    labels: ["db", "replica", "code"],
    help: "Upload rounds that failed, by error code",
  },
  litestream_replica_upkeep_errors_total: {
    type: "counter",
    labels: ["db", "replica", "task"],
    help: "Compactions, snapshots, retention runs and audits that failed",
  },
  promhttp_metric_handler_requests_total: {
    type: "counter",
    labels: ["code"],
    help: "Requests for metrics by HTTP status",
  },
  promhttp_metric_handler_requests_in_flight: {
    type: "gauge",
    labels: [],
    help: "Requests for metrics being answered",
  },
  process_cpu_seconds_total: {
    type: "counter",
    labels: [],
    help: "User and system CPU time of the process in seconds",
  },
  process_resident_memory_bytes: { type: "gauge", labels: [], help: "Resident memory in bytes" },
  process_virtual_memory_bytes: { type: "gauge", labels: [], help: "Virtual memory in bytes" },
  process_virtual_memory_max_bytes: {
    type: "gauge",
    labels: [],
    help: "Virtual memory the process may use in bytes; -1 is any",
  },
  process_open_fds: { type: "gauge", labels: [], help: "Open file descriptors" },
  process_max_fds: { type: "gauge", labels: [], help: "File descriptors the process may open" },
  process_start_time_seconds: {
    type: "gauge",
    labels: [],
    help: "Start of the process since the epoch in seconds",
  },
  nodejs_heap_size_used_bytes: {
    type: "gauge",
    labels: [],
    help: "Memory of the JavaScript heap in use",
  },
  nodejs_external_memory_bytes: {
    type: "gauge",
    labels: [],
    help: "Memory outside of the JavaScript heap",
  },
};
