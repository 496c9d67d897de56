/**
 * What each storage place needs to be opened: the fields of a replica in YAML, of a replica URL, or of the library.
 * Names are the YAML keys in camelCase with the unit last; absent means "the place's default".
 *
 * A replica is described in three steps:
 *  1. parseReplicaURL() (replica-url.ts) turns a URL into a ReplicaLocation, a part of these options;
 *  2. whoever merges lays explicit fields over it: `{ ...inherited, ...location.options, ...own }`;
 *  3. openReplicaClient() (open.ts) completes and checks them, and loads the one place that is needed.
 */

export type ReplicaOptions =
  | MemoryReplicaOptions
  | FileReplicaOptions
  | S3ReplicaOptions
  | GSReplicaOptions
  | AzureReplicaOptions
  | OSSReplicaOptions
  | SFTPReplicaOptions
  | WebDAVReplicaOptions
  | NATSReplicaOptions;

/** The values of `type:`; "memory" exists for tests and the library only. */
export type ReplicaType = ReplicaOptions["type"];

/** Every `type:` that a configuration may name, in the order of the documentation. */
export const REPLICA_TYPES: readonly Exclude<ReplicaType, "memory">[] = [
  "file",
  "s3",
  "gs",
  "abs",
  "sftp",
  "webdav",
  "nats",
  "oss",
];

/** The options of one place with everything but the type left open: what a URL alone can say. */
export type PartialReplicaOptions = {
  [T in ReplicaType]: { readonly type: T } & Partial<
    Omit<Extract<ReplicaOptions, { type: T }>, "type">
  >;
}[ReplicaType];

/** What a replica URL says. */
export interface ReplicaLocation {
  readonly options: PartialReplicaOptions;
  /** Query parameters nobody knows: a warning, with `-strict` an error. */
  readonly unknownParameters: readonly string[];
  /** Sentences for the user: what was read in a way that may surprise. */
  readonly warnings: readonly string[];
}

/** Replicas held in the memory of this process; the same `name` is the same replica. */
export interface MemoryReplicaOptions {
  readonly type: "memory";
  readonly name?: string | undefined;
}

export interface FileReplicaOptions {
  readonly type: "file";
  /** Absolute folder of the replica; files lie below `ltx/<level>/`. */
  readonly path: string;
  /** Permission bits of files, default 0600. The engine passes those of the database file. */
  readonly fileMode?: number | undefined;
  /** Permission bits of created folders, default 0700. The engine passes those of the database's folder. */
  readonly folderMode?: number | undefined;
  /** Numeric owner and group of what is created, default: those of the process. Needs the right to give files away. */
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
}

export interface S3ReplicaOptions {
  readonly type: "s3";
  /** Bucket name, host form of a known provider (`B.us-east-1.linodeobjects.com`), or access point ARN. */
  readonly bucket: string;
  /**
   * Key prefix in upstream's spelling: `a/b`, `""` for `s3://bucket/` or no `path:` (keys start `/0000/`), `.` for
   * `s3://bucket` (keys start `./0000/`). Default "".
   */
  readonly path?: string | undefined;
  /** Default: from the endpoint, AWS_REGION, or looked up. */
  readonly region?: string | undefined;
  /** `host[:port][/path]` with or without `http://` or `https://`. Absent: AWS. */
  readonly endpoint?: string | undefined;
  /** Default: true when there is an endpoint. */
  readonly forcePathStyle?: boolean | undefined;
  /** Used only when both are there; otherwise the AWS provider chain is asked. */
  readonly accessKeyID?: string | undefined;
  readonly secretAccessKey?: string | undefined;
  readonly sessionToken?: string | undefined;
  /** Sign the SHA-256 of the body. Default true. */
  readonly signPayload?: boolean | undefined;
  /** Content-MD5 on DeleteObjects. Default true, on Tigris false. */
  readonly requireContentMD5?: boolean | undefined;
  /** Accept any TLS certificate. Default false. */
  readonly skipVerify?: boolean | undefined;
  readonly storageClass?: string | undefined;
  /** Size of the parts of a multipart upload, at least 5 MiB (default). */
  readonly partSizeBytes?: number | undefined;
  /** Parts in flight per upload. Default 5, on R2 2. */
  readonly concurrency?: number | undefined;
  /** SSE-C: only AES256 (default). */
  readonly sseCustomerAlgorithm?: string | undefined;
  /** SSE-C: base64 of 32 bytes. */
  readonly sseCustomerKey?: string | undefined;
  /** SSE-C: base64 of the key's MD5. Default: computed. */
  readonly sseCustomerKeyMD5?: string | undefined;
  /** SSE-C: file that holds the base64 key; wins over `sseCustomerKey`. A leading `~` is the home folder. */
  readonly sseCustomerKeyPath?: string | undefined;
  readonly sseKMSKeyID?: string | undefined;
}

/** Google Cloud Storage. Credentials come from the application default chain only. */
export interface GSReplicaOptions {
  readonly type: "gs";
  readonly bucket: string;
  readonly path?: string | undefined;
}

/** Azure Blob Storage. */
export interface AzureReplicaOptions {
  readonly type: "abs";
  /** The container. */
  readonly bucket: string;
  readonly path?: string | undefined;
  readonly accountName?: string | undefined;
  readonly accountKey?: string | undefined;
  readonly sasToken?: string | undefined;
  readonly endpoint?: string | undefined;
}

/** Alibaba Cloud OSS. */
export interface OSSReplicaOptions {
  readonly type: "oss";
  readonly bucket: string;
  readonly path?: string | undefined;
  readonly region?: string | undefined;
  readonly endpoint?: string | undefined;
  readonly accessKeyID?: string | undefined;
  readonly secretAccessKey?: string | undefined;
  readonly sessionToken?: string | undefined;
  readonly partSizeBytes?: number | undefined;
  readonly concurrency?: number | undefined;
}

export interface SFTPReplicaOptions {
  readonly type: "sftp";
  /** `host[:port]`, port 22 by default. */
  readonly host: string;
  readonly user: string;
  readonly path?: string | undefined;
  readonly password?: string | undefined;
  readonly keyPath?: string | undefined;
  /** One authorized_keys line. Without it any host key is accepted, with a warning. */
  readonly hostKey?: string | undefined;
  readonly concurrentWrites?: boolean | undefined;
}

export interface WebDAVReplicaOptions {
  readonly type: "webdav";
  /** `http://host[/base]` or `https://…` */
  readonly webdavURL: string;
  readonly path?: string | undefined;
  readonly webdavUsername?: string | undefined;
  readonly webdavPassword?: string | undefined;
}

export interface NATSReplicaOptions {
  readonly type: "nats";
  /** The object-store bucket. */
  readonly bucket: string;
  /** `nats://host[:port]`. Default `nats://127.0.0.1:4222`. */
  readonly url?: string | undefined;
  readonly jwt?: string | undefined;
  readonly seed?: string | undefined;
  readonly creds?: string | undefined;
  readonly nkey?: string | undefined;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  readonly token?: string | undefined;
  readonly tls?: boolean | undefined;
  readonly rootCAs?: readonly string[] | undefined;
  readonly clientCert?: string | undefined;
  readonly clientKey?: string | undefined;
  readonly maxReconnects?: number | undefined;
  readonly reconnectWaitMs?: number | undefined;
  readonly timeoutMs?: number | undefined;
}
