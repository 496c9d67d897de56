/** Failures of S3 requests as StorageErrors, with words of our own: some servers send none. */
import { StorageError } from "../replica-client.ts";
import type { StorageErrorKind } from "../replica-client.ts";
import type { S3Settings } from "./settings.ts";

/** What an error of the SDK or of a connection says, wherever it says it. */
interface S3Failure {
  readonly code: string | undefined;
  readonly status: number | undefined;
  readonly message: string;
  /** Region that the reply names as the right one. */
  readonly region: string | undefined;
}

/** The region a redirect or an error reply names, if any. */
export function regionInReply(error: unknown): string | undefined {
  return readFailure(error).region;
}

/** Code of the reply, or of the system call that failed. */
export function codeOf(error: unknown): string | undefined {
  if (error instanceof StorageError) return error.code;
  return readFailure(error).code;
}

/**
 * Maps any failure of a request. `action` names what was tried: `read "a/0000/….ltx"`; `meetsTLS`: it was a plain http
 * request to a TLS server. Aborts and StorageErrors pass.
 */
export function toStorageError(
  action: string,
  error: unknown,
  settings: S3Settings,
  meetsTLS = false,
): unknown {
  if (error instanceof StorageError || !(error instanceof Error)) return error;
  const failure = readFailure(error);
  const kind = meetsTLS ? "misconfigured" : kindOf(failure);
  const hint = meetsTLS ? tlsHint(settings) : hintFor(failure, error, settings);
  const state = describe(failure);
  return new StorageError(kind, `Cannot ${action} at ${placeName(settings)}: ${state}`, {
    cause: error,
    ...(hint === undefined ? {} : { hint }),
    ...(failure.code === undefined ? {} : { code: failure.code }),
  });
}

/** `bucket "b" (https://…)` for messages. */
export function placeName({ bucket, endpoint }: S3Settings): string {
  return `bucket "${bucket}"${endpoint === undefined ? "" : ` (${endpoint})`}`;
}

function readFailure(error: unknown): S3Failure {
  if (!(error instanceof Error)) {
    return { code: undefined, status: undefined, message: String(error), region: undefined };
  }
  const details = error as Error & {
    readonly code?: unknown;
    readonly Code?: unknown;
    readonly Region?: unknown;
    readonly $metadata?: { readonly httpStatusCode?: number };
    readonly $response?: { readonly headers?: Readonly<Record<string, string>> };
  };
  const status = details.$metadata?.httpStatusCode;
  const ownCode = text(details.Code) ?? text(details.code);
  // Without a body the SDK has no code and calls the error by its status or "Unknown…".
  const name = /^(?:Error|TypeError|S3ServiceException|Unknown.*|\d+)$/.test(error.name)
    ? undefined
    : error.name;
  return {
    code: ownCode ?? name ?? (status === undefined ? undefined : String(status)),
    status,
    message: /^(?:UnknownError|Unknown|undefined|)$/.test(error.message) ? "" : error.message,
    region: details.$response?.headers?.["x-amz-bucket-region"] ?? text(details.Region),
  };
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

const KIND_OF_CODE: Readonly<Record<string, StorageErrorKind>> = {
  NoSuchKey: "not-found",
  NotFound: "not-found",
  NoSuchBucket: "misconfigured",
  PermanentRedirect: "misconfigured",
  AuthorizationHeaderMalformed: "misconfigured",
  InvalidBucketName: "misconfigured",
  PreconditionFailed: "exists",
  ConditionalRequestConflict: "unavailable",
  OperationAborted: "unavailable",
  RequestTimeout: "unavailable",
  RequestTimeTooSkewed: "unavailable",
  RequestCanceled: "unavailable",
  SlowDown: "unavailable",
  Throttling: "unavailable",
  ThrottlingException: "unavailable",
  RequestThrottled: "unavailable",
  TooManyRequests: "unavailable",
  RequestLimitExceeded: "unavailable",
  BadDigest: "unavailable",
  XAmzContentSHA256Mismatch: "unavailable",
  IncompleteBody: "unavailable",
  AccessDenied: "denied",
  InvalidAccessKeyId: "denied",
  SignatureDoesNotMatch: "denied",
  ExpiredToken: "denied",
  InvalidToken: "denied",
  CredentialsProviderError: "denied",
  UserSuspended: "denied",
  QuotaExceeded: "full",
  EntityTooLarge: "full",
  NotImplemented: "misconfigured",
  DEPTH_ZERO_SELF_SIGNED_CERT: "misconfigured",
  SELF_SIGNED_CERT_IN_CHAIN: "misconfigured",
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: "misconfigured",
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: "misconfigured",
  CERT_HAS_EXPIRED: "misconfigured",
  ERR_TLS_CERT_ALTNAME_INVALID: "misconfigured",
  EPROTO: "misconfigured",
};

function kindOf({ code, status }: S3Failure): StorageErrorKind {
  const known = code === undefined ? undefined : KIND_OF_CODE[code];
  if (known !== undefined) return known;
  // No reply: the connection broke, or what came was not HTTP.
  if (status === undefined) return "unavailable";
  if (status === 404) return "not-found";
  if (status === 412) return "exists";
  if (status === 401 || status === 403) return "denied";
  if (status === 501) return "misconfigured";
  if (status === 408 || status === 425 || status === 429 || status >= 500) return "unavailable";
  // A 2xx whose body could not be understood.
  if (status < 300) return "corrupt";
  return "misconfigured";
}

function describe({ code, status, message }: S3Failure): string {
  const what = code === undefined ? "no answer" : (MEANING[code] ?? code);
  const words = [
    what,
    ...(message === "" || message === code ? [] : [message.replace(/\.$/, "")]),
    ...(status === undefined ? [] : [`HTTP ${status}`]),
  ];
  return words.join(", ");
}

/** Codes that come without a message from some servers. */
const MEANING: Readonly<Record<string, string>> = {
  NoSuchKey: "no such object",
  NotFound: "not found",
  NoSuchBucket: "no such bucket (NoSuchBucket)",
  PreconditionFailed: "it exists already",
  AccessDenied: "access denied (AccessDenied)",
  InvalidAccessKeyId: "the access key is not known there (InvalidAccessKeyId)",
  SignatureDoesNotMatch: "the secret key does not fit the access key (SignatureDoesNotMatch)",
  RequestTimeTooSkewed: "the clocks differ too much (RequestTimeTooSkewed)",
  SlowDown: "too many requests (SlowDown)",
  QuotaExceeded: "the quota is used up (QuotaExceeded)",
  UserSuspended: "the user is suspended (UserSuspended)",
  EntityTooSmall: "a part is too small (EntityTooSmall)",
};

/** What a person can do about it. */
function hintFor(failure: S3Failure, error: Error, settings: S3Settings): string | undefined {
  const { code, region, status } = failure;
  if (code === "EPROTO" && /wrong version number|packet length too long/i.test(error.message)) {
    return `The server at ${settings.endpoint} seems to speak plain http: write ${settings.endpoint?.replace(/^https:/, "http:")}`;
  }
  if (code === "CredentialsProviderError") {
    return "Set access-key-id and secret-access-key, or LITESTREAM_ACCESS_KEY_ID and LITESTREAM_SECRET_ACCESS_KEY";
  }
  if (code === "InvalidAccessKeyId" || status === 403) {
    return (
      settings.deniedHint ??
      (code === "InvalidAccessKeyId" ? "Check access-key-id and the endpoint" : undefined)
    );
  }
  if (code === "NoSuchBucket") {
    return `Create the bucket, or check its name${settings.endpoint === undefined ? " and the endpoint" : ""}`;
  }
  if (code === "RequestTimeTooSkewed") return "Set the clock of this machine";
  if (code !== undefined && /CERT|SELF_SIGNED|UNABLE_TO/.test(code)) {
    return "Name the authority's certificate by SSL_CERT_FILE or NODE_EXTRA_CA_CERTS, or set skip-verify: true";
  }
  if (region !== undefined && region !== settings.region) return `Set region: ${region}`;
  return undefined;
}

function tlsHint({ endpoint }: S3Settings): string {
  return `The server at ${endpoint} seems to speak TLS: write ${endpoint?.replace(/^http:/, "https:")}`;
}

/** Whether a connection was closed without an answer, or answered with something that is no HTTP. */
export function isBrokenConnection(error: unknown): boolean {
  const { code, status, message } = readFailure(error);
  if (status === 400) return /HTTP request.* HTTPS/i.test(message);
  return status === undefined && /^(?:ECONNRESET|EPIPE|HPE_.*)$/.test(code ?? "");
}
