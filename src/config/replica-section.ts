/** One replica of the file: inheritance, URL and fields merged into the options its place is opened with. */
import { statSync } from "node:fs";
import { parseReplicaURL } from "../storage/replica-url.ts";
import {
  REPLICA_TYPES,
  type ReplicaOptions,
  type ReplicaType,
} from "../storage/replica-options.ts";
import type { ReplicaConfig } from "./config.ts";
import type { ConfigProblem } from "./config-error.ts";
import { expandPath, isReplicaURL, userHome } from "./expand-path.ts";
import { nearest } from "./nearest.ts";
import type { ProblemSink, Section } from "./section.ts";
import {
  REPLICA_IDENTITY_SETTINGS,
  REPLICA_SETTINGS,
  type ReplicaKey,
  type Setting,
  type SettingTable,
  type Values,
} from "./settings.ts";

export type ReplicaTable = typeof REPLICA_IDENTITY_SETTINGS & typeof REPLICA_SETTINGS;
type GlobalReplicaValues = Values<typeof REPLICA_SETTINGS>;

export const REPLICA_TABLE: ReplicaTable = { ...REPLICA_IDENTITY_SETTINGS, ...REPLICA_SETTINGS };

export interface ReplicaContext {
  /** Values at the top of the file. */
  readonly inherited: GlobalReplicaValues;
  /** The kinds of replica that take a global `endpoint`. */
  readonly endpointTypes: ReadonlySet<string>;
  /** `age.identities` of the replica, else of the top of the file. */
  readonly ageIdentities: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `dbs[/data/app.db].replica`, for messages. */
  readonly label: string;
  /** An unknown URL parameter is an error. */
  readonly strict: boolean;
}

/** A replica without its name, which depends on its siblings. */
export type UnnamedReplica = Omit<ReplicaConfig, "name"> & { readonly name: string | undefined };

const MIN_S3_PART_SIZE = 5 * 1024 * 1024;
const DOCUMENTED_5MB = 5_000_000;

/** The options of a replica, or undefined when `sink` got an error. */
export function buildReplica(
  section: Section<ReplicaTable>,
  context: ReplicaContext,
  sink: ProblemSink,
): UnnamedReplica | undefined {
  const { values } = section;
  const fail = (key: string, message: string, hint?: string): undefined => {
    sink.errors.push({
      line: section.lineOf(key),
      key: `${context.label}.${key}`,
      message,
      hint,
      upstream: { kind: "plain", text: message },
    });
  };
  if (values.path !== undefined && isReplicaURL(values.path)) {
    const message = `replica path cannot be a url, please use the 'url' field instead: ${values.path}`;
    return fail("path", message);
  }
  const location = readLocation(section, context, sink);
  if (location === "failed") return undefined;
  const type = location?.options.type ?? knownType(values.type, fail);
  if (type === undefined) return undefined;
  const conflict = location === undefined ? undefined : urlConflict(location.options, values);
  if (conflict !== undefined) {
    return fail(
      conflict,
      `cannot specify url & ${conflict} for ${type} replica`,
      `Remove "${conflict}", the URL says it`,
    );
  }
  const merged: Record<string, unknown> = {
    ...inheritedOptions(type, context),
    ...(location === undefined ? {} : location.options),
    ...ownOptions(type, values),
    type,
  };
  if (location?.namesAWS === true && values.endpoint === undefined) delete merged["endpoint"];
  if (type === "s3") addEnvironmentEndpoint(merged, context.env, location?.namesAWS === true);
  if (type === "file" && typeof merged["path"] === "string" && location === undefined) {
    merged["path"] = merged["path"] === "" ? undefined : expandPath(merged["path"], context.cwd);
  }
  const missing = missingField(type, merged);
  if (missing !== undefined) return fail(missing.key, missing.message, missing.hint);
  if (type === "s3" && !checkPartSize(merged, section, context, fail, sink)) return undefined;
  warnPathless(type, merged, section, context, sink);
  warnUseless(type, section, context, sink);
  return {
    name: values.name === "" ? undefined : values.name,
    options: merged as unknown as ReplicaOptions,
    syncIntervalMs: pick("sync-interval", values, context) ?? 1_000,
    autoRecover: pick("auto-recover", values, context) ?? false,
    maxSyncLTXFiles: pick("max-sync-ltx-files", values, context) ?? 256,
    validationIntervalMs: pick("validation-interval", values, context),
    snapshotIntervalMs: values["snapshot-interval"],
    retentionMs: values.retention,
    retentionCheckIntervalMs: values["retention-check-interval"],
    ageIdentities: context.ageIdentities,
  };
}

type Fail = (key: string, message: string, hint?: string) => undefined;

function pick<K extends ReplicaKey>(
  key: K,
  values: Values<ReplicaTable>,
  context: ReplicaContext,
): GlobalReplicaValues[K] {
  return values[key] ?? context.inherited[key];
}

interface Location {
  readonly options: { readonly type: ReplicaType };
  /** The URL names an AWS host or access point, so that no other endpoint can be meant. */
  readonly namesAWS: boolean;
}

function readLocation(
  section: Section<ReplicaTable>,
  context: ReplicaContext,
  sink: ProblemSink,
): Location | undefined | "failed" {
  const { url } = section.values;
  if (url === undefined || url === "") return undefined;
  const line = section.lineOf("url");
  const key = `${context.label}.url`;
  if (!isReplicaURL(url)) {
    const text = `replica url scheme required: ${url}`;
    const hint = "Write it as file://…, s3://… or another scheme";
    sink.errors.push({ line, key, message: text, hint, upstream: { kind: "plain", text } });
    return "failed";
  }
  try {
    const location = parseReplicaURL(url.replace(/^gcs:/i, "gs:"), {
      folderExists: isFolder,
      homeFolder: userHome(),
    });
    for (const parameter of location.unknownParameters) {
      const message = `Unknown query parameter "${parameter}" is ignored`;
      (context.strict ? sink.errors : sink.warnings).push({ line, key, message });
    }
    for (const message of location.warnings) sink.warnings.push({ line, key, message });
    const namesAWS = /^s3:\/\/([^/?]*\.amazonaws\.com|arn:)/i.test(url);
    return { options: location.options, namesAWS };
  } catch (error) {
    sink.errors.push({ line, key, ...describeURLError(error) });
    return "failed";
  }
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

function describeURLError(error: unknown): Pick<ConfigProblem, "message" | "hint" | "upstream"> {
  if (!(error instanceof Error)) throw error;
  const hint = "hint" in error && typeof error.hint === "string" ? error.hint : undefined;
  return { message: error.message, hint, upstream: { kind: "plain", text: error.message } };
}

function knownType(type: string | undefined, fail: Fail): ReplicaType | undefined {
  const wanted = type === undefined || type === "" ? "file" : type === "gcs" ? "gs" : type;
  const known = REPLICA_TYPES.find((candidate) => candidate === wanted);
  if (known !== undefined) return known;
  const meant = nearest(wanted, REPLICA_TYPES);
  const suggestion = meant === undefined ? "" : `Did you mean "${meant}"? `;
  return fail(
    "type",
    `unknown replica type in config: "${wanted}"`,
    `${suggestion}Known types: ${REPLICA_TYPES.join(", ")}`,
  );
}

/** The own field that says the same as the URL. A URL may leave the bucket out: `s3://us-east-1.linodeobjects.com/db`. */
function urlConflict(
  location: Location["options"],
  values: Values<ReplicaTable>,
): string | undefined {
  const { type } = location;
  if (values.path !== undefined && values.path !== "" && type !== "nats") return "path";
  const bucketTypes: readonly string[] = ["s3", "gs", "abs", "oss"];
  const namesBucket = "bucket" in location && location.bucket !== "";
  if (values.bucket !== undefined && values.bucket !== "" && namesBucket) {
    if (bucketTypes.includes(type)) return "bucket";
  }
  if (values.host !== undefined && values.host !== "" && type === "sftp") return "host";
  const webdavURL = values["webdav-url"];
  if (webdavURL !== undefined && webdavURL !== "" && type === "webdav") return "webdav-url";
  return undefined;
}

function inheritedOptions(type: ReplicaType, context: ReplicaContext): Record<string, unknown> {
  const options: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(context.inherited)) {
    const setting: Setting | undefined = (REPLICA_SETTINGS as SettingTable)[key];
    if (setting?.option === undefined || setting.types?.includes(type) !== true) continue;
    if (key === "endpoint" && !context.endpointTypes.has(type)) continue;
    if (value !== "") options[setting.option] = value;
  }
  return options;
}

function ownOptions(type: ReplicaType, values: Values<ReplicaTable>): Record<string, unknown> {
  const options: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(values)) {
    const setting: Setting | undefined = (REPLICA_TABLE as SettingTable)[key];
    if (setting?.option === undefined) continue;
    if (setting.types !== undefined && !setting.types.includes(type)) continue;
    // An empty string is "not set", as upstream has it; only an empty path means something.
    if (value !== "" || key === "path") options[setting.option] = value;
  }
  return options;
}

function addEnvironmentEndpoint(
  merged: Record<string, unknown>,
  env: Readonly<Record<string, string | undefined>>,
  namesAWS: boolean,
): void {
  const endpoint = env["LITESTREAM_S3_ENDPOINT"];
  if (merged["endpoint"] !== undefined || namesAWS || endpoint === undefined) return;
  if (endpoint !== "") merged["endpoint"] = endpoint;
}

interface MissingField {
  readonly key: string;
  readonly message: string;
  readonly hint?: string;
}

/** The field without which a place cannot be opened, in upstream's words. */
function missingField(
  type: ReplicaType,
  merged: Readonly<Record<string, unknown>>,
): MissingField | undefined {
  const lacks = (option: string): boolean => {
    const value = merged[option];
    return value === undefined || value === "";
  };
  switch (type) {
    case "file":
      return lacks("path") ? { key: "path", message: "file replica path required" } : undefined;
    case "s3":
    case "gs":
    case "abs":
    case "oss":
      if (!lacks("bucket")) return undefined;
      return { key: "bucket", message: `bucket required for ${type} replica` };
    case "nats":
      if (!lacks("bucket")) return undefined;
      return { key: "bucket", message: "bucket required for NATS replica" };
    case "sftp":
      if (lacks("host")) return { key: "host", message: "host required for sftp replica" };
      return lacks("user") ? { key: "user", message: "user required for sftp replica" } : undefined;
    case "webdav":
      if (!lacks("webdavURL")) return undefined;
      return { key: "webdav-url", message: "webdav-url required for webdav replica" };
    case "memory":
      return undefined;
  }
}

function checkPartSize(
  merged: Record<string, unknown>,
  section: Section<ReplicaTable>,
  context: ReplicaContext,
  fail: Fail,
  sink: ProblemSink,
): boolean {
  const size = merged["partSizeBytes"];
  if (typeof size !== "number" || size >= MIN_S3_PART_SIZE) return true;
  if (size < DOCUMENTED_5MB) {
    fail("part-size", `part size must be at least ${MIN_S3_PART_SIZE} bytes`, "Write 5MiB or more");
    return false;
  }
  merged["partSizeBytes"] = MIN_S3_PART_SIZE;
  sink.warnings.push({
    line: section.lineOf("part-size"),
    key: `${context.label}.part-size`,
    message: `A part size of ${size} bytes is rounded up to 5MiB, the smallest S3 allows (5MB is 5000000 bytes)`,
  });
  return true;
}

function warnPathless(
  type: ReplicaType,
  merged: Readonly<Record<string, unknown>>,
  section: Section<ReplicaTable>,
  context: ReplicaContext,
  sink: ProblemSink,
): void {
  if (type !== "s3" && type !== "oss") return;
  const path = merged["path"];
  if (path !== undefined && path !== "" && path !== ".") return;
  sink.warnings.push({
    line: section.lineOf("url"),
    key: context.label,
    message: `Replica has no path in bucket "${String(merged["bucket"])}", its keys start ${path === "." ? '"./0000/"' : '"/0000/"'}`,
    hint: "Give each database a path of its own",
  });
}

/** Says which own fields belong to other kinds of replica: they change nothing here. */
function warnUseless(
  type: ReplicaType,
  section: Section<ReplicaTable>,
  context: ReplicaContext,
  sink: ProblemSink,
): void {
  const written = section.values.type;
  if (written !== undefined && written !== "" && written !== type && written !== "gcs") {
    sink.warnings.push({
      line: section.lineOf("type"),
      key: `${context.label}.type`,
      message: `Type "${written}" is ignored, the URL says "${type}"`,
    });
  }
  for (const key of Object.keys(section.values)) {
    const setting: Setting | undefined = (REPLICA_TABLE as SettingTable)[key];
    if (setting?.types === undefined || setting.types.includes(type)) continue;
    sink.warnings.push({
      line: section.lineOf(key),
      key: `${context.label}.${key}`,
      message: `Key has no effect on a replica of type ${type}`,
    });
  }
}
