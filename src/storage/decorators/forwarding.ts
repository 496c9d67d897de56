/** A client that passes everything on: decorators extend it by what they change. */
import type {
  CopyOptions,
  FolderBelow,
  ListOptions,
  LTXFileInfo,
  LTXFileName,
  ObjectsBeside,
  OpenOptions,
  ReplicaClient,
  WriteBody,
  WriteOptions,
} from "../replica-client.ts";

export class ForwardingClient implements ReplicaClient {
  protected readonly inner: ReplicaClient;

  constructor(inner: ReplicaClient) {
    this.inner = inner;
  }

  get type(): string {
    return this.inner.type;
  }

  get description(): string {
    return this.inner.description;
  }

  get attributes(): Readonly<Record<string, string>> {
    return this.inner.attributes;
  }

  get beside(): ObjectsBeside | undefined {
    return this.inner.beside;
  }

  async open(signal?: AbortSignal): Promise<void> {
    await this.inner.open(signal);
  }

  async conditionalWrites(signal?: AbortSignal): Promise<boolean> {
    return this.inner.conditionalWrites(signal);
  }

  list(level: number, options?: ListOptions): AsyncIterable<LTXFileInfo> {
    return this.inner.list(level, options);
  }

  read(file: LTXFileName, options?: OpenOptions): AsyncIterable<Uint8Array> {
    return this.inner.read(file, options);
  }

  localPath(file: LTXFileName): string | undefined {
    return this.inner.localPath?.(file);
  }

  async write(file: LTXFileName, body: WriteBody, options: WriteOptions): Promise<LTXFileInfo> {
    return this.inner.write(file, body, options);
  }

  async copy(
    from: LTXFileInfo,
    to: LTXFileName,
    options?: CopyOptions,
  ): Promise<LTXFileInfo | undefined> {
    return this.inner.copy?.(from, to, options);
  }

  async delete(
    files: readonly LTXFileName[],
    options?: { readonly signal?: AbortSignal },
  ): Promise<void> {
    await this.inner.delete(files, options);
  }

  async lookBelow(
    below: string,
    options?: { readonly signal?: AbortSignal },
  ): Promise<FolderBelow | undefined> {
    return this.inner.lookBelow?.(below, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.inner[Symbol.asyncDispose]();
  }
}
