import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { Scratch } from "../../test/harness/scratch.ts";
import { Logger } from "../service/logger.ts";
import { ServiceManager } from "./service-manager.ts";

/** A datagram socket as systemd's: prints each message in a line, ends when it was asked after STOPPING. */
const LISTENER = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print("bound", flush=True)
seen = False
while True:
    text = s.recv(4096).decode().replace("\\n", " ")
    print(text, flush=True)
    # systemd-notify asks back whether everything before was received.
    if "BARRIER" in text and seen: break
    seen = seen or "STOPPING" in text
`;

const isMissing = ["python3", "systemd-notify"].filter(
  (name) => spawnSync("sh", ["-c", `command -v ${name}`]).status !== 0,
);

function logger(lines: string[]): Logger {
  return new Logger({ write: (line) => lines.push(line), level: "info", format: "text" });
}

test(
  "ServiceManager sends what systemd expects, and hides its variables from children",
  { skip: isMissing.length > 0 && `${isMissing.join(" and ")} not installed` },
  async () => {
    using scratch = new Scratch("notify");
    const path = scratch.path("notify.sock");
    const listener = spawn("python3", ["-c", LISTENER, path], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    listener.stdout.setEncoding("utf8").on("data", (text: string) => (output += text));
    await once(listener.stdout, "data");
    const env: Record<string, string | undefined> = {
      PATH: process.env["PATH"],
      NOTIFY_SOCKET: path,
      WATCHDOG_USEC: "1",
    };
    const lines: string[] = [];
    const manager = new ServiceManager(env, logger(lines));
    assert.deepEqual(Object.keys(env), ["PATH"]);
    await manager.ready(2);
    await manager.stopping(30_000);
    await once(listener, "exit");
    assert.match(output, /READY=1 STATUS=Replicating 2 databases/);
    assert.match(output, /STOPPING=1 .*EXTEND_TIMEOUT_USEC=30000000/);
    assert.deepEqual(lines, []);
  },
);

test("ServiceManager does nothing without a service manager, and warns of one that cannot be told", async () => {
  const lines: string[] = [];
  await new ServiceManager({ PATH: process.env["PATH"] }, logger(lines)).ready(1);
  assert.deepEqual(lines, []);
  await new ServiceManager({ PATH: "", NOTIFY_SOCKET: "/nowhere" }, logger(lines)).ready(1);
  assert.equal(lines.length, 1);
  assert.match(lines[0] ?? "", /level=WARN msg="cannot notify the service manager"/);
});
