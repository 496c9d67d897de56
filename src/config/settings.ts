/**
 * Every setting of the configuration file, once: its kind, default and meaning, and where it may stand.
 * The reader (section.ts) and the checks (checks.ts) work from these tables.
 */

/** What a value may be written as, and what it becomes. */
export interface KindValues {
  string: string;
  boolean: boolean;
  integer: number;
  /** Go duration, `d` and `w` too: milliseconds. */
  duration: number;
  /** Number with an optional unit (`5MiB`): bytes. */
  size: number;
  /** File permissions in octal, with or without a leading 0. */
  mode: number;
  strings: readonly string[];
  /** Number of pages, or `off`, which is -1. */
  pages: number;
}

export interface Setting {
  readonly kind: keyof KindValues;
  readonly meaning: string;
  /** As it would be written. Absent: off, empty, or decided by the place. */
  readonly default?: string;
  /** Checked when the file is read. */
  readonly rule?: "positive" | "not-negative";
  /** The type upstream names in its message when the value is of another one. */
  readonly goType?: string;
  /** The field of ReplicaOptions it fills, and the kinds of replica that have it. */
  readonly option?: string;
  readonly types?: readonly string[];
  /** Never shown, logged or printed. */
  readonly secret?: true;
}

export type SettingTable = Readonly<Record<string, Setting>>;

/** The values of one section that were set. */
export type Values<T extends SettingTable> = {
  readonly [K in keyof T]?: KindValues[T[K]["kind"]];
};

export const DEFAULT_CONFIG_PATH = "/etc/litestream.yml";

/** Settings that stand at the top of the file only. */
export const TOP_SETTINGS = {
  addr: { kind: "string", meaning: "Bind address of the metrics server, such as :9090" },
  "mcp-addr": {
    kind: "string",
    meaning: "Bind address of the MCP server; without a host only this machine reaches it",
  },
  "mcp-token": {
    secret: true,
    kind: "string",
    meaning: "What MCP clients must send as bearer token",
  },
  exec: { kind: "string", meaning: "Command to run as a child; replication ends with it" },
  "exec-exit-code": {
    kind: "boolean",
    default: "false",
    meaning: "Exit with the child's own code instead of 1",
  },
  "exec-kill-timeout": {
    kind: "duration",
    default: "30s",
    rule: "not-negative",
    meaning: "How long the child may take to end after a signal before it is killed",
  },
  "l0-retention": {
    kind: "duration",
    default: "5m",
    rule: "not-negative",
    meaning: "How long level-0 files are kept after their compaction; 0 keeps them",
  },
  "l0-retention-check-interval": {
    kind: "duration",
    default: "15s",
    rule: "positive",
    meaning: "How often level-0 retention runs",
  },
  "audit-interval": {
    kind: "duration",
    default: "1h",
    rule: "not-negative",
    meaning: "How often a replica is listed although nothing was written; 0 never does",
  },
  "backlog-limit": {
    kind: "size",
    meaning:
      "How much may wait on the local disk for a replica that does not answer: by default the size of the database, at least 1GiB; 0 is any amount. Beyond it the oldest files go, and the replica gets a full image when it is back",
  },
  "verify-compaction": {
    kind: "boolean",
    default: "false",
    meaning: "Verify levels after each compaction",
  },
  "heartbeat-url": { kind: "string", meaning: "URL to GET while replication is healthy" },
  "heartbeat-failure-url": {
    kind: "string",
    meaning: "URL to GET instead while replication is not healthy",
  },
  "heartbeat-interval": {
    kind: "duration",
    default: "5m",
    meaning: "How often the heartbeat URL is called",
  },
  "shutdown-sync-timeout": {
    kind: "duration",
    default: "30s",
    rule: "not-negative",
    meaning: "Time for the last upload of all databases; 0 is one attempt",
  },
  "shutdown-sync-interval": {
    kind: "duration",
    default: "500ms",
    rule: "positive",
    meaning: "Pause between attempts of the last upload",
  },
  "bind-failure": {
    kind: "string",
    default: "error",
    meaning: "error or warn: whether a server that cannot bind stops the start",
  },
} as const;

export const SOCKET_SETTINGS = {
  enabled: { kind: "boolean", default: "false", meaning: "Serve the control socket" },
  path: {
    kind: "string",
    default: "/var/run/litestream.sock",
    meaning: "Path of the control socket",
  },
  permissions: {
    kind: "mode",
    default: "0600",
    goType: "uint32",
    meaning: "Permissions of the control socket",
  },
} as const;

export const LOGGING_SETTINGS = {
  level: { kind: "string", default: "info", meaning: "trace, debug, info, warn or error" },
  type: { kind: "string", default: "text", meaning: "text, json or pretty" },
  stderr: { kind: "boolean", default: "false", meaning: "Log to stderr instead of stdout" },
  source: { kind: "boolean", default: "false", meaning: "Add source file and line" },
} as const;

export const SNAPSHOT_SETTINGS = {
  interval: {
    kind: "duration",
    default: "24h",
    rule: "positive",
    meaning: "How often a snapshot is taken",
  },
  retention: {
    kind: "duration",
    default: "24h",
    rule: "positive",
    meaning: "How long snapshots are kept",
  },
} as const;

export const VALIDATION_SETTINGS = {
  interval: { kind: "duration", meaning: "How often the levels of each replica are validated" },
} as const;

export const RETENTION_SETTINGS = {
  enabled: {
    kind: "boolean",
    default: "true",
    goType: "bool",
    meaning: "Whether remote files are ever deleted",
  },
} as const;

export const LEVEL_SETTINGS = {
  interval: {
    kind: "duration",
    meaning: "How often the level below is compacted into this one",
  },
} as const;

export const AGE_SETTINGS = {
  identities: {
    kind: "strings",
    secret: true,
    meaning: "Keys that read age-encrypted v0.3 backups",
  },
  recipients: { kind: "strings", meaning: "Keys to encrypt for" },
} as const;

/** Settings of one entry of `dbs`. */
export const DATABASE_SETTINGS = {
  path: { kind: "string", meaning: "Database file" },
  dir: { kind: "string", meaning: "Folder of databases" },
  pattern: { kind: "string", meaning: "Names of the databases in dir" },
  recursive: { kind: "boolean", default: "false", meaning: "Look in the subfolders of dir" },
  watch: { kind: "boolean", default: "false", meaning: "Follow databases that appear in dir" },
  "meta-path": { kind: "string", meaning: "Folder of the local state" },
  "meta-dir": { kind: "string", meaning: "Folder of the local states of a dir" },
  "monitor-interval": {
    kind: "duration",
    default: "1s",
    rule: "positive",
    meaning: "How often changes are captured at most",
  },
  "checkpoint-interval": {
    kind: "duration",
    default: "1m",
    rule: "not-negative",
    meaning: "How often a checkpoint runs at least; 0 turns timed checkpoints off",
  },
  "busy-timeout": {
    kind: "duration",
    default: "1s",
    rule: "not-negative",
    meaning: "How long a locked database is retried",
  },
  "min-checkpoint-page-count": {
    kind: "integer",
    default: "1000",
    rule: "positive",
    meaning: "WAL pages that cause a checkpoint",
  },
  "max-checkpoint-page-count": {
    kind: "integer",
    meaning: "Setting of version 0.3, without effect since 0.5",
  },
  "truncate-page-n": {
    kind: "pages",
    default: "121359",
    goType: "int",
    meaning: "WAL pages that cause an emergency checkpoint; -1 or off turns it off",
  },
  "max-sync-wal-bytes": {
    kind: "size",
    default: "64MiB",
    goType: "int64",
    meaning: "WAL bytes one file holds at most; 0 is no limit",
  },
  "restore-if-db-not-exists": {
    kind: "boolean",
    default: "false",
    meaning: "Restore the database at start when its file is missing",
  },
  "heartbeat-url": { kind: "string", meaning: "URL to GET while this database is healthy" },
  "heartbeat-failure-url": {
    kind: "string",
    meaning: "URL to GET instead while this database is not healthy",
  },
} as const;

/** Settings of a replica that name it, and are therefore never inherited. */
export const REPLICA_IDENTITY_SETTINGS = {
  type: {
    kind: "string",
    default: "file",
    meaning: "file, s3, gs, abs, sftp, webdav, nats or oss",
  },
  url: { kind: "string", meaning: "Replica URL" },
  path: { kind: "string", option: "path", meaning: "Folder or key prefix" },
  name: { kind: "string", meaning: "Name of the replica; its type by default" },
  retention: {
    kind: "duration",
    rule: "positive",
    meaning: "How long snapshots of this replica are kept",
  },
  "retention-check-interval": {
    kind: "duration",
    rule: "positive",
    meaning: "How often the retention of this replica runs",
  },
  "snapshot-interval": {
    kind: "duration",
    rule: "positive",
    meaning: "How often a snapshot is taken for this replica",
  },
} as const;

/** Settings of a replica that may also stand at the top of the file, as the default of all replicas. */
export const REPLICA_SETTINGS = {
  "sync-interval": {
    kind: "duration",
    default: "1s",
    rule: "positive",
    meaning: "How often uploads are made at most",
  },
  "validation-interval": { kind: "duration", meaning: "How often this replica is validated" },
  "max-sync-ltx-files": {
    kind: "integer",
    default: "256",
    rule: "not-negative",
    meaning: "Files one upload pass sends at most; 0 is no limit",
  },
  "auto-recover": {
    kind: "boolean",
    default: "false",
    meaning: "Reset the local state when it is damaged",
  },
  "access-key-id": {
    kind: "string",
    option: "accessKeyID",
    types: ["s3", "oss"],
    meaning: "Access key",
  },
  "secret-access-key": {
    secret: true,
    kind: "string",
    option: "secretAccessKey",
    types: ["s3", "oss"],
    meaning: "Secret of the access key",
  },
  "session-token": {
    secret: true,
    kind: "string",
    option: "sessionToken",
    types: ["s3", "oss"],
    meaning: "Token of temporary credentials",
  },
  region: {
    kind: "string",
    option: "region",
    types: ["s3", "oss"],
    meaning: "Region of the bucket",
  },
  bucket: {
    kind: "string",
    option: "bucket",
    types: ["s3", "gs", "abs", "oss", "nats"],
    meaning: "Bucket or container",
  },
  endpoint: {
    kind: "string",
    option: "endpoint",
    types: ["s3", "abs", "oss"],
    meaning: "Host of the service",
  },
  "force-path-style": {
    kind: "boolean",
    option: "forcePathStyle",
    types: ["s3"],
    meaning: "Name the bucket in the path, not in the host",
  },
  "sign-payload": {
    kind: "boolean",
    option: "signPayload",
    types: ["s3"],
    meaning: "Sign the SHA-256 of each body",
  },
  "require-content-md5": {
    kind: "boolean",
    option: "requireContentMD5",
    types: ["s3"],
    meaning: "Send Content-MD5 with bulk deletes",
  },
  "skip-verify": {
    kind: "boolean",
    option: "skipVerify",
    types: ["s3"],
    meaning: "Accept any TLS certificate",
  },
  "storage-class": {
    kind: "string",
    option: "storageClass",
    types: ["s3"],
    meaning: "Storage class of new objects",
  },
  "part-size": {
    kind: "size",
    option: "partSizeBytes",
    types: ["s3", "oss"],
    meaning: "Size of the parts of large uploads, at least 5MiB",
  },
  concurrency: {
    kind: "integer",
    rule: "positive",
    option: "concurrency",
    types: ["s3", "oss"],
    meaning: "Parts in flight per upload",
  },
  "sse-customer-algorithm": {
    kind: "string",
    option: "sseCustomerAlgorithm",
    types: ["s3"],
    meaning: "AES256",
  },
  "sse-customer-key": {
    secret: true,
    kind: "string",
    option: "sseCustomerKey",
    types: ["s3"],
    meaning: "Base64 of the 32 bytes of the key",
  },
  "sse-customer-key-path": {
    kind: "string",
    option: "sseCustomerKeyPath",
    types: ["s3"],
    meaning: "File that holds the key",
  },
  "sse-kms-key-id": { kind: "string", option: "sseKMSKeyID", types: ["s3"], meaning: "KMS key" },
  "account-name": {
    kind: "string",
    option: "accountName",
    types: ["abs"],
    meaning: "Storage account",
  },
  "account-key": {
    secret: true,
    kind: "string",
    option: "accountKey",
    types: ["abs"],
    meaning: "Key of the storage account",
  },
  "sas-token": {
    secret: true,
    kind: "string",
    option: "sasToken",
    types: ["abs"],
    meaning: "Shared access signature",
  },
  host: { kind: "string", option: "host", types: ["sftp"], meaning: "Host and port" },
  user: { kind: "string", option: "user", types: ["sftp"], meaning: "User name" },
  password: {
    secret: true,
    kind: "string",
    option: "password",
    types: ["sftp", "nats"],
    meaning: "Password",
  },
  "key-path": { kind: "string", option: "keyPath", types: ["sftp"], meaning: "Private key file" },
  "key-passphrase": {
    secret: true,
    kind: "string",
    option: "keyPassphrase",
    types: ["sftp"],
    meaning: "Passphrase of the private key",
  },
  "host-key": {
    kind: "string",
    option: "hostKey",
    types: ["sftp"],
    meaning: "Public key of the host, an authorized_keys line",
  },
  "host-key-check": {
    kind: "string",
    option: "hostKeyCheck",
    types: ["sftp"],
    meaning: "strict, first-use or off",
  },
  "concurrent-writes": {
    kind: "boolean",
    option: "concurrentWrites",
    types: ["sftp"],
    meaning: "Several writes in flight",
  },
  "webdav-url": {
    kind: "string",
    option: "webdavURL",
    types: ["webdav"],
    meaning: "Address of the server",
  },
  "webdav-username": {
    kind: "string",
    option: "webdavUsername",
    types: ["webdav"],
    meaning: "User name",
  },
  "webdav-password": {
    secret: true,
    kind: "string",
    option: "webdavPassword",
    types: ["webdav"],
    meaning: "Password",
  },
  jwt: { secret: true, kind: "string", option: "jwt", types: ["nats"], meaning: "User JWT" },
  seed: {
    secret: true,
    kind: "string",
    option: "seed",
    types: ["nats"],
    meaning: "Seed that belongs to the JWT",
  },
  creds: { kind: "string", option: "creds", types: ["nats"], meaning: "Credentials file" },
  nkey: {
    secret: true,
    kind: "string",
    option: "nkey",
    types: ["nats"],
    meaning: "NKey seed, or a file with one",
  },
  username: { kind: "string", option: "username", types: ["nats"], meaning: "User name" },
  token: { secret: true, kind: "string", option: "token", types: ["nats"], meaning: "Token" },
  tls: { kind: "boolean", option: "tls", types: ["nats"], meaning: "Use TLS" },
  "root-cas": {
    kind: "strings",
    option: "rootCAs",
    types: ["nats"],
    meaning: "Files with certificates to trust",
  },
  "client-cert": {
    kind: "string",
    option: "clientCert",
    types: ["nats"],
    meaning: "Client certificate file",
  },
  "client-key": {
    kind: "string",
    option: "clientKey",
    types: ["nats"],
    meaning: "Client key file",
  },
  "max-reconnects": {
    kind: "integer",
    option: "maxReconnects",
    types: ["nats"],
    meaning: "Reconnections to try; -1 is no limit",
  },
  "reconnect-wait": {
    kind: "duration",
    option: "reconnectWaitMs",
    types: ["nats"],
    meaning: "Pause between reconnections",
  },
  timeout: {
    kind: "duration",
    option: "timeoutMs",
    types: ["nats"],
    meaning: "Time for an answer",
  },
} as const;

/** A key of REPLICA_SETTINGS. */
export type ReplicaKey = keyof typeof REPLICA_SETTINGS;
