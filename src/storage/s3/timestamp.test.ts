import assert from "node:assert/strict";
import { test } from "node:test";
import { formatTimestamp, parseTimestamp } from "./timestamp.ts";

test("formatTimestamp() writes RFC 3339 without trailing zeros", () => {
  const rows = {
    "2023-11-14T22:13:20.000Z": "2023-11-14T22:13:20Z",
    "2023-11-14T22:13:20.120Z": "2023-11-14T22:13:20.12Z",
    "2023-11-14T22:13:20.123Z": "2023-11-14T22:13:20.123Z",
    "2023-11-14T22:13:00.000Z": "2023-11-14T22:13:00Z",
  };
  for (const [time, text] of Object.entries(rows)) {
    assert.equal(formatTimestamp(new Date(time)), text);
    assert.equal(parseTimestamp(text)?.toISOString(), time);
  }
});

test("parseTimestamp() reads nine digits and offsets, and nothing that is no time", () => {
  assert.equal(parseTimestamp("2023-11-14T22:13:20.123456789Z")?.getTime(), 1_700_000_000_123);
  assert.equal(parseTimestamp("2023-11-15T00:13:20.1+02:00")?.getTime(), 1_700_000_000_100);
  for (const text of [
    "",
    "2023-11-14",
    "2023-11-14T22:13:20",
    "2023-11-14T25:13:20Z",
    "2023-13-14T22:13:20Z",
    "1700000000",
    "2023-11-14T22:13:20.1234567890Z",
  ])
    assert.equal(parseTimestamp(text), null, text);
});
