/** Credentials where neither settings nor environment hold a pair: profiles, SSO, web identity, containers, EC2. */
import type { S3ClientConfig } from "@aws-sdk/client-s3";
import type { NodeHttpHandler } from "@smithy/node-http-handler";

/** Asks the AWS provider chain when the first request needs it, so that its many modules are loaded only then. */
export function lookupCredentials(
  requestHandler: NodeHttpHandler,
): NonNullable<S3ClientConfig["credentials"]> {
  let chain: Promise<() => Promise<Credentials>> | undefined;
  return async () => {
    chain ??= import("@aws-sdk/credential-providers").then(({ fromNodeProviderChain }) =>
      fromNodeProviderChain({ clientConfig: { requestHandler } }),
    );
    const provider = await chain;
    return provider();
  };
}

interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly expiration?: Date;
}
