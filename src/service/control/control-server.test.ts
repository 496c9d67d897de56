/** The control socket's endpoints, as clients see them. */
import assert from "node:assert/strict";
import { existsSync, rmSync, statSync, writeFileSync } from "node:fs";
import { spawn } from "node:child_process";
import { request } from "node:http";
import { connect } from "node:net";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { Scratch } from "../../../test/harness/scratch.ts";
import { storeDatabase } from "../../../test/harness/store-options.ts";
import { until } from "../../../test/harness/wait.ts";
import { EventHub } from "../event-hub.ts";
import { Store } from "../store.ts";
import { ControlServer } from "./control-server.ts";

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
}

class Scene implements AsyncDisposable {
  readonly scratch = new Scratch("control");
  readonly hub = new EventHub();
  readonly socket = this.scratch.path("control.sock");
  readonly store = new Store({
    databases: [],
    emit: this.hub.emit,
    shutdownSyncTimeoutMs: 5_000,
    shutdownSyncIntervalMs: 20,
  });
  server: ControlServer | undefined;

  async listen(): Promise<void> {
    this.server = await ControlServer.listen({
      path: this.socket,
      mode: 0o600,
      store: this.store,
      hub: this.hub,
      version: "1.2.3",
      startedAtMs: Date.now(),
      resolvePath: (path) => path,
      createDatabase: async (path, asked) => {
        if (!("url" in asked) || !asked.url.startsWith("file://"))
          throw new Error("unsupported replica URL scheme");
        return storeDatabase(path, asked.url.slice(7));
      },
    });
  }

  create(name: string): DatabaseSync {
    const database = new DatabaseSync(this.scratch.path(name));
    database.exec("PRAGMA journal_mode = WAL; CREATE TABLE t (x)");
    return database;
  }

  ask(method: string, path: string, body?: unknown): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const sent = request({ socketPath: this.socket, method, path }, (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => (text += chunk));
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, text, headers: response.headers }),
        );
      });
      sent.on("error", reject);
      sent.end(
        body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body),
      );
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server?.[Symbol.asyncDispose]();
    await this.store.close();
    this.scratch[Symbol.dispose]();
  }
}

test("the endpoints answer as upstream's do", async () => {
  await using scene = new Scene();
  await scene.listen();
  using database = scene.create("a.db");
  const path = scene.scratch.path("a.db");
  const replica = `file://${scene.scratch.path("ra")}`;
  const post = async (endpoint: string, body: unknown): Promise<string> => {
    const { status, text } = await scene.ask("POST", endpoint, body);
    return `${status} ${text.replaceAll(scene.scratch.folder, "D")}`;
  };
  const get = async (endpoint: string): Promise<string> => {
    const { status, text } = await scene.ask("GET", endpoint);
    return `${status} ${text.replaceAll(scene.scratch.folder, "D")}`;
  };
  assert.equal(await get("/list"), '200 {"databases":[]}\n');
  assert.equal(
    await post("/register", { path, replica_url: replica }),
    '200 {"status":"registered","path":"D/a.db"}\n',
  );
  assert.equal(
    await post("/register", { path, replica_url: replica }),
    '200 {"status":"already_registered","path":"D/a.db"}\n',
  );
  assert.match(
    await post("/register", { path, replica_url: `${replica}2` }),
    /^409 \{"error":"database already registered with another replica: .*"code":"conflict"\}\n$/,
  );
  assert.match(
    await post("/register", { path: `${path}2`, replica_url: replica }),
    /^409 .*another database is replicated to the same place/,
  );
  assert.match(
    await post("/sync", { path, wait: true }),
    /^200 \{"status":"(synced|no_change)","path":"D\/a.db","txid":1,"replicated_txid":1\}\n$/,
  );
  database.exec("INSERT INTO t VALUES (1)");
  assert.match(await post("/sync", { path, wait: true }), /"txid":2,"replicated_txid":2/);
  assert.match(await post("/sync", { path }), /"status":"no_change"/);
  assert.equal(await get(`/txid?path=${path}`), '200 {"txid":2}\n');
  assert.match(
    await get("/list"),
    /^200 \{"databases":\[\{"path":"D\/a.db","status":"replicating","last_sync_at":"\d{4}-/,
  );
  assert.match(
    await post("/stop", { path }),
    /^200 \{"status":"stopped","path":"D\/a.db","txid":\d/,
  );
  assert.match(await post("/stop", { path }), /^200 \{"status":"already_stopped"/);
  assert.equal(
    await post("/sync", { path }),
    '409 {"error":"database not open: D/a.db","code":"not_open"}\n',
  );
  assert.match(
    await post("/start", `${JSON.stringify({ path })} trailing`),
    /^200 \{"status":"started"/,
  );
  assert.match(await post("/start", { path }), /^200 \{"status":"already_running"/);
  assert.match(await get("/status"), /"replicas":\[\{"name":"file","type":"file"/);
  assert.match(
    await post("/unregister", { path }),
    /^200 \{"status":"unregistered","path":"D\/a.db","txid":\d/,
  );
  assert.equal(
    await post("/unregister", { path }),
    '200 {"status":"already_unregistered","path":"D/a.db","txid":0}\n',
  );
  const missing = scene.scratch.path("missing.db");
  await post("/register", { path: missing, replica_url: `${replica}m` });
  assert.match(
    await post("/sync", { path: missing }),
    /^200 .*"no_change".*"txid":0,"replicated_txid":0/,
  );
  assert.match(
    await post("/sync", { path: missing, wait: true, timeout: 1 }),
    /^500 \{"error":"sync database: replica sync: no position, waiting for data"/,
  );
});

test("mistakes get upstream's status and text, and a code", async () => {
  await using scene = new Scene();
  await scene.listen();
  const table: readonly (readonly [string, string, string | undefined, string])[] = [
    [
      "POST",
      "/start",
      "",
      '400 {"error":"invalid request body","details":"EOF","code":"invalid_body"}',
    ],
    [
      "POST",
      "/start",
      "{",
      '400 {"error":"invalid request body","details":"unexpected EOF","code":"invalid_body"}',
    ],
    [
      "POST",
      "/stop",
      "x",
      `400 {"error":"invalid request body","details":"invalid character 'x' looking for beginning of value","code":"invalid_body"}`,
    ],
    [
      "POST",
      "/stop",
      "[]",
      '400 {"error":"invalid request body","details":"json: cannot unmarshal array into Go value of type litestream.StopRequest","code":"invalid_body"}',
    ],
    [
      "POST",
      "/stop",
      '{"path":1}',
      '400 {"error":"invalid request body","details":"json: cannot unmarshal number into Go struct field StopRequest.path of type string","code":"invalid_body"}',
    ],
    ["POST", "/sync", "{}", '400 {"error":"path required","code":"path_required"}'],
    [
      "POST",
      "/start",
      '{"path":"/<no>"}',
      '500 {"error":"database not found: /\\u003cno\\u003e","code":"unknown_database"}',
    ],
    [
      "POST",
      "/stop",
      '{"path":"/no"}',
      '500 {"error":"database not found: /no","code":"unknown_database"}',
    ],
    [
      "POST",
      "/sync",
      '{"path":"/no"}',
      '404 {"error":"database not found: /no","code":"unknown_database"}',
    ],
    [
      "POST",
      "/register",
      '{"path":"/no"}',
      '400 {"error":"replica_url required","code":"replica_required"}',
    ],
    [
      "POST",
      "/register",
      '{"path":"/no","replica_url":"x://y"}',
      '400 {"error":"invalid replica url: unsupported replica URL scheme","code":"invalid_replica"}',
    ],
    ["GET", "/txid", undefined, '400 {"error":"path required","code":"path_required"}'],
    [
      "GET",
      "/txid?path=/no",
      undefined,
      '404 {"error":"database not found","code":"unknown_database"}',
    ],
    [
      "GET",
      "/debug/sync-status?path=/no",
      undefined,
      '404 {"error":"database not found","code":"unknown_database"}',
    ],
    ["GET", "/nope", undefined, "404 404 page not found"],
    ["GET", "/start", undefined, "405 Method Not Allowed"],
    ["POST", "/list", "{}", "405 Method Not Allowed"],
    [
      "POST",
      "/sync",
      `"${"x".repeat(2 << 20)}"`,
      '413 {"error":"request body too large","code":"body_too_large"}',
    ],
  ];
  for (const [method, path, body, expected] of table) {
    const { status, text } = await scene.ask(method, path, body);
    assert.equal(`${status} ${text}`, `${expected}\n`, `${method} ${path} ${body?.slice(0, 50)}`);
  }
  const head = await scene.ask("HEAD", "/info");
  assert.deepEqual([head.status, head.text], [200, ""]);
  assert.equal((await scene.ask("GET", "/stop")).headers["allow"], "POST");
  assert.equal((await scene.ask("DELETE", "/list")).headers["allow"], "GET, HEAD");
});

test("the socket belongs to its owner alone; stale sockets go, other files and live ones are refused", async () => {
  await using scene = new Scene();
  writeFileSync(scene.socket, "precious");
  await assert.rejects(scene.listen(), /is not a socket/);
  assert.ok(existsSync(scene.socket));
  rmSync(scene.socket);
  await scene.listen();
  assert.equal(statSync(scene.socket).mode & 0o777, 0o600);
  const first = scene.server;
  await assert.rejects(scene.listen(), /another process listens/);
  await first?.[Symbol.asyncDispose]();
  scene.server = undefined;
  assert.equal(existsSync(scene.socket), false);
  // A process that was killed leaves its socket.
  const { promise, resolve } = Promise.withResolvers<void>();
  const script = `require("net").createServer().listen(${JSON.stringify(scene.socket)}, () => process.kill(process.pid, "SIGKILL"))`;
  spawn(process.execPath, ["-e", script], { stdio: "ignore" }).once("exit", () => resolve());
  await promise;
  assert.ok(existsSync(scene.socket), "there is a stale socket");
  await scene.listen();
  assert.equal((await scene.ask("GET", "/info")).status, 200);
});

test("POST /snapshot writes the present state to the replica", async () => {
  await using scene = new Scene();
  await scene.listen();
  using database = scene.create("a.db");
  const path = scene.scratch.path("a.db");
  const folder = scene.scratch.path("ra");
  await scene.ask("POST", "/register", { path, replica_url: `file://${folder}` });
  database.exec("INSERT INTO t VALUES (1)");
  const { status, text } = await scene.ask("POST", "/snapshot", { path });
  assert.equal(status, 200, text);
  const answer = JSON.parse(text) as { status: string; path: string; txid: number };
  assert.deepEqual([answer.status, answer.path], ["snapshot_written", path]);
  const txid = answer.txid.toString(16).padStart(16, "0");
  assert.ok(existsSync(`${folder}/ltx/9/0000000000000001-${txid}.ltx`));
  const unknown = await scene.ask("POST", "/snapshot", { path: `${path}2` });
  assert.match(`${unknown.status} ${unknown.text}`, /^404 .*"code":"unknown_database"/);
  assert.equal((await scene.ask("GET", "/snapshot")).status, 405);
});

test("GET /events streams events as lines, and lets go of a client that does not read", async () => {
  await using scene = new Scene();
  await scene.listen();
  const slow = connect(scene.socket);
  slow.write("GET /events HTTP/1.1\r\nHost: l\r\n\r\n");
  await new Promise((resolve) => slow.once("data", resolve));
  slow.pause();
  let text = "";
  const reader = connect(scene.socket);
  reader.on("data", (chunk) => (text += chunk.toString()));
  reader.write("GET /events?path=/a.db HTTP/1.1\r\nHost: l\r\n\r\n");
  await until(() => text.includes("x-ndjson"), { what: "the head", timeoutMs: 5_000 });
  scene.hub.emit({ type: "replica-synced", database: "/a.db", replica: "s3", txid: 2n ** 63n });
  scene.hub.emit({ type: "read-lock-lost", database: "/b.db" });
  await until(() => text.includes("replica-synced"), { what: "an event", timeoutMs: 5_000 });
  assert.match(text, /"txid":9223372036854775808/);
  assert.doesNotMatch(text, /b\.db/);
  let closed = false;
  slow.on("close", () => (closed = true));
  slow.on("error", () => undefined);
  const reason = "x".repeat(10_000);
  for (let i = 0; i < 2_000 && !closed; i++) {
    scene.hub.emit({ type: "database-waiting", database: "/c.db", reason });
    if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  slow.resume();
  await until(() => closed, { what: "the slow client's end", timeoutMs: 5_000 });
  reader.destroy();
});

test("half requests, garbage and huge heads do not keep the others waiting", async () => {
  await using scene = new Scene();
  await scene.listen();
  const hostile = Array.from({ length: 50 }, (_, at) => {
    const socket = connect(scene.socket);
    socket.on("error", () => undefined);
    socket.write(
      [
        "POST /sync HTTP/1.1\r\nHost: l\r\nContent-Length: 100\r\n\r\n{",
        "\0\0garbage\r\n\r\n",
        `GET / HTTP/1.1\r\nX: ${"y".repeat(100_000)}`,
        "GET /li",
      ][at % 4] ?? "",
    );
    return socket;
  });
  const answers = await Promise.all(Array.from({ length: 50 }, () => scene.ask("GET", "/info")));
  assert.ok(answers.every(({ status }) => status === 200));
  for (const socket of hostile) socket.destroy();
});
