/** Replicas in an S3 bucket: `<path>/<level as four hex digits>/<name>`, the time of a file in its metadata. */
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { formatLTXName, levelHexFolder, parseLTXName } from "../../formats/ltx/layout.ts";
import { decodeLTXHeader, LTX_HEADER_SIZE } from "../../formats/ltx/header.ts";
import { formatTXID } from "../../formats/ltx/txid.ts";
import { mapInOrder } from "../abortable.ts";
import type { Backoff } from "../backoff.ts";
import { headerTime, isStorageError, StorageError, writtenInfo } from "../replica-client.ts";
import type {
  CopyOptions,
  FolderBelow,
  ListOptions,
  LTXFileInfo,
  LTXFileName,
  ObjectInfo,
  ObjectsBeside,
  OpenOptions,
  ReplicaClient,
  WriteBody,
  WriteOptions,
} from "../replica-client.ts";
import type { S3ReplicaOptions } from "../replica-options.ts";
import { placeName } from "./errors.ts";
import { listFolders, listObjects } from "./listing.ts";
import type { S3ListedObject } from "./listing.ts";
import { planParts } from "./multipart-plan.ts";
import { bodyParts, uploadParts } from "./multipart.ts";
import { S3Objects } from "./objects.ts";
import type { S3PutOptions } from "./objects.ts";
import { CLEAN_PREFIX, holdsReplica, isKeyRefused, prefixSpellings } from "./prefixes.ts";
import { probeConditionalWrites } from "./probe.ts";
import { lookupRegion } from "./region.ts";
import { S3Requests } from "./requests.ts";
import { completeS3Settings } from "./settings.ts";
import type { Environment, S3Settings } from "./settings.ts";
import { parseTimestamp } from "./timestamp.ts";

/** Requests for timestamps at once: stores limit requests per second and bucket. */
const headsAtOnce = 20;
/** S3's limit for CopyObject. */
const MAX_COPY_BYTES = 5 * 1024 ** 3;

export interface S3ClientOptions {
  /** Default: that of the process. */
  readonly environment?: Environment;
  readonly backoff?: Backoff;
  readonly silenceTimeoutMs?: number;
  readonly idleTimeoutMs?: number;
  /** Gets the lines that LITESTREAM_S3_DEBUG asks for. */
  readonly debug?: (line: string) => void;
}

/** A client of an S3 replica, after reading the key file its options may name. */
export async function openS3Client(
  options: S3ReplicaOptions,
  clientOptions: S3ClientOptions = {},
): Promise<S3ReplicaClient> {
  const { sseCustomerKeyPath: path, ...rest } = options;
  if (path === undefined || path === "") return new S3ReplicaClient(options, clientOptions);
  try {
    const key = await readFile(path.replace(/^~(?=\/|$)/, homedir()), "utf8");
    return new S3ReplicaClient({ ...rest, sseCustomerKey: key.trim() }, clientOptions);
  } catch (error) {
    if (error instanceof StorageError) throw error;
    throw new StorageError("misconfigured", `Cannot read sse-customer-key-path "${path}"`, {
      cause: error,
    });
  }
}

export class S3ReplicaClient implements ReplicaClient {
  readonly type: string = "s3";
  readonly description: string;
  readonly beside: ObjectsBeside;
  readonly settings: S3Settings;
  readonly #requests: S3Requests;
  readonly #objects: S3Objects;
  readonly #spellings: readonly [string, ...string[]];
  /** The spelling that the replica was found under or has been written to. */
  #prefix: string | undefined;
  #region: Promise<void> | undefined;
  #conditionalWrites: boolean | undefined;

  constructor(options: S3ReplicaOptions, clientOptions: S3ClientOptions = {}) {
    const environment = clientOptions.environment ?? process.env;
    this.settings = completeS3Settings(options, environment);
    this.#requests = new S3Requests(this.settings, { ...clientOptions, environment });
    this.#objects = new S3Objects(this.#requests);
    this.#spellings = prefixSpellings(this.settings.path);
    if (this.#spellings.length === 1) this.#prefix = this.#spellings[0];
    this.#conditionalWrites = this.settings.conditionalWrites;
    this.description = `s3://${this.settings.bucket}/${this.settings.path}`;
    this.beside = {
      list: (folder, { signal } = {}) => this.#listBeside(folder, signal),
      read: (name, openOptions = {}) => this.#read((prefix) => prefix + name, openOptions),
      write: (name, bytes, { ifAbsent = false, signal } = {}) =>
        this.#writeBeside(name, bytes, ifAbsent, signal),
      delete: (name, { signal } = {}) => this.#delete([name], signal),
    };
  }

  get attributes(): Readonly<Record<string, string>> {
    const { bucket, path, endpoint = "" } = this.settings;
    return { bucket, path, region: this.#requests.region, endpoint };
  }

  async open(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.settings.region !== undefined) return;
    this.#region ??= this.#findRegion(signal);
    await this.#region;
  }

  async conditionalWrites(signal?: AbortSignal): Promise<boolean> {
    await this.open(signal);
    this.#conditionalWrites ??= await probeConditionalWrites(
      this.#requests,
      this.#writePrefix,
      signal,
    );
    return this.#conditionalWrites;
  }

  async *list(level: number, options: ListOptions = {}): AsyncIterable<LTXFileInfo> {
    const { from = 0n, withTimestamps = false, signal } = options;
    await this.open(signal);
    const prefix = await this.#readPrefix(signal);
    const folder = `${prefix}${levelHexFolder(level)}/`;
    const found = await listObjects(this.#requests, {
      prefix: folder,
      // Every name that starts with the TXID is longer, and so comes after it.
      startAfter: from === 0n ? undefined : folder + formatTXID(from),
      signal,
    });
    const files = found.flatMap((object) => {
      const txids = parseLTXName(object.key.slice(folder.length));
      return txids === null || txids.minTXID < from ? [] : [{ file: { level, ...txids }, object }];
    });
    if (!withTimestamps) {
      for (const { file, object } of files)
        yield writtenInfo(file, object.sizeBytes, object.uploadedAt);
      return;
    }
    const timed = mapInOrder(files, headsAtOnce, async ({ file, object }) => {
      const createdAt = await this.#timeOf(object, signal);
      return createdAt === null ? null : writtenInfo(file, object.sizeBytes, createdAt);
    });
    for await (const info of timed) if (info !== null) yield info;
  }

  read(file: LTXFileName, options: OpenOptions = {}): AsyncIterable<Uint8Array> {
    return this.#read((prefix) => prefix + nameOf(file), options);
  }

  async write(file: LTXFileName, body: WriteBody, options: WriteOptions): Promise<LTXFileInfo> {
    const { createdAt, signal } = options;
    await this.open(signal);
    const ifAbsent = options.ifAbsent === true && (await this.conditionalWrites(signal));
    const sizeBytes = await this.#write(nameOf(file), body, { createdAt, ifAbsent, signal });
    return writtenInfo(file, sizeBytes, createdAt);
  }

  /** Copies within the bucket, up to the size that one request may copy. */
  async copy(
    from: LTXFileInfo,
    to: LTXFileName,
    options: CopyOptions = {},
  ): Promise<LTXFileInfo | undefined> {
    const { signal } = options;
    if (from.sizeBytes > MAX_COPY_BYTES) return undefined;
    await this.open(signal);
    const prefix = await this.#readPrefix(signal);
    const key = prefix + nameOf(to);
    // Few stores know conditions on copies.
    if (options.ifAbsent === true) await this.#refuseTaken(key, signal);
    if (!(await this.#objects.copy(prefix + nameOf(from), key, signal))) return undefined;
    return writtenInfo(to, from.sizeBytes, from.createdAt);
  }

  async delete(
    files: readonly LTXFileName[],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    await this.#delete(files.map(nameOf), options.signal);
  }

  async lookBelow(
    below: string,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<FolderBelow> {
    const { signal } = options;
    await this.open(signal);
    // As the path of a replica below is made, which differs from the prefix of our own keys where there is no path.
    const names = [this.settings.path.replace(/\/+$/, ""), below].filter((part) => part !== "");
    const prefix = names.map((part) => `${part}/`).join("");
    const folders = await listFolders(this.#requests, prefix, signal);
    return {
      isReplica: holdsReplica(prefix, folders),
      folders: folders.map((folder) => folder.slice(prefix.length, -1)),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#requests.close();
  }

  async #findRegion(signal: AbortSignal | undefined): Promise<void> {
    try {
      this.#requests.region = await lookupRegion(this.#requests, signal);
    } catch (error) {
      this.#region = undefined;
      throw error;
    }
  }

  get #writePrefix(): string {
    return this.#prefix ?? this.#spellings[0];
  }

  /** The spelling of the prefix that has files; the exact one as long as none has. */
  async #readPrefix(signal: AbortSignal | undefined): Promise<string> {
    if (this.#prefix !== undefined) return this.#prefix;
    for (const spelling of this.#spellings) {
      const folders = await listFolders(this.#requests, spelling, signal);
      if (holdsReplica(spelling, folders)) this.#prefix ??= spelling;
      if (this.#prefix !== undefined) return this.#prefix;
    }
    return this.#spellings[0];
  }

  async #write(name: string, body: WriteBody, options: S3PutOptions): Promise<number> {
    const prefix = this.#writePrefix;
    try {
      const sizeBytes = await this.#writeKey(prefix + name, body, options);
      this.#prefix = prefix;
      return sizeBytes;
    } catch (error) {
      const isOdd = this.#prefix === undefined && this.#spellings.length > 1;
      // A stream is used up; its caller comes again, and then with the clean prefix.
      if (!isOdd || !isKeyRefused(error)) throw error;
      this.#prefix = CLEAN_PREFIX;
      if (body.kind === "stream") {
        throw new StorageError(
          "unavailable",
          `Cannot write "${prefix}${name}": the store refuses such names`,
          {
            cause: error,
          },
        );
      }
      return this.#writeKey(CLEAN_PREFIX + name, body, options);
    }
  }

  /** One PUT for what fits into one part, else an upload in parts. Returns the size. */
  async #writeKey(key: string, body: WriteBody, options: S3PutOptions): Promise<number> {
    const plan = planParts(sizeHintOf(body), this.settings);
    const parts = bodyParts(body, plan, options.signal);
    const first = await parts.next();
    const second = first.done === true ? first : await parts.next();
    const firstBytes = first.value ?? new Uint8Array();
    if (second.done === true) {
      await this.#objects.put(key, firstBytes, options);
      return firstBytes.length;
    }
    if (options.ifAbsent) await this.#refuseTaken(key, options.signal);
    const upload = await this.#objects.startUpload(key, options);
    const all = prepend([firstBytes, second.value], parts);
    return uploadParts(upload, all, plan.inFlight, options.signal);
  }

  /** Conditions on the completion of an upload are ignored by some stores that keep them on PUT. */
  async #refuseTaken(key: string, signal: AbortSignal | undefined): Promise<void> {
    try {
      await this.#objects.head(key, signal);
    } catch (error) {
      if (isStorageError(error, "not-found")) return;
      throw error;
    }
    throw new StorageError(
      "exists",
      `Cannot create "${key}" at ${placeName(this.settings)}: it exists already`,
    );
  }

  async *#read(
    keyOf: (prefix: string) => string,
    options: OpenOptions,
  ): AsyncGenerator<Uint8Array, void> {
    await this.open(options.signal);
    yield* this.#objects.get(keyOf(await this.#readPrefix(options.signal)), options);
  }

  /**
   * The time of a file: its metadata, the time of its upload when it has none, the LTX header when HEAD fails. Null when
   * the file is gone. Metadata that cannot be read is an error, for a wrong time would silently choose wrong files.
   */
  async #timeOf(object: S3ListedObject, signal: AbortSignal | undefined): Promise<Date | null> {
    const { key, uploadedAt } = object;
    try {
      const { timestamp } = await this.#objects.head(key, signal);
      if (timestamp === undefined) return uploadedAt;
      const createdAt = parseTimestamp(timestamp);
      if (createdAt !== null) return createdAt;
      throw new StorageError(
        "corrupt",
        `Cannot read the time of "${key}": its metadata says ${JSON.stringify(timestamp)}`,
      );
    } catch (error) {
      if (isStorageError(error, "not-found")) return null;
      if (!(error instanceof StorageError) || error.kind === "corrupt") throw error;
      return this.#timeInHeader(key, error, signal);
    }
  }

  async #timeInHeader(
    key: string,
    headError: StorageError,
    signal: AbortSignal | undefined,
  ): Promise<Date> {
    const header = Buffer.alloc(LTX_HEADER_SIZE);
    let length = 0;
    try {
      for await (const chunk of this.#objects.get(key, {
        length: LTX_HEADER_SIZE,
        ...given(signal),
      })) {
        header.set(chunk, length);
        length += chunk.length;
      }
      return headerTime(decodeLTXHeader(header.subarray(0, length)));
    } catch (error) {
      signal?.throwIfAborted();
      throw new StorageError(
        headError.kind,
        `Cannot read the time of "${key}": ${headError.message}`,
        {
          cause: new AggregateError([headError, error]),
          ...(headError.code === undefined ? {} : { code: headError.code }),
          ...(headError.hint === undefined ? {} : { hint: headError.hint }),
        },
      );
    }
  }

  async #delete(names: readonly string[], signal: AbortSignal | undefined): Promise<void> {
    await this.open(signal);
    if (names.length === 0) return;
    const prefix = await this.#readPrefix(signal);
    await this.#objects.delete(
      names.map((name) => prefix + name),
      signal,
    );
  }

  async *#listBeside(folder: string, signal: AbortSignal | undefined): AsyncIterable<ObjectInfo> {
    await this.open(signal);
    const prefix = await this.#readPrefix(signal);
    const objects = await listObjects(this.#requests, { prefix: `${prefix}${folder}/`, signal });
    for (const { key, sizeBytes, uploadedAt } of objects) {
      yield { name: key.slice(prefix.length), sizeBytes, createdAt: uploadedAt };
    }
  }

  async #writeBeside(
    name: string,
    bytes: Uint8Array,
    ifAbsent: boolean,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    await this.open(signal);
    const conditional = ifAbsent && (await this.conditionalWrites(signal));
    const options = { createdAt: new Date(), ifAbsent: conditional, signal };
    await this.#write(name, { kind: "bytes", bytes }, options);
  }
}

function nameOf({ level, minTXID, maxTXID }: LTXFileName): string {
  return `${levelHexFolder(level)}/${formatLTXName(minTXID, maxTXID)}`;
}

function sizeHintOf(body: WriteBody): number | undefined {
  switch (body.kind) {
    case "bytes":
      return body.bytes.length;
    case "file":
      return body.sizeBytes;
    case "stream":
      return body.sizeHintBytes;
  }
}

async function* prepend<T>(
  first: readonly T[],
  rest: AsyncGenerator<T, void>,
): AsyncGenerator<T, void> {
  yield* first;
  yield* rest;
}

function given(signal: AbortSignal | undefined): { readonly signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}
