/**
 * Tells a service manager (systemd, `Type=notify`) when the program is ready and when it stops. Node cannot send to a datagram socket, so the
 * system's `systemd-notify` does, as a process of its own: the unit needs `NotifyAccess=all`.
 */
import { spawn } from "node:child_process";
import type { Logger } from "../service/logger.ts";

const VARIABLES = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] as const;

export class ServiceManager {
  readonly #env: Record<string, string | undefined> | undefined;
  readonly #logger: Logger;

  /** Takes the variables out of `env`, so that no child takes them for its own. */
  constructor(env: Record<string, string | undefined>, logger: Logger) {
    const own = { ...env };
    for (const name of VARIABLES) delete env[name];
    this.#env = (own["NOTIFY_SOCKET"] ?? "") === "" ? undefined : own;
    this.#logger = logger;
  }

  /** Everything is open. */
  ready(databaseCount: number): Promise<void> {
    const databases = databaseCount === 1 ? "1 database" : `${databaseCount} databases`;
    return this.#send(["READY=1", `STATUS=Replicating ${databases}`]);
  }

  /** The end has begun, and may take so long. */
  stopping(withinMs: number): Promise<void> {
    return this.#send([
      "STOPPING=1",
      "STATUS=Uploading what is left",
      `EXTEND_TIMEOUT_USEC=${Math.round(withinMs * 1_000)}`,
    ]);
  }

  /** Resolves when it was sent; a failure is logged, and nothing else. */
  #send(assignments: readonly string[]): Promise<void> {
    const env = this.#env;
    if (env === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      const child = spawn("systemd-notify", [`--pid=${process.pid}`, ...assignments], {
        env,
        stdio: "ignore",
      });
      const failed = (reason: string): void => {
        this.#logger.warn("cannot notify the service manager", {
          error: reason,
          hint: 'Install systemd-notify, or use "Type=exec" in the unit',
        });
        resolve();
      };
      child.once("error", (error) => failed(error.message));
      child.once("exit", (code, signal) => {
        if (code === 0) resolve();
        else failed(`systemd-notify ended with ${signal ?? code}`);
      });
    });
  }
}
