/** A replica in the memory of this process: for tests, simulations and browsers. Imports nothing from Node. */
import { formatLTXName, levelFolder, parseLTXName } from "../formats/ltx/layout.ts";
import { abortable } from "./abortable.ts";
import { compareLTXFiles, StorageError, writtenInfo } from "./replica-client.ts";
import type {
  CopyOptions,
  ListOptions,
  LTXFileInfo,
  LTXFileName,
  ObjectInfo,
  ObjectsBeside,
  OpenOptions,
  ReplicaClient,
  WriteBody,
  WriteOptions,
} from "./replica-client.ts";

interface StoredObject {
  readonly bytes: Uint8Array;
  readonly createdAt: Date;
}

/** The objects of one replica by their path below it. Clients that share one see the same replica. */
export type MemoryObjects = Map<string, StoredObject>;

export interface MemoryReplicaSettings {
  readonly objects?: MemoryObjects;
  readonly name?: string;
  /** How bodies of kind "file" are read; without it they are refused. */
  readonly readFile?: (path: string) => AsyncIterable<Uint8Array>;
}

/** Chunks a read hands out, so that readers meet chunk borders as they do with real places. */
const readChunkBytes = 64 * 1024;

export class MemoryReplicaClient implements ReplicaClient {
  readonly type: string = "memory";
  readonly description: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly beside: ObjectsBeside;
  readonly objects: MemoryObjects;
  readonly #readFile: ((path: string) => AsyncIterable<Uint8Array>) | undefined;

  constructor(settings: MemoryReplicaSettings = {}) {
    const name = settings.name ?? "replica";
    this.objects = settings.objects ?? new Map<string, StoredObject>();
    this.description = `memory://${name}`;
    this.attributes = { name };
    this.#readFile = settings.readFile;
    this.beside = new MemoryObjectsBeside(this.objects);
  }

  async open(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
  }

  async conditionalWrites(signal?: AbortSignal): Promise<boolean> {
    signal?.throwIfAborted();
    return true;
  }

  async *list(level: number, options: ListOptions = {}): AsyncIterable<LTXFileInfo> {
    options.signal?.throwIfAborted();
    const folder = `${levelFolder(level)}/`;
    const files: LTXFileInfo[] = [];
    for (const [key, object] of this.objects) {
      const txids = key.startsWith(folder) ? parseLTXName(key.slice(folder.length)) : null;
      if (txids === null || txids.minTXID < (options.from ?? 0n)) continue;
      files.push(writtenInfo({ level, ...txids }, object.bytes.length, object.createdAt));
    }
    files.sort(compareLTXFiles);
    for (const file of files) {
      options.signal?.throwIfAborted();
      yield file;
    }
  }

  read(file: LTXFileName, options: OpenOptions = {}): AsyncIterable<Uint8Array> {
    return readObject(this.objects, keyOf(file), options);
  }

  async write(file: LTXFileName, body: WriteBody, options: WriteOptions): Promise<LTXFileInfo> {
    options.signal?.throwIfAborted();
    const bytes = await this.#collect(body, options.signal);
    const { createdAt } = options;
    store(this.objects, keyOf(file), { bytes, createdAt }, options.ifAbsent);
    return writtenInfo(file, bytes.length, createdAt);
  }

  async copy(from: LTXFileInfo, to: LTXFileName, options: CopyOptions = {}): Promise<LTXFileInfo> {
    options.signal?.throwIfAborted();
    const object = this.objects.get(keyOf(from));
    if (object === undefined) {
      throw new StorageError("not-found", `Cannot copy "${keyOf(from)}": no such object`);
    }
    store(this.objects, keyOf(to), object, options.ifAbsent);
    return writtenInfo(to, object.bytes.length, object.createdAt);
  }

  async delete(
    files: readonly LTXFileName[],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    options.signal?.throwIfAborted();
    for (const file of files) this.objects.delete(keyOf(file));
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  async #collect(body: WriteBody, signal: AbortSignal | undefined): Promise<Uint8Array> {
    switch (body.kind) {
      case "bytes":
        return body.bytes.slice();
      case "stream":
        return joinChunks(body.chunks, signal);
      case "file": {
        if (this.#readFile === undefined) {
          throw new TypeError('A memory replica without readFile takes no bodies of kind "file"');
        }
        const bytes = await joinChunks(this.#readFile(body.path), signal);
        if (bytes.length === body.sizeBytes) return bytes;
        throw new StorageError(
          "corrupt",
          `Cannot store "${body.path}": ${body.sizeBytes} bytes announced, ${bytes.length} read`,
        );
      }
    }
  }
}

class MemoryObjectsBeside implements ObjectsBeside {
  readonly #objects: MemoryObjects;

  constructor(objects: MemoryObjects) {
    this.#objects = objects;
  }

  async *list(
    folder: string,
    options: { readonly signal?: AbortSignal } = {},
  ): AsyncIterable<ObjectInfo> {
    options.signal?.throwIfAborted();
    const names = [...this.#objects.keys()]
      .filter((key) => key.startsWith(`${folder}/`))
      .toSorted();
    for (const name of names) {
      const object = this.#objects.get(name);
      if (object === undefined) continue;
      yield { name, sizeBytes: object.bytes.length, createdAt: object.createdAt };
    }
  }

  read(name: string, options: OpenOptions = {}): AsyncIterable<Uint8Array> {
    return readObject(this.#objects, name, options);
  }

  async write(
    name: string,
    bytes: Uint8Array,
    options: { readonly ifAbsent?: boolean; readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    options.signal?.throwIfAborted();
    store(this.#objects, name, { bytes: bytes.slice(), createdAt: new Date() }, options.ifAbsent);
  }

  async delete(name: string, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    options.signal?.throwIfAborted();
    this.#objects.delete(name);
  }
}

function keyOf(file: LTXFileName): string {
  return `${levelFolder(file.level)}/${formatLTXName(file.minTXID, file.maxTXID)}`;
}

function store(
  objects: MemoryObjects,
  key: string,
  object: StoredObject,
  ifAbsent: boolean | undefined,
): void {
  if (ifAbsent === true && objects.has(key)) {
    throw new StorageError("exists", `Cannot create "${key}": it exists already`);
  }
  objects.set(key, object);
}

async function* readObject(
  objects: MemoryObjects,
  key: string,
  options: OpenOptions,
): AsyncIterable<Uint8Array> {
  options.signal?.throwIfAborted();
  const object = objects.get(key);
  if (object === undefined) {
    throw new StorageError("not-found", `Cannot open "${key}": no such object`);
  }
  const start = Math.min(options.offset ?? 0, object.bytes.length);
  const end = Math.min(start + (options.length ?? Infinity), object.bytes.length);
  for (let offset = start; offset < end; offset += readChunkBytes) {
    options.signal?.throwIfAborted();
    yield object.bytes.slice(offset, Math.min(offset + readChunkBytes, end));
  }
}

async function joinChunks(
  chunks: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of abortable(chunks, signal)) {
    parts.push(chunk.slice());
    sizeBytes += chunk.length;
  }
  signal?.throwIfAborted();
  const joined = new Uint8Array(sizeBytes);
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}
