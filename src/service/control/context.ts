/** What the endpoints work with. */
import type { EventHub } from "../event-hub.ts";
import type { DatabaseOptions } from "../store-options.ts";
import type { Store } from "../store.ts";

/** The destination of a registration: a URL, or the keys of a replica as in the configuration file. */
export type ReplicaRequest =
  | { readonly url: string }
  | { readonly replica: Readonly<Record<string, unknown>> };

export interface ControlContext {
  readonly store: Store;
  readonly hub: EventHub;
  readonly version: string;
  /** Epoch ms. */
  readonly startedAtMs: number;
  /** Makes a path absolute, as the configuration file does. */
  readonly resolvePath: (path: string) => string;
  /** The settings of a database that is registered; rejects when the destination makes no sense. Opens nothing. */
  readonly createDatabase: (path: string, request: ReplicaRequest) => Promise<DatabaseOptions>;
}

/** One request, its body read. */
export interface ControlRequest {
  readonly body: string;
  readonly query: URLSearchParams;
  /** Aborted when the client goes away. */
  readonly signal: AbortSignal;
}

/** Answers with the body of a 200. */
export type ControlHandler = (request: ControlRequest, context: ControlContext) => Promise<unknown>;
