/** Listings of a bucket: all pages, whatever the store's way of paging. */
import { ListObjectsCommand, ListObjectsV2Command } from "@aws-sdk/client-s3";
import { StorageError } from "../replica-client.ts";
import { placeName } from "./errors.ts";
import type { S3Requests } from "./requests.ts";

export interface S3ListedObject {
  readonly key: string;
  readonly sizeBytes: number;
  readonly uploadedAt: Date;
}

interface Page {
  readonly objects: readonly S3ListedObject[];
  readonly folders: readonly string[];
  readonly isTruncated: boolean;
  /** How to ask for the next page; undefined where the store did not say. */
  readonly token: string | undefined;
}

interface ListRequest {
  readonly prefix: string;
  /** Keys after this one. */
  readonly startAfter?: string | undefined;
  /** Fold what follows the next `/` after the prefix into folders. */
  readonly delimiter?: "/" | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** All objects below a prefix, in the order of their keys although some stores have none. */
export async function listObjects(
  requests: S3Requests,
  request: ListRequest,
): Promise<S3ListedObject[]> {
  const found = new Map<string, S3ListedObject>();
  for await (const page of pages(requests, request)) {
    for (const object of page.objects) found.set(object.key, object);
  }
  return [...found.values()].toSorted((a, b) => (a.key < b.key ? -1 : 1));
}

/** Names of the folders directly below a prefix, each with the prefix and a `/` at the end. */
export async function listFolders(
  requests: S3Requests,
  prefix: string,
  signal: AbortSignal | undefined,
): Promise<string[]> {
  const folders: string[] = [];
  for await (const page of pages(requests, { prefix, delimiter: "/", signal })) {
    folders.push(...page.folders);
  }
  return folders;
}

/**
 * Pages by continuation token; where a truncated page brings none (stores with the first version of the operation), by
 * the first version's marker. A page that leads nowhere is an error, never an endless loop or a silent end.
 */
async function* pages(requests: S3Requests, request: ListRequest): AsyncGenerator<Page, void> {
  let token: string | undefined;
  let marker: string | undefined;
  for (;;) {
    const page: Page =
      marker === undefined
        ? await secondVersion(requests, request, token)
        : await firstVersion(requests, request, marker);
    yield page;
    if (!page.isTruncated) return;
    const next = page.token ?? page.objects.at(-1)?.key ?? page.folders.at(-1);
    if (next === undefined || next === token || next === marker) {
      throw new StorageError(
        "corrupt",
        `Cannot list "${request.prefix}" at ${placeName(requests.settings)}: the listing is cut off and does not say how to go on`,
      );
    }
    if (page.token === undefined || marker !== undefined) marker = next;
    else token = next;
  }
}

async function secondVersion(
  requests: S3Requests,
  { prefix, startAfter, delimiter, signal }: ListRequest,
  token: string | undefined,
): Promise<Page> {
  const reply = await requests.call(
    `list "${prefix}"`,
    (client, options) =>
      client.send(
        new ListObjectsV2Command({
          Bucket: requests.settings.bucket,
          Prefix: prefix,
          ...(startAfter === undefined ? {} : { StartAfter: startAfter }),
          ...(delimiter === undefined ? {} : { Delimiter: delimiter }),
          ...(token === undefined ? {} : { ContinuationToken: token }),
        }),
        options,
      ),
    signal,
  );
  return readPage(reply, reply.NextContinuationToken);
}

async function firstVersion(
  requests: S3Requests,
  { prefix, delimiter, signal }: ListRequest,
  marker: string,
): Promise<Page> {
  const reply = await requests.call(
    `list "${prefix}"`,
    (client, options) =>
      client.send(
        new ListObjectsCommand({
          Bucket: requests.settings.bucket,
          Prefix: prefix,
          Marker: marker,
          ...(delimiter === undefined ? {} : { Delimiter: delimiter }),
        }),
        options,
      ),
    signal,
  );
  return readPage(reply, reply.NextMarker);
}

interface Reply {
  readonly Contents?:
    | readonly {
        readonly Key?: string | undefined;
        readonly Size?: number | undefined;
        readonly LastModified?: Date | undefined;
      }[]
    | undefined;
  readonly CommonPrefixes?: readonly { readonly Prefix?: string | undefined }[] | undefined;
  readonly IsTruncated?: boolean | undefined;
}

function readPage(reply: Reply, token: string | undefined): Page {
  return {
    objects: (reply.Contents ?? []).flatMap(({ Key, Size, LastModified }) =>
      Key === undefined
        ? []
        : [{ key: Key, sizeBytes: Size ?? 0, uploadedAt: LastModified ?? new Date(0) }],
    ),
    folders: (reply.CommonPrefixes ?? []).flatMap(({ Prefix }) =>
      Prefix === undefined ? [] : [Prefix],
    ),
    isTruncated: reply.IsTruncated === true,
    token: token === "" ? undefined : token,
  };
}
