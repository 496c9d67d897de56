/**
 * Command lines and configuration files that the real Litestream and ours must answer alike. Data only: the
 * suite is in compatibility.interop.test.ts, what differs on purpose in deliberate-differences.ts.
 *
 * `$DIR` is the folder of the case (see compatibility-scene.ts for what lies in it), also its working directory.
 */

export interface CompatibilityCase {
  /** Unique; deliberate differences refer to it. */
  readonly name: string;
  /** The words of the command line, split at blanks; `''` is an empty word. */
  readonly args: string;
  /** Contents of `$DIR/litestream.yml`. */
  readonly config?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** The case changes files: it gets a scene of its own. */
  readonly mutates?: true;
  /**
   * How stdout is compared. text: line by line. json: every field of the real one is there with its value. help:
   * every form and flag of the real one is there. log: every message of the real one is there, in that order. files: as
   * text, and the files of the scene afterwards too.
   */
  readonly stdout?: "text" | "json" | "help" | "log" | "files";
}

type Options = Omit<CompatibilityCase, "name" | "args">;

function cases(
  prefix: string,
  table: Readonly<Record<string, string | readonly [string, Options]>>,
): readonly CompatibilityCase[] {
  return Object.entries(table).map(([name, value]) => {
    const [args, options] = typeof value === "string" ? [value, {}] : value;
    return Object.assign({ name: `${prefix}: ${name}`, args }, options);
  });
}

const json = { stdout: "json" } as const;
const help = { stdout: "help" } as const;
const files = { stdout: "files", mutates: true } as const;
const log = { stdout: "log", mutates: true } as const;

const dispatch = cases("dispatch", {
  "no command": ["", help],
  help: ["help", help],
  "-h": ["-h", help],
  "-help": ["-help", help],
  "--help": ["--help", help],
  "help with a word": ["help nothing", help],
  "a flag first": ["-config x", help],
  "-version": ["-version", help],
  "--version": ["--version", help],
  "unknown command": "frobnicate",
  "unknown command, nearly restore": "restor x",
  "command in capitals": "RESTORE x",
});

const helpTexts = cases(
  "help",
  Object.fromEntries(
    ["databases", "ltx", "status", "reset", "replicate", "restore", "version"]
      .flatMap((name) => [
        [`${name} -h`, [`${name} -h`, help] as const],
        [`${name} --help after others`, [`${name} -config x --help`, help] as const],
      ])
      .filter(([name]) => name !== "version --help after others") as [
      string,
      readonly [string, Options],
    ][],
  ),
);

const version = cases("version", {
  alone: ["version", { stdout: "log" }],
  "with a positional": ["version x", { stdout: "log" }],
  verbose: ["version -verbose", { stdout: "log" }],
  "unknown flag": "version -nope",
});

const flags = cases("flags", {
  "unknown flag of databases": "databases -nope",
  "unknown flag of ltx": "ltx -nope x",
  "unknown flag of status": "status -nope",
  "unknown flag of reset": "reset -nope x",
  "unknown flag of replicate": "replicate -nope",
  "unknown flag of restore": "restore -nope x",
  "unknown flag with a value": "databases -nope=1",
  "unknown flag with two dashes": "databases --nope",
  "-config without a value": "databases -config",
  "-o without a value": "restore -o",
  "-level without a value": "ltx -level",
  "-exec without a value": "replicate -exec",
  "boolean with a bad value": "databases -json=maybe",
  "boolean yes": "databases -json=yes",
  "boolean with an empty value": "databases -json=",
  "-parallelism abc": "restore -parallelism abc x",
  "-parallelism with a fraction": "restore -parallelism 1.5 x",
  "-parallelism empty": ["restore -parallelism= x", {}],
  "-follow-interval bare number": "restore -follow-interval 5 x",
  "-follow-interval unknown unit": "restore -follow-interval 5x x",
  "-txid too short": "restore -txid 12 -o $DIR/out $DIR/nope",
  "-txid no hex": "restore -txid 000000000000000g -o $DIR/out x",
  "-txid too long": "restore -txid 00000000000000001 -o $DIR/out x",
  "three dashes": "databases ---json",
  "dash equals": "databases -=x",
  "value beside the flag": "ltx -level=9 file://$DIR/levels",
  "two dashes and a value": "ltx --level 9 file://$DIR/levels",
  "boolean does not take the next word": "databases -config $DIR/litestream.yml -json false",
  "boolean 1": ["databases -json=1 -config $DIR/litestream.yml", json],
  "boolean F": ["databases -json=F -config $DIR/litestream.yml", {}],
  "boolean TRUE": ["databases -json=TRUE -config $DIR/litestream.yml", json],
  "two dashes end the flags": "ltx -- file://$DIR/levels",
  "the last of two wins": "ltx -level 0 -level 9 file://$DIR/levels",
  "hex integer": ["restore -parallelism 0x4 -dry-run -o $DIR/out file://$DIR/levels", {}],
  "octal integer": ["restore -parallelism 010 -dry-run -o $DIR/out file://$DIR/levels", {}],
  "underscored integer": ["restore -parallelism 1_0 -dry-run -o $DIR/out file://$DIR/levels", {}],
  "flag after a positional": "ltx file://$DIR/levels -level 9",
});

const databases = cases("databases", {
  text: "databases -config $DIR/litestream.yml",
  json: ["databases -config $DIR/litestream.yml -json", json],
  "relative config": "databases -config litestream.yml",
  positional: "databases -config $DIR/litestream.yml x",
  "no config file": "databases -config $DIR/nope.yml",
  "config is a folder": "databases -config $DIR/empty",
  LITESTREAM_CONFIG: ["databases", { env: { LITESTREAM_CONFIG: "$DIR/litestream.yml" } }],
  "LITESTREAM_CONFIG names nothing": ["databases", { env: { LITESTREAM_CONFIG: "$DIR/no" } }],
  "-config before LITESTREAM_CONFIG": [
    "databases -config litestream.yml",
    { env: { LITESTREAM_CONFIG: "$DIR/no" } },
  ],
  "empty file": ["databases -config litestream.yml", { config: "" }],
  "empty file as JSON": ["databases -config litestream.yml -json", { config: "", ...json }],
  "no databases": ["databases -config litestream.yml", { config: "dbs:\n" }],
  "every kind of replica": [
    "databases -config litestream.yml",
    {
      config: `dbs:
  - {path: /d/a, replica: {url: "s3://b.us-east-1.linodeobjects.com/a"}}
  - {path: /d/b, replica: {type: s3, bucket: b, path: b, region: us-east-1}}
  - {path: /d/c, replica: {url: "gs://b/c"}}
  - {path: /d/d, replica: {url: "abs://acc@c/d"}}
  - {path: /d/e, replica: {url: "sftp://u:p@h:22/e"}}
  - {path: /d/f, replica: {type: webdav, webdav-url: "https://h/x", path: f}}
  - {path: /d/g, replica: {type: nats, bucket: g, url: ""}}
  - {path: /d/h, replica: {type: oss, bucket: b, path: h}}
  - {path: /d/i, replica: {path: /r/i}}
`,
    },
  ],
  "a directory entry": [
    "databases -config litestream.yml",
    { config: 'dbs: [{dir: $DIR/dir, pattern: "*.db", replica: {path: $DIR/dir-replica}}]' },
  ],
  "home folder, SQLite schemes": [
    "databases -config litestream.yml",
    {
      config: `dbs:
  - {path: "~/x.db", replica: {path: /r/x}}
  - {path: "sqlite:///d/y.db", replica: {path: /r/y}}
  - {path: "sqlite3://z.db", replica: {path: /r/z}}
`,
    },
  ],
  "replicas list of one": [
    "databases -config litestream.yml",
    { config: "dbs: [{path: /d/a, replicas: [{path: /r/a}]}]" },
  ],
  "replicas list of two": [
    "databases -config litestream.yml",
    { config: "dbs: [{path: /d/a, replicas: [{path: /r/a}, {path: /r/b}]}]" },
  ],
  "type gcs": [
    "databases -config litestream.yml",
    { config: "dbs: [{path: /d/a, replica: {type: gcs, bucket: b}}]" },
  ],
});

const expansion = cases("environment", {
  "in a path": [
    "databases -config litestream.yml",
    { config: 'dbs: [{path: "/d/$NAME.db", replica: {path: "/r/${NAME}"}}]', env: { NAME: "n" } },
  ],
  unset: [
    "databases -config litestream.yml",
    { config: 'dbs: [{path: "/d/$NOPE.db", replica: {path: /r/a}}]' },
  ],
  "turned off": [
    "databases -config litestream.yml -no-expand-env",
    { config: 'dbs: [{path: "/d/$NAME.db", replica: {path: /r/a}}]', env: { NAME: "n" } },
  ],
  "a default": [
    "databases -config litestream.yml",
    { config: 'dbs: [{path: "/d/${NOPE:-x}.db", replica: {path: /r/a}}]' },
  ],
  "two dollars": [
    "databases -config litestream.yml",
    { config: 'dbs: [{path: "/d/$$x.db", replica: {path: /r/a}}]' },
  ],
  "malformed braces": [
    "databases -config litestream.yml",
    { config: "dbs: [{path: '/d/a${FOO', replica: {path: /r/a}}]" },
  ],
  "a lone dollar": [
    "databases -config litestream.yml",
    { config: "dbs: [{path: '/d/a$ b', replica: {path: /r/a}}]" },
  ],
});

/** The value of a top-level key that each of these rejects, or takes. */
const topLevel: Readonly<Record<string, string>> = {
  "sync-interval in a list": "sync-interval: [1]",
  "bare number as duration": "shutdown-sync-interval: 10",
  "duration in days": "l0-retention: 1d",
  "quoted number as duration": 'l0-retention: "5"',
  "duration with a blank": "l0-retention: 5 s",
  "negative l0-retention": "l0-retention: -1s",
  "l0-retention of 0": "l0-retention: 0s",
  "zero l0-retention-check-interval": "l0-retention-check-interval: 0s",
  "zero snapshot interval": "snapshot: {interval: 0s}",
  "negative snapshot retention": "snapshot: {retention: -1h}",
  "null snapshot block": "snapshot:",
  "zero level interval": "levels: [{interval: 0s}]",
  "negative second level": "levels: [{interval: 1m}, {interval: -1s}]",
  "level without interval": "levels: [{}]",
  "levels as a map": "levels: {interval: 1m}",
  "negative shutdown-sync-timeout": "shutdown-sync-timeout: -1s",
  "zero shutdown-sync-interval": "shutdown-sync-interval: 0s",
  "heartbeat-url without a scheme": "heartbeat-url: example.com",
  "short heartbeat-interval": 'heartbeat-url: "http://x"\nheartbeat-interval: 10s',
  "quoted boolean": 'verify-compaction: "true"',
  "boolean as a number": "verify-compaction: 1",
  "boolean yes": "verify-compaction: yes",
  "boolean Off": "verify-compaction: Off",
  "exec as a list": "exec: [a, b]",
  "logging as text": "logging: info",
  "socket as a list": "socket: [a]",
  "permissions quoted": 'socket: {permissions: "0600"}',
  "permissions octal": "socket: {permissions: 0600}",
  "permissions 0o600": "socket: {permissions: 0o600}",
  "root-cas as text": "root-cas: a.pem",
  "dbs as a map": "dbs: {path: /x}",
  "dbs as text": "dbs: x",
  "unknown key": "frobnicate: 1",
  "duplicate key": "exec: x\nexec: y",
  "a tab": "\taddr: x",
  "an unclosed bracket": "dbs: [",
  "an unclosed quote": 'addr: "x',
  "a bare word": "hello",
  "a bad anchor": "addr: *nope",
  "a bad key order": "a: b: c",
  "two documents": "dbs: [{path: /d/a, replica: {path: /r/a}}]\n---\nexec: y",
  "an anchor": 'exec: &a ":9090"\nheartbeat-url: "http://x"\nmcp-addr: *a',
  "negative validation interval": "validation: {interval: -1s}",
};

const DATABASE = "dbs: [{path: /d/a, replica: {path: /r/a}}]";

const topCases: readonly CompatibilityCase[] = Object.entries(topLevel).map(([name, text]) => ({
  name: `config: ${name}`,
  args: "databases -config litestream.yml",
  config: /^dbs|^hello/.test(text) ? `${text}\n` : `${text}\n${DATABASE}\n`,
}));

/** An entry of `dbs`, in flow style. */
const databaseEntries: Readonly<Record<string, string>> = {
  "no path": "{replica: {path: /r}}",
  "path and dir": '{path: /d/a, dir: /d, pattern: "*", replica: {path: /r}}',
  "dir without pattern": "{dir: /d, replica: {path: /r}}",
  "watch without dir": "{path: /d/a, watch: true, replica: {path: /r}}",
  "meta-dir without dir": "{path: /d/a, meta-dir: /m, replica: {path: /r}}",
  "meta-dir and meta-path":
    '{dir: /d, pattern: "*", meta-dir: /m, meta-path: /n, replica: {path: /r}}',
  "no replica": "{path: /d/a}",
  "null replica": "{path: /d/a, replica: }",
  "empty replicas": "{path: /d/a, replicas: []}",
  "replica and replicas": "{path: /d/a, replica: {path: /r}, replicas: [{path: /s}]}",
  "empty replica": "{path: /d/a, replica: {}}",
  "replicas as a map": "{path: /d/a, replicas: {path: /r}}",
  "entry as text": "hello",
  "replica as text": "{path: /d/a, replica: /r}",
  "unknown type": "{path: /d/a, replica: {type: s4, path: /r}}",
  "unknown scheme": '{path: /d/a, replica: {url: "foo://x/y"}}',
  "url without scheme": "{path: /d/a, replica: {url: x/y}}",
  "path that is a URL": '{path: /d/a, replica: {path: "s3://b/x"}}',
  "url and path": '{path: /d/a, replica: {url: "s3://b/x", path: y}}',
  "url and bucket": '{path: /d/a, replica: {url: "s3://b/x", bucket: y}}',
  "gs url and bucket": '{path: /d/a, replica: {url: "gs://b/x", bucket: y}}',
  "file url and path": '{path: /d/a, replica: {url: "file:///x", path: y}}',
  "sftp url and host": '{path: /d/a, replica: {url: "sftp://u@h/x", host: y}}',
  "s3 without bucket": "{path: /d/a, replica: {type: s3, path: x}}",
  "gs without bucket": "{path: /d/a, replica: {type: gs, path: x}}",
  "abs without bucket": "{path: /d/a, replica: {type: abs, account-name: a}}",
  "oss without bucket": "{path: /d/a, replica: {type: oss, path: x}}",
  "nats without bucket": "{path: /d/a, replica: {type: nats}}",
  "sftp without host": "{path: /d/a, replica: {type: sftp, user: u}}",
  "sftp without user": "{path: /d/a, replica: {type: sftp, host: h}}",
  "webdav without url": "{path: /d/a, replica: {type: webdav, path: x}}",
  "zero sync-interval": "{path: /d/a, replica: {path: /r, sync-interval: 0s}}",
  "negative sync-interval in a list": "{path: /d/a, replicas: [{path: /r, sync-interval: -1s}]}",
  "zero snapshot interval": "{path: /d/a, snapshot: {interval: 0s}, replica: {path: /r}}",
  "negative snapshot retention": "{path: /d/a, snapshot: {retention: -1s}, replica: {path: /r}}",
  "bad monitor-interval": "{path: /d/a, monitor-interval: x, replica: {path: /r}}",
  "bad part-size": '{path: /d/a, replica: {url: "s3://b/x", part-size: 5XB}}',
  "empty part-size": '{path: /d/a, replica: {url: "s3://b/x", part-size: ""}}',
  "part-size as a list": '{path: /d/a, replica: {url: "s3://b/x", part-size: [5]}}',
  "integer that is a word": "{path: /d/a, min-checkpoint-page-count: x, replica: {path: /r}}",
  "integer quoted": '{path: /d/a, min-checkpoint-page-count: "5", replica: {path: /r}}',
  "integer octal and underscored":
    "{path: /d/a, min-checkpoint-page-count: 1_000, replica: {path: /r}}",
  "integer with a fraction": "{path: /d/a, truncate-page-n: 1.9, replica: {path: /r}}",
  "age recipients": "{path: /d/a, replica: {path: /r, age: {recipients: [age1x]}}}",
  "v0.3 retention": "{path: /d/a, replica: {path: /r, retention: 72h}}",
  "a URL with a bad escape": '{path: /d/a, replica: {url: "s3://b/%zz"}}',
};

const databaseCases: readonly CompatibilityCase[] = Object.entries(databaseEntries).map(
  ([name, text]) => ({
    name: `entry: ${name}`,
    args: "databases -config litestream.yml",
    config: `dbs:\n  - ${text}\n`,
  }),
);

const severalEntries = cases("entries", {
  "the same path twice": [
    "databases -config litestream.yml",
    {
      config:
        "dbs:\n  - {path: /d/a, replica: {path: /r/a}}\n  - {path: /d/a, replica: {path: /r/b}}\n",
    },
  ],
  "the same path twice, other settings": [
    "databases -config litestream.yml",
    {
      config:
        "dbs:\n  - {path: /d/a, monitor-interval: 2s, replica: {path: /r/a}}\n  - {path: /d/a, replica: {path: /r/b}}\n",
    },
  ],
  "a null entry": ["databases -config litestream.yml", { config: "dbs: [null]\n" }],
  "different snapshot intervals": [
    "databases -config litestream.yml",
    {
      config:
        "dbs:\n  - {path: /d/a, snapshot: {interval: 1h}, replica: {path: /r/a}}\n  - {path: /d/b, snapshot: {interval: 2h}, replica: {path: /r/b}}\n",
    },
  ],
  "global bucket and a URL": [
    "databases -config litestream.yml",
    { config: 'bucket: g\ndbs: [{path: /d/a, replica: {url: "s3://b/a"}}]' },
  ],
  "two mistakes": [
    "databases -config litestream.yml",
    { config: "l0-retention: -1s\ndbs: [{path: /d/a, replica: {type: s4}}]" },
  ],
  "two wrong types": [
    "databases -config litestream.yml",
    { config: "l0-retention: x\nverify-compaction: 5\ndbs: []" },
  ],
});

const ltx = cases("ltx", {
  "level 0 of a URL": "ltx file://$DIR/levels",
  "level all": "ltx -level all file://$DIR/levels",
  "level 9": "ltx -level 9 file://$DIR/levels",
  "level 2": "ltx -level 2 file://$DIR/levels",
  "level without files": "ltx -level 7 file://$DIR/levels",
  json: ["ltx -json file://$DIR/levels", json],
  "all as JSON": ["ltx -json -level all file://$DIR/levels", json],
  "empty replica": "ltx file://$DIR/empty",
  "empty replica as JSON": ["ltx -json file://$DIR/empty", json],
  "no such folder": "ltx -level all file://$DIR/nothing",
  "stray files": "ltx -level all file://$DIR/strays",
  "with gaps": "ltx -level all file://$DIR/gap",
  "database of the config": "ltx -config $DIR/litestream.yml $DIR/app.db",
  "relative database": "ltx -config $DIR/litestream.yml app.db",
  "database with a scheme": "ltx -config $DIR/litestream.yml sqlite://$DIR/app.db",
  "database as JSON": ["ltx -config $DIR/litestream.yml -json -level all $DIR/app.db", json],
  "never replicated": "ltx -config $DIR/litestream.yml $DIR/new.db",
  "not in the config": "ltx -config $DIR/litestream.yml $DIR/other.db",
  "no config file": "ltx -config $DIR/nope.yml $DIR/app.db",
  "no argument": "ltx",
  "empty argument": "ltx ''",
  "two arguments": "ltx a b",
  "URL and -config": "ltx -config $DIR/litestream.yml file://$DIR/levels",
  "level 10": "ltx -level 10 file://$DIR/levels",
  "level -1": "ltx -level -1 file://$DIR/levels",
  "level word": "ltx -level x file://$DIR/levels",
  "level empty": "ltx -level= file://$DIR/levels",
  "unknown scheme": "ltx foo://x/y",
  "s3 without bucket": "ltx s3:///x",
  "file URL without a path": "ltx file://",
});

const wal = cases("wal", {
  "level 0 of a URL": "wal file://$DIR/levels",
  "level 9": "wal -level 9 file://$DIR/levels",
  "all as JSON": ["wal -json -level all file://$DIR/levels", json],
  "no argument": "wal",
  "two arguments": "wal a b",
  "unknown flag": "wal -nope x",
});

const status = cases("status", {
  text: "status -config $DIR/litestream.yml",
  json: ["status -config $DIR/litestream.yml -json", json],
  "one database": "status -config $DIR/litestream.yml $DIR/app.db",
  "one database as JSON": ["status -config $DIR/litestream.yml -json $DIR/app.db", json],
  "one relative database": "status -config $DIR/litestream.yml app.db",
  "further arguments": "status -config $DIR/litestream.yml $DIR/new.db x y",
  "no such database": "status -config $DIR/litestream.yml $DIR/other.db",
  "no such database as JSON": ["status -config $DIR/litestream.yml -json $DIR/other.db", json],
  "no config file": "status -config $DIR/nope.yml",
  "no databases": ["status -config litestream.yml", { config: "" }],
  "large WAL": "status -config $DIR/litestream.yml $DIR/wal.db",
  "a directory entry": [
    "status -config litestream.yml",
    { config: 'dbs: [{dir: $DIR/dir, pattern: "*.db", replica: {path: $DIR/dir-replica}}]' },
  ],
  "state in another place": [
    "status -config litestream.yml",
    {
      config: "dbs: [{path: $DIR/new.db, meta-path: $DIR/.app.db-litestream, replica: {path: /r}}]",
    },
  ],
  "local folder is a file": [
    "status -config litestream.yml",
    { config: "dbs: [{path: $DIR/new.db, meta-path: $DIR/broken-meta, replica: {path: /r}}]" },
  ],
});

const reset = cases("reset", {
  "dry run": ["reset -dry-run $DIR/app.db", {}],
  "dry run with config": ["reset -dry-run -config $DIR/litestream.yml $DIR/app.db", {}],
  "dry run of a relative path": ["reset -dry-run app.db", {}],
  "dry run, no files": [
    "reset -dry-run -config litestream.yml $DIR/new.db",
    {
      config: "dbs: [{path: $DIR/new.db, meta-path: $DIR/empty, replica: {path: /r}}]",
    },
  ],
  "no local state": ["reset $DIR/new.db", {}],
  "for real": ["reset $DIR/app.db", files],
  "for real with config": ["reset -config $DIR/litestream.yml $DIR/app.db", files],
  "meta-path of the config": [
    "reset -config litestream.yml $DIR/new.db",
    {
      config: "dbs: [{path: $DIR/new.db, meta-path: $DIR/.app.db-litestream, replica: {path: /r}}]",
      ...files,
    },
  ],
  "database not in the config": [
    "reset -dry-run -config litestream.yml $DIR/app.db",
    { config: "" },
  ],
  "no database file": "reset $DIR/gone.db",
  "no argument": "reset",
  "empty argument": "reset ''",
  "two arguments": "reset a b",
  "no config file": "reset -config $DIR/nope.yml $DIR/app.db",
  "with a scheme": "reset -dry-run sqlite://$DIR/app.db",
});

const restore = cases("restore", {
  "from a URL": ["restore -o $DIR/out.db file://$DIR/levels", files],
  "as JSON": ["restore -json -o $DIR/out.db file://$DIR/levels", { ...json, mutates: true }],
  "to a TXID": ["restore -txid 0000000000000003 -o $DIR/out.db file://$DIR/levels", files],
  "to a TXID that is not there": [
    "restore -txid 00000000000000ff -o $DIR/out.db file://$DIR/levels",
    files,
  ],
  "before everything": [
    "restore -timestamp 2001-01-01T00:00:00Z -o $DIR/out.db file://$DIR/levels",
    files,
  ],
  "dry run": ["restore -dry-run -o $DIR/out.db file://$DIR/levels", {}],
  "dry run as JSON": ["restore -dry-run -json -o $DIR/out.db file://$DIR/levels", json],
  "dry run to a TXID": [
    "restore -dry-run -txid 0000000000000009 -o $DIR/out.db file://$DIR/levels",
    {},
  ],
  "dry run of an empty replica": ["restore -dry-run -o $DIR/out.db file://$DIR/empty", {}],
  "database of the config": [
    "restore -config $DIR/litestream.yml -o $DIR/out.db $DIR/app.db",
    files,
  ],
  "over an existing database": ["restore -config $DIR/litestream.yml $DIR/app.db", files],
  "over it with -force": [
    "restore -force -config $DIR/litestream.yml $DIR/app.db",
    { mutates: true },
  ],
  "over an empty file": ["restore -o $DIR/empty.db file://$DIR/levels", files],
  "output is a folder": ["restore -o $DIR/empty file://$DIR/levels", {}],
  "into a new folder": ["restore -o $DIR/a/b/out.db file://$DIR/levels", { mutates: true }],
  "if the database does not exist": [
    "restore -if-db-not-exists -config $DIR/litestream.yml $DIR/app.db",
    { stdout: "log" },
  ],
  "if a replica exists": [
    "restore -if-replica-exists -o $DIR/out.db file://$DIR/empty",
    { stdout: "log" },
  ],
  "empty replica": "restore -o $DIR/out.db file://$DIR/empty",
  "no such folder": "restore -o $DIR/out.db file://$DIR/nothing",
  "integrity check": [
    "restore -integrity-check full -o $DIR/out.db file://$DIR/levels",
    { mutates: true },
  ],
  "integrity check of another kind": "restore -integrity-check x -o $DIR/out.db file://$DIR/levels",
  "bad timestamp": "restore -timestamp yesterday -o $DIR/out.db file://$DIR/levels",
  "timestamp without a zone":
    "restore -timestamp 2026-01-01T00:00:00 -o $DIR/out.db file://$DIR/levels",
  "TXID and timestamp": [
    "restore -txid 0000000000000001 -timestamp 2026-11-23T12:23:00Z -o $DIR/out.db file://$DIR/levels",
    {},
  ],
  "TXID and timestamp, dry run":
    "restore -dry-run -txid 0000000000000001 -timestamp 2026-11-23T12:23:00Z -o $DIR/out.db file://$DIR/levels",
  "no argument": "restore",
  "empty argument": "restore ''",
  "two arguments": "restore a b",
  "URL without -o": "restore file://$DIR/levels",
  "URL and -config": "restore -config x -o $DIR/out.db file://$DIR/levels",
  "not in the config": "restore -config $DIR/litestream.yml $DIR/other.db",
  "no config file": "restore -config $DIR/nope.yml $DIR/app.db",
  "with a gap": ["restore -o $DIR/out.db file://$DIR/gap", files],
  "to a TXID before the gap": [
    "restore -txid 0000000000000003 -o $DIR/out.db file://$DIR/gap",
    files,
  ],
  "missing first file": ["restore -o $DIR/out.db file://$DIR/headless", files],
  "a TXID that was retired": [
    "restore -txid 0000000000000002 -o $DIR/out.db file://$DIR/retired",
    files,
  ],
  "unknown scheme": "restore -o $DIR/out.db foo://x/y",
});

const replicate = cases("replicate", {
  "no databases": ["replicate -once -config litestream.yml", { config: "", stdout: "log" }],
  "one pass": ["replicate -once -config $DIR/litestream.yml", log],
  "one pass of arguments": ["replicate -once $DIR/app.db file://$DIR/replica/app", log],
  "one pass, first time": ["replicate -once $DIR/new.db file://$DIR/replica/fresh", log],
  "one pass, no database": ["replicate -once $DIR/gone.db file://$DIR/replica/gone", log],
  "no URL": "replicate $DIR/app.db",
  "database and -config": "replicate -config $DIR/litestream.yml $DIR/app.db file://$DIR/r",
  "once and exec": "replicate -once -exec true $DIR/app.db file://$DIR/r",
  "once and exec of the config": [
    "replicate -once -config litestream.yml",
    { config: `exec: "true"\n${DATABASE}` },
  ],
  "force-snapshot alone": "replicate -force-snapshot $DIR/app.db file://$DIR/r",
  "enforce-retention alone": "replicate -enforce-retention $DIR/app.db file://$DIR/r",
  "no config file": "replicate -config $DIR/nope.yml",
  "unknown scheme": "replicate -once $DIR/app.db foo://x/y",
  "URL without scheme": "replicate -once $DIR/app.db $DIR/r",
  "flag after the URL": "replicate -once $DIR/app.db file://$DIR/r -exec true",
  "exec with an open quote": [
    `replicate -config litestream.yml`,
    { config: `exec: "sh 'x"\n${DATABASE}`, mutates: true, stdout: "log" },
  ],
  "exec of a missing program": [
    "replicate -exec /nope/nope $DIR/app.db file://$DIR/replica/app",
    { mutates: true },
  ],
  "exec that ends well": ["replicate -exec true $DIR/app.db file://$DIR/replica/app", log],
  "exec that fails": ["replicate -exec false $DIR/app.db file://$DIR/replica/app", log],
  "age recipients": [
    "replicate -once -config litestream.yml",
    {
      config: "dbs: [{path: $DIR/app.db, replica: {path: /r, age: {recipients: [age1x]}}}]",
      stdout: "log",
    },
  ],
});

export const COMPATIBILITY_CASES: readonly CompatibilityCase[] = [
  ...dispatch,
  ...helpTexts,
  ...version,
  ...flags,
  ...databases,
  ...expansion,
  ...topCases,
  ...databaseCases,
  ...severalEntries,
  ...ltx,
  ...wal,
  ...status,
  ...reset,
  ...restore,
  ...replicate,
];
