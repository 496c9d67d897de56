/**
 * An S3 store in this process that shows every request and misbehaves on demand. It believes every signature: what the
 * client really sends is looked at by the tests, and real servers check the signatures elsewhere.
 */
import { createHash } from "node:crypto";
import { createServer } from "node:http";
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface FakeRequest {
  readonly method: string;
  /** Key in the bucket, as it came over the wire. */
  readonly key: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Buffer;
  /** `PUT`, `PUT part`, `POST delete`, `GET list`, … */
  readonly operation: string;
}

export interface FakeReply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
  /** Close the connection after so many bytes of the body. */
  readonly cutAfter?: number;
}

export interface FakeObject {
  readonly body: Buffer;
  readonly headers: Readonly<Record<string, string>>;
}

/** Answers instead of the store; undefined lets the store answer. "hang" never answers, "reset" hangs up. */
export type Misbehaviour = (
  request: FakeRequest,
  store: FakeS3,
) => FakeReply | "hang" | "reset" | undefined;

export class FakeS3 implements AsyncDisposable {
  readonly objects: Map<string, FakeObject> = new Map();
  readonly requests: FakeRequest[] = [];
  /** Uploads in parts that are neither completed nor aborted. */
  readonly uploads: Map<string, Map<number, Buffer>> = new Map();
  misbehave: Misbehaviour = () => undefined;
  maxKeys = 1_000;
  /** Parts under way at this moment and at most. */
  partsNow = 0;
  partsPeak = 0;
  /** Connections accepted so far. */
  connections = 0;
  readonly #server = createServer((request, response) => void this.#handle(request, response));
  #uploadCount = 0;

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Operations so far, in order. */
  get operations(): string[] {
    return this.requests.map(({ operation }) => operation);
  }

  static async start(): Promise<FakeS3> {
    const store = new FakeS3();
    store.#server.on("connection", () => (store.connections += 1));
    await new Promise<void>((resolve) => void store.#server.listen(0, "127.0.0.1", resolve));
    return store;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => void this.#server.close(() => resolve()));
  }

  /** The store's right answer, for misbehaviours that apply a request and then lie about it. */
  answer(request: FakeRequest): FakeReply {
    const { method, key, operation } = request;
    switch (operation) {
      case "GET list":
        return request.query.get("list-type") === "2"
          ? this.#listV2(request)
          : this.#listV1(request);
      case "POST delete":
        return this.#deleteObjects(request);
      case "POST uploads":
        return this.#startUpload();
      case "PUT part":
        return this.#putPart(request);
      case "POST complete":
        return this.#complete(request);
      case "DELETE upload":
        this.uploads.delete(request.query.get("uploadId") ?? "");
        return { status: 204 };
      case "GET location":
        return { status: 200, body: "<LocationConstraint>us-east-1</LocationConstraint>" };
      default:
        break;
    }
    if (operation === "PUT copy") return this.#copy(request);
    if (method === "PUT") return this.#put(request);
    if (method === "DELETE") {
      this.objects.delete(key);
      return { status: 204 };
    }
    if (key === "") return { status: 200 };
    return this.#get(request);
  }

  async #handle(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const request = await readRequest(incoming);
    // Cancelled by the client: as good as never sent.
    if (request === null) return;
    this.requests.push(request);
    const isPart = request.operation === "PUT part";
    if (isPart) this.partsPeak = Math.max(this.partsPeak, (this.partsNow += 1));
    // A moment in which other parts may arrive.
    if (isPart) await new Promise((resolve) => setTimeout(resolve, 10));
    const reply = this.misbehave(request, this) ?? this.answer(request);
    if (isPart) this.partsNow -= 1;
    if (reply === "hang") return;
    if (reply === "reset") {
      incoming.socket.resetAndDestroy();
      return;
    }
    const body = Buffer.from(reply.body ?? "");
    response.writeHead(reply.status, {
      ...(request.method === "HEAD" ? {} : { "content-length": String(body.length) }),
      ...reply.headers,
    });
    if (reply.cutAfter === undefined) response.end(request.method === "HEAD" ? undefined : body);
    else response.write(body.subarray(0, reply.cutAfter), () => incoming.socket.destroy());
  }

  #put({ key, body, headers }: FakeRequest): FakeReply {
    if (headers["if-none-match"] === "*" && this.objects.has(key))
      return failure(412, "PreconditionFailed");
    this.#store(key, body, headers);
    return { status: 200, headers: { etag: etagOf(body) } };
  }

  #copy({ key, headers }: FakeRequest): FakeReply {
    const [, from = ""] =
      /^\/?[^/]*\/(.*)$/s.exec(decodeURIComponent(headers["x-amz-copy-source"] ?? "")) ?? [];
    const source = this.objects.get(from);
    if (source === undefined) return failure(404, "NoSuchKey");
    this.objects.set(key, source);
    const etag = etagOf(source.body);
    return { status: 200, body: `<CopyObjectResult><ETag>${etag}</ETag></CopyObjectResult>` };
  }

  #store(key: string, body: Buffer, headers: FakeRequest["headers"]): void {
    const kept = Object.entries(headers).filter(([name]) => name.startsWith("x-amz-meta-"));
    this.objects.set(key, {
      body,
      headers: {
        ...(Object.fromEntries(kept) as Record<string, string>),
        "last-modified": new Date().toUTCString(),
      },
    });
  }

  #get({ key, headers }: FakeRequest): FakeReply {
    const object = this.objects.get(key);
    if (object === undefined) return failure(404, "NoSuchKey");
    const size = object.body.length;
    const [, from = "", to = ""] = /^bytes=(\d+)-(\d*)$/.exec(headers["range"] ?? "") ?? [];
    if (from === "")
      return {
        status: 200,
        headers: { ...object.headers, "content-length": String(size) },
        body: object.body,
      };
    if (Number(from) >= size) return failure(416, "InvalidRange");
    const end = to === "" ? size : Math.min(size, Number(to) + 1);
    const body = object.body.subarray(Number(from), end);
    return {
      status: 206,
      headers: { ...object.headers, "content-range": `bytes ${from}-${end - 1}/${size}` },
      body,
    };
  }

  #deleteObjects({ body }: FakeRequest): FakeReply {
    const keys = [...body.toString().matchAll(/<Key>(.*?)<\/Key>/g)].map(([, key = ""]) =>
      unescapeXML(key),
    );
    for (const key of keys) this.objects.delete(key);
    const deleted = keys.map((key) => `<Deleted><Key>${key}</Key></Deleted>`).join("");
    return { status: 200, body: `<DeleteResult>${deleted}</DeleteResult>` };
  }

  #startUpload(): FakeReply {
    this.#uploadCount += 1;
    const id = `upload-${this.#uploadCount}`;
    this.uploads.set(id, new Map());
    return {
      status: 200,
      body: `<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`,
    };
  }

  #putPart({ query, body }: FakeRequest): FakeReply {
    const parts = this.uploads.get(query.get("uploadId") ?? "");
    if (parts === undefined) return failure(404, "NoSuchUpload");
    parts.set(Number(query.get("partNumber")), body);
    return { status: 200, headers: { etag: etagOf(body) } };
  }

  #complete(request: FakeRequest): FakeReply {
    const id = request.query.get("uploadId") ?? "";
    const parts = this.uploads.get(id);
    if (parts === undefined) return failure(404, "NoSuchUpload");
    const numbers = [...request.body.toString().matchAll(/<PartNumber>(\d+)<\/PartNumber>/g)].map(
      ([, n]) => Number(n),
    );
    const created = this.requests.findLast(
      ({ operation, key }) => operation === "POST uploads" && key === request.key,
    );
    this.#store(
      request.key,
      Buffer.concat(numbers.map((n) => parts.get(n) ?? Buffer.alloc(0))),
      created?.headers ?? {},
    );
    this.uploads.delete(id);
    return {
      status: 200,
      body: "<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>",
    };
  }

  #listV2(request: FakeRequest): FakeReply {
    const after = request.query.get("continuation-token") ?? request.query.get("start-after") ?? "";
    const { keys, rest, folders } = this.#page(request, after);
    const more = rest
      ? `<IsTruncated>true</IsTruncated><NextContinuationToken>${escapeXML(keys.at(-1) ?? "")}</NextContinuationToken>`
      : "";
    return this.#listing(keys, folders, more);
  }

  #listV1(request: FakeRequest): FakeReply {
    const { keys, rest, folders } = this.#page(request, request.query.get("marker") ?? "");
    return this.#listing(keys, folders, rest ? "<IsTruncated>true</IsTruncated>" : "");
  }

  #page(
    { query }: FakeRequest,
    after: string,
  ): { keys: string[]; rest: boolean; folders: string[] } {
    const prefix = query.get("prefix") ?? "";
    const all = [...this.objects.keys()]
      .filter((key) => key.startsWith(prefix) && key > after)
      .toSorted();
    if (query.get("delimiter") === null)
      return { keys: all.slice(0, this.maxKeys), rest: all.length > this.maxKeys, folders: [] };
    const cut = (key: string): string => prefix + key.slice(prefix.length).replace(/\/.*$/s, "/");
    const folders = [...new Set(all.map(cut))].filter((key) => key.endsWith("/"));
    return { keys: all.filter((key) => !cut(key).endsWith("/")), rest: false, folders };
  }

  #listing(keys: readonly string[], folders: readonly string[], more: string): FakeReply {
    const contents = keys.map((key) => {
      const object = this.objects.get(key);
      const time = new Date(object?.headers["last-modified"] ?? 0).toISOString();
      return `<Contents><Key>${escapeXML(key)}</Key><Size>${object?.body.length}</Size><LastModified>${time}</LastModified></Contents>`;
    });
    const prefixes = folders.map(
      (folder) => `<CommonPrefixes><Prefix>${escapeXML(folder)}</Prefix></CommonPrefixes>`,
    );
    return {
      status: 200,
      body: `<ListBucketResult>${more}${contents.join("")}${prefixes.join("")}</ListBucketResult>`,
    };
  }
}

/** An error as S3 says it. */
export function failure(status: number, code: string, more = ""): FakeReply {
  return {
    status,
    headers: { "content-type": "application/xml" },
    body: `<Error><Code>${code}</Code><Message></Message>${more}</Error>`,
  };
}

async function readRequest(incoming: IncomingMessage): Promise<FakeRequest | null> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
  } catch {
    return null;
  }
  const [path = "", search = ""] = (incoming.url ?? "").split("?");
  const query = new URLSearchParams(search);
  const [, key = ""] = /^\/[^/]*\/?(.*)$/s.exec(path) ?? [];
  const method = incoming.method ?? "";
  return {
    method,
    key: decodeURIComponent(key),
    query,
    headers: incoming.headers as Record<string, string>,
    body: Buffer.concat(chunks),
    operation: operationOf(method, key, query, incoming.headers),
  };
}

function operationOf(
  method: string,
  key: string,
  query: URLSearchParams,
  headers: IncomingHttpHeaders,
): string {
  if (headers["x-amz-copy-source"] !== undefined) return "PUT copy";
  if (query.has("delete")) return "POST delete";
  if (query.has("uploads")) return "POST uploads";
  if (query.has("location")) return "GET location";
  if (query.has("partNumber")) return "PUT part";
  if (query.has("uploadId")) return method === "POST" ? "POST complete" : "DELETE upload";
  return method === "GET" && key === "" ? "GET list" : method;
}

function etagOf(body: Buffer): string {
  return `"${createHash("md5").update(body).digest("hex")}"`;
}

function escapeXML(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
}

function unescapeXML(text: string): string {
  return text.replace(/&lt;/g, "<").replace(/&amp;/g, "&");
}
