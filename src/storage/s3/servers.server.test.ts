/** The contract against real S3 servers that have nothing in common. */
import { after, before } from "node:test";
import { testReplicaClient } from "../../../test/conformance/replica-client.ts";
import type { S3Server, ServerName } from "../../../test/servers/servers.ts";
import { missingServer, startCephRGW, startSwiftS3 } from "../../../test/servers/servers.ts";
import { levelHexFolder } from "../../formats/ltx/layout.ts";
import { openReplicaClient } from "../open.ts";

function testServer(
  name: ServerName,
  start: () => Promise<S3Server>,
  facts: { readonly conditionalWrites: boolean; readonly fileCount: number },
): void {
  const skip = missingServer(name);
  let server: S3Server | undefined;
  before(async () => {
    if (skip === undefined) server = await start();
  });
  after(() => server?.[Symbol.asyncDispose]());
  testReplicaClient(name, {
    ...facts,
    skip,
    folderOfLevel: levelHexFolder,
    largeBytes: 6 << 20,
    open: async (replica) => {
      if (server === undefined) throw new Error(`${name} is not running`);
      const { endpoint, bucket, region, accessKeyID, secretAccessKey } = server;
      const options = { endpoint, bucket, region, accessKeyID, secretAccessKey };
      return openReplicaClient({ type: "s3", path: replica, ...options });
    },
  });
}

testServer("ceph", startCephRGW, { conditionalWrites: true, fileCount: 1_100 });
testServer("swift", startSwiftS3, { conditionalWrites: false, fileCount: 60 });
