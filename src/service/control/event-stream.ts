/** `GET /events`: the engine's events as lines of JSON, with a heartbeat; who reads too slowly is dropped. */
import type { ServerResponse } from "node:http";
import type { EngineEvent } from "../../engine/events.ts";
import type { EventHub } from "../event-hub.ts";
import { formatError } from "../logger.ts";
import { encodeGoJSON } from "./go-json.ts";
import { formatRFC3339Nano } from "./rfc3339-nano.ts";

const HEARTBEAT_MS = 15_000;
/** What may wait for a client before it is dropped. */
const MAX_WAITING_BYTES = 1 << 20;

/** Streams until the client goes away, or reads too slowly. `database`: only events of that one. */
export function streamEvents(
  response: ServerResponse,
  hub: EventHub,
  database: string | undefined,
): void {
  response.writeHead(200, { "Content-Type": "application/x-ndjson", "Cache-Control": "no-store" });
  response.flushHeaders();
  const send = (line: string): void => {
    if (response.writableLength > MAX_WAITING_BYTES) response.destroy();
    else response.write(line);
  };
  const subscription = hub.subscribe((event) => {
    if (database === undefined || event.database === database) send(eventLine(event));
  });
  const heartbeat = setInterval(
    () => send(encodeGoJSON({ type: "heartbeat", at: formatRFC3339Nano(Date.now()) })),
    HEARTBEAT_MS,
  );
  heartbeat.unref();
  response.once("close", () => {
    clearInterval(heartbeat);
    subscription[Symbol.dispose]();
  });
}

function eventLine(event: EngineEvent): string {
  const { type, ...fields } = event;
  const line: Record<string, unknown> = { type, at: formatRFC3339Nano(Date.now()) };
  for (const [key, value] of Object.entries(fields))
    line[snakeCase(key)] = key === "error" ? formatError(value) : value;
  return encodeGoJSON(line);
}

function snakeCase(name: string): string {
  return name.replaceAll(/([a-z])([A-Z])/g, "$1_$2").toLowerCase();
}
