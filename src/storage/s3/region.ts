/** Finding out in which region a bucket lies. */
import { GetBucketLocationCommand, HeadBucketCommand } from "@aws-sdk/client-s3";
import { codeOf, regionInReply, toStorageError } from "./errors.ts";
import type { S3Requests } from "./requests.ts";

/**
 * The region of an AWS bucket. HEAD of the bucket names it in every kind of reply, also where access is denied;
 * GetBucketLocation is asked when no header came.
 */
export async function lookupRegion(requests: S3Requests, signal?: AbortSignal): Promise<string> {
  const { bucket } = requests.settings;
  try {
    const reply = await requests.callOnce(
      (client, options) => client.send(new HeadBucketCommand({ Bucket: bucket }), options),
      signal,
    );
    if (reply.BucketRegion !== undefined) return reply.BucketRegion;
  } catch (error) {
    signal?.throwIfAborted();
    const region = regionInReply(error);
    if (region !== undefined) return region;
    if (codeOf(error) === "CredentialsProviderError") {
      throw toStorageError("look up the region", error, requests.settings);
    }
    // Any other failure shows again, in words, in the answer to the second question.
  }
  const reply = await requests.call(
    "look up the region",
    (client, options) => client.send(new GetBucketLocationCommand({ Bucket: bucket }), options),
    signal,
  );
  const location = reply.LocationConstraint ?? "";
  if (location === "EU") return "eu-west-1";
  return location === "" ? "us-east-1" : location;
}
