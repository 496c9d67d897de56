#!/usr/bin/env node
// Plain JavaScript that Node 14.8 and newer can read: an old Node gets a sentence instead of a syntax error.
import { existsSync } from "node:fs";
import { spawn } from "node:child_process";
import { setFlagsFromString } from "node:v8";
import { fileURLToPath } from "node:url";

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
if (major > 24 || (major === 24 && minor >= 15)) {
  // Pages are worked on outside of V8's heap. Its space for young objects would still grow to 32 MiB and stay that large.
  setFlagsFromString("--semi-space-growth-factor=1");
  const { run } = await import("../dist/cli/main.js");
  const { processIO } = await import("../dist/cli/io.js");
  const code = await run(process.argv.slice(2), processIO());
  // Not left to the event loop: a connection that lingers must not keep a finished command alive.
  process.stdout.write("", () => process.stderr.write("", () => process.exit(code)));
} else {
  runBundledNode();
}

/** Runs this script again with the Node that came with the package, if one did. */
function runBundledNode() {
  const node = fileURLToPath(new URL("../node_modules/node/bin/node", import.meta.url));
  if (!existsSync(node)) {
    process.stderr.write(
      `Error: litestream needs Node 24.15 or newer, this is ${process.versions.node}: ${process.execPath}\n` +
        "Hint: Install a newer Node, or add it to this folder with: npm install node@24\n",
    );
    process.exitCode = 1;
    return;
  }
  const script = fileURLToPath(import.meta.url);
  const child = spawn(node, [script, ...process.argv.slice(2)], { stdio: "inherit" });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
    process.on(signal, () => {
      // A terminal sends SIGINT to the child as well; only what comes from elsewhere is passed on.
      if (signal !== "SIGINT" || !process.stdin.isTTY) child.kill(signal);
    });
  }
  child.on("error", (error) => {
    process.stderr.write(`Error: Cannot start ${node}: ${error.message}\n`);
    process.exitCode = 1;
  });
  child.on("exit", (code, signal) => {
    if (signal !== null) {
      process.removeAllListeners(signal);
      process.kill(process.pid, signal);
    } else {
      process.exitCode = code ?? 1;
    }
  });
}
