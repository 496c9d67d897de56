import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtempDisposable, readFile, rename, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import type { CommandIO, ShutdownSignal } from "./io.ts";
import { run } from "./main.ts";

/** A command run in this process, with its streams caught and its signals given by hand. */
class TestRun {
  stdout = "";
  stderr = "";
  readonly env: Record<string, string | undefined>;
  readonly code: Promise<number>;
  readonly #listeners = new Set<(signal: ShutdownSignal) => void>();

  constructor(args: readonly string[], env: Record<string, string> = {}, terminal = false) {
    this.env = { PATH: process.env["PATH"] ?? "", ...env };
    const io: CommandIO = {
      stdout: (text) => void (this.stdout += text),
      stderr: (text) => void (this.stderr += text),
      stderrIsTerminal: terminal,
      stdoutIsTerminal: false,
      hasTerminal: terminal,
      columns: 80,
      env: this.env,
      cwd: "/",
      onSignal: (listener) => {
        this.#listeners.add(listener);
        return () => this.#listeners.delete(listener);
      },
      exit: (code) => {
        throw new Error(`exit(${code})`);
      },
    };
    this.code = run(args, io);
  }

  signal(signal: ShutdownSignal): void {
    for (const listener of this.#listeners) listener(signal);
  }

  /** Resolves once stdout holds `text`. */
  async untilLogged(text: string): Promise<void> {
    for (let waited = 0; !this.stdout.includes(text); waited += 10) {
      assert.ok(waited < 10_000, `"${text}" never came: ${this.stdout}${this.stderr}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }
}

async function finish(
  args: readonly string[],
  env?: Record<string, string>,
): Promise<{
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}> {
  const command = new TestRun(args, env);
  const code = await command.code;
  return { code, stdout: command.stdout, stderr: command.stderr };
}

function writeDatabase(path: string, rows: number): void {
  using db = new DatabaseSync(path);
  db.exec("CREATE TABLE IF NOT EXISTS t(x)");
  for (let row = 0; row < rows; row++) db.prepare("INSERT INTO t VALUES (?)").run(row);
}

/** Puts a file where the folder of a replica was: every upload fails. */
async function breakReplica(path: string): Promise<void> {
  await rename(path, `${path}-away`);
  await writeFile(path, "x");
}

function countRows(path: string): unknown {
  using db = new DatabaseSync(path, { readOnly: true });
  return db.prepare("SELECT count(*) AS n FROM t").get()?.["n"];
}

const USAGE_START = "litestream is a tool for replicating SQLite databases.\n";

test("run() dispatches by the first argument", async () => {
  const version = `${JSON.parse(await readFile(new URL("../../package.json", import.meta.url), "utf8")).version}\n`;
  const vectors: readonly {
    readonly args: readonly string[];
    readonly code: number;
    readonly stdout: string | RegExp;
    readonly stderr: string | RegExp;
  }[] = [
    { args: [], code: 1, stdout: /^litestream is a tool/, stderr: "" },
    ...["help", "-h", "-help", "--help"].map((word) => ({
      args: [word],
      code: 0,
      stdout: /^litestream is a tool/,
      stderr: "",
    })),
    {
      args: ["-config", "x"],
      code: 1,
      stdout: /^litestream is a tool/,
      stderr: /Flags stand after the command/,
    },
    { args: ["version"], code: 0, stdout: version, stderr: "" },
    { args: ["-version"], code: 0, stdout: version, stderr: "" },
    { args: ["--version"], code: 0, stdout: version, stderr: "" },
    { args: ["version", "x"], code: 0, stdout: version, stderr: "" },
    { args: ["version", "-verbose"], code: 0, stdout: /^Version: {5}\d/, stderr: "" },
    {
      args: ["version", "-foo"],
      code: 1,
      stdout: "",
      stderr: "Error: flag provided but not defined: -foo\n",
    },
    {
      args: ["restor"],
      code: 1,
      stdout: "",
      stderr:
        /^Error: litestream restor: unknown command\nHint: Did you mean "litestream restore"\?/,
    },
    {
      args: ["mcp"],
      code: 1,
      stdout: "",
      stderr: /^Error: litestream mcp: unknown command\n/,
    },
    ...["generations", "snapshots", "wal"].map((word) => ({
      args: [word],
      code: 1,
      stdout: "",
      stderr: `Error: database path or replica URL required\nTry: litestream ${word} /path/to/db\n`,
    })),
    {
      args: ["restore", "-index", "80000000", "-o", "x", "file:///nowhere"],
      code: 1,
      stdout: "",
      stderr: 'Error: invalid value "80000000" for flag -index: invalid hexadecimal format\n',
    },
    {
      args: ["replicate", "-h"],
      code: 0,
      stdout: /^The replicate command starts a server/,
      stderr: "",
    },
    { args: ["restore", "--help"], code: 0, stdout: /\t-integrity-check MODE\n/, stderr: "" },
    { args: ["help", "restore"], code: 0, stdout: /^The restore command/, stderr: "" },
  ];
  for (const { args, code, stdout, stderr } of vectors) {
    const result = await finish(args);
    assert.equal(result.code, code, args.join(" "));
    for (const [text, expected] of [
      [result.stdout, stdout],
      [result.stderr, stderr],
    ] as const) {
      if (typeof expected === "string") assert.equal(text, expected, args.join(" "));
      else assert.match(text, expected, args.join(" "));
    }
  }
  assert.ok((await finish(["help"])).stdout.startsWith(USAGE_START));
});

test("run() refuses wrong arguments in upstream's words", async () => {
  const replicateURL = "file:///nowhere";
  const vectors: readonly (readonly [readonly string[], string])[] = [
    [
      ["restore"],
      "Error: database path or replica URL required\nTry: litestream restore -o /path/to/db s3://bucket/prefix\n",
    ],
    [
      ["restore", ""],
      "Error: database path or replica URL required\nTry: litestream restore -o /path/to/db s3://bucket/prefix\n",
    ],
    [["restore", "a", "b"], "Error: too many arguments\n"],
    [
      ["restore", replicateURL],
      `Error: -o is required when restoring from a replica URL\nTry: litestream restore -o /path/to/db ${replicateURL}\n`,
    ],
    [
      ["restore", "-config", "x", replicateURL],
      "Error: cannot specify a replica URL and the -config flag\n",
    ],
    [
      ["restore", "-o", "x", "-txid", "z", replicateURL],
      'Error: invalid value "z" for flag -txid: invalid txid format\nHint: Write up to 16 hex digits, as restore -dry-run shows them\n',
    ],
    [
      ["restore", "-o", "x", "-timestamp", "x", replicateURL],
      "Error: invalid -timestamp, must specify in ISO 8601\u00a0format (e.g. 2000-01-01T00:00:00Z)\n",
    ],
    [
      ["restore", "-o", "x", "-txid", "1", "-timestamp", "2020-01-01T00:00:00Z", replicateURL],
      "Error: cannot specify index & timestamp to restore\n",
    ],
    [
      ["restore", "-o", "x", "-integrity-check", "foo", replicateURL],
      "Error: invalid -integrity-check value: foo\nHint: Write none, quick or full\n",
    ],
    [["restore", "-config", "/nope.yml", "/x.db"], "Error: config file not found: /nope.yml\n"],
    [["replicate", "-config", "/nope.yml"], "Error: config file not found: /nope.yml\n"],
    [
      ["replicate", "a.db"],
      "Error: must specify at least one replica URL for a.db\nTry: litestream replicate a.db s3://bucket/prefix\n",
    ],
    [
      ["replicate", "-config", "x", "a.db", replicateURL],
      "Error: cannot specify a replica URL and the -config flag\n",
    ],
    [
      ["replicate", "-once", "-exec", "a", "a.db", replicateURL],
      "Error: cannot specify -once flag with -exec\n",
    ],
    [
      ["replicate", "-force-snapshot", "a.db", replicateURL],
      "Error: cannot specify -force-snapshot flag without -once\n",
    ],
    [["replicate", "a.db", "foo://x"], 'Error: unknown replica type in config: "foo"\n'],
    [["replicate", "a.db", "s3://"], "Error: bucket required for s3 replica\n"],
  ];
  for (const [args, stderr] of vectors) {
    const result = await finish(args);
    assert.equal(result.code, 1, args.join(" "));
    assert.ok(result.stderr.startsWith(stderr), `${args.join(" ")}: ${result.stderr}`);
    assert.equal(result.stdout, "", args.join(" "));
  }
});

test("run() copies LITESTREAM credentials only where the AWS ones are absent", async () => {
  const command = new TestRun(["version"], {
    LITESTREAM_ACCESS_KEY_ID: "a",
    LITESTREAM_SECRET_ACCESS_KEY: "b",
    AWS_SECRET_ACCESS_KEY: "",
  });
  await command.code;
  assert.equal(command.env["AWS_ACCESS_KEY_ID"], "a");
  assert.equal(command.env["AWS_SECRET_ACCESS_KEY"], "");
});

test("run() replicates until a signal, and restores what was committed", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "cli-"));
  const db = join(folder.path, "app.db");
  const url = `file://${folder.path}/replica`;
  writeDatabase(db, 3);
  const command = new TestRun(["replicate", db, url]);
  await command.untilLogged('msg="replicating to" type=file sync-interval=1s path=');
  writeDatabase(db, 4);
  command.signal("SIGTERM");
  assert.equal(await command.code, 0);
  assert.match(command.stdout, /msg=litestream version=\S+ log_level=INFO\n/);
  assert.match(command.stdout, /msg="initialized db" path=/);
  assert.match(
    command.stdout,
    /msg="signal received, litestream shutting down" signal=terminated\n/,
  );
  assert.match(command.stdout, /msg="litestream shut down"\n$/);

  const output = join(folder.path, "out.db");
  const restored = await finish(["restore", "-o", output, "-json", url]);
  assert.equal(restored.code, 0, restored.stderr);
  const summary = JSON.parse(restored.stdout) as Record<string, unknown>;
  assert.deepEqual(Object.keys(summary), [
    "db_path",
    "replica",
    "txid",
    "duration_ms",
    "integrity_check",
  ]);
  assert.equal(summary["integrity_check"], "quick");
  assert.match(restored.stderr, /^restored .*out\.db from .*quick check passed/);
  assert.equal(countRows(output), 7);

  const again = await finish(["restore", "-o", output, url]);
  assert.equal(again.code, 1);
  assert.match(
    again.stderr,
    /^Error: cannot restore, output path already exists and is not empty: /,
  );
  const skipped = await finish(["restore", "-o", output, "-if-db-not-exists", url]);
  assert.equal(skipped.code, 0);
  assert.match(skipped.stdout, /msg="database already exists, skipping"\n$/);
  const skippedJSON = await finish(["restore", "-json", "-o", output, "-if-db-not-exists", url]);
  assert.equal(skippedJSON.stdout, "");
});

test("run() shows the plan of a restore as text and JSON", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "cli-"));
  const db = join(folder.path, "app.db");
  const url = `file://${folder.path}/replica`;
  writeDatabase(db, 1);
  assert.equal((await finish(["replicate", "-once", db, url])).code, 0);
  const text = await finish(["restore", "-dry-run", "-o", "/x.db", url]);
  assert.match(
    text.stdout,
    /^Restore plan:\n {2}source: file:\S+\n {2}target: \/x\.db\n {2}replica: file\n {2}txid range: 0{15}1 - 0{15}1\n\nFiles to fetch:\nlevel {2}file +min_txid +max_txid +size +timestamp\n0 {6}0{15}1-0{15}1\.ltx {2}0{15}1 {2}0{15}1 {2}\d+ +20\S+Z\n$/,
  );
  const json = await finish(["restore", "-dry-run", "-json", "-o", "/x.db", url]);
  const plan = JSON.parse(json.stdout) as { readonly files: readonly Record<string, unknown>[] };
  assert.deepEqual(Object.keys(plan), [
    "source",
    "target_path",
    "replica",
    "min_txid",
    "max_txid",
    "files",
  ]);
  assert.deepEqual(Object.keys(plan.files[0] ?? {}), [
    "level",
    "name",
    "min_txid",
    "max_txid",
    "size",
    "timestamp",
  ]);
});

test("run() tells no backup from a failure", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "cli-"));
  const output = join(folder.path, "out.db");
  const empty = `file://${folder.path}/none`;
  const missing = await finish(["restore", "-o", output, empty]);
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /^Error: no matching backup files available\n/);
  const early = await finish([
    "restore",
    "-o",
    output,
    "-timestamp",
    "2020-01-01T00:00:00Z",
    empty,
  ]);
  assert.match(early.stderr, /^Error: no backups found\n/);
  const forgiven = await finish(["restore", "-o", output, "-if-replica-exists", empty]);
  assert.equal(forgiven.code, 0);
  assert.match(forgiven.stdout, /msg="no matching backups found"\n$/);
  // A file where the folder should be cannot be listed: that is no empty replica.
  await writeFile(join(folder.path, "file"), "x");
  const broken = `file://${folder.path}/file`;
  const failed = await finish(["restore", "-o", output, "-if-replica-exists", broken]);
  assert.equal(failed.code, 1, failed.stdout);
});

/** An S3 that answers every request alike. */
async function startS3(status: number, body: string): Promise<Server> {
  const server = createServer((_request, response) => {
    response.writeHead(status, { "content-type": "application/xml" });
    response.end(body);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

function s3Error(code: string): string {
  return `<Error><Code>${code}</Code><Message>m</Message></Error>`;
}

test("run() takes only an empty listing for no backup, never a refusal", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "cli-"));
  const output = join(folder.path, "out.db");
  const list =
    "<ListBucketResult><Name>b</Name><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated></ListBucketResult>";
  const vectors = [
    { status: 200, body: list, code: 0 },
    { status: 403, body: s3Error("AccessDenied"), code: 1 },
    { status: 403, body: s3Error("InvalidAccessKeyId"), code: 1 },
    { status: 404, body: s3Error("NoSuchBucket"), code: 1 },
  ];
  for (const { status, body, code } of vectors) {
    const server = await startS3(status, body);
    const { port } = server.address() as AddressInfo;
    const url = `s3://b/db?endpoint=http://127.0.0.1:${port}&region=us-east-1`;
    const env = { AWS_ACCESS_KEY_ID: "k", AWS_SECRET_ACCESS_KEY: "s" };
    const result = await finish(["restore", "-if-replica-exists", "-o", output, url], env);
    server.closeAllConnections();
    server.close();
    assert.equal(result.code, code, body + result.stdout + result.stderr);
    assert.equal(result.stdout.includes("no matching backups found"), code === 0);
    if (code === 1) assert.match(result.stderr, /^Error: /);
    assert.equal(existsSync(output), false);
  }
});

test("run() takes the newest of several replicas, or the one that is named", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "cli-"));
  const db = join(folder.path, "app.db");
  const config = join(folder.path, "litestream.yml");
  const replicas = (names: readonly string[]): string =>
    `dbs:\n  - path: ${db}\n    replicas:\n` +
    names.map((name) => `      - {name: ${name}, path: "${folder.path}/${name}"}\n`).join("");
  writeDatabase(db, 1);
  await writeFile(config, replicas(["old", "new"]));
  assert.equal((await finish(["replicate", "-once", "-config", config])).code, 0);
  writeDatabase(db, 2);
  await writeFile(config, replicas(["new"]));
  assert.equal((await finish(["replicate", "-once", "-config", config])).code, 0);
  await writeFile(config, replicas(["old", "new"]));
  const restore = async (...args: string[]): Promise<unknown> => {
    const output = join(folder.path, `out${args.length}${args.at(-1) ?? ""}.db`);
    const result = await finish(["restore", "-config", config, "-o", output, ...args, db]);
    assert.equal(result.code, 0, result.stderr);
    assert.equal(result.stdout, "");
    return countRows(output);
  };
  assert.equal(await restore(), 3);
  assert.equal(await restore("-replica", "old"), 1);
  const unknown = await finish(["restore", "-config", config, "-o", "/x", "-replica", "no", db]);
  assert.match(
    unknown.stderr,
    /^Error: replica not found in config: no\nHint: It lists old, new\n/,
  );
  const other = await finish(["restore", "-config", config, `${db}x`]);
  assert.match(
    other.stderr,
    /^Error: database not found in config: .*\nHint: Did you mean ".*app\.db"/,
  );
});

test("run() fails with -once when there is no database, and with none configured", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "cli-"));
  const missing = await finish([
    "replicate",
    "-once",
    join(folder.path, "no.db"),
    `file://${folder.path}/r`,
  ]);
  assert.equal(missing.code, 1);
  assert.match(
    missing.stderr,
    /^Error: sync replica for .*no\.db: no position, waiting for data\n/,
  );
  const config = join(folder.path, "litestream.yml");
  await writeFile(config, "logging: {stderr: true, type: json}\nunknwon: 1\n");
  const none = await finish(["replicate", "-config", config]);
  assert.equal(none.code, 1);
  assert.equal(none.stdout, "");
  assert.match(none.stderr, /"level":"WARN","msg":".*unknwon: Unknown key is ignored"/);
  assert.match(none.stderr, /\nError: no databases specified in configuration\n/);
  const strict = await finish(["replicate", "-strict", "-config", config]);
  assert.match(strict.stderr, /^Error: unknwon: Unknown key is ignored\n/);
});

test("run() replicates before the -exec child starts and after it ended, whatever it did", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "cli-"));
  const db = join(folder.path, "app.db");
  const url = `file://${folder.path}/replica`;
  writeDatabase(db, 1);
  const script = join(folder.path, "child.mjs");
  await writeFile(
    script,
    `import { readdirSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
if (readdirSync(${JSON.stringify(`${folder.path}/replica/ltx/0`)}).length === 0) process.exit(9);
new DatabaseSync(${JSON.stringify(db)}).exec("INSERT INTO t VALUES (1)");
process.exit(3);
`,
  );
  const exec = `${process.execPath} --no-warnings ${script}`;
  const result = await finish(["replicate", "-exec", exec, db, url]);
  assert.equal(result.code, 1);
  assert.equal(result.stderr, "Error: exit status 3\n");
  assert.match(result.stdout, /msg="subprocess exited, litestream shutting down"\n/);
  const output = join(folder.path, "out.db");
  assert.equal((await finish(["restore", "-o", output, url])).code, 0);
  assert.equal(countRows(output), 2);
  const own = await finish(["replicate", "-exec-exit-code", "-exec", exec, db, url]);
  assert.equal(own.code, 3);
});

test("run() has uploaded everything when the -exec child starts", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "cli-"));
  const db = join(folder.path, "app.db");
  writeDatabase(db, 1);
  const file = `${folder.path}/replica/ltx/0/0000000000000001-0000000000000001.ltx`;
  const exec = `test -e ${file}`;
  const result = await finish(["replicate", "-exec", exec, db, `file://${folder.path}/replica`]);
  assert.equal(result.code, 0, result.stderr);
});

test("run() passes a signal to the -exec child and kills one that does not end", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "cli-"));
  const db = join(folder.path, "app.db");
  const config = join(folder.path, "litestream.yml");
  const pidFile = join(folder.path, "pid");
  writeDatabase(db, 1);
  const start = async (body: string): Promise<TestRun> => {
    await writeFile(
      config,
      `exec: sh -c '${body}'\nexec-kill-timeout: 200ms\ndbs: [{path: ${db}, replica: {path: ${folder.path}/r}}]\n`,
    );
    await writeFile(pidFile, "");
    const command = new TestRun(["replicate", "-no-expand-env", "-config", config]);
    for (let waited = 0; (await readFile(pidFile, "utf8")) === ""; waited += 10) {
      assert.ok(waited < 10_000, command.stdout + command.stderr);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return command;
  };
  const polite = await start(`echo $$ > ${pidFile}; exec sleep 60`);
  polite.signal("SIGTERM");
  assert.equal(await polite.code, 0, polite.stderr);
  const trapping = await start(
    `trap "exit 5" TERM; echo $$ > ${pidFile}; while :; do sleep 0.05; done`,
  );
  trapping.signal("SIGTERM");
  assert.equal(await trapping.code, 1);
  assert.equal(trapping.stderr, "Error: exit status 5\n");
  const deaf = await start(`trap "" TERM; echo $$ > ${pidFile}; while :; do sleep 0.05; done`);
  deaf.signal("SIGTERM");
  assert.equal(await deaf.code, 1);
  assert.equal(deaf.stderr, "Error: signal: killed\n");
  assert.match(deaf.stdout, /msg="subprocess did not end in time, killing it" timeout=200ms\n/);
});

test("run() says by its exit code that the final sync failed, within its bound", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "cli-"));
  const db = join(folder.path, "app.db");
  const config = join(folder.path, "litestream.yml");
  writeDatabase(db, 1);
  await writeFile(
    config,
    `shutdown-sync-timeout: 300ms\nshutdown-sync-interval: 50ms\ndbs: [{path: ${db}, replica: {path: ${folder.path}/r}}]\n`,
  );
  const command = new TestRun(["replicate", "-config", config]);
  await command.untilLogged("msg=replicated");
  await breakReplica(join(folder.path, "r"));
  writeDatabase(db, 1);
  const startedAt = performance.now();
  command.signal("SIGTERM");
  assert.equal(await command.code, 1);
  assert.ok(performance.now() - startedAt < 5_000);
  assert.match(command.stdout, /level=WARN msg="shutdown sync failed, retrying/);
  assert.match(
    command.stdout,
    /level=ERROR msg="failed to close database" path=\S+app\.db error="shutdown sync timeout after \d+ attempts: /,
  );
});

test("run() skips the rest of the final sync at the second signal", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "cli-"));
  const db = join(folder.path, "app.db");
  writeDatabase(db, 1);
  const command = new TestRun(["replicate", db, `file://${folder.path}/r`]);
  await command.untilLogged("msg=replicated");
  await breakReplica(join(folder.path, "r"));
  writeDatabase(db, 1);
  command.signal("SIGINT");
  await command.untilLogged("shutdown sync failed");
  const startedAt = performance.now();
  command.signal("SIGINT");
  assert.equal(await command.code, 1);
  assert.ok(performance.now() - startedAt < 5_000);
  assert.match(command.stdout, /level=WARN msg="shutdown sync skipped by user interrupt"/);
});

test("run() refuses a command that needs a shell, and one that is not there", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "cli-"));
  const db = join(folder.path, "app.db");
  writeDatabase(db, 1);
  const url = `file://${folder.path}/replica`;
  const shell = await finish(["replicate", "-exec", "a && b", db, url]);
  assert.match(shell.stderr, /^Error: cannot parse exec command: .*\nHint: .*sh -c 'a && b'\n$/);
  const none = await finish(["replicate", "-exec", "no-such-program", db, url]);
  assert.equal(
    none.stderr,
    'Error: cannot start exec command: exec: "no-such-program": executable file not found in $PATH\n',
  );
  assert.equal(none.code, 1);
});

test("run() restores a missing database before it replicates it", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "cli-"));
  const db = join(folder.path, "app.db");
  const other = join(folder.path, "other.db");
  const url = `file://${folder.path}/replica`;
  writeDatabase(db, 3);
  assert.equal((await finish(["replicate", "-once", db, url])).code, 0);
  const flags = ["-once", "-restore-if-db-not-exists"];
  const restored = await finish(["replicate", ...flags, other, url]);
  assert.equal(restored.code, 0, restored.stderr);
  assert.match(restored.stdout, /msg="attempting restore before replication" path=.*other\.db\n/);
  assert.match(restored.stdout, /msg="restore completed" path=.*other\.db\n/);
  assert.equal(countRows(other), 3);
  const there = await finish(["replicate", ...flags, other, url]);
  assert.match(there.stdout, /msg="database exists, skipping restore" path=.*other\.db\n/);
});

test("run() refuses to replicate less than the configuration asks for", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "cli-"));
  const config = join(folder.path, "litestream.yml");
  await writeFile(
    config,
    `dbs: [{path: ${folder.path}/a.db, replica: {path: ${folder.path}/r, age: {recipients: [age1x]}}}]\n`,
  );
  const result = await finish(["replicate", "-config", config]);
  assert.equal(result.code, 1);
  assert.match(
    result.stderr,
    /^Error: age encryption is not currently supported, if you need encryption please revert/,
  );
});

test("the program itself starts, and ends by its signals", async () => {
  await using folder = await mkdtempDisposable(join(tmpdir(), "cli-"));
  const db = join(folder.path, "app.db");
  writeDatabase(db, 1);
  const script = join(folder.path, "main.mjs");
  const source = new URL(".", import.meta.url).href;
  await writeFile(
    script,
    `import { run } from "${source}main.ts";
import { processIO } from "${source}io.ts";
process.exitCode = await run(process.argv.slice(2), processIO());
`,
  );
  const args = [script, "replicate", db, `file://${folder.path}/replica`];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  let stdout = "";
  child.stdout.setEncoding("utf8");
  child.stdout.on("data", (text: string) => {
    stdout += text;
    if (stdout.includes("replicating to") && !child.killed) child.kill("SIGINT");
  });
  const [code, signal] = (await once(child, "exit")) as [number | null, string | null];
  assert.deepEqual([code, signal], [0, null], stdout);
  assert.match(stdout, /signal=interrupt\n/);

  // Nobody reads its log any more: it replicates on, and ends in peace.
  const unread = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  await once(unread.stdout, "data");
  unread.stdout.destroy();
  await new Promise((resolve) => setTimeout(resolve, 500));
  writeDatabase(db, 2);
  unread.kill("SIGTERM");
  assert.deepEqual(await once(unread, "exit"), [0, null]);
  const output = join(folder.path, "out.db");
  assert.equal((await finish(["restore", "-o", output, `file://${folder.path}/replica`])).code, 0);
  assert.equal(countRows(output), 3);
});
