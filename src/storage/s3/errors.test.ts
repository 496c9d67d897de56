import assert from "node:assert/strict";
import { test } from "node:test";
import { StorageError } from "../replica-client.ts";
import { toStorageError } from "./errors.ts";
import { completeS3Settings } from "./settings.ts";

/** An error as the SDK throws it. */
function sdkError(name: string, status?: number, more: object = {}): Error {
  const metadata = status === undefined ? {} : { $metadata: { httpStatusCode: status } };
  return Object.assign(new Error("UnknownError"), { name }, metadata, more);
}

function mapped(
  error: unknown,
  options: { endpoint?: string; region?: string } = {},
): StorageError {
  const settings = completeS3Settings({ type: "s3", bucket: "b", path: "p", ...options }, {});
  const result = toStorageError('read "k"', error, settings);
  assert.ok(result instanceof StorageError);
  return result;
}

test("toStorageError() makes its message from the code when the store sends none", () => {
  assert.equal(
    mapped(sdkError("NoSuchKey", 404)).message,
    'Cannot read "k" at bucket "b": no such object, HTTP 404',
  );
  assert.equal(
    mapped(sdkError("Unknown", 418)).message,
    'Cannot read "k" at bucket "b": 418, HTTP 418',
  );
  assert.equal(
    mapped(sdkError("Weird", 400)).message,
    'Cannot read "k" at bucket "b": Weird, HTTP 400',
  );
});

test("toStorageError() hints at Linode's endpoint when AWS refuses a key in a region that both have", () => {
  const refused = sdkError("InvalidAccessKeyId", 403);
  for (const region of ["us-east-1", "eu-central-1", "ap-south-1"]) {
    assert.equal(
      mapped(refused, { region }).hint,
      `If the bucket is at Linode, add endpoint: ${region}.linodeobjects.com`,
    );
  }
  assert.equal(
    mapped(refused, { region: "us-west-2" }).hint,
    "Check access-key-id and the endpoint",
  );
  assert.equal(
    mapped(refused, { endpoint: "us-east-1.linodeobjects.com" }).hint,
    "Check access-key-id and the endpoint",
  );
});

test("toStorageError() tells what may pass from what will not", () => {
  const rows: [Error, string][] = [
    [sdkError("SlowDown", 503), "unavailable"],
    [sdkError("InternalError", 500), "unavailable"],
    [sdkError("Unknown", 429), "unavailable"],
    [sdkError("RequestCanceled", 400), "unavailable"],
    [sdkError("NotImplemented", 501), "misconfigured"],
    [sdkError("Unknown", 501), "misconfigured"],
    [sdkError("ExpiredToken", 400), "denied"],
    [sdkError("Unknown", 200), "corrupt"],
    [sdkError("QuotaExceeded", 403), "full"],
    [Object.assign(new Error("hang up"), { code: "ECONNRESET" }), "unavailable"],
    [Object.assign(new Error("x"), { code: "ENOTFOUND" }), "unavailable"],
    [Object.assign(new Error("x"), { code: "CERT_HAS_EXPIRED" }), "misconfigured"],
  ];
  for (const [error, kind] of rows) assert.equal(mapped(error).kind, kind, error.name);
});

test("toStorageError() leaves other errors alone", () => {
  const known = new StorageError("full", "Cannot");
  const settings = completeS3Settings({ type: "s3", bucket: "b", path: "p" }, {});
  assert.equal(toStorageError("read", known, settings), known);
  assert.equal(toStorageError("read", "text", settings), "text");
});
