import assert from "node:assert/strict";
import { test } from "node:test";
import {
  formatError,
  Logger,
  parseLogLevel,
  type LogFormat,
  type LoggerOptions,
} from "./logger.ts";

const AT = Date.UTC(2026, 0, 2, 15, 4, 5, 120);

/** What a logger wrote, with the offset of the machine's zone taken out. */
function record(
  format: LogFormat,
  options: Partial<LoggerOptions> = {},
): {
  readonly logger: Logger;
  readonly lines: string[];
} {
  const lines: string[] = [];
  const write = (line: string): void => void lines.push(line);
  const offset = new Date(AT).getTimezoneOffset() * 60_000;
  const logger = new Logger({ format, level: "debug", write, now: () => AT + offset, ...options });
  return { logger, lines };
}

function withoutZone(line: string | undefined): string | undefined {
  return line?.replace(/(\d\d:\d\d:\d\d(?:\.\d+)?)(?:Z|[-+]\d\d:\d\d)/, "$1Z");
}

test("Logger writes text records as slog does", () => {
  const { logger, lines } = record("text");
  logger.info("replicating to", {
    type: "file",
    "sync-interval": { durationMs: 1_000 },
    path: "/tmp/a b",
    empty: "",
    equals: "a=b",
    quote: 'say "x"',
    txid: { replica: "01", db: "02" },
    ok: true,
    nothing: undefined,
    newline: "a\nb",
    size: 12n,
  });
  assert.equal(
    withoutZone(lines[0]),
    'time=2026-01-02T15:04:05.120Z level=INFO msg="replicating to" type=file sync-interval=1s path="/tmp/a b" ' +
      'empty="" equals="a=b" quote="say \\"x\\"" txid.replica=01 txid.db=02 ok=true newline="a\\nb" size=12\n',
  );
});

test("Logger writes JSON records that parse, with durations in nanoseconds", () => {
  const { logger, lines } = record("json");
  logger.with({ system: "store" }).warn("x", {
    "sync-interval": { durationMs: 1_500 },
    txid: { replica: "01" },
    big: 9_007_199_254_740_993n,
    text: "<&>",
  });
  assert.equal(
    withoutZone(lines[0]),
    '{"time":"2026-01-02T15:04:05.12Z","level":"WARN","msg":"x","system":"store","sync-interval":1500000000,' +
      '"txid":{"replica":"01"},"big":9007199254740993,"text":"<&>"}\n',
  );
  assert.doesNotThrow(() => JSON.parse(lines[0] ?? "") as unknown);
});

test("Logger writes pretty records, coloured only when asked", () => {
  const plain = record("pretty");
  plain.logger.error("broken", { error: "x y" });
  assert.equal(plain.lines[0], '15:04:05 ERR broken error="x y"\n');
  const colored = record("pretty", { color: true });
  colored.logger.info("fine", { a: 1 });
  assert.equal(colored.lines[0], "15:04:05 \u001b[32mINF\u001b[0m fine \u001b[90ma=\u001b[0m1\n");
});

test("Logger leaves out what is below its level", () => {
  const { logger, lines } = record("text", { level: "warn" });
  logger.trace("a");
  logger.debug("a");
  logger.info("a");
  logger.warn("b");
  logger.error("c");
  assert.deepEqual(
    lines.map((line) => /level=(\w+)/.exec(line)?.[1]),
    ["WARN", "ERROR"],
  );
});

test("Logger names the caller when asked for the source", () => {
  const { logger, lines } = record("text", { source: true });
  logger.info("x");
  assert.match(lines[0] ?? "", / level=INFO source=logger\.test\.ts:\d+ msg=x\n$/);
});

test("parseLogLevel() takes upstream's words in any case", () => {
  const vectors = { trace: "trace", DEBUG: "debug", Info: "info", warning: "warn", error: "error" };
  for (const [text, level] of Object.entries(vectors)) assert.equal(parseLogLevel(text), level);
  assert.equal(parseLogLevel("verbose"), undefined);
});

test("formatError() tells causes that the message leaves out", () => {
  const cause = new Error("disk full");
  assert.equal(formatError(new Error("Cannot write", { cause })), "Cannot write: disk full");
  assert.equal(
    formatError(new Error("Cannot write: disk full", { cause })),
    "Cannot write: disk full",
  );
  assert.equal(formatError("text"), "text");
});
