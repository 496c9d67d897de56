/** What signals mean to `replicate`: first stop, then hurry, then go. */
import type { Logger } from "../service/logger.ts";
import { signalName } from "./child-process.ts";
import type { CommandIO, ShutdownSignal } from "./io.ts";

export class Shutdown implements Disposable {
  readonly #stop = new AbortController();
  readonly #hurry = new AbortController();
  readonly #io: CommandIO;
  readonly #logger: Logger;
  readonly #stopListening: () => void;
  #count = 0;
  /** Gets every signal that is a request to stop, before anything else happens. */
  onSignal: ((signal: ShutdownSignal) => void) | undefined;
  /** Called by SIGHUP where no terminal hangs up. */
  onReload: (() => void) | undefined;
  /** Called before the process ends at once. */
  onExit: (() => void) | undefined;

  constructor(io: CommandIO, logger: Logger) {
    this.#io = io;
    this.#logger = logger;
    this.#stopListening = io.onSignal((signal) => this.#receive(signal));
  }

  /** Aborted by the first signal: stop gracefully. */
  get stop(): AbortSignal {
    return this.#stop.signal;
  }

  /** Aborted by the second signal: skip what is left of the final sync. */
  get hurry(): AbortSignal {
    return this.#hurry.signal;
  }

  [Symbol.dispose](): void {
    this.#stopListening();
  }

  #receive(signal: ShutdownSignal): void {
    if (signal === "SIGHUP" && !this.#io.hasTerminal) {
      this.onReload?.();
      return;
    }
    this.#count++;
    this.onSignal?.(signal);
    if (this.#count === 1) {
      this.#logger.info("signal received, litestream shutting down", {
        signal: signalName(signal),
      });
      this.#stop.abort(new Error(`${signal} received`));
    } else if (this.#count === 2) {
      this.#logger.warn("shutdown sync skipped by user interrupt");
      this.#hurry.abort(new Error("skipped by user interrupt"));
    } else {
      this.onExit?.();
      this.#io.exit(1);
    }
  }
}
