import assert from "node:assert/strict";
import { test } from "node:test";
import { formatCLIError, UsageError } from "./errors.ts";
import { formatHumanSize } from "./human-size.ts";
import { formatJSON } from "./json.ts";
import type { CommandIO } from "./io.ts";
import { formatProgress, ProgressLine } from "./progress.ts";
import { formatTable } from "./table.ts";

test("formatTable() pads by characters and leaves the last column alone", () => {
  const rows = [
    ["a", "longer", "x"],
    ["\u{1f600}b", "c", ""],
  ];
  assert.equal(
    formatTable(["one", "two", "three"], rows),
    "one  two     three\na    longer  x\n\u{1f600}b   c       \n",
  );
  assert.equal(formatTable(["path", "replica"], []), "path  replica\n");
});

test("formatJSON() escapes as Go does", () => {
  assert.equal(
    formatJSON({ a: "<&>", list: [] }),
    '{\n  "a": "\\u003c\\u0026\\u003e",\n  "list": []\n}\n',
  );
});

test("formatHumanSize() rounds as go-humanize does", () => {
  const vectors: readonly (readonly [number, string])[] = [
    [0, "0 B"],
    [9, "9 B"],
    [999, "999 B"],
    [1000, "1.0 kB"],
    [4152, "4.2 kB"],
    [32_768, "33 kB"],
    [9_950_000, "10 MB"],
    [1_000_000, "1.0 MB"],
    [1_500_000_000, "1.5 GB"],
  ];
  for (const [bytes, text] of vectors) assert.equal(formatHumanSize(bytes), text);
});

test("formatProgress() shows the part done, the rate and the time left", () => {
  const progress = { label: "restoring", bytesDone: 250_000_000, bytesTotal: 1_000_000_000 };
  assert.equal(
    formatProgress(progress, 2_000),
    `restoring [######${"\u00b7".repeat(18)}] 25%  250 MB of 1.0 GB  125 MB/s  6s left`,
  );
  assert.equal(
    formatProgress({ label: "listing", bytesDone: 0, bytesTotal: 0 }, 5),
    "listing \u2026",
  );
});

/** What four states within 100 ms draw. */
function drawProgress(terminal: boolean): readonly string[] {
  const drawn: string[] = [];
  const io = {
    stderrIsTerminal: terminal,
    columns: 20,
    stderr: (text: string) => drawn.push(text),
  };
  let now = 0;
  using line = new ProgressLine(io as unknown as CommandIO, () => now);
  for (const at of [0, 50, 99, 100]) {
    now = at;
    line.show({ label: "restoring", bytesDone: 1, bytesTotal: 2 });
  }
  return drawn;
}

test("ProgressLine draws on terminals only, ten times a second, and removes itself", () => {
  assert.deepEqual(drawProgress(false), []);
  const drawn = drawProgress(true);
  assert.equal(drawn.length, 3);
  assert.equal(drawn[0], "\r\u001b[2Krestoring [########");
  assert.equal(drawn[2], "\r\u001b[2K");
});

test("formatCLIError() writes the message, the example and the hint", () => {
  const error = new UsageError("wrong", { example: "litestream x", hint: "Do y" });
  assert.equal(formatCLIError(error), "Error: wrong\nTry: litestream x\nHint: Do y\n");
  const cause = new Error("socket closed");
  assert.equal(
    formatCLIError(new Error("Cannot read", { cause })),
    "Error: Cannot read: socket closed\n",
  );
  assert.match(formatCLIError(new TypeError("bug")), /^Error: bug\nTypeError: bug\n {4}at /);
});
