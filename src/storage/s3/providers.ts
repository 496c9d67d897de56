/**
 * What is particular about each S3 provider, in one table. Everything that is not AWS gets the settings for custom
 * endpoints (no automatic checksums, buffered and signed bodies); the rows say what differs from that.
 */

export interface S3Provider {
  readonly name: string;
  /** Domain that its endpoints end in; `exact` when the endpoint is this very host. */
  readonly domain: string;
  readonly exact?: boolean;
  /**
   * How `BUCKET.ENDPOINT` splits (groups `bucket`, `endpoint`, `region`). By suffix, never by a list of regions, so that
   * new regions work. Absent: the provider has no host form.
   */
  readonly hostForm?: RegExp;
  /** Addressing for replicas named by the host form. Default: path style. */
  readonly hostFormPathStyle?: boolean;
  /** Region to sign with where neither settings nor the host name one. */
  readonly region?: string;
  /** Parts in flight per upload. */
  readonly concurrency?: number;
  /** All parts of an upload but the last must be of one size. */
  readonly equalParts?: boolean;
  /** Whether If-None-Match creates names conditionally, where no probe is needed to know. */
  readonly conditionalWrites?: boolean;
  /** Content-MD5 on DeleteObjects. Default true. */
  readonly contentMD5?: boolean;
  /** Headers on every request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** No DeleteObjects at all: objects are deleted one by one. */
  readonly singleDeletes?: boolean;
}

/** Parts of the domain names of endpoints. Lower case; hosts are compared in lower case. */
export const S3_PROVIDERS: readonly S3Provider[] = [
  {
    // The TLS wildcard covers one label, so dotted bucket names need the path style.
    name: "Linode",
    domain: "linodeobjects.com",
    hostForm: /^(?:(?<bucket>.+)\.)?(?<endpoint>(?<region>[^.]+)\.linodeobjects\.com)$/i,
  },
  {
    name: "DigitalOcean",
    domain: "digitaloceanspaces.com",
    hostForm: /^(?:(?<bucket>.+)\.)?(?<endpoint>(?<region>[^.]+)\.digitaloceanspaces\.com)$/i,
    hostFormPathStyle: false,
  },
  {
    name: "Backblaze",
    domain: "backblazeb2.com",
    hostForm: /^(?:(?<bucket>.+)\.)?(?<endpoint>s3\.(?<region>[^.]+)\.backblazeb2\.com)$/i,
  },
  {
    name: "Filebase",
    domain: "s3.filebase.com",
    exact: true,
    hostForm: /^(?:(?<bucket>.+)\.)?(?<endpoint>s3\.filebase\.com)$/i,
  },
  {
    name: "Scaleway",
    domain: "scw.cloud",
    hostForm: /^(?:(?<bucket>.+)\.)?(?<endpoint>s3\.(?<region>[^.]+)\.scw\.cloud)$/i,
    hostFormPathStyle: false,
  },
  {
    // Parts of one upload must be of one size, and more than two at once are answered with 429.
    name: "Cloudflare R2",
    domain: "r2.cloudflarestorage.com",
    hostForm:
      /^(?:(?<bucket>.+?)\.)?(?<endpoint>(?!(?:eu|fedramp)\.)[^.]+(?:\.(?:eu|fedramp))?\.r2\.cloudflarestorage\.com)$/i,
    region: "auto",
    concurrency: 2,
    equalParts: true,
  },
  {
    name: "Wasabi",
    domain: "wasabisys.com",
    hostForm: /^(?:(?<bucket>.+)\.)?(?<endpoint>s3(?:\.(?<region>[^.]+))?\.wasabisys\.com)$/i,
  },
  {
    name: "Hetzner",
    domain: "your-objectstorage.com",
    hostForm: /^(?:(?<bucket>.+)\.)?(?<endpoint>(?<region>[^.]+)\.your-objectstorage\.com)$/i,
  },
  {
    name: "Vultr",
    domain: "vultrobjects.com",
    hostForm: /^(?:(?<bucket>.+)\.)?(?<endpoint>(?<region>[^.]+)\.vultrobjects\.com)$/i,
    hostFormPathStyle: false,
  },
  {
    name: "Tigris",
    domain: "fly.storage.tigris.dev",
    exact: true,
    hostForm: /^(?:(?<bucket>.+)\.)?(?<endpoint>fly\.storage\.tigris\.dev)$/i,
    hostFormPathStyle: false,
    region: "auto",
    contentMD5: false,
    headers: { "X-Tigris-Consistent": "true" },
  },
  {
    name: "Tigris",
    domain: "t3.storage.dev",
    exact: true,
    hostForm: /^(?:(?<bucket>.+)\.)?(?<endpoint>t3\.storage\.dev)$/i,
    hostFormPathStyle: false,
    region: "auto",
    contentMD5: false,
    headers: { "X-Tigris-Consistent": "true" },
  },
  { name: "Supabase", domain: "supabase.co", conditionalWrites: false },
  {
    name: "Google Cloud Storage",
    domain: "storage.googleapis.com",
    exact: true,
    singleDeletes: true,
    conditionalWrites: false,
  },
  { name: "Oracle Cloud", domain: "oraclecloud.com" },
  { name: "OVHcloud", domain: "cloud.ovh.net" },
  { name: "Storj", domain: "storjshare.io" },
  { name: "Exoscale", domain: "exo.io" },
  { name: "IDrive e2", domain: "idrivee2.com" },
  { name: "Outscale", domain: "outscale.com" },
  { name: "Selectel", domain: "selcloud.ru" },
  { name: "Scality", domain: "scality.com" },
];

/** The provider that an endpoint host belongs to; null for AWS and for whoever nobody knows. */
export function providerOfHost(host: string): S3Provider | null {
  const name = host.toLowerCase().replace(/:\d+$/, "");
  return (
    S3_PROVIDERS.find(
      ({ domain, exact }) => name === domain || (exact !== true && name.endsWith(`.${domain}`)),
    ) ?? null
  );
}

/** The provider whose domain a name ends in, also where its endpoints are one exact host. */
export function providerOfName(name: string): S3Provider | null {
  const lower = name.toLowerCase();
  return (
    S3_PROVIDERS.find(({ domain }) => lower === domain || lower.endsWith(`.${domain}`)) ?? null
  );
}

export interface S3HostForm {
  /** Undefined when the host names the endpoint only. */
  readonly bucket: string | undefined;
  readonly region: string | undefined;
  /** With scheme, and with the port when there was one. Undefined: AWS. */
  readonly endpoint: string | undefined;
  readonly pathStyle: boolean;
}

const AWS_HOST_FORM =
  /^(?<bucket>.+)\.s3(?:[.-](?:dualstack\.)?(?<region>[a-z]{2}(?:-[a-z]+)+-\d))?\.amazonaws\.com(?:\.cn)?$/i;

/** Splits `BUCKET.ENDPOINT[:PORT]` of AWS and the known providers; null when the host belongs to none of them. */
export function splitS3Host(host: string): S3HostForm | null {
  const [, name = host, port = ""] = /^(.*?)(:\d+)?$/.exec(host) ?? [];
  const aws = AWS_HOST_FORM.exec(name)?.groups;
  if (aws !== undefined && port === "") {
    const { bucket, region } = aws;
    return { bucket, region: region?.toLowerCase(), endpoint: undefined, pathStyle: false };
  }
  for (const { hostForm, hostFormPathStyle = true, region } of S3_PROVIDERS) {
    const groups = hostForm?.exec(name)?.groups;
    if (groups === undefined) continue;
    return {
      bucket: groups["bucket"],
      region: groups["region"]?.toLowerCase() ?? region,
      endpoint: `https://${groups["endpoint"]?.toLowerCase()}${port}`,
      pathStyle: hostFormPathStyle,
    };
  }
  return null;
}

/**
 * The endpoint of a Linode cluster when `region` can only be one: their newer ids have a city code of three letters
 * (`us-ord-1`), as no AWS region has, and `us-southeast-1` is theirs alone. Ambiguous ids (`us-east-1`) mean AWS.
 */
export function linodeEndpointOfRegion(region: string): string | null {
  return /^(?:[a-z]{2}-[a-z]{3}-\d+|us-southeast-1)$/.test(region)
    ? `https://${region}.linodeobjects.com`
    : null;
}

/** Regions that both AWS and Linode have. */
export function isAmbiguousLinodeRegion(region: string): boolean {
  return ["us-east-1", "eu-central-1", "ap-south-1"].includes(region);
}

/** `endpoint` with a scheme: as given, else http for local hosts and https for all others. */
export function completeEndpoint(endpoint: string): string {
  const text = endpoint.trim().replace(/\/+$/, "");
  if (/^[a-z]+:\/\//i.test(text)) return text;
  return isLocalEndpoint(text) ? `http://${text}` : `https://${text}`;
}

/** Loopback and private addresses, `.local`, `.localhost`, and one-label names with a port (containers). */
export function isLocalEndpoint(endpoint: string): boolean {
  const [, bracketed, plain = "", port] = /^(?:\[(.+?)\]|([^/:]*))(?::(\d+))?/.exec(endpoint) ?? [];
  const host = (bracketed ?? plain).toLowerCase();
  if (host === "localhost" || host === "::1" || /\.local(?:host)?$/.test(host)) return true;
  const octets = /^(\d+)\.(\d+)\.\d+\.\d+$/.exec(host);
  if (octets === null)
    return port !== undefined && !host.includes(".") && host !== "" && bracketed === undefined;
  const [first, second] = [Number(octets[1]), Number(octets[2])];
  if (first === 127 || first === 10) return true;
  return (first === 192 && second === 168) || (first === 172 && second >= 16 && second <= 31);
}
