/** Log records in the three forms of upstream: text (logfmt), json, pretty. */
import { durationNanoseconds, formatDuration } from "./duration-text.ts";

const LOG_LEVELS = ["trace", "debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];
export type LogFormat = "text" | "json" | "pretty";

/** A duration: Go text in text records, nanoseconds in JSON. */
interface LogDuration {
  readonly durationMs: number;
}

type LogValue =
  | string
  | number
  | bigint
  | boolean
  | undefined
  | LogDuration
  | { readonly [key: string]: LogValue };

/** Attributes in the order they are written; undefined ones are left out. */
export type LogAttributes = Readonly<Record<string, LogValue>>;

export interface LoggerOptions {
  readonly format: LogFormat;
  /** The least level that is written. */
  readonly level: LogLevel;
  /** Gets one record with its newline. */
  readonly write: (line: string) => void;
  /** Add the file and line that logged. */
  readonly source?: boolean;
  /** Colours in pretty records. */
  readonly color?: boolean;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

export class Logger {
  readonly #options: LoggerOptions;
  readonly #attributes: LogAttributes;

  constructor(options: LoggerOptions, attributes: LogAttributes = {}) {
    this.#options = options;
    this.#attributes = attributes;
  }

  /** The same logger with attributes that every record begins with. */
  with(attributes: LogAttributes): Logger {
    return new Logger(this.#options, { ...this.#attributes, ...attributes });
  }

  isEnabled(level: LogLevel): boolean {
    return LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(this.#options.level);
  }

  trace(message: string, attributes?: LogAttributes): void {
    this.log("trace", message, attributes);
  }

  debug(message: string, attributes?: LogAttributes): void {
    this.log("debug", message, attributes);
  }

  info(message: string, attributes?: LogAttributes): void {
    this.log("info", message, attributes);
  }

  warn(message: string, attributes?: LogAttributes): void {
    this.log("warn", message, attributes);
  }

  error(message: string, attributes?: LogAttributes): void {
    this.log("error", message, attributes);
  }

  log(level: LogLevel, message: string, attributes: LogAttributes = {}): void {
    if (!this.isEnabled(level)) return;
    const { format, now = Date.now, color = false } = this.#options;
    const source = this.#options.source === true ? callerSource() : undefined;
    const record: LogRecord = {
      at: now(),
      level,
      message,
      source,
      attributes: { ...this.#attributes, ...attributes },
    };
    this.#options.write(`${formatRecord(record, format, color)}\n`);
  }
}

/** The level a word means, or undefined. `warning` is `warn`; case does not matter. */
export function parseLogLevel(text: string): LogLevel | undefined {
  const word = text.toLowerCase();
  if (word === "warning") return "warn";
  return LOG_LEVELS.find((level) => level === word);
}

/** An error as one line: its message and those of its causes. */
export function formatError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { message, cause } = error;
  if (!(cause instanceof Error) || cause.message === "" || message.includes(cause.message)) {
    return message;
  }
  return `${message}: ${formatError(cause)}`;
}

interface LogRecord {
  readonly at: number;
  readonly level: LogLevel;
  readonly message: string;
  readonly source: { readonly file: string; readonly line: number } | undefined;
  readonly attributes: LogAttributes;
}

function formatRecord(record: LogRecord, format: LogFormat, color: boolean): string {
  switch (format) {
    case "text":
      return formatText(record);
    case "json":
      return formatJSON(record);
    case "pretty":
      return formatPretty(record, color);
  }
}

function formatText({ at, level, message, source, attributes }: LogRecord): string {
  const parts = [`time=${formatTime(at, false)}`, `level=${level.toUpperCase()}`];
  if (source !== undefined) parts.push(`source=${quoteText(`${source.file}:${source.line}`)}`);
  parts.push(`msg=${quoteText(message)}`, ...textAttributes(attributes, ""));
  return parts.join(" ");
}

function formatJSON({ at, level, message, source, attributes }: LogRecord): string {
  const members = [
    `"time":"${formatTime(at, true)}"`,
    `"level":"${level.toUpperCase()}"`,
    ...(source === undefined ? [] : [`"source":${JSON.stringify(source)}`]),
    `"msg":${JSON.stringify(message)}`,
    ...jsonMembers(attributes),
  ];
  return `{${members.join(",")}}`;
}

const PRETTY_LEVELS: Readonly<Record<LogLevel, readonly [name: string, color: string]>> = {
  trace: ["TRC", "\u001b[90m"],
  debug: ["DBG", "\u001b[90m"],
  info: ["INF", "\u001b[32m"],
  warn: ["WRN", "\u001b[33m"],
  error: ["ERR", "\u001b[31m"],
};

function formatPretty(record: LogRecord, color: boolean): string {
  const { at, level, message, source, attributes } = record;
  const [name, start] = PRETTY_LEVELS[level];
  const paint = (text: string, code: string): string => (color ? `${code}${text}\u001b[0m` : text);
  const parts = [formatTime(at, false).slice(11, 19), paint(name, start)];
  if (source !== undefined) parts.push(`${source.file}:${source.line}`);
  parts.push(message.replaceAll(/\p{Cc}/gu, " "));
  for (const attribute of textAttributes(attributes, "")) {
    const valueAt = attribute.indexOf("=") + 1;
    parts.push(paint(attribute.slice(0, valueAt), "\u001b[90m") + attribute.slice(valueAt));
  }
  return parts.join(" ");
}

function textAttributes(attributes: LogAttributes, prefix: string): string[] {
  return Object.entries(attributes).flatMap(([key, value]) => {
    if (value === undefined) return [];
    if (typeof value === "object" && !isDuration(value)) {
      return textAttributes(value, `${prefix}${key}.`);
    }
    const text = typeof value === "object" ? formatDuration(value.durationMs) : String(value);
    return [`${quoteText(prefix + key)}=${quoteText(text)}`];
  });
}

function jsonMembers(attributes: LogAttributes): string[] {
  return Object.entries(attributes).flatMap(([key, value]) => {
    if (value === undefined) return [];
    return [`${JSON.stringify(key)}:${jsonValue(value)}`];
  });
}

function jsonValue(value: Exclude<LogValue, undefined>): string {
  if (typeof value === "bigint") return value.toString();
  if (typeof value !== "object") return JSON.stringify(value);
  if (isDuration(value)) return String(durationNanoseconds(value.durationMs));
  return `{${jsonMembers(value).join(",")}}`;
}

function isDuration(value: object): value is LogDuration {
  return "durationMs" in value && typeof value.durationMs === "number";
}

/** Quotes as Go's slog does: when a value is empty or holds a space, a quote, `=` or anything unprintable. */
function quoteText(text: string): string {
  return text === "" || /[\s"=\p{Cc}\u{fffd}]/u.test(text) ? JSON.stringify(text) : text;
}

/** Local time as RFC 3339; text keeps three digits of the second, JSON drops trailing zeros. */
function formatTime(at: number, trimZeros: boolean): string {
  const offset = -new Date(at).getTimezoneOffset();
  const local = new Date(at + offset * 60_000).toISOString().slice(0, -1);
  const digits = trimZeros ? local.replace(/\.?0+$/, "") : local;
  if (offset === 0) return `${digits}Z`;
  const minutes = Math.abs(offset);
  return `${digits}${offset < 0 ? "-" : "+"}${twoDigits(Math.floor(minutes / 60))}:${twoDigits(minutes % 60)}`;
}

function twoDigits(value: number): string {
  return String(value).padStart(2, "0");
}

/** Where the logging method was called: the first frame outside this file. */
function callerSource(): { readonly file: string; readonly line: number } | undefined {
  const frames = new Error().stack?.split("\n").slice(1) ?? [];
  const frame = frames.find((line) => !/service\/logger\.(ts|js)/.test(line));
  const match = frame === undefined ? null : /([^/\\(\s]+):(\d+):\d+\)?$/.exec(frame);
  if (match === null) return undefined;
  return { file: match[1] ?? "", line: Number(match[2]) };
}
