/** Requests to S3: one SDK client with the settings that S3-compatible stores need, retries, and region redirects. */
import { createHash } from "node:crypto";
import { S3Client } from "@aws-sdk/client-s3";
import type { S3ClientConfig } from "@aws-sdk/client-s3";
import type { NodeHttpHandler } from "@smithy/node-http-handler";
import { raceAbort } from "../abortable.ts";
import { withAttempts } from "../backoff.ts";
import type { Backoff } from "../backoff.ts";
import { isStorageError } from "../replica-client.ts";
import type { StorageError } from "../replica-client.ts";
import { lookupCredentials } from "./credentials.ts";
import { traceRequests, wantsRetries } from "./debug.ts";
import { isBrokenConnection, regionInReply, toStorageError } from "./errors.ts";
import type { Environment, S3Settings } from "./settings.ts";
import { speaksTLS } from "./tls-check.ts";
import { createTransport } from "./transport.ts";

/** As upstream: ten attempts, waits of up to 20 s, and no quota that an outage could use up. */
export const s3Backoff: Backoff = { attempts: 10, baseMs: 100, capMs: 20_000 };

/** Attempts while a server has never answered: somebody waits for a restore, and a wrong address stays wrong. */
const firstAnswerAttempts = 6;
/** … and no further attempt after that long: a server that takes connections and stays silent uses up one timeout, not six. */
const firstAnswerPatienceMs = 20_000;

/** How often the region may turn out to be another one in the life of a client. */
const maxRegionChanges = 3;

export interface S3RequestsOptions {
  readonly environment: Environment;
  readonly backoff?: Backoff | undefined;
  readonly silenceTimeoutMs?: number | undefined;
  readonly idleTimeoutMs?: number | undefined;
  /** Gets the lines that LITESTREAM_S3_DEBUG asks for. */
  readonly debug?: ((line: string) => void) | undefined;
}

export type S3Call<T> = (
  client: S3Client,
  options: { readonly abortSignal?: AbortSignal },
) => Promise<T>;

export class S3Requests {
  readonly settings: S3Settings;
  readonly #options: S3RequestsOptions;
  readonly #backoff: Backoff;
  readonly #transport: NodeHttpHandler;
  readonly #credentials: NonNullable<S3ClientConfig["credentials"]>;
  #region: string;
  #regionChanges = 0;
  #hasAnswered = false;
  #speaksTLS: Promise<boolean> | undefined;
  #client: S3Client;

  constructor(settings: S3Settings, options: S3RequestsOptions) {
    this.settings = settings;
    this.#options = options;
    this.#backoff = options.backoff ?? s3Backoff;
    this.#transport = createTransport({ ...options, ...settings });
    this.#credentials = settings.credentials ?? lookupCredentials(this.#transport);
    this.#region = settings.region ?? "us-east-1";
    this.#client = this.#createClient();
  }

  get region(): string {
    return this.#region;
  }

  set region(region: string) {
    if (region === this.#region) return;
    this.#region = region;
    this.#client = this.#createClient();
  }

  /**
   * Makes one request, again while that may help. Failures are StorageErrors; an abort rejects with the signal's reason
   * at once. `action` names what is done, for messages: `read "key"`.
   */
  async call<T>(action: string, call: S3Call<T>, signal?: AbortSignal): Promise<T> {
    const startedAt = performance.now();
    const mayStillAnswer = (attempt: number): boolean =>
      attempt < firstAnswerAttempts && performance.now() - startedAt < firstAnswerPatienceMs;
    return withAttempts(
      this.#backoff,
      () => this.attempt(action, call, signal),
      (error, attempt) =>
        isStorageError(error, "unavailable") &&
        (this.#hasAnswered || mayStillAnswer(attempt)) &&
        this.#tellRetry(error),
      signal,
    );
  }

  #tellRetry(error: StorageError): true {
    const { debug, environment } = this.#options;
    if (debug !== undefined && wantsRetries(environment)) debug(`s3 retry after: ${error.message}`);
    return true;
  }

  /** As call(), but without second attempts. */
  async attempt<T>(action: string, call: S3Call<T>, signal?: AbortSignal): Promise<T> {
    try {
      return await this.callOnce(call, signal);
    } catch (error) {
      signal?.throwIfAborted();
      if (this.#followRegion(error)) return this.attempt(action, call, signal);
      const meetsTLS = await this.#meetsTLS(error);
      throw toStorageError(action, error, this.settings, meetsTLS);
    }
  }

  /** One attempt, for probes: no retry, and the SDK's own error. */
  async callOnce<T>(call: S3Call<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted();
    const options = signal === undefined ? {} : { abortSignal: signal };
    try {
      const reply = await raceAbort(call(this.#client, options), signal);
      this.#hasAnswered = true;
      return reply;
    } catch (error) {
      // The SDK reports an abort with an error of its own.
      signal?.throwIfAborted();
      if (hasHTTPStatus(error)) this.#hasAnswered = true;
      throw error;
    }
  }

  close(): void {
    this.#transport.destroy();
  }

  /** Takes over the region that a reply names. True: it is a new one, worth another attempt. */
  #followRegion(error: unknown): boolean {
    const region = regionInReply(error);
    if (region === undefined || region === this.#region) return false;
    if (this.#regionChanges >= maxRegionChanges) return false;
    this.#regionChanges += 1;
    this.region = region;
    return true;
  }

  /** Whether a plain http request failed because the server speaks TLS. Asked once, of servers that never answered. */
  async #meetsTLS(error: unknown): Promise<boolean> {
    const { endpoint } = this.settings;
    if (this.#hasAnswered || endpoint?.startsWith("http://") !== true) return false;
    if (!isBrokenConnection(error)) return false;
    this.#speaksTLS ??= speaksTLS(endpoint);
    return this.#speaksTLS;
  }

  #createClient(): S3Client {
    const { endpoint, forcePathStyle } = this.settings;
    const client = new S3Client({
      region: this.#region,
      credentials: this.#credentials,
      requestHandler: this.#transport,
      forcePathStyle,
      useArnRegion: true,
      followRegionRedirects: false,
      // Retries are ours, so that they end at once when aborted and have no quota.
      maxAttempts: 1,
      // LTX files carry checksums of their own, and a mismatch at the end of a body could not be resumed.
      responseChecksumValidation: "WHEN_REQUIRED",
      ...(endpoint === undefined
        ? {}
        : { endpoint, requestChecksumCalculation: "WHEN_REQUIRED", expectContinueHeader: false }),
      customUserAgent: [["litestream-ts"]],
    });
    addHeaders(client, this.settings);
    const { debug, environment } = this.#options;
    if (debug !== undefined) traceRequests(client, environment, debug);
    return client;
  }
}

/** What a middleware of the build step gets to see. */
interface BuildRequest {
  headers: Record<string, string>;
  body?: unknown;
}

function addHeaders(client: S3Client, settings: S3Settings): void {
  const { contentMD5, signPayload, provider } = settings;
  client.middlewareStack.add(
    (next, context) => async (args) => {
      const request = args.request as BuildRequest;
      Object.assign(request.headers, provider?.headers);
      if (context.commandName === "DeleteObjectsCommand") useContentMD5(request, contentMD5);
      if (!signPayload) request.headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD";
      return next(args);
    },
    // After everything that the SDK adds, before the signature that covers it.
    { step: "build", priority: "low", name: "litestreamHeaders" },
  );
}

/** The SDK puts a CRC32 on DeleteObjects whatever its settings; many stores want the older MD5, or nothing. */
function useContentMD5(request: BuildRequest, contentMD5: boolean): void {
  for (const name of Object.keys(request.headers)) {
    if (/^x-amz-(?:checksum-|sdk-checksum-algorithm)/i.test(name)) delete request.headers[name];
  }
  const { body } = request;
  if (!contentMD5 || (typeof body !== "string" && !(body instanceof Uint8Array))) return;
  request.headers["Content-MD5"] = createHash("md5").update(body).digest("base64");
}

/** Whether the server answered, if only with an error. */
function hasHTTPStatus(error: unknown): boolean {
  const { $metadata } = error as { readonly $metadata?: { readonly httpStatusCode?: number } };
  return $metadata?.httpStatusCode !== undefined;
}
