import assert from "node:assert/strict";
import { test } from "node:test";
import { failure, FakeS3 } from "../../../test/servers/fake-s3.ts";
import type { FakeReply } from "../../../test/servers/fake-s3.ts";
import { lookupRegion } from "./region.ts";
import { S3Requests } from "./requests.ts";
import { completeS3Settings } from "./settings.ts";

const xmlns = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"';

function requestsTo(store: FakeS3): S3Requests {
  const keys = { accessKeyID: "AK", secretAccessKey: "SK" };
  const settings = completeS3Settings(
    { type: "s3", bucket: "b", endpoint: store.endpoint, ...keys },
    {},
  );
  return new S3Requests(settings, {
    environment: {},
    backoff: { attempts: 2, baseMs: 1, capMs: 1 },
  });
}

test("lookupRegion() takes the region from any reply to HEAD", async () => {
  const headers = { "x-amz-bucket-region": "eu-west-3" };
  for (const status of [200, 301, 400, 403]) {
    await using store = await FakeS3.start();
    store.misbehave = () => ({ status, headers });
    const requests = requestsTo(store);
    assert.equal(await lookupRegion(requests), "eu-west-3", String(status));
    assert.deepEqual(store.operations, ["HEAD"]);
    requests.close();
  }
});

test("lookupRegion() asks for the location when HEAD does not tell", async () => {
  const rows: [string, string][] = [
    [`<LocationConstraint ${xmlns}/>`, "us-east-1"],
    [`<LocationConstraint ${xmlns}>EU</LocationConstraint>`, "eu-west-1"],
    [`<LocationConstraint ${xmlns}>ap-south-1</LocationConstraint>`, "ap-south-1"],
  ];
  for (const [body, region] of rows) {
    await using store = await FakeS3.start();
    store.misbehave = ({ method }): FakeReply =>
      method === "HEAD" ? { status: 403 } : { status: 200, body };
    const requests = requestsTo(store);
    assert.equal(await lookupRegion(requests), region);
    requests.close();
  }
});

test("lookupRegion() fails by the words of the second answer", async () => {
  await using store = await FakeS3.start();
  store.misbehave = ({ method }): FakeReply =>
    method === "HEAD" ? { status: 404 } : failure(404, "NoSuchBucket");
  const requests = requestsTo(store);
  await assert.rejects(lookupRegion(requests), { kind: "misconfigured", code: "NoSuchBucket" });
  requests.close();
});
