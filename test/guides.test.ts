/**
 * Executes docs/guides: in each guide, in order, files are written and commands run in a folder of its own. The word behind a fence says what a
 * block is: `sh` runs to its end and must succeed; `sh background` runs until the guide ends; `sh skip="why"` is not run; `yaml file=PATH` is written.
 * `/path/to/`, `/etc/`, `/run/` and `/backup/` become folders, Linode's host a store in this process.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Scratch } from "./harness/scratch.ts";
import { until } from "./harness/wait.ts";
import { FakeS3 } from "./servers/fake-s3.ts";

const GUIDES = fileURLToPath(new URL("../docs/guides/", import.meta.url));
const PROGRAM = fileURLToPath(new URL("../bin/litestream.js", import.meta.url));
const FOLDERS = ["/path/to/", "/etc/", "/run/", "/backup/"];

interface Block {
  readonly language: string;
  readonly info: string;
  readonly text: string;
}

for (const name of readdirSync(GUIDES).filter((file) => file.endsWith(".md"))) {
  test(`the commands of docs/guides/${name} work`, { timeout: 120_000 }, async () => {
    await using guide = await Guide.open();
    const blocks = readBlocks(readFileSync(join(GUIDES, name), "utf8"));
    assert.ok(blocks.length > 0);
    for (const block of blocks) await guide.execute(block);
  });
}

test("docs/guides/troubleshooting.md quotes what the program says", () => {
  const sources = readdirSync(new URL("../src/", import.meta.url), { recursive: true })
    .map(String)
    .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
    .map((file) => readFileSync(new URL(`../src/${file}`, import.meta.url), "utf8"))
    .join("\n");
  const rows = readFileSync(join(GUIDES, "troubleshooting.md"), "utf8").split("\n").slice(2);
  const quoted = rows
    .filter((row) => row.startsWith("| ") && !row.startsWith("| what"))
    .flatMap((row) => (row.split("|")[1] ?? "").match(/(?<=`)[^`|]+(?=`)/g) ?? [])
    // SQLite says this itself.
    .filter((text) => text !== "database is locked");
  assert.ok(quoted.length > 8);
  for (const text of quoted) assert.ok(sources.includes(text), text);
});

class Guide implements AsyncDisposable {
  readonly #scratch = new Scratch("guide");
  readonly #store: FakeS3;
  readonly #background: ChildProcess[] = [];
  /** `export` lines of earlier blocks. */
  #exports = "";

  private constructor(store: FakeS3) {
    this.#store = store;
  }

  static async open(): Promise<Guide> {
    const guide = new Guide(await FakeS3.start());
    const path = guide.#path("/path/to/db");
    for (const folder of ["/path/to/db", "/etc/x", "/run/x", "/backup/x"])
      mkdirSync(dirname(guide.#path(folder)), { recursive: true });
    using database = new DatabaseSync(path);
    database.exec("PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    const bin = guide.#scratch.path("litestream");
    writeFileSync(bin, `#!/bin/sh\nexec "${process.execPath}" "${PROGRAM}" "$@"\n`);
    chmodSync(bin, 0o755);
    return guide;
  }

  async execute({ language, info, text }: Block): Promise<void> {
    const content = this.#map(text);
    if (language === "yaml") {
      const [, path = ""] = /file=(\S+)/.exec(info) ?? [];
      assert.notEqual(path, "", `a YAML block without "file=": ${text}`);
      writeFileSync(this.#path(path), content, { mode: 0o600 });
      return;
    }
    assert.equal(language, "sh", `a block of another kind: ${language}`);
    if (info.includes("skip=")) return;
    if (info.includes("background")) return await this.#runBeside(content);
    const outcome = await this.#run(content);
    assert.equal(outcome.code, 0, `${content}\n${outcome.output}`);
    this.#exports += content
      .split("\n")
      .filter((line) => line.startsWith("export "))
      .map((line) => `${line}\n`)
      .join("");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#background) {
      child.kill("SIGTERM");
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    }
    await this.#store[Symbol.asyncDispose]();
    this.#scratch[Symbol.dispose]();
  }

  async #runBeside(script: string): Promise<void> {
    const child = this.#spawn(`exec ${script}`);
    this.#background.push(child);
    let output = "";
    child.stdout?.setEncoding("utf8").on("data", (chunk: string) => (output += chunk));
    // Both the first file and its snapshot.
    await until(() => output.includes("snapshot complete"), {
      what: "the first snapshot",
      timeoutMs: 20_000,
    });
  }

  async #run(script: string): Promise<{ readonly code: number; readonly output: string }> {
    const child = this.#spawn(script);
    let output = "";
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding("utf8").on("data", (chunk: string) => (output += chunk));
    const [code] = (await once(child, "close")) as [number | null];
    return { code: code ?? -1, output };
  }

  #spawn(script: string): ChildProcess {
    return spawn("sh", ["-ec", this.#exports + script], {
      cwd: this.#scratch.folder,
      env: {
        PATH: `${this.#scratch.folder}:${process.env["PATH"]}`,
        HOME: this.#scratch.folder,
        LITESTREAM_S3_ENDPOINT: this.#store.endpoint,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  #map(text: string): string {
    const { endpoint } = this.#store;
    let mapped = text
      .replaceAll("s3://BUCKET.us-east-1.linodeobjects.com/", "s3://bucket/")
      .replaceAll("endpoint: us-east-1.linodeobjects.com", `endpoint: ${endpoint}`)
      .replaceAll("bucket: BUCKET", "bucket: bucket");
    for (const folder of FOLDERS)
      mapped = mapped.replaceAll(
        new RegExp(`(^|[ "'=:]|//)${folder}`, "gm"),
        (_, before: string) => `${before}${this.#path(folder)}`,
      );
    return mapped;
  }

  #path(path: string): string {
    return `${this.#scratch.folder}/root${path}`;
  }
}

function readBlocks(markdown: string): Block[] {
  const fences = /^( *)```(\w+)([^\n]*)\n(.*?)\n\1```$/gms;
  return [...markdown.matchAll(fences)].map(
    ([, indent = "", language = "", info = "", text = ""]) => ({
      language,
      info,
      text: text.replaceAll(new RegExp(`^${indent}`, "gm"), ""),
    }),
  );
}
