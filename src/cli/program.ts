/** The process: runs the command line it was given and ends with its exit code. */
import { setFlagsFromString } from "node:v8";
import { processIO } from "./io.ts";
import { run } from "./main.ts";

// Pages are worked on outside of V8's heap. Its space for young objects would still grow to 32 MiB and stay that large.
setFlagsFromString("--semi-space-growth-factor=1");
// No await at the top level: bin/litestream.js loads this with require().
void run(process.argv.slice(2), processIO()).then(end);

/** Not left to the event loop: a connection that lingers must not keep a finished command alive. */
function end(code: number): void {
  process.stdout.write("", () => process.stderr.write("", () => process.exit(code)));
}
