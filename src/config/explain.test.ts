import assert from "node:assert/strict";
import { test } from "node:test";
import { explainConfig, type ShownSetting } from "./explain.ts";
import { parseConfigTree } from "./load.ts";

function explain(
  text: string,
  env: Readonly<Record<string, string>> = {},
): ReadonlyMap<string, ShownSetting> {
  const options = { env, cwd: "/w" };
  const parsed = parseConfigTree(text, "f.yml", options);
  return new Map(explainConfig(parsed, options).map((row) => [row.key, row]));
}

const TEXT = `secret-access-key: hunter2
access-key-id: AKIA
sync-interval: 3s
dbs:
  - path: a.db
    busy-timeout: 90s
    replicas:
      - url: s3://bkt/pre?region=us-west-1&sseCustomerKey=hunter2
      - {path: /r, name: near, sync-interval: 2s}
  - path: b.db
    snapshot: {interval: 2h}
    replica: {url: "sftp://u:hunter2@h/p"}
`;

test("explainConfig() tells the value and the line of what the file says", () => {
  const rows = explain(TEXT);
  const busy = rows.get("dbs[/w/a.db].busy-timeout");
  assert.deepEqual([busy?.value, busy?.source], ["1m30s", { kind: "file", line: 6 }]);
  const interval = rows.get("dbs[/w/b.db].snapshot.interval");
  assert.deepEqual([interval?.value, interval?.source], ["2h0m0s", { kind: "file", line: 11 }]);
});

test("explainConfig() tells inherited values, those of a URL and defaults apart", () => {
  const rows = explain(TEXT);
  const source = (key: string): unknown => rows.get(key)?.source;
  const first = "dbs[/w/a.db].replicas[0].";
  assert.deepEqual(source(`${first}sync-interval`), {
    kind: "file",
    line: 3,
    key: "sync-interval",
  });
  assert.deepEqual(source("dbs[/w/a.db].replicas[1].sync-interval"), { kind: "file", line: 9 });
  assert.deepEqual(source(`${first}region`), { kind: "file", line: 8, key: `${first}url` });
  assert.deepEqual(source("dbs[/w/a.db].monitor-interval"), { kind: "default" });
  assert.equal(rows.get("dbs[/w/a.db].meta-path")?.value, "/w/.a.db-litestream");
});

test("explainConfig() tells what the environment decides", () => {
  const text = "dbs: [{path: /d, replica: {type: s3, bucket: b}}]";
  const rows = explain(text, {
    LOG_LEVEL: "debug",
    AWS_SECRET_ACCESS_KEY: "hunter2",
    LITESTREAM_S3_ENDPOINT: "http://localhost:9000",
  });
  const row = (key: string): unknown => {
    const found = rows.get(key);
    return [found?.value, found?.source];
  };
  assert.deepEqual(row("logging.level"), ["debug", environment("LOG_LEVEL")]);
  assert.deepEqual(row("dbs[/d].replica.secret-access-key"), [
    "(hidden)",
    environment("AWS_SECRET_ACCESS_KEY"),
  ]);
  assert.deepEqual(row("dbs[/d].replica.endpoint"), [
    "http://localhost:9000",
    environment("LITESTREAM_S3_ENDPOINT"),
  ]);
});

test("explainConfig() takes several entries of one path for one database", () => {
  const rows = explain(
    "dbs:\n  - {path: /d, replica: {path: /r/1}}\n  - {path: /d, replica: {path: /r/2}}\n",
  );
  // The entries have equal names, so that the later stands in this map.
  assert.equal(rows.get("dbs[/d].replica.path")?.value, "/r/2");
});

test("explainConfig() never shows a secret, whichever setting holds it", () => {
  const keys = [
    "secret-access-key",
    "session-token",
    "sse-customer-key",
    "account-key",
    "sas-token",
    "password",
    "key-passphrase",
    "webdav-password",
    "jwt",
    "seed",
    "nkey",
    "token",
  ];
  const replicas = [
    "url: s3://b/1",
    "url: 'abs://a@c/2'",
    "url: 'sftp://u@h/3'",
    "type: webdav, webdav-url: 'https://u:hunter2@h/4'",
    "type: nats, bucket: b5",
  ];
  const secrets = keys.map((key) => `${key}: hunter2`).join(", ");
  const list = replicas.map((replica) => `{${replica}, ${secrets}}`).join(", ");
  const text = `heartbeat-url: https://h/hunter2\ndbs: [{path: /d, replicas: [${list}]}]`;
  const rows = [...explain(text).values()];
  assert.ok(rows.filter(({ value }) => value === "(hidden)").length >= keys.length);
  for (const { key, value } of rows) assert.doesNotMatch(value, /hunter2/, key);
  for (const { key, value } of explain(TEXT).values()) assert.doesNotMatch(value, /hunter2/, key);
});

function environment(name: string): unknown {
  return { kind: "environment", name };
}
