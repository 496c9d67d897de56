/** The time of an LTX file in an object's metadata: RFC 3339 in UTC, without trailing zeros, as Go's RFC3339Nano. */

/** `x-amz-meta-litestream-timestamp` */
export const TIMESTAMP_METADATA = "litestream-timestamp";

const RFC3339 = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)$/;

/** `2023-11-14T22:13:20.12Z` */
export function formatTimestamp(time: Date): string {
  return time.toISOString().replace(/\.?0+Z$/, "Z");
}

/** Reads any RFC 3339 time with up to nine fractional digits, to the millisecond; null when it is none. */
export function parseTimestamp(text: string): Date | null {
  if (!RFC3339.test(text)) return null;
  const time = new Date(text.toUpperCase());
  return Number.isNaN(time.getTime()) ? null : time;
}
