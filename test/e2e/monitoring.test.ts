/** Metrics, dashboard, alert rules, health and MCP of a running service. */
import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdtempDisposable } from "node:fs/promises";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { before, suite, test, after } from "node:test";
import { setTimeout } from "node:timers/promises";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { parse } from "yaml";
import { ours, start } from "../harness/program.ts";
import type { RunningProgram } from "../harness/program.ts";
import { evaluate, parseMetrics, parseTypes } from "./promql.ts";
import type { Range, Sample } from "./promql.ts";

const root = resolve(import.meta.dirname, "../..");
const SECRET = "canary-b19c2f";
const DEADLINE_MS = 20_000;

interface Dashboard {
  readonly uid: string;
  readonly panels: readonly {
    readonly title: string;
    readonly targets: readonly { readonly expr: string; readonly legendFormat: string }[];
  }[];
}

interface Rules {
  readonly groups: readonly {
    readonly rules: readonly { readonly alert: string; readonly expr: string }[];
  }[];
}

const dashboard = JSON.parse(
  readFileSync(resolve(root, "packaging/grafana/litestream-dashboard.json"), "utf8"),
) as Dashboard;
const rules = parse(
  readFileSync(resolve(root, "packaging/prometheus/litestream-alerts.yml"), "utf8"),
) as Rules;

/** There is nothing of these as long as nothing of the kind fails. */
const MAY_BE_EMPTY = new Set(["litestream_replica_upkeep_errors_total"]);

suite("a service with a good and a broken replica", () => {
  const cleanup = new AsyncDisposableStack();
  let folder = "";
  let program: RunningProgram;
  let metricsURL = "";
  let mcpURL = "";
  let range: Range;
  let text = "";

  before(async () => {
    folder = cleanup.use(await mkdtempDisposable(join(tmpdir(), "monitoring-"))).path;
    const [addr, mcp] = [await freePort(), await freePort()];
    metricsURL = `http://127.0.0.1:${addr}`;
    mcpURL = `http://127.0.0.1:${mcp}/mcp`;
    for (const name of ["good.db", "broken.db"]) createDatabase(join(folder, name));
    writeFileSync(join(folder, "litestream.yml"), configuration(folder, addr, mcp));
    program = cleanup.use(start(ours(), ["replicate", "-config", join(folder, "litestream.yml")]));
    const first = await eventually(async () => {
      const samples = parseMetrics(await fetchText(`${metricsURL}/metrics`));
      const isUploaded = ["good.db", "broken.db"].every(
        (name) => valueOf(samples, "litestream_replica_txid", name) > 0,
      );
      return isUploaded ? samples : undefined;
    });
    // The place of this replica is gone, as when a mount is.
    rmSync(join(folder, "lost"), { recursive: true });
    writeFileSync(join(folder, "lost"), "no folder");
    const startedAt = performance.now();
    range = await eventually(async () => {
      for (const name of ["good.db", "broken.db"]) {
        using database = new DatabaseSync(join(folder, name));
        database.exec("INSERT INTO t VALUES (zeroblob(20000))");
      }
      text = await fetchText(`${metricsURL}/metrics`);
      const samples = parseMetrics(text);
      const isDone =
        samples.some(({ name, value }) => name === "litestream_checkpoint_count" && value > 0) &&
        valueOf(samples, "litestream_replica_healthy", "broken.db") === 0;
      const seconds = (performance.now() - startedAt) / 1_000;
      return isDone ? { before: first, after: samples, seconds } : undefined;
    });
  });

  after(() => cleanup.disposeAsync());

  test("every expression of the dashboard has true values and every legend its labels", () => {
    assert.equal(dashboard.uid, "litestream-monitoring");
    const queries = dashboard.panels.flatMap(({ title, targets }) =>
      targets.map((target) => ({ title, ...target })),
    );
    assert.ok(queries.length >= 18);
    for (const { title, expr, legendFormat } of queries) {
      const result = evaluate(expr, range);
      assert.ok(result.length > 0, `${title}: ${expr} finds nothing`);
      for (const [, label = ""] of legendFormat.matchAll(/\{\{(\w+)\}\}/g))
        for (const { labels } of result)
          assert.ok(label in labels, `${title}: no label ${label} in ${JSON.stringify(labels)}`);
      assert.ok(result.every(({ value }) => !Number.isNaN(value)));
    }
    const rate = evaluate("rate(litestream_total_wal_bytes[5m])", range);
    assert.ok(rate.some(({ labels, value }) => isOf(labels, "good.db") && value > 0));
  });

  test("every alert rule asks for what there is, and fires where something is wrong", () => {
    const types = parseTypes(text);
    const firing = new Map<string, readonly Sample[]>();
    for (const { alert, expr } of rules.groups.flatMap((group) => group.rules)) {
      firing.set(alert, evaluate(expr, range));
      for (const [name] of expr.matchAll(/litestream_\w+/g)) {
        assert.ok(types.has(name), `${alert}: there is no metric ${name}`);
        const hasSeries = range.after.some((sample) => sample.name === name);
        assert.ok(hasSeries || MAY_BE_EMPTY.has(name), `${alert}: no series of ${name}`);
      }
    }
    const unhealthy = firing.get("LitestreamReplicaUnhealthy") ?? [];
    assert.deepEqual(
      unhealthy.map(({ labels }) => labels["db"]),
      [join(folder, "broken.db")],
    );
    for (const [alert, samples] of firing)
      if (alert !== "LitestreamReplicaUnhealthy") assert.deepEqual(samples, [], alert);
  });

  test("metrics tell what is in the replica, what waits, and why", async () => {
    const { after: samples } = range;
    assert.ok(valueOf(samples, "litestream_replica_pending_files", "broken.db") > 0);
    assert.ok(valueOf(samples, "litestream_replica_lag_seconds", "broken.db") > 0);
    const inReplica = valueOf(samples, "litestream_replica_txid", "broken.db");
    assert.ok(inReplica < valueOf(samples, "litestream_txid", "broken.db"));
    assert.ok(
      samples.some(
        ({ name, labels, value }) =>
          name === "litestream_replica_upload_errors_total" &&
          isOf(labels, "broken.db") &&
          value > 0,
      ),
    );
    await eventually(async () => {
      const now = parseMetrics(await fetchText(`${metricsURL}/metrics`));
      const local = valueOf(now, "litestream_txid", "good.db");
      return local > 1 && valueOf(now, "litestream_replica_txid", "good.db") === local
        ? true
        : undefined;
    });
  });

  test("health and readiness say what is wrong", async () => {
    const health = await fetch(`${metricsURL}/healthz?strict`);
    assert.equal(health.status, 200, "a failure of seconds is a passing one");
    const ready = await fetch(`${metricsURL}/readyz`);
    assert.equal(ready.status, 503);
    assert.match(await ready.text(), /^.*missing\.db: not open\n$/);
    assert.equal((await fetch(`${metricsURL}/debug/pprof/`)).status, 404);
    const wrong = await fetch(`${metricsURL}/metrics`, { method: "POST" });
    assert.equal(wrong.status, 405);
  });

  test("MCP's tools answer in process, and restore to no file that exists", async () => {
    await using client = await connect(mcpURL);
    const { tools } = await client.listTools();
    assert.deepEqual(
      tools.map(({ name }) => name),
      ["info", "databases", "status", "ltx", "restore", "version", "reset"].map(
        (name) => `litestream_${name}`,
      ),
    );
    const readOnly = tools.filter(({ annotations }) => annotations?.readOnlyHint === true);
    assert.equal(readOnly.length, 5);
    const call = async (
      name: string,
      args: object,
    ): Promise<{ text: string; isError: boolean }> => {
      const result = await client.callTool({ name, arguments: { ...args } });
      const [first] = result.content as readonly { readonly text: string }[];
      return { text: first?.text ?? "", isError: result.isError === true };
    };
    const path = join(folder, "good.db");
    assert.match((await call("litestream_databases", {})).text, /good\.db +file/);
    assert.match((await call("litestream_ltx", { path })).text, /^level +min_txid/);
    const copy = join(folder, "copy.db");
    const restored = await call("litestream_restore", { path, o: copy, if_db_not_exists: false });
    assert.equal(restored.isError, false, restored.text);
    using database = new DatabaseSync(copy, { readOnly: true });
    assert.equal(typeof database.prepare("SELECT count(*) AS n FROM t").get()?.["n"], "number");
    const again = await call("litestream_restore", { path, o: copy });
    assert.equal(again.isError, true);
    assert.match(again.text, /already exists[^]*exit status 1$/);
    assert.equal(
      (await call("litestream_restore", { path, o: copy, if_db_not_exists: true })).isError,
      false,
    );
    for (const [name, args] of [
      ["info", {}],
      ["status", {}],
      ["ltx", { path: "missing" }],
    ] as const)
      assert.ok(!(await call(`litestream_${name}`, args)).text.includes(SECRET), name);
  });

  test("MCP refuses pages of other origins and wrong tokens", async () => {
    const headers = { authorization: `Bearer ${SECRET}-token`, origin: "http://example.org" };
    assert.equal((await fetch(mcpURL, { method: "POST", headers })).status, 403);
    assert.equal((await fetch(mcpURL, { method: "POST" })).status, 401);
  });

  test("secrets stand neither in metrics nor in the log", async () => {
    assert.ok(!(await fetchText(`${metricsURL}/metrics`)).includes(SECRET));
    assert.ok(!program.output.includes(SECRET));
    assert.match(program.output, /serving metrics on.*url=http:\/\/127\.0\.0\.1:/);
  });
});

test("a port in use stops the start before a database is opened, unless told otherwise", async () => {
  await using scratch = await mkdtempDisposable(join(tmpdir(), "monitoring-"));
  const folder = scratch.path;
  createDatabase(join(folder, "good.db"));
  await using taken = await listening();
  const { port } = taken;
  const config = join(folder, "litestream.yml");
  const text = `addr: "127.0.0.1:${port}"\ndbs: [{path: ${folder}/good.db, replica: {path: ${folder}/r}}]\n`;
  writeFileSync(config, text);
  await using refused = start(ours(), ["replicate", "-config", config]);
  const { code } = await refused.exited;
  assert.equal(code, 1);
  assert.match(refused.output, /cannot serve metrics on .*EADDRINUSE/);
  assert.ok(!refused.output.includes("full image"), "no database was opened");
  writeFileSync(config, `bind-failure: warn\n${text}`);
  await using warned = start(ours(), ["replicate", "-config", config]);
  await eventually(() => (warned.output.includes("initialized db") ? true : undefined));
  assert.match(warned.output, /level=WARN msg="cannot serve metrics/);
});

function configuration(folder: string, addr: number, mcp: number): string {
  return `addr: "127.0.0.1:${addr}"
mcp-addr: ":${mcp}"
mcp-token: ${SECRET}-token
secret-access-key: ${SECRET}
dbs:
  - path: ${folder}/good.db
    checkpoint-interval: 1s
    min-checkpoint-page-count: 4
    replica: {path: ${folder}/replica}
  - path: ${folder}/broken.db
    replica: {path: ${folder}/lost}
  - path: ${folder}/missing.db
    replica: {path: ${folder}/never}
`;
}

function createDatabase(path: string): void {
  using database = new DatabaseSync(path);
  database.exec("PRAGMA journal_mode=wal; CREATE TABLE t (x); INSERT INTO t VALUES (1)");
}

async function connect(url: string): Promise<Client & AsyncDisposable> {
  const client = new Client({ name: "test", version: "1" });
  const headers = { Authorization: `Bearer ${SECRET}-token` };
  const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
  await client.connect(transport);
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.close() });
}

function isOf(labels: Readonly<Record<string, string>>, name: string): boolean {
  return labels["db"]?.endsWith(`/${name}`) ?? false;
}

function valueOf(samples: readonly Sample[], metric: string, name: string): number {
  return samples.find((sample) => sample.name === metric && isOf(sample.labels, name))?.value ?? 0;
}

async function fetchText(url: string): Promise<string> {
  return await (await fetch(url)).text();
}

async function freePort(): Promise<number> {
  await using server = await listening();
  return server.port;
}

async function listening(): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createServer();
  const { promise, resolve: ready } = Promise.withResolvers<void>();
  server.listen(0, "127.0.0.1", ready);
  await promise;
  const { port } = server.address() as AddressInfo;
  const close = async (): Promise<void> => {
    const { promise: closed, resolve: done } = Promise.withResolvers<void>();
    server.close(() => done());
    await closed;
  };
  return { port, [Symbol.asyncDispose]: close };
}

/** Asks again until there is an answer; a refused connection is none. */
async function eventually<T>(ask: () => T | undefined | Promise<T | undefined>): Promise<T> {
  const deadline = performance.now() + DEADLINE_MS;
  for (;;) {
    let failure: unknown;
    try {
      const answer = await ask();
      if (answer !== undefined) return answer;
    } catch (error) {
      failure = error;
    }
    if (performance.now() > deadline) throw new Error("No answer in time", { cause: failure });
    await setTimeout(200);
  }
}
