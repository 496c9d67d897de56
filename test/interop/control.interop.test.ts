/** The same requests to the control sockets of the real Litestream and of ours: status, headers and body are compared. */
import assert from "node:assert/strict";
import { request } from "node:http";
import { DatabaseSync } from "node:sqlite";
import { writeFileSync } from "node:fs";
import { test } from "node:test";
import { ours, peer, run, start, type Program, type RunningProgram } from "../harness/program.ts";
import { Scratch } from "../harness/scratch.ts";
import { until } from "../harness/wait.ts";
import { CONTROL_COMMANDS, CONTROL_REQUESTS, type ControlRequest } from "./control-cases.ts";

class Daemon implements AsyncDisposable {
  readonly scratch: Scratch;
  readonly program: Program;
  readonly socket: string;
  #running: RunningProgram | undefined;

  constructor(program: Program) {
    this.program = program;
    this.scratch = new Scratch("control");
    this.socket = this.scratch.path("control.sock");
  }

  async start(): Promise<void> {
    for (const name of ["app.db", "other.db", "third.db"]) {
      using database = new DatabaseSync(this.scratch.path(name));
      database.exec("PRAGMA journal_mode = WAL; CREATE TABLE t(x); INSERT INTO t VALUES (1)");
    }
    const config = this.scratch.path("litestream.yml");
    writeFileSync(
      config,
      `socket: {enabled: true, path: ${this.socket}}
dbs:
  - path: ${this.scratch.path("app.db")}
    replica: {type: file, path: ${this.scratch.path("replica")}}
`,
    );
    this.#running = start(this.program, ["replicate", "-config", config]);
    await until(() => this.#isReady(), { what: "the daemon", timeoutMs: 15_000 });
  }

  async #isReady(): Promise<boolean> {
    const body = JSON.stringify({ path: this.scratch.path("app.db"), wait: true });
    try {
      return (await this.ask({ method: "POST", path: "/sync", body })).startsWith("200");
    } catch {
      return false;
    }
  }

  /** Status, the headers that matter and the body; what differs from run to run is replaced. */
  ask({ method, path, body }: ControlRequest): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const fill = (text: string): string => text.replaceAll("$DIR", this.scratch.folder);
    const sent = request({ socketPath: this.socket, method, path: fill(path) }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      response.on("end", () => {
        const { allow = "", "content-type": type = "" } = response.headers;
        resolve(this.normalize(`${response.statusCode} ${type} ${allow} ${text}`));
      });
    });
    sent.on("error", reject);
    sent.end(body === undefined ? undefined : fill(body));
    return promise;
  }

  async command(args: string): Promise<string> {
    const [name = "", ...words] = args.replaceAll("$DIR", this.scratch.folder).split(" ");
    const { code, stdout, stderr } = await run(this.program, [
      name,
      "-socket",
      this.socket,
      ...words,
    ]);
    const error = stderr.split("\n").filter((line) => /^(Error|Try):/.test(line));
    return this.normalize(`${code}\n${stdout}${error.join("\n")}`);
  }

  normalize(text: string): string {
    return text
      .replaceAll(this.scratch.folder, "$DIR")
      .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+(Z|[-+]\d\d:\d\d)/g, "TIME")
      .replaceAll(/("?txid"?|"replicated_txid"|final_txid|replica_txid)("?: ?)\d+/g, "$1$2N")
      .replaceAll(/("pid": ?|PID: +)\d+/g, "$1PID")
      .replaceAll(/("uptime_seconds": ?)\d+|(Uptime: +)\w+/g, "$1$2UPTIME")
      .replaceAll(/(duration_ms"?: )\d+/g, "$1MS")
      .replaceAll(/("version": ?")[^"]+|Litestream \S+/g, "$1VERSION")
      .replaceAll(/,\s*"(code|closed|txid_hex)":("[^"]*"|true|false)/g, "")
      .replaceAll(/,\n +"status": "(synced_local|synced|no_change)"/g, "")
      .replaceAll(/"status":"(synced_local|synced|no_change)"/g, '"status":"SYNCED"');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running?.stop();
    this.scratch[Symbol.dispose]();
  }
}

test("both programs answer alike on the control socket, in the same order of requests", async (t) => {
  await using theirs = new Daemon(peer());
  await using own = new Daemon(ours());
  await Promise.all([theirs.start(), own.start()]);
  for (const entry of CONTROL_REQUESTS) {
    await t.test(`${entry.method} ${entry.path} ${entry.body ?? ""}`, async () => {
      const [expected, actual] = await Promise.all([theirs.ask(entry), own.ask(entry)]);
      if (entry.differs === undefined) assert.equal(actual, expected);
      else assert.notEqual(actual, expected, `does not differ any more: ${entry.differs}`);
    });
  }
  for (const args of CONTROL_COMMANDS) {
    await t.test(args, async () => {
      const [expected, actual] = await Promise.all([theirs.command(args), own.command(args)]);
      assert.equal(actual, expected);
    });
  }
});
