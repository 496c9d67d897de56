/** Objects of one bucket: put, get, list, delete, with what S3-compatible stores get wrong put right. */
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import type { DeleteObjectsCommandOutput, PutObjectCommandInput } from "@aws-sdk/client-s3";
import { abortable } from "../abortable.ts";
import { StorageError } from "../replica-client.ts";
import type { OpenOptions } from "../replica-client.ts";
import { codeOf, placeName, toStorageError } from "./errors.ts";
import type { MultipartUpload, UploadedPart } from "./multipart.ts";
import type { S3Requests } from "./requests.ts";
import { formatTimestamp, TIMESTAMP_METADATA } from "./timestamp.ts";

/** S3's limit for one DeleteObjects. */
const MAX_DELETES = 1_000;
const deletesAtOnce = 8;

export interface S3Head {
  readonly sizeBytes: number;
  readonly uploadedAt: Date | undefined;
  /** Text of the timestamp metadata, if there is any. */
  readonly timestamp: string | undefined;
}

export interface S3PutOptions {
  readonly createdAt: Date;
  /** Send If-None-Match: *. */
  readonly ifAbsent: boolean;
  readonly signal?: AbortSignal | undefined;
}

export class S3Objects {
  readonly #requests: S3Requests;
  /** Set once the store has shown that it has no usable DeleteObjects. */
  #singleDeletes: boolean;

  constructor(requests: S3Requests) {
    this.#requests = requests;
    this.#singleDeletes = requests.settings.provider?.singleDeletes ?? false;
  }

  async put(key: string, bytes: Uint8Array, options: S3PutOptions): Promise<void> {
    const reply = await this.#requests.call(
      `write "${key}"`,
      (client, sending) =>
        client.send(
          new PutObjectCommand({
            ...this.#newObject(key, options.createdAt),
            Body: bytes,
            ContentLength: bytes.length,
            ...(options.ifAbsent ? { IfNoneMatch: "*" } : {}),
          }),
          sending,
        ),
      options.signal,
    );
    this.#expectETag(`write "${key}"`, reply.ETag);
  }

  /** Starts an upload in parts, to be driven by uploadParts(). */
  async startUpload(key: string, options: S3PutOptions): Promise<MultipartUpload> {
    const action = `write "${key}"`;
    const { bucket } = this.#requests.settings;
    const reply = await this.#requests.call(
      action,
      (client, sending) =>
        client.send(
          new CreateMultipartUploadCommand(this.#newObject(key, options.createdAt)),
          sending,
        ),
      options.signal,
    );
    if (reply.UploadId === undefined || reply.UploadId === "") {
      throw this.#corrupt(action, "the reply names no upload");
    }
    const upload = { Bucket: bucket, Key: key, UploadId: reply.UploadId };
    return {
      putPart: (number, bytes, signal) => this.#putPart(action, upload, number, bytes, signal),
      complete: (parts) => this.#completeUpload(action, upload, parts, options),
      abandon: () => this.#abandonUpload(upload),
    };
  }

  /** Copies an object with its metadata. False: the store does not do that. */
  async copy(from: string, to: string, signal?: AbortSignal): Promise<boolean> {
    const { storageClass, kmsKeyID, customerKey } = this.#requests.settings;
    const action = `copy "${from}" to "${to}"`;
    try {
      const reply = await this.#requests.call(
        action,
        (client, sending) =>
          client.send(
            new CopyObjectCommand({
              Bucket: this.#bucket,
              Key: to,
              CopySource: [this.#bucket, ...from.split("/")].map(encodeURIComponent).join("/"),
              MetadataDirective: "COPY",
              ...(storageClass === undefined
                ? {}
                : {
                    StorageClass: storageClass as NonNullable<
                      PutObjectCommandInput["StorageClass"]
                    >,
                  }),
              ...(kmsKeyID === undefined
                ? {}
                : { ServerSideEncryption: "aws:kms", SSEKMSKeyId: kmsKeyID }),
              ...copyKey(customerKey),
            }),
            sending,
          ),
        signal,
      );
      this.#expectETag(action, reply.CopyObjectResult?.ETag);
      return true;
    } catch (error) {
      if (isCopyRefused(error)) return false;
      throw error;
    }
  }

  async head(key: string, signal?: AbortSignal): Promise<S3Head> {
    const reply = await this.#requests.call(
      `look at "${key}"`,
      (client, sending) =>
        client.send(
          new HeadObjectCommand({ Bucket: this.#bucket, Key: key, ...this.#customerKey }),
          sending,
        ),
      signal,
    );
    return {
      sizeBytes: reply.ContentLength ?? 0,
      uploadedAt: reply.LastModified,
      timestamp: reply.Metadata?.[TIMESTAMP_METADATA],
    };
  }

  /** The bytes of an object, or of a range of it. Ends with an error when the connection ends before the body does. */
  async *get(key: string, options: OpenOptions = {}): AsyncGenerator<Uint8Array, void> {
    const { offset = 0, length = Infinity, signal } = options;
    const action = `read "${key}"`;
    const found = await this.#openBody(action, key, rangeHeader(offset, length), signal);
    // Nothing at or after `offset`.
    if (found === null) return;
    const { body, expectedBytes } = found;
    let skip = found.firstByte === 0 ? offset : 0;
    let left = length;
    let received = 0;
    if (skip === 0 && found.firstByte !== offset) {
      throw this.#corrupt(
        action,
        `byte ${offset} was asked for, and byte ${found.firstByte} given`,
      );
    }
    try {
      for await (const chunk of abortable(body, signal)) {
        received += chunk.length;
        // A store that ignores ranges sends everything: leave out what was not asked for.
        const wanted = chunk.subarray(skip, skip + left);
        skip = Math.max(0, skip - chunk.length);
        left -= wanted.length;
        if (wanted.length > 0) yield wanted;
        if (left <= 0) return;
      }
    } catch (error) {
      signal?.throwIfAborted();
      throw toStorageError(action, error, this.#requests.settings);
    }
    if (expectedBytes === undefined || received >= expectedBytes) return;
    throw new StorageError(
      "unavailable",
      `Cannot ${action} at ${placeName(this.#requests.settings)}: it ended after ${received} of ${expectedBytes} bytes`,
    );
  }

  /** Null: the range begins at or after the end of the object. */
  async #openBody(
    action: string,
    key: string,
    range: string | undefined,
    signal: AbortSignal | undefined,
  ): Promise<S3Body | null> {
    try {
      // One attempt: whoever resumes broken reads counts this one among them.
      const reply = await this.#requests.attempt(
        action,
        (client, sending) =>
          client.send(
            new GetObjectCommand({
              Bucket: this.#bucket,
              Key: key,
              ...(range === undefined ? {} : { Range: range }),
              ...this.#customerKey,
            }),
            sending,
          ),
        signal,
      );
      const body = reply.Body as AsyncIterable<Uint8Array> | undefined;
      if (body === undefined) throw this.#corrupt(action, "the reply has no body");
      return { body, ...readRange(range, reply.ContentRange, reply.ContentLength) };
    } catch (error) {
      if (codeOf(error) === "InvalidRange" || codeOf(error) === "416") return null;
      throw error;
    }
  }

  /** Deletes objects; missing ones count as deleted. All batches are tried before the failures are thrown. */
  async delete(keys: readonly string[], signal?: AbortSignal): Promise<void> {
    const failures: DeleteFailure[] = [];
    for (let start = 0; start < keys.length; start += MAX_DELETES) {
      const batch = keys.slice(start, start + MAX_DELETES);
      failures.push(...(await this.#deleteBatch(batch, signal)));
    }
    if (failures.length === 0) return;
    const some = failures.slice(0, 5).map(({ key, code }) => `"${key}" (${code})`);
    const more = failures.length > some.length ? ` and ${failures.length - some.length} more` : "";
    const [{ code } = { code: "" }] = failures;
    throw new StorageError(
      failures.every((failure) => failure.code === "AccessDenied") ? "denied" : "unavailable",
      `Cannot delete ${some.join(", ")}${more} at ${placeName(this.#requests.settings)}`,
      { code },
    );
  }

  async #deleteBatch(
    keys: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<readonly DeleteFailure[]> {
    if (this.#singleDeletes || keys.length === 1) return this.#deleteSingly(keys, signal);
    let reply: DeleteObjectsCommandOutput;
    try {
      reply = await this.#requests.call(
        `delete ${keys.length} objects`,
        (client, sending) =>
          client.send(
            new DeleteObjectsCommand({
              Bucket: this.#bucket,
              Delete: { Objects: keys.map((Key) => ({ Key })) },
            }),
            sending,
          ),
        signal,
      );
    } catch (error) {
      if (!isBatchRefused(error)) throw error;
      this.#singleDeletes = true;
      return this.#deleteSingly(keys, signal);
    }
    const deleted = new Set(reply.Deleted?.map(({ Key }) => Key));
    const failures = (reply.Errors ?? [])
      .filter(({ Key, Code }) => Key !== undefined && Code !== "NoSuchKey")
      .map(({ Key = "", Code = "no code" }) => ({ key: Key, code: Code }));
    const failed = new Set(failures.map(({ key }) => key));
    const missing = new Set(reply.Errors?.map(({ Key }) => Key));
    // What the reply does not speak of may have been deleted or not.
    const unspoken = keys.filter(
      (key) => !deleted.has(key) && !failed.has(key) && !missing.has(key),
    );
    return [...failures, ...(await this.#deleteSingly(unspoken, signal))];
  }

  async #deleteSingly(
    keys: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<readonly DeleteFailure[]> {
    const failures: DeleteFailure[] = [];
    const queue = [...keys];
    const worker = async (): Promise<void> => {
      for (let key = queue.shift(); key !== undefined; key = queue.shift()) {
        const code = await this.#deleteOne(key, signal);
        if (code !== null) failures.push({ key, code });
      }
    };
    await Promise.all(Array.from({ length: deletesAtOnce }, worker));
    return failures;
  }

  /** Null when it is gone, else the code of the refusal. Failures of the connection are thrown. */
  async #deleteOne(key: string, signal: AbortSignal | undefined): Promise<string | null> {
    try {
      await this.#requests.call(
        `delete "${key}"`,
        (client, sending) =>
          client.send(new DeleteObjectCommand({ Bucket: this.#bucket, Key: key }), sending),
        signal,
      );
      return null;
    } catch (error) {
      if (!(error instanceof StorageError) || error.kind === "unavailable") throw error;
      return error.kind === "not-found" ? null : (error.code ?? error.kind);
    }
  }

  async #putPart(
    action: string,
    upload: { readonly Bucket: string; readonly Key: string; readonly UploadId: string },
    number: number,
    bytes: Uint8Array,
    signal: AbortSignal,
  ): Promise<UploadedPart> {
    const reply = await this.#requests.call(
      action,
      (client, sending) =>
        client.send(
          new UploadPartCommand({
            ...upload,
            PartNumber: number,
            Body: bytes,
            ContentLength: bytes.length,
            ...this.#customerKey,
          }),
          sending,
        ),
      signal,
    );
    const etag = this.#expectETag(action, reply.ETag);
    const { ChecksumCRC32: crc32 } = reply;
    return crc32 === undefined ? { number, etag } : { number, etag, crc32 };
  }

  async #completeUpload(
    action: string,
    upload: { readonly Bucket: string; readonly Key: string; readonly UploadId: string },
    parts: readonly UploadedPart[],
    { createdAt, ifAbsent, signal }: S3PutOptions,
  ): Promise<void> {
    try {
      await this.#requests.call(
        action,
        (client, sending) =>
          client.send(
            new CompleteMultipartUploadCommand({
              ...upload,
              MultipartUpload: {
                Parts: parts.map(({ number, etag, crc32 }) => ({
                  PartNumber: number,
                  ETag: etag,
                  ...(crc32 === undefined ? {} : { ChecksumCRC32: crc32 }),
                })),
              },
              ...this.#customerKey,
              ...(ifAbsent ? { IfNoneMatch: "*" } : {}),
            }),
            sending,
          ),
        signal,
      );
    } catch (error) {
      // After a lost answer the upload is no longer known: it was completed, if our object is there.
      if (codeOf(error) !== "NoSuchUpload") throw error;
      const { timestamp } = await this.head(upload.Key, signal);
      if (timestamp !== formatTimestamp(createdAt)) throw error;
    }
  }

  async #abandonUpload(upload: {
    readonly Bucket: string;
    readonly Key: string;
    readonly UploadId: string;
  }): Promise<void> {
    try {
      await this.#requests.callOnce(
        (client, sending) => client.send(new AbortMultipartUploadCommand(upload), sending),
        AbortSignal.timeout(10_000),
      );
    } catch {
      // The upload's own error is the one to report. Parts left behind are invisible; a lifecycle rule removes them.
    }
  }

  get #bucket(): string {
    return this.#requests.settings.bucket;
  }

  get #customerKey(): object {
    return this.#requests.settings.customerKey ?? {};
  }

  /** What every new object carries, in one piece or in parts. */
  #newObject(key: string, createdAt: Date): PutObjectCommandInput {
    const { storageClass, kmsKeyID, customerKey } = this.#requests.settings;
    return {
      Bucket: this.#bucket,
      Key: key,
      ContentType: "application/octet-stream",
      Metadata: { [TIMESTAMP_METADATA]: formatTimestamp(createdAt) },
      ...(storageClass === undefined
        ? {}
        : { StorageClass: storageClass as NonNullable<PutObjectCommandInput["StorageClass"]> }),
      ...(kmsKeyID === undefined ? {} : { ServerSideEncryption: "aws:kms", SSEKMSKeyId: kmsKeyID }),
      ...customerKey,
    };
  }

  /** A reply without an etag is not one of a store that has taken the object. */
  #expectETag(action: string, etag: string | undefined): string {
    if (etag !== undefined && etag !== "") return etag;
    throw this.#corrupt(action, "the reply has no ETag");
  }

  #corrupt(action: string, what: string): StorageError {
    return new StorageError(
      "corrupt",
      `Cannot ${action} at ${placeName(this.#requests.settings)}: ${what}`,
    );
  }
}

interface S3Body {
  readonly body: AsyncIterable<Uint8Array>;
  /** Where in the object the body starts. */
  readonly firstByte: number;
  /** How many bytes have to come; undefined when the store did not say. */
  readonly expectedBytes: number | undefined;
}

/** What a reply says of its body, and what the body must hold to be all that was asked for. */
function readRange(
  asked: string | undefined,
  contentRange: string | undefined,
  contentLength: number | undefined,
): Omit<S3Body, "body"> {
  const [, first, total] = /^bytes (\d+)-\d+\/(\d+)$/.exec(contentRange ?? "") ?? [];
  if (first === undefined || total === undefined)
    return { firstByte: 0, expectedBytes: contentLength };
  const [, last] = /-(\d+)$/.exec(asked ?? "") ?? [];
  const end = last === undefined ? Number(total) : Math.min(Number(total), Number(last) + 1);
  return { firstByte: Number(first), expectedBytes: end - Number(first) };
}

interface DeleteFailure {
  readonly key: string;
  readonly code: string;
}

/** `bytes=a-b`; undefined for a whole object. A range of no bytes cannot be said: its first byte is asked for. */
function rangeHeader(offset: number, length: number): string | undefined {
  if (offset === 0 && length === Infinity) return undefined;
  if (length === Infinity) return `bytes=${offset}-`;
  return `bytes=${offset}-${offset + Math.max(1, length) - 1}`;
}

/** The key by which the source is read and the copy is written. */
function copyKey(key: S3Requests["settings"]["customerKey"]): object {
  if (key === undefined) return {};
  return {
    ...key,
    CopySourceSSECustomerAlgorithm: key.SSECustomerAlgorithm,
    CopySourceSSECustomerKey: key.SSECustomerKey,
    CopySourceSSECustomerKeyMD5: key.SSECustomerKeyMD5,
  };
}

/** Whether a store cannot copy, or not this object. */
function isCopyRefused(error: unknown): boolean {
  return /^(?:NotImplemented|MethodNotAllowed|InvalidRequest|InvalidArgument|UnsupportedOperation|EntityTooLarge|405|501)$/.test(
    codeOf(error) ?? "",
  );
}

/** Whether a store has no DeleteObjects, or wants another digest on it than it got. */
function isBatchRefused(error: unknown): boolean {
  return /^(?:NotImplemented|MethodNotAllowed|InvalidDigest|BadDigest|MissingContentMD5|ContentMD5Missing|InvalidRequest|InvalidArgument|MissingRequiredHeader|UnsupportedOperation|MalformedXML|405|501)$/.test(
    codeOf(error) ?? "",
  );
}
