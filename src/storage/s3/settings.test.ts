import assert from "node:assert/strict";
import { test } from "node:test";
import { StorageError } from "../replica-client.ts";
import type { S3ReplicaOptions } from "../replica-options.ts";
import { completeS3Settings } from "./settings.ts";
import type { Environment, S3Settings } from "./settings.ts";

function settingsOf(options: Partial<S3ReplicaOptions>, environment: Environment = {}): S3Settings {
  return completeS3Settings({ type: "s3", bucket: "b", path: "p", ...options }, environment);
}

function failureOf(options: Partial<S3ReplicaOptions>): string {
  try {
    settingsOf(options);
  } catch (error) {
    assert.ok(error instanceof StorageError);
    assert.equal(error.kind, "misconfigured");
    assert.ok(error.hint);
    return error.message;
  }
  assert.fail("accepted");
}

test("completeS3Settings() means AWS by default", () => {
  const settings = settingsOf({});
  assert.equal(settings.endpoint, undefined);
  assert.equal(settings.region, undefined);
  assert.equal(settings.forcePathStyle, false);
  assert.equal(settings.signPayload, true);
  assert.equal(settings.contentMD5, true);
  assert.equal(settings.conditionalWrites, true);
  assert.equal(settings.partSizeBytes, 5 << 20);
  assert.equal(settings.concurrency, 5);
  assert.equal(settings.credentials, undefined);
  assert.deepEqual(settings.warnings, []);
});

test("completeS3Settings() signs for the endpoint's own region", () => {
  const rows: [Partial<S3ReplicaOptions>, Environment, string | undefined, string | undefined][] = [
    [
      { endpoint: "us-ord-1.linodeobjects.com" },
      { AWS_REGION: "x" },
      "us-ord-1",
      "https://us-ord-1.linodeobjects.com",
    ],
    [
      { endpoint: "https://us-east-1.linodeobjects.com/" },
      {},
      "us-east-1",
      "https://us-east-1.linodeobjects.com",
    ],
    [
      { endpoint: "us-ord-1.linodeobjects.com", region: "mine" },
      {},
      "mine",
      "https://us-ord-1.linodeobjects.com",
    ],
    [
      { endpoint: "https://acc.r2.cloudflarestorage.com" },
      {},
      "auto",
      "https://acc.r2.cloudflarestorage.com",
    ],
    [
      { endpoint: "s3.eu-west-3.amazonaws.com" },
      {},
      "eu-west-3",
      "https://s3.eu-west-3.amazonaws.com",
    ],
    [{ endpoint: "localhost:9000" }, {}, "us-east-1", "http://localhost:9000"],
    [{ endpoint: "localhost:9000" }, { AWS_REGION: "x" }, "x", "http://localhost:9000"],
    [{}, { AWS_DEFAULT_REGION: "y", AWS_REGION: "" }, "y", undefined],
    [
      { bucket: "b.us-east-1.linodeobjects.com" },
      {},
      "us-east-1",
      "https://us-east-1.linodeobjects.com",
    ],
    [{ bucket: "b.s3.eu-west-1.amazonaws.com" }, {}, "eu-west-1", undefined],
  ];
  for (const [options, environment, region, endpoint] of rows) {
    const settings = settingsOf(options, environment);
    assert.deepEqual(
      [settings.bucket, settings.region, settings.endpoint],
      ["b", region, endpoint],
      JSON.stringify(options),
    );
  }
});

test("completeS3Settings() takes a region that only Linode has for Linode, and hints at it for the others", () => {
  for (const region of ["us-ord-1", "us-southeast-1", "fr-par-1", "us-sea-9"]) {
    assert.equal(settingsOf({ region }).endpoint, `https://${region}.linodeobjects.com`);
    assert.equal(settingsOf({ region, endpoint: "e.com" }).endpoint, "https://e.com");
  }
  for (const region of [
    "us-east-1",
    "eu-central-1",
    "us-west-2",
    "us-gov-west-1",
    "ap-southeast-3",
  ])
    assert.equal(settingsOf({ region }).endpoint, undefined);
  assert.equal(
    settingsOf({ region: "us-east-1" }).deniedHint,
    "If the bucket is at Linode, add endpoint: us-east-1.linodeobjects.com",
  );
  assert.equal(settingsOf({ region: "us-west-2" }).deniedHint, undefined);
});

test("completeS3Settings() folds the endpoint variables in", () => {
  assert.equal(
    settingsOf({}, { AWS_ENDPOINT_URL: "http://a", AWS_ENDPOINT_URL_S3: "http://b" }).endpoint,
    "http://b",
  );
  assert.equal(
    settingsOf({}, { AWS_ENDPOINT_URL_S3: "http://b", LITESTREAM_S3_ENDPOINT: "c" }).endpoint,
    "https://c",
  );
  assert.equal(
    settingsOf({ endpoint: "d" }, { LITESTREAM_S3_ENDPOINT: "c" }).endpoint,
    "https://d",
  );
});

test("completeS3Settings() uses path style for endpoints unless told otherwise, and never for access points", () => {
  assert.equal(settingsOf({ endpoint: "e" }).forcePathStyle, true);
  assert.equal(settingsOf({ endpoint: "e", forcePathStyle: false }).forcePathStyle, false);
  assert.equal(settingsOf({ bucket: "b.nyc3.digitaloceanspaces.com" }).forcePathStyle, false);
  assert.equal(
    settingsOf({ bucket: "arn:aws:s3:eu-west-1:1:accesspoint/x", endpoint: "e" }).forcePathStyle,
    false,
  );
});

test("completeS3Settings() knows what is particular about providers", () => {
  const r2 = settingsOf({ endpoint: "https://acc.r2.cloudflarestorage.com" });
  assert.deepEqual([r2.concurrency, r2.equalParts], [2, true]);
  assert.equal(
    settingsOf({ endpoint: "https://acc.r2.cloudflarestorage.com", concurrency: 4 }).concurrency,
    4,
  );
  const tigris = settingsOf({ endpoint: "https://fly.storage.tigris.dev" });
  assert.equal(tigris.contentMD5, false);
  assert.deepEqual(tigris.provider?.headers, { "X-Tigris-Consistent": "true" });
  assert.equal(
    settingsOf({ endpoint: "https://t3.storage.dev", requireContentMD5: true }).contentMD5,
    true,
  );
  assert.equal(
    settingsOf({ endpoint: "https://ref.supabase.co/storage/v1/s3" }).conditionalWrites,
    false,
  );
  assert.equal(
    settingsOf({ endpoint: "https://storage.googleapis.com" }).provider?.singleDeletes,
    true,
  );
  assert.equal(
    settingsOf({ endpoint: "https://us-ord-1.linodeobjects.com" }).conditionalWrites,
    undefined,
  );
});

test("completeS3Settings() takes credentials from options, AWS_* and LITESTREAM_*, in this order and only in pairs", () => {
  const aws = { AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "s", AWS_SESSION_TOKEN: "t" };
  const litestream = { LITESTREAM_ACCESS_KEY_ID: "la", LITESTREAM_SECRET_ACCESS_KEY: "ls" };
  assert.deepEqual(settingsOf({ accessKeyID: "k", secretAccessKey: "x" }, aws).credentials, {
    accessKeyId: "k",
    secretAccessKey: "x",
  });
  assert.deepEqual(
    settingsOf({ accessKeyID: "k", secretAccessKey: "x", sessionToken: "y" }, aws).credentials,
    { accessKeyId: "k", secretAccessKey: "x", sessionToken: "y" },
  );
  assert.deepEqual(settingsOf({ accessKeyID: "k" }, { ...aws, ...litestream }).credentials, {
    accessKeyId: "a",
    secretAccessKey: "s",
    sessionToken: "t",
  });
  assert.deepEqual(settingsOf({}, litestream).credentials, {
    accessKeyId: "la",
    secretAccessKey: "ls",
  });
  assert.deepEqual(settingsOf({}, { ...litestream, LITESTREAM_SESSION_TOKEN: "lt" }).credentials, {
    accessKeyId: "la",
    secretAccessKey: "ls",
    sessionToken: "lt",
  });
  assert.equal(settingsOf({}, { ...litestream, AWS_ACCESS_KEY_ID: "" }).credentials, undefined);
});

test("completeS3Settings() checks the part size", () => {
  assert.match(failureOf({ partSizeBytes: 4_999_999 }), /part size must be at least 5242880 bytes/);
  const rounded = settingsOf({ partSizeBytes: 5_000_000 });
  assert.equal(rounded.partSizeBytes, 5 << 20);
  assert.match(rounded.warnings.join(), /5MiB/);
  assert.deepEqual(settingsOf({ partSizeBytes: 5 << 20 }).warnings, []);
});

test("completeS3Settings() checks encryption", () => {
  const sseCustomerKey = Buffer.alloc(32, 1).toString("base64");
  assert.deepEqual(settingsOf({ sseCustomerKey }).customerKey, {
    SSECustomerAlgorithm: "AES256",
    SSECustomerKey: sseCustomerKey,
    SSECustomerKeyMD5: "4Funlf7OsLF0HL+vKU+fkg==",
  });
  assert.equal(
    settingsOf({ sseCustomerKey, endpoint: "http://127.0.0.1:1" }).customerKey?.SSECustomerKey,
    sseCustomerKey,
  );
  assert.match(failureOf({ sseCustomerKey, endpoint: "http://e.com" }), /needs https/);
  assert.match(failureOf({ sseCustomerKey: "c2hvcnQ=" }), /32 bytes/);
  assert.match(failureOf({ sseCustomerKey, sseKMSKeyID: "k" }), /exclude each other/);
  assert.match(failureOf({ sseCustomerKey, sseCustomerAlgorithm: "DES" }), /AES256/);
  assert.match(failureOf({ sseCustomerAlgorithm: "AES256" }), /without sse-customer-key/);
});

test("completeS3Settings() wants a bucket and recommends a path", () => {
  assert.equal(failureOf({ bucket: "" }), "bucket required for s3 replica");
  assert.equal(
    failureOf({ bucket: "us-ord-1.linodeobjects.com" }),
    "bucket required for s3 replica",
  );
  for (const path of [".", ""]) assert.match(settingsOf({ path }).warnings.join(), /has no path/);
});
