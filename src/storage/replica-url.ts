/** Replica URLs: `s3://bucket/path?region=…`, `file:///path`, … as the options of the place they name. */
import { posix } from "node:path";
import { StorageError } from "./replica-client.ts";
import type {
  PartialReplicaOptions,
  ReplicaLocation,
  S3ReplicaOptions,
} from "./replica-options.ts";
import { parseS3Host, parseS3Query, splitAccessPoint } from "./s3-url.ts";

/** What parsing may have to know of the machine. The defaults know nothing, so that parsing is pure. */
export interface URLFacts {
  /** Whether a folder exists: a replica kept under an older reading of its URL stays where it is. */
  readonly folderExists?: (path: string) => boolean;
  /** What `~` means. Default: it is not expanded. */
  readonly homeFolder?: string | undefined;
}

/** The parts of a URL as Go's url.Parse gives them: host as typed, path decoded. */
interface URLParts {
  readonly scheme: string;
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly host: string;
  readonly path: string;
  /** The path as typed. */
  readonly rawPath: string;
  readonly query: URLSearchParams;
}

/** Whether a text is meant as a replica URL rather than a path: `word://`. */
export function isReplicaURL(text: string): boolean {
  return /^\w+:\/\//.test(text);
}

/**
 * Reads a replica URL. Throws StorageError("misconfigured") with upstream's words and, where the intention is clear, the
 * corrected URL as hint.
 */
export function parseReplicaURL(url: string, facts: URLFacts = {}): ReplicaLocation {
  const scheme = /^(\w+):\/\//.exec(url)?.[1]?.toLowerCase();
  if (scheme === undefined) throw invalid(`Invalid replica URL ${quote(url)}: it has no scheme`);
  if (scheme === "s3") return parseS3URL(url);
  const parts = splitURL(url);
  switch (parts.scheme) {
    case "file":
      return parseFileURL(parts, facts);
    case "gs":
      return located({ type: "gs", bucket: parts.host, path: keyPath(parts.path) }, parts);
    case "abs":
      return parseAzureURL(parts);
    case "oss":
      return parseOSSURL(parts);
    case "sftp":
      return located(
        {
          type: "sftp",
          host: parts.host,
          ...given("user", parts.user),
          ...given("password", parts.password),
          path: posixPath(parts.path),
        },
        parts,
      );
    case "webdav":
    case "webdavs":
      return located(
        {
          type: "webdav",
          webdavURL: `${parts.scheme === "webdavs" ? "https" : "http"}://${parts.host}`,
          ...given("webdavUsername", parts.user),
          ...given("webdavPassword", parts.password),
          path: posixPath(parts.path),
        },
        parts,
      );
    case "nats":
      return parseNATSURL(parts);
    case "gcs":
      throw invalid(`unknown replica type in config: "gcs"`, `Write ${url.replace(/^gcs/i, "gs")}`);
    default:
      throw invalid(
        `unknown replica type in config: ${quote(parts.scheme)}`,
        "Known schemes: s3, file, gs, abs, sftp, webdav, webdavs, nats, oss",
      );
  }
}

function parseS3URL(url: string): ReplicaLocation {
  const accessPoint = splitAccessPoint(url);
  const parts = splitURL(accessPoint === null ? url : `s3://arn${accessPoint.rest}`);
  const query = parseS3Query(parts.query);
  const path = s3Path(parts.path);
  if (accessPoint !== null) {
    const options: PartialReplicaOptions = {
      type: "s3",
      bucket: accessPoint.arn,
      // Without a key an access point has the empty prefix, where a bucket's would be ".".
      path: parts.path === "" ? "" : path,
      ...given("region", accessPoint.region),
      ...query.options,
    };
    return { options, unknownParameters: query.unknownParameters, warnings: [] };
  }
  const fromHost = parseS3Host(parts.host, {
    url,
    hasEndpoint: query.options.endpoint !== undefined,
  });
  const options: { type: "s3" } & Partial<S3ReplicaOptions> = {
    type: "s3",
    path,
    ...fromHost.options,
    ...query.options,
  };
  return { options, unknownParameters: query.unknownParameters, warnings: fromHost.warnings };
}

/** Upstream's spelling of the prefix: `.` without a path, empty for `/`, otherwise clean and without leading slash. */
function s3Path(path: string): string {
  return path === "" ? "." : posixPath(path).replace(/^\//, "");
}

function parseFileURL(parts: URLParts, facts: URLFacts): ReplicaLocation {
  const exists = facts.folderExists ?? ((): boolean => false);
  const warnings: string[] = [];
  const decoded = `${parts.host === "" ? "" : `/${parts.host}`}${parts.path}`;
  const encoded = `${parts.host === "" ? "" : `/${parts.host}`}${escapedPath(parts)}`;
  const literal = posixPath(decoded);
  const home = facts.homeFolder;
  let path = parts.host.toLowerCase() === "localhost" ? posixPath(parts.path) : literal;
  if (posixPath(encoded) !== path && exists(posixPath(encoded))) {
    path = posixPath(encoded);
    warnings.push(
      `Using the folder "${path}", which an older version named after the URL's encoding`,
    );
  } else if (parts.host === "~") {
    if (home !== undefined && !exists(literal)) path = posix.join(home, parts.path);
  } else if (!["", "localhost"].includes(parts.host.toLowerCase()) && !exists(literal)) {
    throw invalid(
      `Invalid replica URL "file://${parts.host}${parts.rawPath}": ${quote(parts.host)} stands where a host would`,
      parts.host === "."
        ? `Write the path itself, or file:///absolute/path`
        : `Write file:///${parts.host}${parts.rawPath}`,
    );
  }
  return located({ type: "file", path }, parts, warnings);
}

function parseAzureURL(parts: URLParts): ReplicaLocation {
  const account = given("accountName", parts.user);
  // The form of the documentation has the account's host, and the container as first part of the path.
  if (/\.blob\.core\.windows\.net$/i.test(parts.host)) {
    const [, bucket = "", path = ""] = /^\/?([^/]*)(.*)$/.exec(parts.path) ?? [];
    const accountName = parts.user ?? parts.host.split(".")[0] ?? "";
    return located({ type: "abs", accountName, bucket, path: keyPath(path) }, parts);
  }
  return located({ type: "abs", ...account, bucket: parts.host, path: keyPath(parts.path) }, parts);
}

function parseOSSURL(parts: URLParts): ReplicaLocation {
  const host =
    /^(?:(?<bucket>.+)\.)?(?<endpoint>oss-(?<region>[^.]+?)(?<internal>-internal)?\.aliyuncs\.com)$/i.exec(
      parts.host,
    )?.groups;
  const endpoint = parts.query.get("endpoint") ?? undefined;
  const region = parts.query.get("region") ?? host?.["region"]?.toLowerCase();
  const internal = host?.["internal"] === undefined ? undefined : host["endpoint"]?.toLowerCase();
  return located(
    {
      type: "oss",
      ...given("bucket", host === undefined ? parts.host : host["bucket"]),
      path: s3Path(parts.path),
      ...given("region", region),
      ...given("endpoint", endpoint ?? internal),
    },
    parts,
    [],
    ["endpoint", "region"],
  );
}

function parseNATSURL(parts: URLParts): ReplicaLocation {
  return located(
    {
      type: "nats",
      ...(parts.host === "" ? {} : { url: `nats://${parts.host}` }),
      // A name, not a path: the whole of it is the bucket.
      ...given("bucket", keyPath(parts.path) === "" ? undefined : keyPath(parts.path)),
      ...given("username", parts.user),
      ...given("password", parts.password),
    },
    parts,
  );
}

function located(
  options: PartialReplicaOptions,
  { query }: URLParts,
  warnings: readonly string[] = [],
  known: readonly string[] = [],
): ReplicaLocation {
  const unknownParameters = [...new Set(query.keys())].filter((name) => !known.includes(name));
  return { options, unknownParameters, warnings };
}

function splitURL(url: string): URLParts {
  const match = /^(\w+):\/\/(?:([^@/?#]*)@)?([^/?#]*)([^?#]*)(?:\?([^#]*))?/.exec(url);
  if (match === null) throw invalid(`Invalid replica URL ${quote(url)}`);
  const [, scheme = "", userinfo, host = "", rawPath = "", query = ""] = match;
  const colon = userinfo?.indexOf(":") ?? -1;
  const user = colon < 0 ? userinfo : userinfo?.slice(0, colon);
  const password = colon < 0 ? undefined : userinfo?.slice(colon + 1);
  return {
    scheme: scheme.toLowerCase(),
    user: user === undefined || user === "" ? undefined : decode(user, url),
    password: password === undefined ? undefined : decode(password, url),
    host,
    path: decode(rawPath, url),
    rawPath,
    query: new URLSearchParams(query),
  };
}

function decode(text: string, url: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    const hidden = url.replace(/\/\/[^@/]*@/, "//");
    throw new StorageError(
      "misconfigured",
      `Invalid replica URL ${quote(hidden)}: wrong percent-encoding`,
      { cause: error, hint: "A literal % is written %25" },
    );
  }
}

/** The path as Go's URL.EscapedPath() spells it: as typed when that is a valid encoding, else encoded anew. */
function escapedPath({ path, rawPath }: URLParts): string {
  if (/^(?:[\w\-.~!$&'()*+,;=:@/[\]]|%[0-9a-f]{2})*$/i.test(rawPath)) return rawPath;
  return [...new TextEncoder().encode(path)]
    .map((byte) => {
      const character = String.fromCharCode(byte);
      return /[\w\-.~$&+,/:;=@]/.test(character)
        ? character
        : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
    })
    .join("");
}

/** As Go's path.Clean: no `.`, `..`, `//` or trailing slash; `.` when empty. */
function posixPath(path: string): string {
  const clean = posix.normalize(path);
  return clean.length > 1 && clean.endsWith("/") ? clean.slice(0, -1) : clean;
}

/** A clean key prefix: no leading slash, empty when there is none. */
function keyPath(path: string): string {
  const clean = posixPath(path).replace(/^\//, "");
  return clean === "." ? "" : clean;
}

function given<K extends string>(
  key: K,
  value: string | undefined,
): { readonly [P in K]?: string } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [P in K]: string });
}

function quote(text: string): string {
  return JSON.stringify(text);
}

function invalid(message: string, hint?: string): StorageError {
  return new StorageError("misconfigured", message, hint === undefined ? {} : { hint });
}
