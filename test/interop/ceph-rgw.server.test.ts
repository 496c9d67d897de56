/** D1, D2, D4, D5 over S3 against Ceph RGW, the software of Linode Object Storage. */
import { after, before } from "node:test";
import type { Place } from "../harness/replication.ts";
import { missingServer, startCephRGW } from "../servers/servers.ts";
import type { S3Server } from "../servers/servers.ts";
import { registerExchange } from "./register-exchange.ts";

const missing = missingServer("ceph");
if (missing === undefined) {
  let ceph: S3Server | undefined;
  before(async () => {
    ceph = await startCephRGW();
  });
  after(async () => {
    await ceph?.[Symbol.asyncDispose]();
  });
  registerExchange("Ceph RGW", async (_scratch, id) => {
    if (ceph === undefined) throw new Error("Ceph RGW did not start");
    return placeIn(ceph, id);
  });
} else {
  console.log(`# skipped: ${missing}`);
}

function placeIn(
  { endpoint, region, bucket, accessKeyID, secretAccessKey }: S3Server,
  path: string,
): Place {
  return {
    url: `s3://${bucket}/${path}?endpoint=${encodeURIComponent(endpoint)}&region=${region}`,
    yaml: { type: "s3", bucket, path, endpoint, region },
    env: { LITESTREAM_ACCESS_KEY_ID: accessKeyID, LITESTREAM_SECRET_ACCESS_KEY: secretAccessKey },
  };
}
