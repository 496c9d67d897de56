/** The parts of a replica URL that are particular to S3: host forms, query parameters, access points. */
import { StorageError } from "./replica-client.ts";
import type { S3ReplicaOptions } from "./replica-options.ts";
import { completeEndpoint, isLocalEndpoint, providerOfName, splitS3Host } from "./s3/providers.ts";

type S3Fields = Partial<Omit<S3ReplicaOptions, "type">>;

export interface S3HostReading {
  readonly options: S3Fields;
  readonly warnings: readonly string[];
}

/**
 * Reads the host of `s3://HOST/path`: a known provider's host form, `BUCKET.HOST:PORT`, or a bucket name. What looks like
 * the host of somebody nobody knows is an error with the corrected URL, before any request goes to AWS.
 */
export function parseS3Host(
  host: string,
  context: { readonly url: string; readonly hasEndpoint: boolean },
): S3HostReading {
  const known = splitS3Host(host);
  if (known !== null) {
    const { bucket, region, endpoint, pathStyle } = known;
    const options: S3Fields = {
      ...(bucket === undefined ? {} : { bucket }),
      ...(region === undefined ? {} : { region }),
      ...(endpoint === undefined ? {} : { endpoint, forcePathStyle: pathStyle }),
    };
    return { options, warnings: [] };
  }
  const local = /^(?<bucket>.+)\.(?<endpoint>localhost|(?:\d+\.){3}\d+)$/i.exec(host)?.groups;
  if (/:\d*$/.test(host) || local !== undefined)
    return { options: splitHostPort(host, context.url), warnings: [] };
  if (context.hasEndpoint) return { options: { bucket: host }, warnings: [] };
  return checkBucketName(host, context.url);
}

/** `BUCKET.HOST:PORT`, split at the first dot, but an IP address is never split. */
function splitHostPort(host: string, url: string): S3Fields {
  const address =
    /^(?:(?<bucket>.+?)\.)??(?<endpoint>(?:\[[^\]]*\]|(?:\d{1,3}\.){3}\d{1,3})(?::\d*)?)$/.exec(
      host,
    )?.groups;
  const named = /^(?<bucket>[^.]+)\.(?<endpoint>.+)$/.exec(host)?.groups;
  const { bucket, endpoint = host } = address ?? named ?? {};
  if (bucket === undefined) {
    throw new StorageError("misconfigured", "bucket required for s3 replica", {
      hint: `${JSON.stringify(host)} names a server only: write ${withEndpoint(url, host)}`,
    });
  }
  // Upstream speaks http to any BUCKET.HOST:PORT that it recognises; it recognises none with ".com" in it.
  const plain =
    isLocalEndpoint(endpoint) || (!endpoint.includes(".com") && !endpoint.endsWith(":443"));
  return {
    bucket,
    region: "us-east-1",
    endpoint: plain ? `http://${endpoint}` : completeEndpoint(endpoint),
    forcePathStyle: true,
  };
}

/** `s3://HOST/bucket/path` as it should have been written. */
function withEndpoint(url: string, host: string): string {
  const [, path = "", query = ""] = /^\w+:\/\/[^/?#]*([^?#]*)(?:\?([^#]*))?/.exec(url) ?? [];
  const [bucket = "", ...rest] = path.replace(/^\/+/, "").split("/");
  const key = rest.join("/");
  const parameters = query === "" ? "" : `&${query}`;
  return `s3://${bucket === "" ? "BUCKET" : bucket}${key === "" ? "" : `/${key}`}?endpoint=${completeEndpoint(host)}${parameters}`;
}

/** Words that servers of object storage have in their names, and bucket names have not as a label of their own. */
const SERVER_LABEL = /^(?:s3|s3-.+|minio|rgw|garage|objects?|storage|objectstorage|sos|cos|oss)$/;
const PUBLIC_SUFFIX =
  /\.(?:com|net|org|io|dev|cloud|co|eu|de|fr|uk|nl|ch|at|it|es|se|no|fi|dk|pl|cz|us|ca|au|jp|in|br|ru|cn|info|biz|app|tech|host|internal|lan|local|svc)$/i;

/** A bucket name with two or more dots that is the name of a server is refused; one that may be is a warning. */
function checkBucketName(bucket: string, url: string): S3HostReading {
  const labels = bucket.toLowerCase().split(".");
  const options: S3Fields = bucket === "" ? {} : { bucket };
  const provider = providerOfName(bucket);
  if (provider === null && (labels.length < 3 || !PUBLIC_SUFFIX.test(bucket)))
    return { options, warnings: [] };
  const [first = "", ...server] = bucket.split(".");
  const isServer =
    provider !== null ||
    /(?:^|\.)amazonaws\.com(?:\.cn)?$/i.test(bucket) ||
    labels.some((label) => SERVER_LABEL.test(label));
  const endpointForm = withEndpoint(
    url.replace(bucket, `${server.join(".")}/${first}`),
    server.join("."),
  );
  if (!isServer) {
    const warning = `Taking ${JSON.stringify(bucket)} for the name of an AWS bucket; if it is a bucket on a server, write ${endpointForm}`;
    return { options, warnings: [warning] };
  }
  throw new StorageError(
    "misconfigured",
    `Bucket ${JSON.stringify(bucket)} is the name of a server`,
    {
      hint:
        labels.length < 3 || SERVER_LABEL.test(labels[0] ?? "")
          ? `Write ${withEndpoint(url, bucket)}`
          : `Write ${endpointForm}`,
    },
  );
}

export interface S3QueryReading {
  readonly options: S3Fields;
  readonly unknownParameters: readonly string[];
}

/** Query parameters by their camelCase name. The kebab-case spelling of each is understood as well. */
const PARAMETERS: Readonly<Record<string, (value: string, parameter: string) => S3Fields>> = {
  endpoint: (endpoint) => ({ endpoint: completeEndpoint(endpoint) }),
  region: (region) => ({ region }),
  forcePathStyle: (value) => ({ forcePathStyle: isTrue(value) }),
  skipVerify: (value) => ({ skipVerify: isTrue(value) }),
  signPayload: (value) => ({ signPayload: isTrue(value) }),
  requireContentMD5: (value) => ({ requireContentMD5: isTrue(value) }),
  storageClass: (storageClass) => ({ storageClass }),
  partSize: (value, parameter) => ({ partSizeBytes: positiveInteger(value, parameter) }),
  concurrency: (value, parameter) => ({ concurrency: positiveInteger(value, parameter) }),
  sseCustomerAlgorithm: (sseCustomerAlgorithm) => ({ sseCustomerAlgorithm }),
  sseCustomerKey: (sseCustomerKey) => ({ sseCustomerKey }),
  sseCustomerKeyMD5: (sseCustomerKeyMD5) => ({ sseCustomerKeyMD5 }),
  sseCustomerKeyPath: (sseCustomerKeyPath) => ({ sseCustomerKeyPath }),
  sseKmsKeyId: (sseKMSKeyID) => ({ sseKMSKeyID }),
};

const PARAMETER_NAMES = new Map(
  Object.keys(PARAMETERS).flatMap((name) => [
    [name, name] as const,
    [kebabCase(name), name] as const,
  ]),
);

export function parseS3Query(query: URLSearchParams): S3QueryReading {
  const options: S3Fields = {};
  const unknownParameters: string[] = [];
  for (const parameter of new Set(query.keys())) {
    const read = PARAMETERS[PARAMETER_NAMES.get(parameter) ?? ""];
    const value = query.get(parameter) ?? "";
    if (read === undefined) unknownParameters.push(parameter);
    // An empty value is as good as none.
    else if (value !== "") Object.assign(options, read(value, parameter));
  }
  return { options, unknownParameters };
}

function kebabCase(name: string): string {
  return name.replace(/MD5$/, "Md5").replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function isTrue(value: string): boolean {
  return ["true", "1", "t", "yes"].includes(value.toLowerCase());
}

function positiveInteger(value: string, parameter: string): number {
  const number = /^\+?\d+$/.test(value) ? Number(value) : 0;
  if (number > 0 && Number.isSafeInteger(number)) return number;
  throw new StorageError(
    "misconfigured",
    `invalid value for query parameter ${JSON.stringify(parameter)}: ${JSON.stringify(value)} (must be a positive integer)`,
    { hint: "Bytes are meant, without a unit: 5242880 for 5 MiB" },
  );
}

export interface AccessPoint {
  /** The ARN through the access point's name. */
  readonly arn: string;
  readonly region: string | undefined;
  /** Key and query, from the first `/` or `?` after the name. */
  readonly rest: string;
}

/** Splits `s3://arn:PARTITION:s3:REGION:ACCOUNT:accesspoint/NAME[/key][?query]`; null for any other URL. */
export function splitAccessPoint(url: string): AccessPoint | null {
  const text = url.replace(/^s3:\/\//i, "");
  if (!/^arn:/i.test(text)) return null;
  const [, arn, rest = ""] = /^(arn:[^/?#]*:accesspoint\/[^/?#:]+)(.*)$/i.exec(text) ?? [];
  const fields = arn?.split(":") ?? [];
  if (arn === undefined || fields.length !== 6) {
    throw new StorageError("misconfigured", `invalid s3 access point arn: ${text}`, {
      hint: "Write s3://arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME/path",
    });
  }
  const region = fields[3];
  return { arn, region: region === "" ? undefined : region, rest };
}
