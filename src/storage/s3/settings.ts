/** The options of an S3 replica completed and checked: what the client needs to know, decided in one place. */
import { createHash } from "node:crypto";
import { StorageError } from "../replica-client.ts";
import type { S3ReplicaOptions } from "../replica-options.ts";
import { parseDebugModes } from "./debug.ts";
import {
  completeEndpoint,
  isAmbiguousLinodeRegion,
  isLocalEndpoint,
  linodeEndpointOfRegion,
  providerOfHost,
  splitS3Host,
} from "./providers.ts";
import type { S3Provider } from "./providers.ts";

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

export interface S3StaticCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

/** Encryption with a key of the customer's: what each PUT, GET and HEAD carries. */
export interface S3CustomerKey {
  readonly SSECustomerAlgorithm: "AES256";
  readonly SSECustomerKey: string;
  readonly SSECustomerKeyMD5: string;
}

export interface S3Settings {
  readonly bucket: string;
  /** Upstream's spelling of the prefix, see S3ReplicaOptions.path. */
  readonly path: string;
  /** Undefined: AWS, to be looked up. */
  readonly region: string | undefined;
  /** With scheme. Undefined: AWS. */
  readonly endpoint: string | undefined;
  readonly provider: S3Provider | null;
  readonly forcePathStyle: boolean;
  /** Undefined: ask the AWS provider chain. */
  readonly credentials: S3StaticCredentials | undefined;
  readonly signPayload: boolean;
  readonly contentMD5: boolean;
  readonly skipVerify: boolean;
  readonly storageClass: string | undefined;
  readonly partSizeBytes: number;
  /** Parts in flight per upload. */
  readonly concurrency: number;
  /** Whether all parts of an upload but the last must be of one size. */
  readonly equalParts: boolean;
  readonly customerKey: S3CustomerKey | undefined;
  readonly kmsKeyID: string | undefined;
  /** Whether the store creates names conditionally; undefined: to be probed. */
  readonly conditionalWrites: boolean | undefined;
  /** What to try when AWS refuses the key. */
  readonly deniedHint: string | undefined;
  readonly warnings: readonly string[];
}

const MIN_PART_SIZE = 5 * 1024 * 1024;
/** What "5MB" means; upstream's documentation recommends it although S3 wants 5 MiB. */
const DECIMAL_PART_SIZE = 5_000_000;

/** Completes and checks the options of an S3 replica. Pure; throws StorageError("misconfigured"). */
export function completeS3Settings(
  options: S3ReplicaOptions,
  environment: Environment,
): S3Settings {
  const warnings: string[] = [];
  const { bucket, ...place } = placeOf(options, environment);
  if (bucket === "")
    throw misconfigured(
      "bucket required for s3 replica",
      "Name it by `bucket:` or in the URL: s3://BUCKET/path",
    );
  const isAccessPoint = /^arn:/i.test(bucket);
  const { endpoint } = place;
  const provider = endpoint === undefined ? null : providerOfHost(hostOf(endpoint));
  const region = place.region ?? regionOf(endpoint, provider, environment);
  const path = options.path ?? "";
  if (path === "" || path === ".") {
    warnings.push(
      `Replica "${bucket}" has no path: its objects lie under "${path}/0000/…"; give every database a path of its own`,
    );
  }
  const { unknown } = parseDebugModes(environment["LITESTREAM_S3_DEBUG"]);
  for (const mode of unknown) warnings.push(`LITESTREAM_S3_DEBUG knows no "${mode}"`);
  return {
    bucket,
    path,
    region,
    endpoint,
    provider,
    forcePathStyle: isAccessPoint ? false : (place.forcePathStyle ?? endpoint !== undefined),
    credentials: credentialsOf(options, environment),
    signPayload: options.signPayload ?? true,
    contentMD5: options.requireContentMD5 ?? provider?.contentMD5 ?? true,
    skipVerify: options.skipVerify ?? false,
    storageClass: options.storageClass,
    partSizeBytes: checkPartSize(options.partSizeBytes, warnings),
    concurrency: options.concurrency ?? provider?.concurrency ?? 5,
    equalParts: provider?.equalParts ?? false,
    customerKey: customerKeyOf(options, endpoint),
    kmsKeyID: kmsKeyOf(options),
    conditionalWrites: endpoint === undefined ? true : provider?.conditionalWrites,
    deniedHint: deniedHint(endpoint, region),
    warnings,
  };
}

interface S3Place {
  readonly bucket: string;
  readonly endpoint: string | undefined;
  readonly region: string | undefined;
  readonly forcePathStyle: boolean | undefined;
}

/** Bucket and endpoint, also where the bucket is given in a provider's host form or the region names a cluster. */
function placeOf(options: S3ReplicaOptions, environment: Environment): S3Place {
  const { bucket, region, forcePathStyle } = options;
  const given =
    nonEmpty(options.endpoint) ??
    nonEmpty(environment["LITESTREAM_S3_ENDPOINT"]) ??
    nonEmpty(environment["AWS_ENDPOINT_URL_S3"]) ??
    nonEmpty(environment["AWS_ENDPOINT_URL"]);
  const hostForm = options.endpoint === undefined ? splitS3Host(bucket) : null;
  if (hostForm !== null) {
    return {
      bucket: hostForm.bucket ?? "",
      endpoint: hostForm.endpoint,
      region: nonEmpty(region) ?? hostForm.region,
      forcePathStyle:
        forcePathStyle ?? (hostForm.endpoint === undefined ? undefined : hostForm.pathStyle),
    };
  }
  const linode = region === undefined ? null : linodeEndpointOfRegion(region);
  const endpoint = given === undefined ? (linode ?? undefined) : completeEndpoint(given);
  return { bucket, endpoint, region: nonEmpty(region), forcePathStyle };
}

/** The region to sign with where none is set: the endpoint's own, AWS_REGION, us-east-1; for AWS it may have to be looked up. */
function regionOf(
  endpoint: string | undefined,
  provider: S3Provider | null,
  environment: Environment,
): string | undefined {
  const fromEnvironment =
    nonEmpty(environment["AWS_REGION"]) ?? nonEmpty(environment["AWS_DEFAULT_REGION"]);
  if (endpoint === undefined) return fromEnvironment;
  const host = hostOf(endpoint).replace(/:\d+$/, "");
  const ofAWS = /(?:^|\.)s3[.-](?:dualstack\.)?([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?$/i.exec(
    host,
  )?.[1];
  return (
    ofAWS ??
    provider?.hostForm?.exec(host)?.groups?.["region"]?.toLowerCase() ??
    provider?.region ??
    fromEnvironment ??
    "us-east-1"
  );
}

/** `host[:port]` of an endpoint with scheme. */
export function hostOf(endpoint: string): string {
  return endpoint.replace(/^[a-z]+:\/\//i, "").replace(/\/.*$/, "");
}

/** The pair of the options, of AWS_*, or of LITESTREAM_*; a variable that is there but empty blocks the one after it. */
function credentialsOf(
  options: S3ReplicaOptions,
  environment: Environment,
): S3StaticCredentials | undefined {
  if (isPair(options.accessKeyID, options.secretAccessKey)) {
    return pair(options.accessKeyID, options.secretAccessKey, options.sessionToken);
  }
  const accessKeyID = environment["AWS_ACCESS_KEY_ID"] ?? environment["LITESTREAM_ACCESS_KEY_ID"];
  const secretAccessKey =
    environment["AWS_SECRET_ACCESS_KEY"] ?? environment["LITESTREAM_SECRET_ACCESS_KEY"];
  if (!isPair(accessKeyID, secretAccessKey)) return undefined;
  const sessionToken =
    options.sessionToken ??
    environment["AWS_SESSION_TOKEN"] ??
    environment["LITESTREAM_SESSION_TOKEN"];
  return pair(accessKeyID, secretAccessKey, sessionToken);
}

function isPair(accessKeyID: string | undefined, secretAccessKey: string | undefined): boolean {
  return nonEmpty(accessKeyID) !== undefined && nonEmpty(secretAccessKey) !== undefined;
}

function pair(
  accessKeyId: string | undefined,
  secretAccessKey: string | undefined,
  sessionToken: string | undefined,
): S3StaticCredentials | undefined {
  if (accessKeyId === undefined || secretAccessKey === undefined) return undefined;
  return nonEmpty(sessionToken) === undefined
    ? { accessKeyId, secretAccessKey }
    : { accessKeyId, secretAccessKey, sessionToken: sessionToken ?? "" };
}

/** At least 5 MiB. A size meant as 5 MB is rounded up to that, with a warning. */
export function checkPartSize(sizeBytes: number | undefined, warnings: string[]): number {
  if (sizeBytes === undefined || sizeBytes >= MIN_PART_SIZE) return sizeBytes ?? MIN_PART_SIZE;
  if (sizeBytes < DECIMAL_PART_SIZE) {
    throw misconfigured(
      `part size must be at least ${MIN_PART_SIZE} bytes (got ${sizeBytes})`,
      "Write part-size: 5MiB, or leave it out",
    );
  }
  warnings.push(
    `Part size ${sizeBytes} is rounded up to ${MIN_PART_SIZE} bytes: S3 wants at least 5MiB, which is more than 5MB`,
  );
  return MIN_PART_SIZE;
}

function customerKeyOf(
  options: S3ReplicaOptions,
  endpoint: string | undefined,
): S3CustomerKey | undefined {
  const { sseCustomerAlgorithm = "AES256", sseCustomerKey: key } = options;
  if (nonEmpty(key) === undefined) {
    if (nonEmpty(options.sseCustomerAlgorithm) === undefined) return undefined;
    throw misconfigured(
      "sse-customer-algorithm is set without sse-customer-key",
      "Set sse-customer-key or sse-customer-key-path as well",
    );
  }
  if (nonEmpty(options.sseKMSKeyID) !== undefined) {
    throw misconfigured(
      "sse-customer-key and sse-kms-key-id exclude each other",
      "Keep one of the two",
    );
  }
  if (sseCustomerAlgorithm !== "AES256") {
    throw misconfigured(
      `sse-customer-algorithm must be AES256 (got ${sseCustomerAlgorithm})`,
      "Leave it out",
    );
  }
  const bytes = Buffer.from(key ?? "", "base64");
  if (bytes.length !== 32 || bytes.toString("base64") !== key) {
    throw misconfigured(
      `sse-customer-key must be the base64 of 32 bytes (it has ${bytes.length})`,
      "Make one with: openssl rand -base64 32",
    );
  }
  if (endpoint?.startsWith("http://") === true && !isLocalEndpoint(hostOf(endpoint))) {
    throw misconfigured(
      `sse-customer-key needs https, but the endpoint is ${endpoint}`,
      "Use the https endpoint",
    );
  }
  return {
    SSECustomerAlgorithm: "AES256",
    SSECustomerKey: bytes.toString("base64"),
    SSECustomerKeyMD5:
      options.sseCustomerKeyMD5 ?? createHash("md5").update(bytes).digest("base64"),
  };
}

function kmsKeyOf({ sseKMSKeyID }: S3ReplicaOptions): string | undefined {
  return nonEmpty(sseKMSKeyID);
}

function deniedHint(endpoint: string | undefined, region: string | undefined): string | undefined {
  return endpoint === undefined && region !== undefined && isAmbiguousLinodeRegion(region)
    ? `If the bucket is at Linode, add endpoint: ${region}.linodeobjects.com`
    : undefined;
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}

function misconfigured(message: string, hint: string): StorageError {
  return new StorageError("misconfigured", message, { hint });
}
