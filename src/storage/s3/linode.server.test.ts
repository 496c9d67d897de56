/** The user's own case: `s3://BUCKET.REGION.linodeobjects.com/db` with two variables, against the software of Linode. */
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import type { ConnectMap, S3Server } from "../../../test/servers/servers.ts";
import { missingServer, startCephRGW, startConnectMap } from "../../../test/servers/servers.ts";
import { openReplicaClient } from "../open.ts";
import type { ReplicaClient } from "../replica-client.ts";
import type { ReplicaOptions } from "../replica-options.ts";
import { parseReplicaURL } from "../replica-url.ts";

const file = { level: 0, minTXID: 1n, maxTXID: 1n };
const createdAt = new Date("2024-02-29T12:34:56.789Z");
const skip = missingServer("ceph") ?? false;

void suite("a bucket under its Linode name", { skip }, () => {
  let ceph: S3Server;
  let proxy: ConnectMap;
  let environment: Record<string, string>;

  before(async () => {
    ceph = await startCephRGW({ RGW_DNS_NAME: "us-east-1.linodeobjects.com" });
    const tlsPort = Number(ceph.tlsEndpoint?.split(":").at(-1));
    proxy = await startConnectMap({ "^us-east-1[.]linodeobjects[.]com:443$": tlsPort });
    environment = {
      LITESTREAM_ACCESS_KEY_ID: ceph.accessKeyID,
      LITESTREAM_SECRET_ACCESS_KEY: ceph.secretAccessKey,
      HTTPS_PROXY: proxy.url,
      SSL_CERT_FILE: ceph.caFile ?? "",
    };
  });
  after(async () => {
    await proxy[Symbol.asyncDispose]();
    await ceph[Symbol.asyncDispose]();
  });

  test("works by URL with LITESTREAM_ACCESS_KEY_ID and LITESTREAM_SECRET_ACCESS_KEY alone", async () => {
    const { options } = parseReplicaURL(`s3://${ceph.bucket}.us-east-1.linodeobjects.com/db`);
    await using client = await openReplicaClient(options as ReplicaOptions, { environment });
    assert.deepEqual(client.attributes, {
      bucket: ceph.bucket,
      path: "db",
      region: "us-east-1",
      endpoint: "https://us-east-1.linodeobjects.com",
    });
    await writeListRead(client, "by URL");
  });

  test("works by the fields of a configuration, and with the host form as bucket", async () => {
    const keys = { accessKeyID: ceph.accessKeyID, secretAccessKey: ceph.secretAccessKey };
    const {
      LITESTREAM_ACCESS_KEY_ID: _id,
      LITESTREAM_SECRET_ACCESS_KEY: _key,
      ...rest
    } = environment;
    const forms: Partial<ReplicaOptions>[] = [
      { bucket: ceph.bucket, region: "us-east-1", endpoint: "us-east-1.linodeobjects.com" },
      { bucket: ceph.bucket, endpoint: "https://us-east-1.linodeobjects.com" },
      { bucket: `${ceph.bucket}.us-east-1.linodeobjects.com` },
    ];
    for (const form of forms) {
      const options = { type: "s3", path: "other", ...keys, ...form } as ReplicaOptions;
      await using client = await openReplicaClient(options, { environment: rest });
      await writeListRead(client, JSON.stringify(form));
    }
  });

  test("is refused with words when the key, the bucket or the certificate is wrong", async () => {
    const open = async (
      changes: object,
      changedEnvironment: Record<string, string> = {},
    ): Promise<unknown> => {
      const options = {
        type: "s3",
        bucket: `${ceph.bucket}.us-east-1.linodeobjects.com`,
        path: "db",
        ...changes,
      };
      await using client = await openReplicaClient(options as ReplicaOptions, {
        environment: { ...environment, ...changedEnvironment },
      });
      for await (const found of client.list(0)) return found;
      return undefined;
    };
    await assert.rejects(open({}, { LITESTREAM_ACCESS_KEY_ID: "NOBODY" }), {
      kind: "denied",
      code: "InvalidAccessKeyId",
      message: `Cannot list "db/0000/" at bucket "${ceph.bucket}" (https://us-east-1.linodeobjects.com): the access key is not known there (InvalidAccessKeyId), HTTP 403`,
    });
    await assert.rejects(open({}, { LITESTREAM_SECRET_ACCESS_KEY: "wrong" }), {
      kind: "denied",
      code: "SignatureDoesNotMatch",
    });
    await assert.rejects(open({ bucket: "missing.us-east-1.linodeobjects.com" }), {
      kind: "misconfigured",
      code: "NoSuchBucket",
      hint: "Create the bucket, or check its name",
    });
    await assert.rejects(open({}, { SSL_CERT_FILE: "" }), (error: Error & { hint?: string }) => {
      assert.match(error.hint ?? "", /SSL_CERT_FILE/);
      return true;
    });
    assert.equal(await open({ skipVerify: true }, { SSL_CERT_FILE: "" }), undefined);
    await assert.rejects(
      open({
        endpoint: "http://127.0.0.1:" + ceph.tlsEndpoint?.split(":").at(-1),
        bucket: ceph.bucket,
      }),
      {
        kind: "misconfigured",
        hint: `The server at http://127.0.0.1:${ceph.tlsEndpoint?.split(":").at(-1)} seems to speak TLS: write ${ceph.tlsEndpoint}`,
      },
    );
    const plain = ceph.endpoint.replace("http:", "https:");
    await assert.rejects(open({ endpoint: plain, bucket: ceph.bucket }), {
      kind: "misconfigured",
      hint: `The server at ${plain} seems to speak plain http: write ${ceph.endpoint}`,
    });
  });

  test("keeps the customer's key to itself over https", async () => {
    const options = {
      type: "s3" as const,
      bucket: `${ceph.bucket}.us-east-1.linodeobjects.com`,
      path: "encrypted",
      partSizeBytes: 5 << 20,
      sseCustomerKey: Buffer.alloc(32, 7).toString("base64"),
    };
    await using client = await openReplicaClient(options, { environment });
    await writeListRead(client, "secret");
    const bytes = Buffer.alloc(11 << 20, 1);
    await client.write(file, { kind: "bytes", bytes }, { createdAt });
    const chunks = [];
    for await (const chunk of client.read(file, { offset: 5 << 20 })) chunks.push(chunk);
    assert.equal(Buffer.concat(chunks).length, 6 << 20);
    await using keyless = await openReplicaClient(
      { ...options, sseCustomerKey: undefined },
      { environment },
    );
    await assert.rejects(async () => {
      for await (const _chunk of keyless.read(file)) assert.fail("read without the key");
    }, /Cannot read/);
    await client.delete([file]);
  });
});

async function writeListRead(client: ReplicaClient, text: string): Promise<void> {
  const bytes = Buffer.from(text);
  await client.write(file, { kind: "bytes", bytes }, { createdAt, ifAbsent: true });
  const listed = [];
  for await (const found of client.list(0, { withTimestamps: true })) listed.push(found);
  assert.deepEqual(listed, [{ ...file, sizeBytes: bytes.length, createdAt }]);
  const chunks = [];
  for await (const chunk of client.read(file)) chunks.push(chunk);
  assert.equal(Buffer.concat(chunks).toString(), text);
  await client.delete([file]);
  for await (const found of client.list(0)) assert.fail(`${found.minTXID} is still there`);
}
