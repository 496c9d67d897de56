import assert from "node:assert/strict";
import { test } from "node:test";
import { StorageError } from "./replica-client.ts";
import { isReplicaURL, parseReplicaURL } from "./replica-url.ts";
import type { URLFacts } from "./replica-url.ts";

/** The options a URL stands for, after checking that nothing was odd about it. */
function optionsOf(url: string, facts?: URLFacts): Record<string, unknown> {
  const { options, unknownParameters, warnings } = parseReplicaURL(url, facts);
  assert.deepEqual([unknownParameters, warnings], [[], []], url);
  const { type: _type, ...rest } = options;
  return rest;
}

function failureOf(url: string, facts?: URLFacts): StorageError {
  try {
    parseReplicaURL(url, facts);
  } catch (error) {
    assert.ok(error instanceof StorageError);
    assert.equal(error.kind, "misconfigured");
    return error;
  }
  assert.fail(`${url} was accepted`);
}

/** What a Linode host form stands for. */
function linode(bucket: string, region: string, port = ""): Record<string, unknown> {
  return {
    bucket,
    path: "db",
    region,
    endpoint: `https://${region}.linodeobjects.com${port}`,
    forcePathStyle: true,
  };
}

test("parseReplicaURL() keeps upstream's three spellings of the S3 prefix", () => {
  assert.deepEqual(optionsOf("s3://bucket"), { bucket: "bucket", path: "." });
  assert.deepEqual(optionsOf("s3://bucket/"), { bucket: "bucket", path: "" });
  assert.deepEqual(optionsOf("s3://bucket/a/b/"), { bucket: "bucket", path: "a/b" });
});

test("parseReplicaURL() cleans and decodes S3 paths and ignores user information", () => {
  assert.deepEqual(optionsOf("s3://b/../x"), { bucket: "b", path: "x" });
  assert.deepEqual(optionsOf("s3://b//x"), { bucket: "b", path: "x" });
  assert.deepEqual(optionsOf("s3://b/p%20q"), { bucket: "b", path: "p q" });
  assert.deepEqual(optionsOf("s3://key:secret@b/p"), { bucket: "b", path: "p" });
  assert.deepEqual(optionsOf("S3://Bucket/p"), { bucket: "Bucket", path: "p" });
  assert.match(failureOf("s3://k:s@b/%zz").message, /"s3:\/\/b\/%zz": wrong percent-encoding/);
});

test("parseReplicaURL() knows Linode by its suffix, whatever the region", () => {
  assert.deepEqual(
    optionsOf("s3://BUCKET.us-east-1.linodeobjects.com/db"),
    linode("BUCKET", "us-east-1"),
  );
  assert.deepEqual(optionsOf("s3://a.b.us-ord-1.linodeobjects.com/db"), linode("a.b", "us-ord-1"));
  assert.deepEqual(optionsOf("s3://b.xx-new-99.LinodeObjects.com/db"), linode("b", "xx-new-99"));
  assert.deepEqual(
    optionsOf("s3://b.us-ord-1.linodeobjects.com:8443/db"),
    linode("b", "us-ord-1", ":8443"),
  );
  assert.deepEqual(optionsOf("s3://us-ord-1.linodeobjects.com/db"), {
    path: "db",
    region: "us-ord-1",
    endpoint: "https://us-ord-1.linodeobjects.com",
    forcePathStyle: true,
  });
});

test("parseReplicaURL() splits the host forms of the known providers", () => {
  const rows: [
    string,
    string | undefined,
    string | undefined,
    string | undefined,
    boolean | undefined,
  ][] = [
    ["b.s3.amazonaws.com", "b", undefined, undefined, undefined],
    ["b.c.s3.eu-west-3.amazonaws.com", "b.c", "eu-west-3", undefined, undefined],
    ["b.s3-us-west-2.amazonaws.com", "b", "us-west-2", undefined, undefined],
    ["b.nyc3.digitaloceanspaces.com", "b", "nyc3", "nyc3.digitaloceanspaces.com", false],
    ["nyc3.digitaloceanspaces.com", undefined, "nyc3", "nyc3.digitaloceanspaces.com", false],
    [
      "b.s3.us-west-004.backblazeb2.com",
      "b",
      "us-west-004",
      "s3.us-west-004.backblazeb2.com",
      true,
    ],
    ["b.s3.filebase.com", "b", undefined, "s3.filebase.com", true],
    ["b.s3.fr-par.scw.cloud", "b", "fr-par", "s3.fr-par.scw.cloud", false],
    ["b.acc.r2.cloudflarestorage.com", "b", "auto", "acc.r2.cloudflarestorage.com", true],
    ["b.c.acc.eu.r2.cloudflarestorage.com", "b.c", "auto", "acc.eu.r2.cloudflarestorage.com", true],
    ["acc.eu.r2.cloudflarestorage.com", undefined, "auto", "acc.eu.r2.cloudflarestorage.com", true],
    ["b.s3.eu-central-2.wasabisys.com", "b", "eu-central-2", "s3.eu-central-2.wasabisys.com", true],
    ["b.fsn1.your-objectstorage.com", "b", "fsn1", "fsn1.your-objectstorage.com", true],
    ["b.ewr1.vultrobjects.com", "b", "ewr1", "ewr1.vultrobjects.com", false],
    ["b.fly.storage.tigris.dev", "b", "auto", "fly.storage.tigris.dev", false],
  ];
  for (const [host, bucket, region, endpoint, pathStyle] of rows) {
    assert.deepEqual(
      optionsOf(`s3://${host}/p`),
      {
        path: "p",
        ...(bucket === undefined ? {} : { bucket }),
        ...(region === undefined ? {} : { region }),
        ...(endpoint === undefined
          ? {}
          : { endpoint: `https://${endpoint}`, forcePathStyle: pathStyle }),
      },
      host,
    );
  }
});

test("parseReplicaURL() splits BUCKET.HOST:PORT but never an address", () => {
  const rows: [string, string, string][] = [
    ["mybkt.localhost:9000", "mybkt", "http://localhost:9000"],
    ["mybkt.localhost", "mybkt", "http://localhost"],
    ["b.minio:9000", "b", "http://minio:9000"],
    ["b.minio.internal:9000", "b", "http://minio.internal:9000"],
    ["b.minio.example.com:9000", "b", "https://minio.example.com:9000"],
    ["b.192.168.1.5:9000", "b", "http://192.168.1.5:9000"],
    ["b.c.10.0.0.1:9000", "b.c", "http://10.0.0.1:9000"],
    ["b.192.168.1.5", "b", "http://192.168.1.5"],
    ["b.[::1]:9000", "b", "http://[::1]:9000"],
  ];
  for (const [host, bucket, endpoint] of rows) {
    const expected = { bucket, path: "p", region: "us-east-1", endpoint, forcePathStyle: true };
    assert.deepEqual(optionsOf(`s3://${host}/p`), expected, host);
  }
});

test("parseReplicaURL() asks for the bucket where the host is a server only", () => {
  const rows: [string, string][] = [
    ["s3://192.168.1.5:9000/bkt/db", "s3://bkt/db?endpoint=http://192.168.1.5:9000"],
    ["s3://localhost:9000/bkt", "s3://bkt?endpoint=http://localhost:9000"],
    ["s3://minio:9000", "s3://BUCKET?endpoint=http://minio:9000"],
    ["s3://[::1]:9000/bkt/a/b?region=x", "s3://bkt/a/b?endpoint=http://[::1]:9000&region=x"],
  ];
  for (const [url, corrected] of rows) {
    const error = failureOf(url);
    assert.equal(error.message, "bucket required for s3 replica");
    assert.ok(error.hint?.endsWith(`write ${corrected}`), error.hint);
  }
});

test("parseReplicaURL() refuses a bucket that is somebody's server, with the corrected URL", () => {
  const rows: [string, string][] = [
    ["s3://b.s3.example.com/db", "s3://b/db?endpoint=https://s3.example.com"],
    ["s3://b.sos-ch-gva-2.exo.io/db", "s3://b/db?endpoint=https://sos-ch-gva-2.exo.io"],
    ["s3://s3.example.com/b/db", "s3://b/db?endpoint=https://s3.example.com"],
    ["s3://ref.supabase.co/x", "s3://ref/x?endpoint=https://supabase.co"],
  ];
  for (const [url, corrected] of rows) {
    const error = failureOf(url);
    assert.match(error.message, /is the name of a server$/);
    assert.equal(error.hint, `Write ${corrected}`);
  }
});

test("parseReplicaURL() takes a dotted bucket as AWS's, with a warning when it may be a server", () => {
  assert.deepEqual(optionsOf("s3://my.bucket/x"), { bucket: "my.bucket", path: "x" });
  const { options, warnings } = parseReplicaURL("s3://backups.example.com/db");
  assert.deepEqual(options, { type: "s3", bucket: "backups.example.com", path: "db" });
  assert.match(warnings.join(), /write s3:\/\/backups\/db\?endpoint=https:\/\/example\.com$/);
  assert.equal(parseReplicaURL("s3://b.s3.example.com/db?endpoint=e").options.type, "s3");
});

test("parseReplicaURL() reads S3 query parameters in both spellings", () => {
  const expected = {
    bucket: "b",
    path: "p",
    endpoint: "http://localhost:9000",
    region: "r",
    forcePathStyle: false,
    skipVerify: true,
    signPayload: false,
    requireContentMD5: false,
    storageClass: "STANDARD_IA",
    partSizeBytes: 6_000_000,
    concurrency: 3,
    sseCustomerAlgorithm: "AES256",
    sseCustomerKey: "k",
    sseCustomerKeyMD5: "m",
    sseKMSKeyID: "id",
  };
  const camel =
    "endpoint=localhost:9000&region=r&forcePathStyle=false&skipVerify=1&signPayload=f&requireContentMD5=No&storageClass=STANDARD_IA&partSize=6000000&concurrency=3&sseCustomerAlgorithm=AES256&sseCustomerKey=k&sseCustomerKeyMD5=m&sseKmsKeyId=id";
  const kebab =
    "endpoint=localhost:9000&region=r&force-path-style=0&skip-verify=YES&sign-payload=whatever&require-content-md5=false&storage-class=STANDARD_IA&part-size=6000000&concurrency=3&sse-customer-algorithm=AES256&sse-customer-key=k&sse-customer-key-md5=m&sse-kms-key-id=id";
  assert.deepEqual(optionsOf(`s3://b/p?${camel}`), expected);
  assert.deepEqual(optionsOf(`s3://b/p?${kebab}`), expected);
  assert.deepEqual(parseReplicaURL("s3://b/p?regoin=x&endpoint=").unknownParameters, ["regoin"]);
  const error = failureOf("s3://b/p?partSize=5MB");
  assert.equal(
    error.message,
    `invalid value for query parameter "partSize": "5MB" (must be a positive integer)`,
  );
});

test("parseReplicaURL() chooses http for local endpoints without a scheme", () => {
  const rows = {
    "localhost:1": "http",
    "10.1.2.3": "http",
    "172.31.0.1:1": "http",
    "172.32.0.1": "https",
    "172.200.0.1": "https",
    "minio:9000": "http",
    minio: "https",
    "nas.local": "http",
    "us-east-1.linodeobjects.com": "https",
    "[::1]:9000": "http",
  };
  for (const [endpoint, scheme] of Object.entries(rows))
    assert.equal(
      optionsOf(`s3://b/p?endpoint=${encodeURIComponent(endpoint)}`)["endpoint"],
      `${scheme}://${endpoint}`,
    );
  assert.equal(optionsOf("s3://b/p?endpoint=http://e.com/a/")["endpoint"], "http://e.com/a");
});

test("parseReplicaURL() splits access point ARNs", () => {
  const arn = "arn:aws:s3:eu-west-1:123456789012:accesspoint/ap";
  assert.deepEqual(optionsOf(`s3://${arn}`), { bucket: arn, path: "", region: "eu-west-1" });
  assert.deepEqual(optionsOf(`s3://${arn}/a/b?region=us-east-1`), {
    bucket: arn,
    path: "a/b",
    region: "us-east-1",
  });
  assert.equal(failureOf("s3://arn:aws:s3:x").message, "invalid s3 access point arn: arn:aws:s3:x");
});

test("parseReplicaURL() decodes file URLs unless the encoded folder is in use", () => {
  assert.deepEqual(optionsOf("file:///a/b"), { path: "/a/b" });
  assert.deepEqual(optionsOf("file:///a b/../c/"), { path: "/c" });
  assert.deepEqual(optionsOf("file:///a%20b"), { path: "/a b" });
  assert.deepEqual(optionsOf("file:///a b"), { path: "/a b" });
  const facts = { folderExists: (path: string) => path === "/a%20b" };
  for (const url of ["file:///a%20b", "file:///a b"]) {
    const { options, warnings } = parseReplicaURL(url, facts);
    assert.deepEqual(options, { type: "file", path: "/a%20b" });
    assert.equal(warnings.length, 1);
  }
  assert.deepEqual(parseReplicaURL("file:///a?x=1"), {
    options: { type: "file", path: "/a" },
    unknownParameters: ["x"],
    warnings: [],
  });
});

test("parseReplicaURL() expands ~ and refuses a host in file URLs", () => {
  const homeFolder = "/home/u";
  assert.deepEqual(optionsOf("file://~/x", { homeFolder }), { path: "/home/u/x" });
  assert.deepEqual(
    optionsOf("file://~/x", { homeFolder, folderExists: (path) => path === "/~/x" }),
    { path: "/~/x" },
  );
  assert.deepEqual(optionsOf("file://localhost/x"), { path: "/x" });
  assert.equal(failureOf("file://rel/x").hint, "Write file:///rel/x");
  assert.deepEqual(optionsOf("file://rel/x", { folderExists: (path) => path === "/rel/x" }), {
    path: "/rel/x",
  });
});

test("parseReplicaURL() reads the URLs of the other places", () => {
  assert.deepEqual(optionsOf("gs://b/p/"), { bucket: "b", path: "p" });
  assert.deepEqual(optionsOf("abs://acct@cont/p"), {
    accountName: "acct",
    bucket: "cont",
    path: "p",
  });
  assert.deepEqual(optionsOf("abs://acct@acct.blob.core.windows.net/cont/p"), {
    accountName: "acct",
    bucket: "cont",
    path: "p",
  });
  assert.deepEqual(optionsOf("sftp://u:p%40@h:22/abs/p"), {
    host: "h:22",
    user: "u",
    password: "p@",
    path: "/abs/p",
  });
  assert.deepEqual(optionsOf("webdavs://u:p@h/dav/x"), {
    webdavURL: "https://h",
    webdavUsername: "u",
    webdavPassword: "p",
    path: "/dav/x",
  });
  assert.deepEqual(optionsOf("webdav://h/x"), { webdavURL: "http://h", path: "/x" });
  assert.deepEqual(optionsOf("nats://u:p@h:4222/bkt/sub"), {
    url: "nats://h:4222",
    bucket: "bkt/sub",
    username: "u",
    password: "p",
  });
  assert.deepEqual(optionsOf("nats://h:4222"), { url: "nats://h:4222" });
  assert.deepEqual(optionsOf("oss://b.oss-cn-beijing-internal.aliyuncs.com/p"), {
    bucket: "b",
    region: "cn-beijing",
    endpoint: "oss-cn-beijing-internal.aliyuncs.com",
    path: "p",
  });
  assert.deepEqual(optionsOf("oss://b/p?endpoint=e"), { bucket: "b", path: "p", endpoint: "e" });
});

test("parseReplicaURL() names unknown schemes as upstream does", () => {
  assert.equal(failureOf("foo://b/p").message, `unknown replica type in config: "foo"`);
  const gcs = failureOf("gcs://b/p");
  assert.deepEqual(
    [gcs.message, gcs.hint],
    [`unknown replica type in config: "gcs"`, "Write gs://b/p"],
  );
});

test("isReplicaURL() tells URLs from paths", () => {
  assert.deepEqual(["s3://b", "C:\\x", "/a/b", "a://", "://x"].map(isReplicaURL), [
    true,
    false,
    false,
    true,
    false,
  ]);
});
