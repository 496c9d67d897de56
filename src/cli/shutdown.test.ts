import assert from "node:assert/strict";
import { test } from "node:test";
import { Logger } from "../service/logger.ts";
import type { CommandIO, ShutdownSignal } from "./io.ts";
import { Shutdown } from "./shutdown.ts";

class Exited extends Error {}

function setUp(hasTerminal: boolean): {
  readonly shutdown: Shutdown;
  readonly signal: (signal: ShutdownSignal) => void;
  readonly forwarded: ShutdownSignal[];
  readonly state: () => string;
} {
  let listener: ((signal: ShutdownSignal) => void) | undefined;
  const io: CommandIO = {
    stdout: () => undefined,
    stderr: () => undefined,
    stderrIsTerminal: hasTerminal,
    stdoutIsTerminal: hasTerminal,
    hasTerminal,
    columns: 80,
    env: {},
    cwd: "/",
    onSignal: (added) => {
      listener = added;
      return () => {
        listener = undefined;
      };
    },
    exit: () => {
      throw new Exited();
    },
  };
  const logger = new Logger({ format: "text", level: "error", write: () => undefined });
  const shutdown = new Shutdown(io, logger);
  const forwarded: ShutdownSignal[] = [];
  shutdown.onSignal = (signal) => forwarded.push(signal);
  return {
    shutdown,
    signal: (signal) => listener?.(signal),
    forwarded,
    state: () => `${shutdown.stop.aborted} ${shutdown.hurry.aborted}`,
  };
}

test("Shutdown stops at the first signal, hurries at the second, exits at the third", () => {
  const { shutdown, signal, forwarded, state } = setUp(false);
  let killed = 0;
  shutdown.onExit = () => killed++;
  assert.equal(state(), "false false");
  signal("SIGTERM");
  assert.equal(state(), "true false");
  signal("SIGINT");
  assert.equal(state(), "true true");
  assert.throws(() => signal("SIGINT"), Exited);
  assert.equal(killed, 1);
  assert.deepEqual(forwarded, ["SIGTERM", "SIGINT", "SIGINT"]);
});

test("Shutdown takes SIGHUP for the end of a terminal, and as a request to reload elsewhere", () => {
  const service = setUp(false);
  service.signal("SIGHUP");
  assert.equal(service.state(), "false false");
  const terminal = setUp(true);
  terminal.signal("SIGHUP");
  assert.equal(terminal.state(), "true false");
});

test("Shutdown no longer listens once it is disposed", () => {
  const { shutdown, signal, state } = setUp(false);
  shutdown[Symbol.dispose]();
  signal("SIGTERM");
  assert.equal(state(), "false false");
});
