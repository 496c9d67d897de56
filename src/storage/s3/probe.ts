/** Whether a store creates names conditionally. Some ignore the header, some have never heard of it. */
import { DeleteObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { randomUUID } from "node:crypto";
import { isStorageError, StorageError } from "../replica-client.ts";
import { toStorageError } from "./errors.ts";
import type { S3Requests } from "./requests.ts";

/**
 * Writes a throw-away object twice with `If-None-Match: *`: the second write must be refused as existing. Asking costs
 * two or three requests, so the caller keeps the answer.
 */
export async function probeConditionalWrites(
  requests: S3Requests,
  prefix: string,
  signal?: AbortSignal,
): Promise<boolean> {
  const { bucket } = requests.settings;
  const key = `${prefix}litestream-probe-${randomUUID()}`;
  const put = async (): Promise<"created" | "exists" | "unsupported"> => {
    try {
      await requests.call(
        `write "${key}"`,
        (client, options) =>
          client.send(
            new PutObjectCommand({ Bucket: bucket, Key: key, Body: "probe", IfNoneMatch: "*" }),
            options,
          ),
        signal,
      );
      return "created";
    } catch (error) {
      if (isStorageError(error, "exists")) return "exists";
      if (isUnsupported(error)) return "unsupported";
      throw error;
    }
  };
  const first = await put();
  if (first === "unsupported") return false;
  // "exists" at once: an earlier attempt was applied although its answer was lost. The verdict stands all the same.
  const second = await put();
  try {
    await requests.call(
      `delete "${key}"`,
      (client, options) =>
        client.send(new DeleteObjectCommand({ Bucket: bucket, Key: key }), options),
      signal,
    );
  } catch (error) {
    signal?.throwIfAborted();
    // Keys that may not delete are common where retention is off; the few bytes then stay.
    if (!isStorageError(error, "denied")) throw toStorageError("delete", error, requests.settings);
  }
  return second === "exists";
}

/** The store knows no conditions on PUT: it says so, or takes the header for an error. */
function isUnsupported(error: unknown): boolean {
  return (
    error instanceof StorageError &&
    /^(?:NotImplemented|501|InvalidArgument|InvalidRequest|UnsupportedHeader|MethodNotAllowed)$/.test(
      error.code ?? "",
    )
  );
}
