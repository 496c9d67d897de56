import assert from "node:assert/strict";
import { test } from "node:test";
import { redactHeartbeatURL, redactURL } from "./redact.ts";

test("redactURL() hides passwords and parameters with secrets, and nothing else", () => {
  const rows = [
    ["s3://bucket/path?region=x", "s3://bucket/path?region=x"],
    ["sftp://user:pa:ss@host/p", "sftp://user:(hidden)@host/p"],
    ["sftp://user@host/p", "sftp://user@host/p"],
    ["abs://account@container/p", "abs://account@container/p"],
    ["nats://token@host/b", "nats://(hidden)@host/b"],
    [
      "s3://b/p?sseCustomerKey=abc&region=x&sas-token=y",
      "s3://b/p?sseCustomerKey=(hidden)&region=x&sas-token=(hidden)",
    ],
    ["file:///a@b:c/d", "file:///a@b:c/d"],
  ] as const;
  for (const [url, shown] of rows) assert.equal(redactURL(url), shown);
});

test("redactHeartbeatURL() shows the host only", () => {
  assert.equal(redactHeartbeatURL("https://hc.example/ab-cd?x"), "https://hc.example/(hidden)");
  assert.equal(redactHeartbeatURL("https://u:p@hc.example/x"), "https://hc.example/(hidden)");
});
