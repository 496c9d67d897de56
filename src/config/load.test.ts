import assert from "node:assert/strict";
import { test } from "node:test";
import type { Config } from "./config.ts";
import { ConfigError, formatProblem } from "./config-error.ts";
import { parseConfig } from "./load.ts";

interface Options {
  readonly env?: Readonly<Record<string, string>>;
  readonly strict?: boolean;
}

function parse(text: string, options: Options = {}): Config {
  return parseConfig(text, "/etc/litestream.yml", {
    env: options.env ?? {},
    cwd: "/w",
    strict: options.strict ?? false,
  });
}

/** The message, as it stands behind "Error: ". */
function failure(text: string, options: Options = {}): string {
  try {
    parse(text, options);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.message;
  }
  return assert.fail(`No error for ${text}`);
}

function warnings(text: string, options: Options = {}): string[] {
  const config = parse(text, options);
  return config.warnings.map((problem) => formatProblem(problem, "f.yml"));
}

function onlyOptions(text: string, options: Options = {}): Readonly<Record<string, unknown>> {
  const config = parse(text, options);
  const found = config.databases[0]?.replicas[0]?.options;
  assert.ok(found);
  return { ...found };
}

const FILE_REPLICA = "replica: {path: /r}";

test("parseConfig() takes an empty file for all defaults and no databases", () => {
  for (const text of ["", "# only a comment\n", "dbs:\n", "dbs: []\n"]) {
    const config = parse(text);
    assert.deepEqual(config.databases, []);
    assert.equal(config.shutdownSyncTimeoutMs, 30_000);
    assert.equal(config.shutdownSyncIntervalMs, 500);
    assert.deepEqual(config.levelIntervalsMs, [30_000, 300_000, 3_600_000]);
    assert.equal(config.l0RetentionMs, 300_000);
    assert.equal(config.socket.path, "/var/run/litestream.sock");
    assert.equal(config.socket.mode, 0o600);
    assert.equal(config.retentionEnabled, true);
  }
});

test("parseConfig() gives a database upstream's defaults", () => {
  const [database] = parse(`dbs: [{path: a.db, ${FILE_REPLICA}}]`).databases;
  assert.deepEqual(database, {
    path: "/w/a.db",
    metaPath: "/w/.a.db-litestream",
    monitorIntervalMs: 1_000,
    checkpointIntervalMs: 60_000,
    busyTimeoutMs: 1_000,
    minCheckpointPageCount: 1_000,
    truncatePageCount: 121_359,
    maxSyncWALBytes: 67_108_864,
    restoreIfNotExists: false,
    snapshotIntervalMs: 86_400_000,
    snapshotRetentionMs: 86_400_000,
    heartbeatURL: undefined,
    heartbeatFailureURL: undefined,
    replicas: [
      {
        name: "file",
        options: { type: "file", path: "/r" },
        syncIntervalMs: 1_000,
        autoRecover: false,
        ageIdentities: [],
        maxSyncLTXFiles: 256,
        validationIntervalMs: undefined,
        snapshotIntervalMs: undefined,
        retentionMs: undefined,
        retentionCheckIntervalMs: undefined,
      },
    ],
  });
});

test("parseConfig() understands every form of the Linode guide", () => {
  const linode = {
    type: "s3",
    bucket: "BUCKETNAME",
    path: "db",
    region: "us-east-1",
    endpoint: "https://us-east-1.linodeobjects.com",
    forcePathStyle: true,
  };
  const byURL = `access-key-id: xxxxxxxxxxxxxxxxxxxx
secret-access-key: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx/xxxxxxxxx
dbs:
  - path: /path/to/local/db
    replicas:
      - url: s3://BUCKETNAME.us-east-1.linodeobjects.com/db
`;
  assert.deepEqual(onlyOptions(byURL), {
    ...linode,
    accessKeyID: "xxxxxxxxxxxxxxxxxxxx",
    secretAccessKey: "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx/xxxxxxxxx",
  });
  const byFields = `dbs:
  - path: /path/to/local/db
    replicas:
      - type: s3
        bucket:   BUCKETNAME
        path:     db
        endpoint: https://us-east-1.linodeobjects.com    # also without https://
        region:   us-east-1   # set to your region
`;
  const { forcePathStyle: _, ...withoutStyle } = linode;
  assert.deepEqual(onlyOptions(byFields), withoutStyle);
  assert.equal(
    onlyOptions(byFields.replace("https://us", "us"))["endpoint"],
    "us-east-1.linodeobjects.com",
  );
  const perReplica = `dbs:
  - path: /path/to/local/db
    replica:
      url: s3://BUCKETNAME.us-east-1.linodeobjects.com/db
      access-key-id: xxxxxxxxxxxxxxxxxxx
      secret-access-key: yyyyyyyyyyyyyyyyyyy
`;
  assert.deepEqual(onlyOptions(perReplica), {
    ...linode,
    accessKeyID: "xxxxxxxxxxxxxxxxxxx",
    secretAccessKey: "yyyyyyyyyyyyyyyyyyy",
  });
  assert.equal(
    onlyOptions(`access-key-id: top\n${perReplica}`)["accessKeyID"],
    "xxxxxxxxxxxxxxxxxxx",
  );
});

test("parseConfig() reads YAML as upstream's library does", () => {
  const text = `defaults: &d {type: s3, bucket: b}
dbs:
  - path: 0123
    busy-timeout: "5s"
    min-checkpoint-page-count: 0x10
    max-sync-wal-bytes: 1_000
    checkpoint-interval: 0
    restore-if-db-not-exists: yes
    replica:
      <<: *d
      path: 1e3
      region: yes
      access-key-id: ~
      sign-payload: off
      concurrency: 1.9
`;
  const config = parse(text);
  const [database] = config.databases;
  assert.equal(database?.path, "/w/0123");
  assert.equal(database.busyTimeoutMs, 5_000);
  assert.equal(database.minCheckpointPageCount, 16);
  assert.equal(database.maxSyncWALBytes, 1_000);
  assert.equal(database.checkpointIntervalMs, 0);
  assert.equal(database.restoreIfNotExists, true);
  assert.deepEqual(database.replicas[0]?.options, {
    type: "s3",
    bucket: "b",
    path: "1e3",
    region: "yes",
    signPayload: false,
    concurrency: 1,
  });
});

test("parseConfig() reads permissions as octal, however they are written", () => {
  for (const text of ["600", "0600", "0o600", '"0600"']) {
    assert.equal(parse(`socket: {permissions: ${text}}`).socket.mode, 0o600, text);
  }
  assert.match(failure("socket: {permissions: 01777}"), /permissions must be within 0777/);
  assert.match(warnings("socket: {permissions: 0666}").join(), /Other users may write/);
});

test("parseConfig() names the first mistake in upstream's words", () => {
  const db = "dbs:\n - path: a.db\n";
  const vectors: readonly (readonly [text: string, message: string])[] = [
    [
      "snapshot: {interval: 0s}",
      "snapshot.interval: snapshot interval must be greater than 0 (got 0s)",
    ],
    [
      "snapshot: {retention: -1s}",
      "snapshot.retention: snapshot retention must be greater than 0 (got -1s)",
    ],
    ["l0-retention: -1s", "l0-retention: l0 retention must not be negative (got -1s)"],
    [
      "l0-retention-check-interval: 0s",
      "l0-retention-check-interval: l0 retention check interval must be greater than 0 (got 0s)",
    ],
    [
      "shutdown-sync-timeout: -1s",
      "shutdown-sync-timeout: shutdown-sync-timeout must be >= 0 (got -1s)",
    ],
    [
      "shutdown-sync-interval: 0s",
      "shutdown-sync-interval: shutdown sync interval must be greater than 0 (got 0s)",
    ],
    [
      "heartbeat-url: ftp://x",
      "heartbeat-url: heartbeat URL must be a valid HTTP or HTTPS URL (got ftp://x)",
    ],
    [
      "heartbeat-interval: 5s",
      "heartbeat-interval: heartbeat interval must be at least 1 minute (got 5s)",
    ],
    [
      "levels: [{interval: 1s}, {interval: -1s}]",
      "levels[1].interval: compaction interval must be greater than 0 (got -1s)",
    ],
    [
      `${db}   replica: {sync-interval: 0s, path: x}`,
      "dbs[/w/a.db].replica.sync-interval: sync interval must be greater than 0 (got 0s)",
    ],
    [
      `${db}   replicas: [{sync-interval: 0s, path: x}]`,
      "dbs[/w/a.db].replicas[0].sync-interval: sync interval must be greater than 0 (got 0s)",
    ],
    [
      `${db}   monitor-interval: 0\n   ${FILE_REPLICA}`,
      "dbs[/w/a.db].monitor-interval: monitor interval must be greater than 0 (got 0s)",
    ],
    [`${db}   dir: x`, "database config #1: cannot specify both 'path' and 'dir'"],
    ["dbs: [{pattern: a}]", "database config #1: must specify either 'path' or 'dir'"],
    ["dbs: [{dir: a}]", "database config #1: 'pattern' is required when using 'dir'"],
    [`${db}   watch: true`, "database config #1: 'watch' can only be enabled with a directory"],
    [`${db}   meta-dir: x`, "database config #1: 'meta-dir' can only be used with a directory"],
    [db, "must specify replica for database"],
    [
      `${db}   replica: {path: x}\n   replicas: [{path: y}]`,
      "cannot specify 'replica' and 'replicas' on a database",
    ],
    [`${db}   replica: {type: foo}`, 'unknown replica type in config: "foo"'],
    [`${db}   replica: {type: s3}`, "bucket required for s3 replica"],
    [`${db}   replica: {type: sftp}`, "host required for sftp replica"],
    [`${db}   replica: {url: "sftp://h/x"}`, "user required for sftp replica"],
    [`${db}   replica: {type: file}`, "file replica path required"],
    [`${db}   replica: {url: /tmp/x}`, "replica url scheme required: /tmp/x"],
    [
      `${db}   replica: {path: "s3://x"}`,
      "replica path cannot be a url, please use the 'url' field instead: s3://x",
    ],
    [`${db}   replica: {url: "s3://b/x", bucket: c}`, "cannot specify url & bucket for s3 replica"],
    [`${db}   replica: {url: "s3://b/x", path: c}`, "cannot specify url & path for s3 replica"],
    [
      `${db}   replica: {type: s3, bucket: b, part-size: 5XB}`,
      "invalid size format: unhandled size name: xb",
    ],
    [
      `${db}   replica: {type: s3, bucket: b, path: p, part-size: 4MiB}`,
      "part size must be at least 5242880 bytes",
    ],
    ['addr: "localhost"', 'must specify port for bind address: "localhost"'],
    ["a: *x", "yaml: line 1: unknown anchor 'x' referenced"],
  ];
  for (const [text, message] of vectors) assert.equal(failure(text).split("\n")[0], message, text);
});

test("parseConfig() gathers wrong types under upstream's heading", () => {
  const text = `dbs:
  - path: a.db
    monitor-interval: 1d5
    busy-timeout: [1]
    replica: {path: x}
socket: {enabled: 1}
levels: 5
exec: [a]
max-sync-ltx-files: 99999999999999999999
root-cas: a.pem
`;
  assert.deepEqual(failure(text).split("\n").slice(0, 8), [
    "yaml: unmarshal errors:",
    "  line 3: cannot unmarshal !!str `1d5` into time.Duration",
    "  line 4: cannot unmarshal !!seq into time.Duration",
    "  line 6: cannot unmarshal !!int `1` into bool",
    "  line 7: cannot unmarshal !!int `5` into []*main.CompactionLevelConfig",
    "  line 8: cannot unmarshal !!seq into string",
    "  line 9: cannot unmarshal !!float `9999999...` into int",
    "  line 10: cannot unmarshal !!str `a.pem` into []string",
  ]);
});

test("parseConfig() reports every mistake with file, line and key", () => {
  const message = failure(`levels: [{interval: 0s}]
dbs:
  - path: a.db
    replica: {url: "s3://b/x", bucket: c, sync-interval: -1s}
  - path: b.db
    checkpoint-interval: -1s
`);
  assert.deepEqual(message.split("\n").slice(1), [
    "  /etc/litestream.yml:1: levels[0].interval: compaction interval must be greater than 0 (got 0s)",
    "  /etc/litestream.yml:5: dbs[/w/b.db]: must specify replica for database. Add a replica with a url",
    "  /etc/litestream.yml:4: dbs[/w/a.db].replica.sync-interval: sync interval must be greater than 0 (got -1s)",
    "  /etc/litestream.yml:6: dbs[/w/b.db].checkpoint-interval: checkpoint interval must not be negative (got -1s)",
    '  /etc/litestream.yml:4: dbs[/w/a.db].replica.bucket: cannot specify url & bucket for s3 replica. Remove "bucket", the URL says it',
  ]);
});

test("parseConfig() refuses a bare number for a duration and suggests the unit", () => {
  assert.match(failure("sync-interval: 10"), /Write the unit: "10s"/);
  assert.equal(parse("l0-retention: 0").l0RetentionMs, 0);
});

test("parseConfig() keeps line numbers when a variable holds newlines", () => {
  const text = "addr: $LINES\nsnapshot: {interval: 0s}\n";
  const env = { LINES: ":1\nexec: a\nmcp-addr: :2" };
  assert.match(failure(text, { env }), /litestream\.yml:2: snapshot\.interval/);
});

test("parseConfig() warns of unknown and duplicate keys, with the nearest known one", () => {
  const text = `dbs:
  - path: a.db
    ${FILE_REPLICA}
    min-checkpoint-page-cout: 5
levels: [{interval: 5m, retention: 72h}]
exec: a
exec: b
`;
  assert.equal(parse(text).exec, "b");
  assert.deepEqual(warnings(text), [
    'f.yml:7: Key "exec" is given twice, the one in line 6 is ignored',
    "f.yml:5: levels[0].retention: Unknown key is ignored",
    'f.yml:4: dbs[/w/a.db].min-checkpoint-page-cout: Unknown key is ignored. Did you mean "min-checkpoint-page-count"?',
  ]);
  assert.match(failure(text, { strict: true }), /min-checkpoint-page-cout: Unknown key/);
});

test("parseConfig() tells of mistyped keys beside what they make missing", () => {
  assert.deepEqual(failure("dbs:\n - path: a.db\n   replicaz: {}\n").split("\n"), [
    "must specify replica for database",
    "  /etc/litestream.yml:2: dbs[/w/a.db]: must specify replica for database. Add a replica with a url",
    '  /etc/litestream.yml:3: dbs[/w/a.db].replicaz: Unknown key is ignored. Did you mean "replica"?',
  ]);
});

test("parseConfig() never lets misspelt encryption lead to plain text", () => {
  const db = "dbs:\n - path: a.db\n";
  for (const replica of [
    "age: {recipient: [x]}",
    "ages: {}",
    "encryption: x",
    "sse-customer-kye: x",
  ]) {
    const text = `${db}   replica: {type: s3, bucket: b, path: p, ${replica}}`;
    assert.match(failure(text), /refusing to write plain text/, replica);
  }
  const config = parse(`${db}   replica: {path: x, age: {recipients: [age1]}}`);
  assert.deepEqual(
    config.notYet.map(({ refuse, upstream }) => [refuse, upstream?.text.slice(0, 14)]),
    [[true, "age encryption"]],
  );
});

test("parseConfig() lists what this version does not do", () => {
  const config = parse(`addr: ":9090"
socket: {enabled: true}
levels: [{interval: 30s}]
dbs:
  - path: a.db
    replica: {path: /r, retention: 72h, retention-check-interval: 1h}
  - dir: /d
    pattern: "*.db"
    replica: {path: /d}
`);
  assert.deepEqual(
    config.notYet.map(({ key, line, refuse }) => `${key}:${line}:${refuse}`),
    ["dbs[/w/a.db].replica.retention-check-interval:6:false"],
  );
  assert.equal(config.databases[0]?.replicas[0]?.retentionMs, 259_200_000);
  assert.equal(config.directories[0]?.pattern, "*.db");
});

test("parseConfig() inherits replica settings, and false overrides true", () => {
  const text = `bucket: top
region: eu-west-1
part-size: 6MiB
concurrency: 7
skip-verify: true
sync-interval: 5s
host-key: k
webdav-username: u
dbs:
  - path: a.db
    replica: {type: s3, path: a}
  - path: b.db
    replica: {url: "s3://own/b", skip-verify: false, region: ""}
  - path: c.db
    replica: {type: sftp, host: h, user: u, path: c, sync-interval: 1s}
  - path: d.db
    replica: {url: "webdav://h/d"}
`;
  const [a, b, c, d] = parse(text).databases.map((database) => database.replicas[0]);
  assert.deepEqual(a?.options, {
    type: "s3",
    bucket: "top",
    path: "a",
    region: "eu-west-1",
    partSizeBytes: 6_291_456,
    concurrency: 7,
    skipVerify: true,
  });
  assert.deepEqual(b?.options, {
    type: "s3",
    bucket: "own",
    path: "b",
    region: "eu-west-1",
    partSizeBytes: 6_291_456,
    concurrency: 7,
    skipVerify: false,
  });
  assert.deepEqual([a.syncIntervalMs, c?.syncIntervalMs], [5_000, 1_000]);
  assert.deepEqual(c?.options, { type: "sftp", host: "h", user: "u", path: "c", hostKey: "k" });
  const webdav: Readonly<Record<string, unknown>> = { ...d?.options };
  assert.equal(webdav["webdavUsername"], "u");
});

test("parseConfig() keeps a global endpoint from replicas that name another host", () => {
  const text = `endpoint: minio.example.com
dbs:
  - {path: a.db, replica: {url: "s3://plain/a"}}
  - {path: b.db, replica: {url: "s3://B.us-ord-1.linodeobjects.com/b"}}
  - {path: c.db, replica: {url: "s3://B.s3.eu-west-1.amazonaws.com/c"}}
  - {path: d.db, replica: {type: oss, bucket: o, path: d}}
  - {path: e.db, replica: {type: s3, bucket: s, path: e, endpoint: own.example.com}}
`;
  const endpoints = parse(text).databases.map(
    (database) => ({ endpoint: undefined, ...database.replicas[0]?.options }).endpoint,
  );
  assert.deepEqual(endpoints, [
    "minio.example.com",
    "https://us-ord-1.linodeobjects.com",
    undefined,
    undefined,
    "own.example.com",
  ]);
  assert.match(warnings(text).join("\n"), /Endpoint is not used for replicas of type oss/);
});

function bucketlessURL(bucket: string): string {
  return `dbs: [{path: a.db, replica: {url: "s3://us-ord-1.linodeobjects.com/db"${bucket}}}]`;
}

test("parseConfig() lets a bucket stand beside a URL that names none", () => {
  assert.equal(onlyOptions(bucketlessURL(", bucket: own"))["bucket"], "own");
  assert.equal(onlyOptions(`bucket: top\n${bucketlessURL("")}`)["bucket"], "top");
  assert.match(failure(bucketlessURL("")), /^bucket required for s3 replica\n/);
});

test("parseConfig() takes LITESTREAM_S3_ENDPOINT where no endpoint is named", () => {
  const env = { LITESTREAM_S3_ENDPOINT: "http://localhost:9000" };
  const of = (url: string): unknown =>
    onlyOptions(`dbs: [{path: a.db, replica: {url: "${url}"}}]`, { env })["endpoint"];
  assert.equal(of("s3://b/x"), "http://localhost:9000");
  assert.equal(of("s3://b/x?endpoint=https://e.example"), "https://e.example");
});

function replicaNames(replicas: string): unknown {
  const [database] = parse(`dbs: [{path: a.db, replicas: ${replicas}}]`).databases;
  return database?.replicas.map(({ name }) => name);
}

test("parseConfig() takes several replicas and names them apart", () => {
  assert.deepEqual(replicaNames("[{path: /1}, {path: /2}, {path: /3, name: file-2}]"), [
    "file",
    "file-3",
    "file-2",
  ]);
  assert.match(
    failure("dbs: [{path: a.db, replicas: [{path: /1, name: x}, {path: /2, name: x}]}]"),
    /Two replicas are named "x"/,
  );
});

test("parseConfig() merges entries of one path that agree, and refuses others", () => {
  const agree = `dbs:
  - {path: a.db, busy-timeout: 2s, replica: {path: /1}}
  - {path: ./a.db, busy-timeout: 2s, replica: {path: /2}}
`;
  const config = parse(agree);
  assert.equal(config.databases.length, 1);
  assert.deepEqual(
    config.databases[0]?.replicas.map(({ name }) => name),
    ["file", "file-2"],
  );
  assert.match(warnings(agree).join("\n"), /their replicas are taken together/);
  assert.equal(
    failure(agree.replace("2s, replica: {path: /2}", "3s, replica: {path: /2}")).split("\n")[0],
    'database config #2: duplicate path "/w/a.db" (already used by database config #1); each database can be listed only once',
  );
});

function twoDatabases(one: string, two: string): string {
  return `dbs: [{path: a.db, replica: ${one}}, {path: b.db, replica: ${two}}]`;
}

test("parseConfig() refuses two databases in one place", () => {
  assert.match(
    failure(twoDatabases("{path: /r}", "{url: 'file:///r'}")),
    /same destination file:\/\/\/r/,
  );
  assert.match(
    failure(twoDatabases("{type: s3, bucket: b, path: x}", "{url: 's3://b/x/'}")),
    /same destination s3:\/\/b\/x/,
  );
  assert.match(
    failure(
      "dbs: [{path: a.db, meta-path: m, replica: {path: /1}}, {path: b.db, meta-path: m, replica: {path: /2}}]",
    ),
    /same meta path/,
  );
});

test("parseConfig() rounds the documented part size up and says so", () => {
  const text = "dbs: [{path: a.db, replica: {type: s3, bucket: b, path: x, part-size: 5MB}}]";
  assert.equal(onlyOptions(text)["partSizeBytes"], 5_242_880);
  assert.match(warnings(text).join(), /rounded up to 5MiB/);
});

test("parseConfig() warns of settings that mean something else than they seem", () => {
  const text = `dbs:
  - path: a.db
    truncate-page-n: 0
    max-checkpoint-page-count: 5
    replica: {path: /r, bucket: b}
  - path: b.db
    truncate-page-n: off
    replica: {url: "s3://bucket"}
`;
  const said = warnings(text).join("\n");
  for (const pattern of [
    /0 means the default/,
    /no effect/,
    /no effect on a replica of type file/,
    /no path/,
  ]) {
    assert.match(said, pattern);
  }
  const pages = parse(text).databases.map((database) => database.truncatePageCount);
  assert.deepEqual(pages, [121_359, -1]);
});

test("parseConfig() warns once of a variable that is not set, never of its value", () => {
  const text = "exec: $NOTSET $NOTSET # $COMMENT\naddr: :${SECRET}\n";
  const said = warnings(text, { env: { SECRET: "4711" } });
  assert.equal(said.length, 1);
  assert.match(said[0] ?? "", /^f\.yml:1: Environment variable "NOTSET" is not set/);
});

test("parseConfig() fails on a required variable that is not set", () => {
  assert.match(failure("addr: ${A:?set it}"), /variable "A" is not set: set it/);
});
